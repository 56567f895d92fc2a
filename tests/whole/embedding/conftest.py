"""Notebooks that embed others, in a real kernel that the tests of one file share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cellwire.protocol import KernelClient, launch_kernel
from cellwire.protocol.events import RunFinished
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import CellState, ConsoleChunk


class Outer:
    """A notebook whose cell `e` embeds `inner.py` of the test's folder, and what a test sees of it."""

    def __init__(self, client: KernelClient, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def __getitem__(self, cell: str) -> CellState:
        return self.client.notebook.cells[cell]

    def write(self, name: str = "inner", **cells: str) -> None:
        """Write a percent script of cells, given as sources by title."""
        cells = {"imports": "import cellwire as cw, threading, time", **cells}
        text = "".join(f"# %% {title}\n{source}\n" for title, source in cells.items())
        (self.folder / f"{name}.py").write_text(text)

    def path(self, name: str = "inner.py") -> str:
        """Return the source of the path of a file."""
        return repr(str(self.folder / name))

    async def run(self, **cells: str) -> RunFinished:
        return await self.client.run([Cell(id, source) for id, source in cells.items()])

    async def embed(self, arguments: str = "", **cells: str) -> RunFinished:
        """Run cell `e`, which embeds the notebook as `part`, and `cells` behind it."""
        return await self.run(e=f"part = cw.embed({self.path()}{arguments})", **cells)

    def shown(self, cell: str = "e") -> str:
        """Return the text and the items of a cell, those in brackets, in the order in which they came."""
        parts = self[cell].in_order()
        return "".join(
            part.text if isinstance(part, ConsoleChunk) else f"[{part.data['text/plain']}]" for part in parts
        )

    def texts(self, cell: str = "e") -> list[str]:
        return [item.data["text/plain"] for item in self[cell].outputs]


@pytest.fixture(scope="module")
async def _kernel(anyio_backend: str) -> AsyncIterator[KernelClient]:
    async with launch_kernel() as client:
        yield client


@pytest.fixture
async def outer(_kernel: KernelClient, tmp_path: Path) -> AsyncIterator[Outer]:
    """A notebook with a cell that imports cellwire as `cw`, in a kernel without any other."""
    outer = Outer(_kernel, tmp_path)
    await outer.run(imports="import cellwire as cw, threading, time")
    yield outer
    if not _kernel.notebook.idle or _kernel.notebook.runner.condition != "ready":
        await _kernel.restart_runner()
    await _kernel.delete(list(_kernel.notebook.order))
