"""The notebook as events that build it from nothing, encoded as they are needed.

A `SnapshotReader` takes references when it is made, so it keeps the state at one event while the
notebook changes: lists are copied shallowly, items are immutable, and of the mutable console chunks it
takes the immutable text. Nothing is encoded before a frontend has room for it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ..protocol import events as e
from ..protocol.notebook import CellState, Console, Notebook
from .store import encode


class SnapshotReader:
    """The state after event `seq`, read once from beginning to end."""

    def __init__(self, notebook: Notebook, seq: int) -> None:
        self.seq = seq
        #: Whether nothing has been read yet.
        self.fresh = True
        self._events = _events(_restored(notebook), _copy(notebook.console), _cells(notebook))
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


_Texts = list[tuple[Any, str]]


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


def _copy(console: Console) -> _Texts:
    return [(chunk.stream, chunk.text) for chunk in console.chunks]


def _cells(notebook: Notebook) -> list[tuple[CellState, int, _Texts, list[Any]]]:
    found: list[tuple[CellState, int, _Texts, list[Any]]] = []
    for cell_id in notebook.order:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            bare = msgspec.structs.replace(cell, outputs=[], console=Console())
            found.append((bare, cell.console.dropped, _copy(cell.console), list(cell.outputs)))
    return found


def _events(
    restored: e.NotebookRestored, console: _Texts, cells: list[tuple[CellState, int, _Texts, list[Any]]]
) -> Iterator[bytes]:
    yield encode(restored)
    for stream, text in console:
        yield encode(e.ConsoleWritten("", 0, stream, text))
    cells.reverse()
    while cells:
        # Release each cell once it is sent, so that a slow frontend does not keep a whole old state.
        cell, dropped, texts, items = cells.pop()
        yield encode(e.CellRestored(cell, dropped))
        for stream, text in texts:
            yield encode(e.ConsoleWritten(cell.id, cell.run, stream, text))
        for item in items:
            yield encode(e.OutputAppended(cell.id, cell.run, item))
