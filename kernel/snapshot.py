"""The notebook as events that build it from nothing, encoded as they are needed.

A `SnapshotReader` takes references when it is made, so it keeps the state at one event while the
notebook changes: lists are copied shallowly, items are immutable, and of the mutable console chunks it
takes the immutable text. Nothing is encoded before a frontend has room for it, and what was read is released.
Text and items come in the order in which they were written.

A state shares its items with the log and with the states near it. One that the log has overtaken may share
nothing, and such states would add up if each slow frontend kept one. So only one reader at a time may go on
with such a state, the first that asks (`Overtaken`); the other frontends begin again with the current state.
"""

import weakref
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from ..protocol import events as e
from ..protocol.notebook import Console, ConsoleChunk, Notebook
from .store import encode


class SnapshotReader:
    """The state after event `seq`, read once from beginning to end."""

    def __init__(self, notebook: Notebook, seq: int) -> None:
        self.seq = seq
        #: Whether nothing has been read yet.
        self.fresh = True
        console = [_written("", 0, chunk) for chunk in notebook.console.chunks]
        self._events = _events(_restored(notebook), console, _cells(notebook))
        self._next: Any = next(self._events)

    @property
    def exhausted(self) -> bool:
        """Whether everything has been read."""
        return self._next is None

    def read(self, limit: int) -> list[bytes]:
        """Return the next events, as many as fit into `limit` bytes but at least one."""
        self.fresh = False
        events: list[bytes] = []
        while self._next is not None:
            encoded = encode(self._next)
            if events and len(encoded) > limit:
                # The next read encodes it again: kept, it would be a copy for each frontend that is slow.
                break
            limit -= len(encoded)
            events.append(encoded)
            self._next = next(self._events, None)
        return events


class Overtaken:
    """The one reader that may go on after the log has forgotten events behind its state."""

    def __init__(self) -> None:
        self._reader: weakref.ref[SnapshotReader] | None = None

    def may_go_on(self, reader: SnapshotReader) -> bool:
        """Whether `reader` is the one, which it becomes if there is no other."""
        known = self._reader() if self._reader is not None else None
        if known is None or known.exhausted:
            self._reader = weakref.ref(reader)
            return True
        return known is reader


_Part = TypeVar("_Part")


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
        comms=list(notebook.comms),
    )


def _cells(notebook: Notebook) -> list[tuple[e.CellRestored, list[Any]]]:
    """Return the events of each cell: the one that restores it, then its text and items in their order."""
    found: list[tuple[e.CellRestored, list[Any]]] = []
    for cell_id in notebook.order:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            bare = msgspec.structs.replace(cell, outputs=[], console=Console())
            parts: list[Any] = [
                _written(cell.id, cell.run, part)
                if isinstance(part, ConsoleChunk)
                else e.OutputAppended(cell.id, cell.run, part)
                for part in cell.in_order()
            ]
            found.append((e.CellRestored(bare, cell.console.dropped), parts))
    return found


def _written(cell: str, run: int, chunk: ConsoleChunk) -> e.ConsoleWritten:
    return e.ConsoleWritten(cell, run, chunk.stream, chunk.text, chunk.before)


def _events(
    restored: e.NotebookRestored, console: list[Any], cells: list[tuple[e.CellRestored, list[Any]]]
) -> Iterator[Any]:
    yield restored
    yield from _released(console)
    for cell, parts in _released(cells):
        yield cell
        yield from _released(parts)


def _released(parts: list[_Part]) -> Iterator[_Part]:
    """Yield `parts` in order and keep none of them."""
    parts.reverse()
    while parts:
        yield parts.pop()
