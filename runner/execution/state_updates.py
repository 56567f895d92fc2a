"""State updates whose readers have not run yet.

`add` is called by setters, from any thread at any time, and takes no lock: each update is one entry
of a dict, put in and taken out by single operations. All else is for the event loop's thread.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable

from ..analysis.attributes import attribute_reads
from ..api.state import StateChange
from ..dataflow.program import Program
from .namespace import Namespace

#: What an embedded notebook does when the run is over; returns the cells here that have to run for that.
Work = Callable[[], Awaitable[Iterable[str]]]


class PendingUpdates:
    """The updates of states, until their readers run.

    `wake` is called on the event loop's thread some time after an update. In an embedded notebook
    `forward` is called with each update instead, at once: the notebook around it says when it is time.
    """

    def __init__(
        self,
        program: Program,
        namespace: Namespace,
        wake: Callable[[], None],
        forward: Callable[[StateChange], object] | None = None,
    ) -> None:
        #: The loop that is notified; None before there is one.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._program = program
        self._namespace = namespace
        self._wake = wake
        self._forward = forward
        self._work: dict[Work, None] = {}
        #: Grows with each update.
        self.changes = 0
        # Whether `_awake` is to be called. Set before it can be: the loop's thread may be faster than `add`.
        self._waking = False
        # Each update, by what is the same in equal ones, with the number of cells that had started when it
        # was made. The identity of its object: it may be equal to another one, and may refuse to be hashed.
        self._updates: dict[tuple[int, str, frozenset[str]], tuple[StateChange, int]] = {}
        self._started = 0
        self._started_at: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._updates or self._work)

    def wake_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `wake` on this loop from here on."""
        self.loop, self._waking = loop, False

    def add(self, update: StateChange) -> None:
        """Remember `update` and have it acted upon, at the latest at the end of the next run."""
        key = (id(update.getter), update.setter, update.attributes)
        self._updates[key] = (update, self._started)
        self.changes += 1
        if self._forward is not None:
            self._forward(update)
            return
        loop = self.loop
        if loop is not None and not self._waking:
            self._waking = True
            # In a context of its own: what follows from here on belongs to no cell.
            try:
                loop.call_soon_threadsafe(self._awake, context=contextvars.Context())
            except RuntimeError:
                self._waking = False  # the loop has been closed; the next run will have another

    def add_work(self, work: Work) -> None:
        """Have `work` done together with the update that is added next."""
        self._work[work] = None

    def take_work(self) -> list[Work]:
        """Return the work that is to be done, and forget it."""
        found = list(self._work)
        for work in found:
            self._work.pop(work, None)
        return found

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
            _, (update, started) = self._updates.popitem()
            for name, maker in self._namespace.names_of(update.getter):
                bound = maker is not None and maker in graph and name in graph.names_of(maker).defs
                for reader in graph.readers_of(maker, name) if bound and maker else graph.readers(name):
                    if update.attributes and not self._reads(reader, name, update.attributes):
                        continue
                    # One that started after the update has read the new value.
                    if reader != update.setter and self._started_at.get(reader, 0) <= started:
                        setters = found.setdefault(reader, set())
                        setters.add("" if name in graph.names_of(reader).immediate else update.setter)
        return found

    def _reads(self, cell: str, name: str, attributes: Iterable[str]) -> bool:
        """Return whether the code of `cell` reads one of `attributes` of the global `name`."""
        read = attribute_reads(self._program.compiled[cell].source)
        return any((name, attribute) in read for attribute in attributes)

    def _awake(self) -> None:
        self._waking = False
        self._wake()
