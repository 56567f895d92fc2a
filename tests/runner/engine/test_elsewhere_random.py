"""A notebook of which some cells run elsewhere does what the same notebook does whose cells all run here."""

import asyncio
import os
import random
from typing import Any

import pytest
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import Mode, Redefine
from cellwire.runner.engine import Engine
from support.random_notebooks import CELLS, NAMES, SETUP, play, redefining, shared_values, state, statement

#: More of them are drawn by `make soak`.
EXAMPLES = int(os.environ.get("CELLWIRE_EXAMPLES", 150))


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
        ours, others = shared_values(placed, plain)
        assert ours == others, told


@pytest.mark.parametrize("redefine", ["error", "allow"])
def test_random_edits_do_the_same_wherever_cells_run(redefine: Redefine) -> None:
    play(min(EXAMPLES // 2, 500), lambda seed: compare(seed, redefine))
