"""A notebook in a real kernel, as tests drive it and look at it."""

from collections.abc import Mapping

from cellwire.protocol.blocking import KernelClient
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import CellError, CellState


class Book:
    """What a test does with a notebook, and what it sees of it."""

    def __init__(self, client: KernelClient) -> None:
        self.client = client

    def __getitem__(self, cell: str) -> CellState:
        return self.client.notebook.cells[cell]

    def run(self, *cells: str | Cell, **sources: str) -> list[str]:
        """Run cells, given as sources by id, as they are, or as a list; return those that failed."""
        given = [Cell(cell, self[cell].source) if isinstance(cell, str) else cell for cell in cells]
        finished = self.client.run([*given, *(Cell(id, source) for id, source in sources.items())])
        assert finished.status != "interrupted", finished
        return finished.failed

    def run_list(self, sources: list[str]) -> None:
        """Run cells `c0`, `c1`, …"""
        self.run(*(Cell(f"c{number}", source) for number, source in enumerate(sources)))

    def sync(self, **sources: str) -> None:
        self.client.sync(sources)

    def status(self, cell: str) -> str:
        return self[cell].status

    def shows(self, cell: str) -> str:
        """Return what the cell has printed, and its items as text."""
        state = self[cell]
        return state.console.text("stdout") + "".join(item.data["text/plain"] for item in state.outputs)

    def error(self, cell: str) -> CellError:
        error = self[cell].error
        assert error is not None
        return error

    def kind(self, cell: str) -> str | None:
        """Return the kind of the cell's error, if it has one."""
        error = self[cell].error
        return error and error.kind

    @property
    def stale(self) -> list[str]:
        """The stale cells, in notebook order."""
        return [cell for cell in self.client.notebook.order if self[cell].stale]

    @property
    def failed(self) -> Mapping[str, str]:
        """The messages of the cells that did not end well."""
        cells = self.client.notebook.cells
        return {id: f"{cell.error}" for id, cell in cells.items() if cell.status != "ok"}

    def empty(self) -> None:
        self.client.delete(list(self.client.notebook.order))
        self.client.set_mode("autorun")
