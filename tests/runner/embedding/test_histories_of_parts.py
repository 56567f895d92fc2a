"""Whatever was edited and given before: an embedded notebook shows what a new one shows.

And what it costs to embed it again, counted in calls.
"""

import asyncio
import gc
import random
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from cellwire.protocol.mime_types import ERROR_MIME
from cellwire.protocol.notebook import CellState
from cellwire.runner.attribution.context import Execution
from cellwire.runner.engine import Engine

NAMES = "abc"
CELL = """
import cellwire as cw
part = cw.embed({path!r}{arguments})
part.failed or {{name: part[name] for name in part.defs}}
"""


def drawn_cell(draw: random.Random) -> str:
    name = draw.choice(NAMES)
    read = draw.choice([*NAMES, "1"])
    return draw.choice(
        [
            f"{name} = {read} + {draw.randrange(3)}",
            f"{name} = {name} * 2",
            f"{read}",
            f"cw.output.append({read})",
            f"print({read})\n{name} = 1",
            f"cw.stop({read} == 1)",
            f"def {name}(): return {read}",
            f"{read} = = 1",
        ]
    )


def shown(cell: CellState) -> list[Any]:
    """Return the items of a cell; of an error what it is and where, not what the past has to say about it."""
    found: list[Any] = []
    for item in cell.outputs:
        error = item.data.get(ERROR_MIME)
        plain = item.data["text/plain"].split(" at 0x")[0]
        found.append((error["kind"], error.get("cell"), error.get("line")) if error else plain)
    return found


def part_of(engine: Engine) -> Engine:
    """Return the engine of the notebook that a cell has embedded."""
    [part] = engine.parts._parts.values()
    return part.engine


@pytest.mark.parametrize("seed", range(20))
def test_a_part_shows_what_a_new_one_shows(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    path = tmp_path / "inner.py"

    async def main() -> None:
        engine = Engine(lambda event: None)
        cells = {f"c{n}": drawn_cell(draw) for n in range(6)}
        for step in range(12):
            for _ in range(draw.randrange(3)):
                id = f"c{draw.randrange(8)}"
                cells.pop(id, None)
                if draw.random() < 0.8:
                    cells[id] = drawn_cell(draw)
            text = "".join(f"# %% {id}\n{source}\n" for id, source in cells.items())
            path.write_text(f"# %% imports\nimport cellwire as cw\n{text}")
            arguments = draw.choice(["", f", a={draw.randrange(2)}"])
            source = CELL.format(path=str(path), arguments=arguments)
            await engine.run({"e": source})
            fresh = Engine(lambda event: None)
            await fresh.run({"e": source})
            old, new = engine.notebook.cells["e"], fresh.notebook.cells["e"]
            before, now = shown(old), shown(new)
            if part_of(fresh).program.graph.upward:
                # What runs again of cells that read from below may take another of the possible orders.
                before, now = sorted(map(str, before)), sorted(map(str, now))
            assert (step, old.status, before) == (step, new.status, now)

    asyncio.run(main())


def test_embedding_again_costs_little_for_each_cell_and_runs_none(tmp_path: Path) -> None:
    sizes = (20, 200)
    for size in sizes:
        chain = (f"x{n} = {f'x{n - 1} + 1' if n else 0}\nx{n}" for n in range(size))
        (tmp_path / f"{size}.py").write_text("".join(f"# %%\n{source}\n" for source in chain))

    async def calls(size: int) -> int:
        engine = Engine(lambda event: None)
        await engine.run({"e": f"import cellwire as cw\ncw.embed({str(tmp_path / f'{size}.py')!r})"})
        count = [0]

        def profile(frame: Any, event: str, argument: Any) -> None:
            if event in ("call", "c_call"):
                count[0] += 1

        sys.setprofile(profile)
        try:
            await engine.run(["e"])
        finally:
            sys.setprofile(None)
        assert len(engine.notebook.cells["e"].outputs) == size
        return count[0]

    few, many = (asyncio.run(calls(size)) for size in sizes)
    assert few < 2_500
    assert (many - few) / (sizes[1] - sizes[0]) < 60


def test_a_part_is_freed_with_the_cell_that_embeds_it(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("# %%\nclass Big: pass\nbig = Big()\nprint('text')\nbig")

    async def main() -> None:
        engine = Engine(lambda event: None)
        await engine.run({"e": f"import cellwire as cw\ncw.embed({str(tmp_path / 'inner.py')!r})"})
        part = weakref.ref(part_of(engine))
        big = weakref.ref(part_of(engine).globals["big"])
        for _ in range(3):
            await engine.run(["e"])
        gc.collect()
        executions = [o for o in gc.get_objects() if isinstance(o, Execution) and o.cell == "e"]
        assert len(executions) <= 2
        del executions
        await engine.delete(["e"])
        gc.collect()
        assert (part(), big()) == (None, None)
        assert engine.interrupts.inner == []

    asyncio.run(main())
