"""The notebook as events that build it from nothing, encoded as they are needed.

A `SnapshotReader` takes references when it is made, so it keeps the state at one event while the
notebook changes: lists are copied shallowly, items are immutable, and the mutable console chunks are
copied. Nothing is encoded before a frontend has room for it. Text and items come in the order in which
they were written.
"""

from collections.abc import Iterator

import msgspec

from ..protocol import events as e
from ..protocol.notebook import CellState, Console, ConsoleChunk, Notebook
from .store import encode


class SnapshotReader:
    """The state after event `seq`, read once from beginning to end."""

    def __init__(self, notebook: Notebook, seq: int) -> None:
        self.seq = seq
        #: Whether nothing has been read yet.
        self.fresh = True
        self._events = _events(_restored(notebook), _copy(notebook.console).chunks, _cells(notebook))
        self._next: bytes | None = next(self._events)

    @property
    def exhausted(self) -> bool:
        """Whether everything has been read."""
        return self._next is None

    def read(self, limit: int) -> list[bytes]:
        """Return the next events, as many as fit into `limit` bytes but at least one."""
        self.fresh = False
        events: list[bytes] = []
        while self._next is not None and (not events or len(self._next) <= limit):
            limit -= len(self._next)
            events.append(self._next)
            self._next = next(self._events, None)
        return events


def _restored(notebook: Notebook) -> e.NotebookRestored:
    runner = notebook.runner
    return e.NotebookRestored(
        mode=notebook.mode,
        runs=[e.RunPlanned(run.run, list(run.cells)) for run in notebook.runs],
        inputs=[
            e.InputRequested(pending.id, pending.cell, pending.prompt, pending.password)
            for pending in notebook.inputs
        ],
        condition=runner.condition,
        generation=runner.generation,
        pid=runner.pid,
        reason=runner.reason,
        console_dropped=notebook.console.dropped,
    )


def _copy(console: Console) -> Console:
    return Console([msgspec.structs.replace(chunk) for chunk in console.chunks], console.dropped)


def _cells(notebook: Notebook) -> list[CellState]:
    found: list[CellState] = []
    for cell_id in notebook.order:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            outputs, console = list(cell.outputs), _copy(cell.console)
            found.append(msgspec.structs.replace(cell, outputs=outputs, console=console))
    return found


def _events(
    restored: e.NotebookRestored, console: list[ConsoleChunk], cells: list[CellState]
) -> Iterator[bytes]:
    yield encode(restored)
    for chunk in console:
        yield encode(_written("", 0, chunk))
    cells.reverse()
    while cells:
        # Release each cell once it is sent, so that a slow frontend does not keep a whole old state.
        cell = cells.pop()
        bare = msgspec.structs.replace(cell, outputs=[], console=Console())
        yield encode(e.CellRestored(bare, cell.console.dropped))
        for part in cell.in_order():
            if isinstance(part, ConsoleChunk):
                yield encode(_written(cell.id, cell.run, part))
            else:
                yield encode(e.OutputAppended(cell.id, cell.run, part))


def _written(cell: str, run: int, chunk: ConsoleChunk) -> e.ConsoleWritten:
    return e.ConsoleWritten(cell, run, chunk.stream, chunk.text, chunk.before)
