"""The protocol of a place, where cells run that do not run here, and the data that goes there and comes back.

A place is made from the value of the variable that a cell names. It holds one end of a connection to
workers; the other end, on each of them, is a `CellHost`. The runner submits a `Task`, and the place calls
back with `Report`s, on threads of its own. Values stay where they were made: the runner knows each by a
reference that only its place understands, and hands it on with the tasks that need it.

`Place` holds back what cannot begin: a cell whose parents are on their way waits for them, and no more
are started than there are threads, in the order in which they were submitted. An engine adds how a cell is
started, ended and its values moved.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heappop, heappush
from threading import RLock
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ...protocol.events import (
    ConsoleCleared,
    ConsoleWritten,
    OutputAppended,
    OutputRemoved,
    OutputReplaced,
    OutputsCleared,
)
from ...protocol.limits import Limits
from ...protocol.notebook import CellError, Status

#: Values whose pickle is larger do not travel with their task.
INLINE_BYTES = 64 * 1024


class PlaceError(Exception):
    """Base of what is wrong with a place or a value: what happened, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message: str = message
        self.hint: str = hint

    def __str__(self) -> str:
        return self.message


class CannotSend(PlaceError):
    """Raised when a cell cannot run where it should, or a value that it needs cannot go there."""


class CannotFetch(PlaceError):
    """Raised when a value that is elsewhere cannot be had here."""


class ModuleNotFound(PlaceError):
    """Raised when the workers lack a module that a cell needs."""


# What goes there


class Module(msgspec.Struct, frozen=True, tag=True):
    """An input that is a module: imported by name."""

    name: str


class Pickled(msgspec.Struct, frozen=True, tag=True):
    """An input that travels with the task."""

    data: bytes


class Referred(msgspec.Struct, frozen=True, tag=True):
    """An input that is one of the references submitted with the task."""

    index: int


Input: TypeAlias = Module | Pickled | Referred


class Task(msgspec.Struct, frozen=True):
    """One run of one cell. Its source goes along and not its code: tracebacks, and other Pythons."""

    notebook: str
    cell: str
    run: int
    source: str
    inputs: dict[str, Input] = {}
    #: The names whose values are kept there when the cell has ended.
    keep: list[str] = []
    limits: Limits = Limits()
    #: Whether names with a leading underscore are those of all cells.
    shared: bool = False


# What comes back


class Summary(msgspec.Struct, frozen=True):
    """A value that stays where it was made, as others see it."""

    name: str
    type: str = ""
    text: str = ""
    nbytes: int = 0
    #: Where it has its place, for the engine; a module is there by its name alone.
    key: str = ""
    module: str = ""


class Began(msgspec.Struct, frozen=True, tag=True):
    """A worker executes the cell."""

    cell: str
    run: int
    at: float
    where: str


class StateSet(msgspec.Struct, frozen=True, tag=True):
    """The cell has called the setter of a state."""

    cell: str
    run: int
    state: str
    update: bytes


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The cell has ended, and this is what it leaves."""

    cell: str
    run: int
    #: `cancelled` if it was not started, since a cell that it waited for did not end well.
    status: Status
    duration: float = 0.0
    error: CellError | None = None
    #: Whether the cell's items show the error already.
    shown: bool = False
    #: The name that was missing, if that is what the error says.
    missing: str = ""
    values: list[Summary] = []
    where: str = ""


class EncodedItem(msgspec.Struct, frozen=True, gc=False):
    """An item whose content is passed on as it is."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"\x80")


Report: TypeAlias = (
    Began
    | StateSet
    | Ended
    | OutputAppended[EncodedItem]
    | OutputReplaced[EncodedItem]
    | OutputRemoved
    | OutputsCleared
    | ConsoleWritten
    | ConsoleCleared
)


class FromFlight(NamedTuple):
    """A reference to what a cell defines that may still be on its way."""

    flight: "Flight"
    name: str


class Flight:
    """One task, from being submitted to its end."""

    def __init__(
        self,
        task: Task,
        refs: Sequence[object],
        report: Callable[[Any], object],
        number: int,
    ) -> None:
        self.task = task
        self.refs = refs
        #: Called with each report, on a thread of the place.
        self.report = report
        #: Grows in the order in which cells were submitted.
        self.number = number
        #: Whether a worker may have it; which one, once that is known.
        self.started = False
        self.where = ""
        self.interrupts = 0
        self.ended: Ended | None = None
        #: What it has defined, once it has ended: references by name.
        self.values: dict[str, object] = {}
        self.waits_for: set[Flight] = set()
        #: Whether one of those did not end well.
        self.spoilt = False
        self.followers: list[Flight] = []


