"""A notebook of which some cells run elsewhere does what the same notebook does whose cells all run here."""

import asyncio
import os
import random
from typing import Any

import pytest
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import Mode, Redefine
from cellwire.runner.engine import Engine
from support.thread_place import thread_places
from support.waiting import PATIENCE

CELLS = [f"c{number}" for number in range(7)]
NAMES = ["a", "b", "c", "d"]
SETUP = "import asyncio\nimport cellwire as cw\nfrom support.thread_place import Workers\nclient = Workers(2)"
#: More of them are drawn by `make soak`.
EXAMPLES = int(os.environ.get("CELLWIRE_EXAMPLES", 150))


def statement(rng: random.Random, own: str, readable: list[str]) -> str:
    reads = [rng.choice(readable) for _ in range(rng.randint(0, 2))] if readable else []
    expression = " + ".join([*reads, str(rng.randint(0, 9))])
    return rng.choice(
        [
            f"{own} = {expression}",
            f"{own} = {expression}\n{own}",
            f"{own} = {expression}\nprint('{own} is', {own})",
            f"print({expression})\n{expression}",
            f"_p = {expression}\n{own} = _p",
            f"{own} = {expression}\nawait asyncio.sleep(0)\n{own}",
            f"{own} = {expression}\ncw.output.append({own}).replace('shown')\n{own}",
            f"_p = 3\ndef f_{own}(): return _p + 1\n{own} = f_{own}() + {expression}",
            f"{own} = {expression}\n1 / 0",
            f"{own} = {expression}\ncw.stop({own} % 3 == 0, 'halt')\n{own}",
            f"{own} =",
            f"missing_{own}",
            f"import string\n{own} = len(string.digits) + {expression}",
        ]
    )


def redefining(rng: random.Random) -> str:
    name = rng.choice(NAMES)
    return rng.choice(
        [
            f"{name} = {name} + 1\n{name}",
            f"del {name}",
            f"if {rng.choice(NAMES)} % 2: {name} = 7",
            f"for {name} in range(3): pass\n{name}",
        ]
    )


def source(rng: random.Random, cell: str, redefine: Redefine) -> str:
    if redefine == "error":
        number = int(cell[1:])
        readable = [f"v{other}" for other in range(number)]
        if rng.random() < 0.15:
            readable.append(f"v{rng.randrange(len(CELLS))}")
        own = f"v{number}" if rng.random() < 0.9 else f"v{rng.randrange(len(CELLS))}"
        return statement(rng, own, readable)
    lines = [
        redefining(rng) if rng.random() < 0.4 else statement(rng, rng.choice(NAMES), NAMES)
        for _ in range(rng.randint(1, 2))
    ]
    return "\n".join(lines)


def bare(text: str) -> str:
    """Return the message of a missing name without what is known of other cells at that moment."""
    return text.partition(". Did you mean")[0].partition(": cell '")[0]


def state(engine: Engine) -> dict[str, Any]:
    """Return what is to be seen of a notebook, where its cells run left aside."""
    found: dict[str, Any] = {}
    for cell in engine.notebook.order:
        seen = engine.notebook.cells[cell]
        error = seen.error and (seen.error.kind, bare(seen.error.message))
        if error and error[0] == "Cancelled":
            error = error[:1]  # of several causes the one is named that is known first
        lines = [item.data["text/plain"].splitlines() or [""] for item in seen.outputs]
        found[cell] = (seen.status, seen.stale, [bare(text[-1]) for text in lines], error)
    return found


def values(engine: Engine) -> dict[str, str]:
    """Return the values of the notebook's names, wherever they are."""
    fetch = engine._lifecycle.fetch
    return {
        name: repr(engine.globals[name] if name in engine.globals or fetch is None else fetch(name))
        for name in {*engine.globals, *engine.elsewhere}
        if name in NAMES or name.startswith("v")
    }


def comparable(engine: Engine, name: str) -> bool:
    """Return whether the value of `name` is that of its last maker, which has ended well and is not stale.

    Otherwise Python has what was there before.
    """
    makers = engine.program.graph.makers(name)
    if not makers:
        return False
    last = engine.notebook.cells[makers[-1]]
    return last.status == "ok" and not last.stale


async def compare(seed: int, redefine: Redefine) -> None:
    rng = random.Random(seed)
    plain, placed = (
        Engine(lambda event: None, redefine=redefine),
        Engine(lambda event: None, redefine=redefine),
    )
    on = {cell: "client" for cell in CELLS if rng.random() < 0.5}
    log: list[Any] = []

    def cells(sources: dict[str, str], places: dict[str, str]) -> list[Cell]:
        return [Cell(cell, text, on=places.get(cell, "")) for cell, text in sources.items()]

    for engine in (plain, placed):
        await engine.run({"setup": SETUP})
    for step in range(7):
        draw = rng.random()
        if step and draw < 0.12:
            gone = rng.choice(CELLS)
            log.append(("delete", gone))
            await asyncio.gather(plain.delete([gone]), placed.delete([gone]))
        elif step and draw < 0.22:
            mode: Mode = rng.choice(["lazy", "autorun"])
            log.append(mode)
            await asyncio.gather(plain.set_mode(mode), placed.set_mode(mode))
        elif step and draw < 0.32:
            log.append("stale")
            await asyncio.gather(plain.run_stale(), placed.run_stale())
        elif step and draw < 0.4 and (known := [cell for cell in CELLS if cell in plain.notebook.cells]):
            chosen, disabled = rng.choice(known), rng.random() < 0.6
            log.append(("disable" if disabled else "enable", chosen))
            for engine in (plain, placed):
                await engine.configure([chosen], disabled=disabled)
        else:
            chosen_cells = sorted(rng.sample(CELLS, rng.randint(1, 3) if step else len(CELLS)))
            sources = {cell: source(rng, cell, redefine) for cell in chosen_cells}
            if rng.random() < 0.2:
                on = {**on, chosen_cells[0]: "" if on.get(chosen_cells[0]) else "client"}
            log.append(sources)
            await plain.run(cells(sources, {}))
            await placed.run(cells(sources, on))
        told = f"seed {seed}, step {step}, on {on}\n" + "\n".join(map(str, log))
        seen, expected = state(placed), state(plain)
        assert seen == expected, told
        ours, others = values(placed), values(plain)
        same = [name for name in {*ours, *others} if comparable(placed, name) and comparable(plain, name)]
        assert {name: ours.get(name) for name in same} == {name: others.get(name) for name in same}, told


@pytest.mark.parametrize("redefine", ["error", "allow"])
def test_random_edits_do_the_same_wherever_cells_run(redefine: Redefine) -> None:
    with thread_places(), asyncio.Runner() as runner:
        for seed in range(min(EXAMPLES // 2, 500)):

            async def bounded(seed: int = seed) -> None:
                async with asyncio.timeout(PATIENCE):
                    await compare(seed, redefine)

            runner.run(bounded())
