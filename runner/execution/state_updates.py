"""States that were set and not acted upon yet, and the cells that have to run for that.

`note` is called by setters, from any thread at any time, and takes no lock: each change is one entry
of a dict, put in and taken out by single operations. All else is for the event loop's thread.
"""

import asyncio
import contextvars
from collections.abc import Callable

from ..api.state import StateChange
from ..dataflow.program import Program
from .namespace import Namespace


class StateChanges:
    """The changes of states, until their readers run.

    `wake` is called on the event loop's thread some time after a change.
    """

    def __init__(self, program: Program, namespace: Namespace, wake: Callable[[], None]) -> None:
        #: The loop that is told; None before there is one.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._program = program
        self._namespace = namespace
        self._wake = wake
        self._waking: asyncio.Handle | None = None
        # Each change with the number of cells that had begun when it was made.
        self._changes: dict[StateChange, int] = {}
        self._begun = 0
        self._begun_at: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._changes)

    def note(self, change: StateChange) -> None:
        """Remember `change` and have it acted upon, at the latest at the end of the next run."""
        self._changes[change] = self._begun
        loop = self.loop
        if loop is not None and self._waking is None:
            # In a context of its own: what follows from here on belongs to no cell.
            try:
                self._waking = loop.call_soon_threadsafe(self._awake, context=contextvars.Context())
            except RuntimeError:
                pass  # the loop has been closed; the next run will have another

    def begin(self, cell: str) -> None:
        """Take note that `cell` runs: it reads what has been set until now."""
        self._begun += 1
        self._begun_at[cell] = self._begun

    def forget(self, cell: str) -> None:
        """Take note that there is no `cell` any more."""
        self._begun_at.pop(cell, None)

    def take(self) -> set[str]:
        """Return the cells that have to run, and be done with the changes so far."""
        found: set[str] = set()
        while self._changes:
            change, begun = self._changes.popitem()
            for name in self._namespace.names_of(change.getter):
                for reader in self._program.graph.readers(name):
                    # One that began after the change has read the new value.
                    if reader != change.setter and self._begun_at.get(reader, 0) <= begun:
                        found.add(reader)
        return found

    def _awake(self) -> None:
        self._waking = None
        self._wake()
