"""A place, where cells run outside the runner: its protocol, and the data that goes there and comes back.

A place is made from the value of the variable that a cell names. It holds one end of a connection to
workers; the other end, on each worker, is a `CellHost`. The runner submits a `Task`, and the place calls back
with `Report`s, on threads of its own. Values stay where they were made: the runner has a reference to each,
which only its place understands, and passes it on with the tasks that need the value.

`Place` decides when a cell starts: after the cells it depends on have ended, and only when a worker has a
free thread, in the order of submission. An engine adds how to start and end a cell and how to move values.
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
    """Base class of errors of a place or a value: what happened, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message: str = message
        self.hint: str = hint
        if hint:
            # Where user code raises it, its traceback is all that is shown.
            self.add_note(hint)

    def __str__(self) -> str:
        return self.message


class CannotSend(PlaceError):
    """Raised when a cell cannot run where it should, or a value that it needs cannot be sent there."""


class CannotFetch(PlaceError):
    """Raised when a value that is elsewhere cannot be fetched."""


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
    """One run of one cell. It carries source, not code, for tracebacks and other versions of Python."""

    notebook: str
    cell: str
    run: int
    source: str
    inputs: dict[str, Input] = {}
    #: The names whose values the worker keeps when the cell has ended.
    keep: list[str] = []
    limits: Limits = Limits()
    #: Whether cells share names with a leading underscore.
    shared: bool = False


# What comes back


class Summary(msgspec.Struct, frozen=True):
    """What the runner knows of a value that stays where it was made."""

    name: str
    type: str = ""
    text: str = ""
    nbytes: int = 0
    #: The key under which the engine finds it; of a module only the name is kept.
    key: str = ""
    module: str = ""


class Began(msgspec.Struct, frozen=True, tag=True):
    """A worker has begun to execute the cell."""

    cell: str
    run: int
    at: float
    where: str


class StateSet(msgspec.Struct, frozen=True, tag=True):
    """The cell called the setter of a state."""

    cell: str
    run: int
    state: str
    update: bytes


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The cell has ended: how, and what it defined."""

    cell: str
    run: int
    #: `cancelled` if it was not started, because a cell that it waited for failed or was stopped.
    status: Status
    duration: float = 0.0
    error: CellError | None = None
    #: Whether the cell's items already show the error.
    shown: bool = False
    #: The name that was missing, if the error is a NameError.
    missing: str = ""
    values: list[Summary] = []
    where: str = ""


class EncodedItem(msgspec.Struct, frozen=True, gc=False):
    """An item whose encoded content is passed on unchanged."""

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
    """A reference to a value of a cell that may not have ended yet."""

    flight: "Flight"
    name: str


class Flight:
    """One task, from its submission to its end."""

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
        #: Whether a worker may have it, and which one, once that is known.
        self.started = False
        self.where = ""
        self.interrupts = 0
        self.ended: Ended | None = None
        #: References to what it defined, by name, once it has ended.
        self.values: dict[str, object] = {}
        self.waits_for: set[Flight] = set()
        #: Whether one of those failed or was stopped.
        self.spoilt = False
        self.followers: list[Flight] = []


class Place:
    """Where cells run; each engine has a subclass. Called on threads of the place and of the runner."""

    def __init__(self, notebook: str) -> None:
        #: Distinguishes this notebook's cells from those of other notebooks at the same place.
        self.notebook = notebook
        #: Called on a thread of the place with the lost references, the worker that is gone, and why.
        self.lost: Callable[[Collection[object], str, str], object] = lambda refs, where, reason: None
        # Guards the flights. No callback of the runner or of a cell is called while it is held.
        self._lock = RLock()
        self._submitted = 0
        self._ready: list[tuple[int, Flight]] = []
        self._going: set[Flight] = set()

    # What an engine does

    def check(self) -> None:
        """Raise CannotSend if no cell can run at this place. Blocks."""
        raise NotImplementedError

    def slots(self) -> int:
        """Return how many cells the workers can execute at a time."""
        raise NotImplementedError

    def start(self, flight: Flight, task: Task, refs: list[Any]) -> None:
        """Have a worker execute `task`; its `Referred` inputs are indices into `refs`."""
        raise NotImplementedError

    def strike(self, flight: Flight) -> None:
        """Interrupt a cell that has been started."""
        raise NotImplementedError

    def kill(self, flight: Flight) -> None:
        """Kill the process that executes the cell."""
        raise NotImplementedError

    def send(self, name: str, cell: str, value: object) -> tuple[Input, object]:
        """Return `value`, the variable `name` of `cell`, as an input of a task, with a reference if the input
        is `Referred`. Blocks.

        Raises: CannotSend if it does not pickle.
        """
        raise NotImplementedError

    def fetch(self, refs: Sequence[Any]) -> list[Any]:
        """Return the values in the order of `refs`, a `PlaceError` for each that failed. Blocks."""
        raise NotImplementedError

    def is_there(self, ref: Any) -> bool:
        """Return whether the value still exists, as far as the place knows."""
        raise NotImplementedError

    def reference(self, summary: Summary) -> object:
        """Return the reference of a value that a cell defined."""
        raise NotImplementedError

    def retire(self, cell: str, run: int, where: str) -> None:
        """Drop anything a run of a cell still writes, and ask its threads to exit."""
        raise NotImplementedError

    def unpickle(self, data: bytes) -> Any:
        """Return the object that a worker pickled."""
        raise NotImplementedError

    # Flights

    def submit(
        self,
        task: Task,
        refs: Sequence[object],
        report: Callable[[Any], object],
        after: Iterable[Flight] = (),
    ) -> Flight:
        """Have `task` executed once the flights `after` have succeeded. Does not wait."""
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
        """Note that a cell has ended, unless that is known, and start the cells that waited for it."""
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
        """Return the cells that have been started and have not ended."""
        with self._lock:
            return [*self._going]

    def _cancel(self, flight: Flight) -> None:
        self.finish(flight, Ended(flight.task.cell, flight.task.run, "cancelled"))

    def _pump(self) -> None:
        """Start the flights that can start, in the order of submission."""
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

    A name that they did not define is left out, so that it is missing on the worker too.
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
