"""Requests that overlap at random, for cells that await or run elsewhere, leave what a fresh run shows."""

import asyncio
import os
import random
from typing import Any

import pytest
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import Redefine
from cellwire.runner.engine import Engine
from support.random_notebooks import (
    CELLS,
    NAMES,
    SETUP,
    comparable,
    play,
    redefining,
    shared_values,
    state,
    statement,
)

#: More of them are drawn by `make soak`.
EXAMPLES = int(os.environ.get("CELLWIRE_EXAMPLES", 120))


def source(rng: random.Random, cell: str, redefine: Redefine) -> str:
    number = int(cell[1:])
    if redefine == "error":
        # Of two definers, and on a cycle, the history decides which one has the error.
        text = statement(rng, f"v{number}", [f"v{other}" for other in range(number)])
        text = text.replace("import string", "import string as _s").replace("string.", "_s.")
    elif rng.random() < 0.3:
        text = redefining(rng)
    else:
        text = statement(rng, rng.choice(NAMES), NAMES)
    waits = rng.choice([0, 0, 1, 5])
    return f"for _i in range({waits}): await asyncio.sleep(0)\n{text}" if waits else text


def shown(engine: Engine) -> dict[str, Any]:
    """Return what is to be seen of a notebook; not along which of several ways cells are on a cycle."""
    found = state(engine)
    cycles = {cell for cell, seen in found.items() if seen[3] and seen[3][0] == "Cycle"}
    return {cell: "Cycle" if cell in cycles else seen for cell, seen in found.items()}


def is_certain(engine: Engine, name: str) -> bool:
    """Return whether the value of `name` is that of its last maker, and made by that whatever happens."""
    if not comparable(engine, name):
        return False
    last = engine.program.graph.makers(name)[-1]
    return name not in engine.program.compiled[last].analysis.maybe_defs


async def overlap(seed: int, redefine: Redefine, most_elsewhere: float) -> None:
    rng = random.Random(seed)
    engine, fresh = (Engine(lambda event: None, redefine=redefine) for _ in range(2))
    on = {cell: "client" for cell in CELLS if rng.random() < most_elsewhere}
    await engine.run({"setup": SETUP})
    log: list[Any] = [on]
    tasks: list[asyncio.Task[Any]] = []
    for step in range(9):
        draw = rng.random()
        known = [cell for cell in CELLS if cell in engine.notebook.cells]
        action: Any
        if step and known and draw < 0.12:
            gone = rng.choice(known)
            log.append(("delete", gone))
            action = engine.delete([gone])
        elif step and draw < 0.2:
            log.append("stale")
            action = engine.run_stale()
        elif step and known and draw < 0.4:
            again = engine.notebook.cells[rng.choice(known)]
            log.append(again.id)
            action = engine.run([Cell(again.id, again.source, on=again.on)])
        else:
            chosen = sorted(rng.sample(CELLS, rng.randint(1, 3) if step else len(CELLS)))
            given = [Cell(cell, source(rng, cell, redefine), on=on.get(cell, "")) for cell in chosen]
            runs = rng.random() < 0.8
            log.append(("run" if runs else "sync", {cell.id: cell.source for cell in given}))
            action = engine.run(given) if runs else engine.sync(given)
        tasks.append(asyncio.create_task(action))
        for _ in range(rng.choice([0, 1, 2, 5, 10, 30])):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    cells = engine.notebook.cells
    assert not [cell for cell in cells if cells[cell].status in ("queued", "running")], log
    assert engine.notebook.runs == []
    await engine.run_stale()
    await fresh.run([Cell(cell, cells[cell].source, on=cells[cell].on) for cell in engine.notebook.order])
    told = f"seed {seed}\n" + "\n".join(map(str, log))
    seen, expected = shown(engine), shown(fresh)
    assert seen == expected, told
    ours, others = shared_values(engine, fresh, is_certain)
    assert ours == others, told


@pytest.mark.parametrize("most_elsewhere", [0.0, 0.5])
@pytest.mark.parametrize("redefine", ["error", "allow"])
def test_overlapping_requests_leave_what_a_fresh_notebook_shows(redefine: Redefine, most_elsewhere: float):
    play(min(EXAMPLES // 4, 500), lambda seed: overlap(seed, redefine, most_elsewhere))
