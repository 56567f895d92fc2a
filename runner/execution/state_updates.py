"""State updates whose readers have not run yet.

`add` is called by setters, from any thread at any time, and takes no lock: each update is one entry
of a dict, put in and taken out by single operations. All else is for the event loop's thread.
"""

import asyncio
import contextvars
from collections.abc import Callable

from ..api.state import StateChange
from ..dataflow.program import Program
from .namespace import Namespace


class PendingUpdates:
    """The updates of states, until their readers run.

    `wake` is called on the event loop's thread some time after an update.
    """

    def __init__(self, program: Program, namespace: Namespace, wake: Callable[[], None]) -> None:
        #: The loop that is notified; None before there is one.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._program = program
        self._namespace = namespace
        self._wake = wake
        #: Grows with each update.
        self.changes = 0
        self._waking: asyncio.Handle | None = None
        # Each update with the number of cells that had started when it was made.
        self._updates: dict[StateChange, int] = {}
        self._started = 0
        self._started_at: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._updates)

    def add(self, update: StateChange) -> None:
        """Remember `update` and have it acted upon, at the latest at the end of the next run."""
        self._updates[update] = self._started
        self.changes += 1
        loop = self.loop
        if loop is not None and self._waking is None:
            # In a context of its own: what follows from here on belongs to no cell.
            try:
                self._waking = loop.call_soon_threadsafe(self._awake, context=contextvars.Context())
            except RuntimeError:
                pass  # the loop has been closed; the next run will have another

    def cell_started(self, cell: str) -> None:
        """Note that `cell` runs: it reads what has been set until this moment."""
        self._started += 1
        self._started_at[cell] = self._started

    def forget(self, cell: str) -> None:
        """Forget `cell`, which was deleted."""
        self._started_at.pop(cell, None)

    def drain(self) -> dict[str, set[str]]:
        """Forget the updates and return the cells that have to run, see `Planner.run_readers`."""
        found: dict[str, set[str]] = {}
        graph = self._program.graph
        while self._updates:
            update, started = self._updates.popitem()
            for name, maker in self._namespace.names_of(update.getter):
                bound = maker is not None and maker in graph and name in graph.names_of(maker).defs
                for reader in graph.readers_of(maker, name) if bound and maker else graph.readers(name):
                    # One that started after the update has read the new value.
                    if reader != update.setter and self._started_at.get(reader, 0) <= started:
                        setters = found.setdefault(reader, set())
                        setters.add("" if name in graph.names_of(reader).immediate else update.setter)
        return found

    def _awake(self) -> None:
        self._waking = None
        self._wake()