class Place:
    """Where cells run; each engine has a class for it. Threads of the place and of the runner call it."""

    def __init__(self, notebook: str) -> None:
        #: Tells this notebook's cells from those of others at the same place.
        self.notebook = notebook
        #: Called, on a thread of the place, with the references that are lost, with whom, and why.
        self.lost: Callable[[Collection[object], str, str], object] = lambda refs, where, reason: None
        # Guards the flights. Nothing that a cell or the runner gave is called under it.
        self._lock = RLock()
        self._submitted = 0
        self._ready: list[tuple[int, Flight]] = []
        self._going: set[Flight] = set()

    # What an engine does

    def check(self) -> None:
        """Raise CannotSend if no cell can run here. Blocks."""
        raise NotImplementedError

    def slots(self) -> int:
        """Return how many cells the workers can execute at a time."""
        raise NotImplementedError

    def start(self, flight: Flight, task: Task, refs: list[Any]) -> None:
        """Have a worker execute `task`, with what the inputs that are `Referred` refer to in `refs`."""
        raise NotImplementedError

    def strike(self, flight: Flight) -> None:
        """Interrupt a cell that was started."""
        raise NotImplementedError

    def kill(self, flight: Flight) -> None:
        """End the process that executes the cell."""
        raise NotImplementedError

    def send(self, name: str, cell: str, value: object) -> tuple[Input, object]:
        """Return how `value`, the variable `name` of `cell`, goes along: an input, and its reference if
        it is `Referred`. Blocks.

        Raises: CannotSend if it does not pickle.
        """
        raise NotImplementedError

    def fetch(self, refs: Sequence[Any]) -> list[Any]:
        """Return the values, in the order of `refs`; instead of one that failed a `PlaceError`. Blocks."""
        raise NotImplementedError

    def is_there(self, ref: Any) -> bool:
        """Return whether the value is there, as far as is known."""
        raise NotImplementedError

    def reference(self, summary: Summary) -> object:
        """Return the reference of a value that a cell has left."""
        raise NotImplementedError

    def retire(self, cell: str, run: int, where: str) -> None:
        """Drop what a run of a cell still writes, and ask its threads to exit."""
        raise NotImplementedError

    def unpickle(self, data: bytes) -> Any:
        """Return what a worker has pickled."""
        raise NotImplementedError

    # Flights

    def submit(
        self,
        task: Task,
        refs: Sequence[object],
        report: Callable[[Any], object],
        after: Iterable[Flight] = (),
    ) -> Flight:
        """Have `task` executed after the flights `after`, if these end well. Does not wait."""
        after = tuple(after)
        with self._lock:
            self._submitted += 1
            flight = Flight(task, refs, report, self._submitted)
            flight.waits_for = {parent for parent in after if parent.ended is None}
            for parent in flight.waits_for:
                parent.followers.append(flight)
            flight.spoilt = any(each.ended is not None and each.ended.status != "ok" for each in after)
            cancelled = not flight.waits_for and flight.spoilt
            if not flight.waits_for and not flight.spoilt:
                heappush(self._ready, (flight.number, flight))
        if cancelled:
            self._cancel(flight)
        else:
            self._pump()
        return flight

    def interrupt(self, flight: Flight) -> None:
        """Interrupt a cell; the second time, end the process that executes it. Does not wait."""
        with self._lock:
            flight.interrupts += 1
            started = flight.started
        if flight.ended is not None:
            return
        if not started:
            error = CellError("Interrupted", "interrupted before it began")
            self.finish(flight, Ended(flight.task.cell, flight.task.run, "interrupted", error=error))
        elif flight.interrupts == 1:
            self.strike(flight)
        else:
            self.kill(flight)

    def finish(self, flight: Flight, ended: Ended) -> None:
        """Note that a cell has ended, unless that is known, and start what has waited for it."""
        with self._lock:
            if flight.ended is not None:
                return
            for summary in ended.values:
                ref = Module(summary.module) if summary.module else self.reference(summary)
                flight.values[summary.name] = ref
            flight.ended = ended
            self._going.discard(flight)
            spoilt: list[Flight] = []
            for follower in flight.followers:
                follower.waits_for.discard(flight)
                follower.spoilt |= ended.status != "ok"
                if follower.ended is None and not follower.waits_for:
                    if follower.spoilt:
                        spoilt.append(follower)
                    else:
                        heappush(self._ready, (follower.number, follower))
            flight.followers.clear()
            flight.refs = ()
        flight.report(ended)
        for follower in spoilt:
            self._cancel(follower)
        self._pump()

    def open_flights(self) -> list[Flight]:
        """Return the cells that were started and have not ended."""
        with self._lock:
            return [*self._going]

    def _cancel(self, flight: Flight) -> None:
        self.finish(flight, Ended(flight.task.cell, flight.task.run, "cancelled"))

    def _pump(self) -> None:
        """Start what can be, the first submitted first."""
        while True:
            with self._lock:
                while self._ready and self._ready[0][1].ended is not None:
                    heappop(self._ready)
                if not self._ready or len(self._going) >= max(1, self.slots()):
                    return
                _, flight = heappop(self._ready)
                flight.started = True
                self._going.add(flight)
                task, refs = _resolved(flight)
            try:
                self.start(flight, task, refs)
                if flight.interrupts:
                    self.strike(flight)
            except Exception as error:
                described = CellError(type(error).__name__, str(error), hint=getattr(error, "hint", ""))
                self.finish(flight, Ended(task.cell, task.run, "error", error=described))


def _resolved(flight: Flight) -> tuple[Task, list[Any]]:
    """Return the task and its references once the cells that it waited for have ended.

    What these were to define and have not is left out, so that the name is missing there as well.
    """
    inputs: dict[str, Input] = {}
    refs: list[Any] = []
    for name, given in flight.task.inputs.items():
        ref: Any = flight.refs[given.index] if isinstance(given, Referred) else given
        if isinstance(ref, FromFlight):
            ref = ref.flight.values.get(ref.name)
        if ref is None:
            continue
        if isinstance(ref, (Module, Pickled)):
            inputs[name] = ref
        else:
            inputs[name] = Referred(len(refs))
            refs.append(ref)
    return msgspec.structs.replace(flight.task, inputs=inputs), refs
