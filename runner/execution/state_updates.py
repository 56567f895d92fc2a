"""State updates whose readers have not run yet.

Setters call `add`, on any thread at any time. It takes no lock: each update is one entry of a dict, added and
removed by single operations. All other methods are for the event loop's thread.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Collection, Iterable

from ..analysis.attributes import attribute_reads
from ..api.state import StateChange
from ..dataflow.program import Program
from .namespace import Namespace

#: What an embedded notebook does at the end of the run; returns the cells here that have to run because of
#: it.
Work = Callable[[], Awaitable[Iterable[str]]]


class PendingUpdates:
    """The updates of states, until their readers run.

    `wake` is called on the event loop's thread some time after an update. In an embedded notebook `forward`
    is called with each update instead, at once, since the outer notebook decides when readers run.
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
        # Whether `_awake` is due. Set before the loop is told, whose thread may be faster than `add`.
        self._waking = False
        # Each update with the number of cells that had started by then; equal updates have one key. An object
        # counts by its identity: it may be equal to another one, and may not be hashable.
        self._updates: dict[tuple[int, str, frozenset[str]], tuple[StateChange, int]] = {}
        self._started = 0
        self._started_at: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._updates or self._work)

    def wake_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `wake` on this loop from here on."""
        self.loop, self._waking = loop, False

    def add(self, update: StateChange) -> None:
        """Remember `update`; its readers run at the end of the next run at the latest."""
        key = (id(update.getter), update.setter, update.attributes)
        self._updates[key] = (update, self._started)
        self.changes += 1
        if self._forward is not None:
            self._forward(update)
            return
        loop = self.loop
        if loop is not None and not self._waking:
            self._waking = True
            # In a new context, since what follows belongs to no cell.
            try:
                loop.call_soon_threadsafe(self._awake, context=contextvars.Context())
            except RuntimeError:
                self._waking = False  # the loop has been closed; the next run will have another

    def add_work(self, work: Work) -> None:
        """Do `work` together with the update that is added next."""
        self._work[work] = None

    def take_work(self) -> list[Work]:
        """Remove and return the work to do."""
        found = list(self._work)
        for work in found:
            self._work.pop(work, None)
        return found

    def cell_started(self, cell: str) -> None:
        """Note that `cell` starts, and reads what has been set until then."""
        self._started += 1
        self._started_at[cell] = self._started

    def forget(self, cell: str) -> None:
        """Forget `cell`, which was deleted."""
        self._started_at.pop(cell, None)

    def drain(self, running: Collection[str] = ()) -> dict[str, set[str]]:
        """Remove the updates and return the cells that have to run, as `Planner.run_readers` takes them.

        Updates of the cells `running` stay until those have ended.
        """
        found: dict[str, set[str]] = {}
        later: dict[tuple[int, str, frozenset[str]], tuple[StateChange, int]] = {}
        graph = self._program.graph
        while self._updates:
            key, (update, started) = self._updates.popitem()
            if update.setter in running:
                later[key] = update, started
                continue
            for name, maker in self._namespace.names_of(update.getter):
                bound = maker is not None and maker in graph and name in graph.names_of(maker).defs
                for reader in graph.readers_of(maker, name) if bound and maker else graph.readers(name):
                    if update.attributes and not self._reads(reader, name, update.attributes):
                        continue
                    # A cell that started after the update has read the new value.
                    if reader != update.setter and self._started_at.get(reader, 0) <= started:
                        setters = found.setdefault(reader, set())
                        setters.add("" if name in graph.names_of(reader).immediate else update.setter)
        for key, known in later.items():
            self._updates.setdefault(key, known)
        return found

    def _reads(self, cell: str, name: str, attributes: Iterable[str]) -> bool:
        """Return whether the code of `cell` reads one of `attributes` of the global `name`."""
        read = attribute_reads(self._program.compiled[cell].source)
        return any((name, attribute) in read for attribute in attributes)

    def _awake(self) -> None:
        self._waking = False
        self._wake()
