"""Cells that run elsewhere, seen from here: what they are sent, and what comes back.

`start` notes what a cell finds in the namespace at its turn: values of this process, values that are
elsewhere, and names that cells define which have not ended. `prepare` turns that into a task, and sends
what has to be sent. `follow` is the task of the loop that stands for the cell while a place has it.

Reports come on threads of a place. What they say of outputs goes out at once, so it flows while the main
thread runs another cell; the rest is for the loop's thread.
"""

import asyncio
import contextvars
from collections.abc import Callable, Collection, Coroutine
from time import time
from typing import Any, NamedTuple, TypeVar

from ...protocol.events import CellFinished, CellStarted
from ...protocol.notebook import CellError
from ..api.remote_states import setter_of
from ..attribution.context import Execution, current_execution
from ..dataflow.plan import Planner
from ..places.find import make_place
from ..places.place import (
    Began,
    CannotSend,
    Ended,
    Flight,
    FromFlight,
    Input,
    Module,
    Place,
    PlaceError,
    Referred,
    StateSet,
    Task,
)
from . import cell_errors
from .hooks import Hooks, call_hooks, of_others
from .interrupts import Interrupts
from .lifecycle import CellLifecycle
from .namespace import Namespace, RemoteValue
from .overlap import names_needed
from .own_tasks import create_task
from .recorder import Recorder
from .remote_values import Here, RemoteValues
from .state_updates import PendingUpdates

T = TypeVar("T")
#: Names of a module that are another one's where the cell runs.
_OF_MODULE = frozenset(("__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__"))
_NO_SHELL = (
    "magics and `!` need IPython's shell, which only the notebook's own process has; "
    "write such a line in a cell that runs there"
)


class _Open(NamedTuple):
    """A cell that a place has and that has not ended."""

    flight: Flight
    place: Place
    done: "asyncio.Future[Ended]"


class _Pending(NamedTuple):
    """The value of a name that a cell defines which has not ended."""

    name: str
    cell: str
    open: _Open


class Taken(NamedTuple):
    """What a cell finds at its turn."""

    #: The value of the variable that it runs on, if there is one.
    on: list[object]
    #: By name.
    values: dict[str, Here | RemoteValue | _Pending]


class Submission(NamedTuple):
    """What a place is given."""

    place: Place
    task: Task
    refs: list[object]
    after: list[Flight]


class Elsewhere:
    """The cells of a notebook that run elsewhere."""

    def __init__(
        self,
        recorder: Recorder,
        lifecycle: CellLifecycle,
        namespace: Namespace,
        interrupts: Interrupts,
        hooks: Hooks,
        planner: Planner,
        updates: PendingUpdates,
    ) -> None:
        self._recorder = recorder
        self._notebook = recorder.notebook
        self._lifecycle = lifecycle
        self._program = planner.program
        self._namespace = namespace
        self._hooks = hooks
        self._interrupts = interrupts
        #: Values on their way there and here.
        self.values = RemoteValues(recorder, lifecycle, planner, namespace, updates)
        # The place of each variable, with the value that it was made from.
        self._places: dict[str, tuple[object, Place]] = {}
        self._open: dict[str, _Open] = {}
        # Tasks that send or fetch values for a cell.
        self._moving: set[asyncio.Task[Any]] = set()

    # What a cell needs

    def start(self, cell: str, run: int, only: Collection[str]) -> tuple[Execution, Taken]:
        """Remove what the cell has left, and return its new execution and what it finds.

        For `only` see `Namespace.load`.
        """
        taken = Taken([], {})
        return self._lifecycle.start(cell, run, only, lambda: self._take(cell, taken)), taken

    def _take(self, cell: str, taken: Taken) -> None:
        namespace, graph, placement = self._namespace, self._program.graph, self._program.placement
        on = placement.on[cell]
        if on in namespace.globals:
            taken.on.append(namespace.globals[on])
        analysis = placement.own_analysis(cell)
        names = {*analysis.immediate, *analysis.deferred, *analysis.rereads, *analysis.late_rereads}
        names.update(graph.carried(cell))
        if graph.redefine == "live":
            names |= analysis.maybe_defs
        for name in sorted(names - _OF_MODULE):
            owner = namespace.owners.get(name, "")
            open = self._open.get(owner)
            if open is not None and name in open.flight.task.keep:
                taken.values[name] = _Pending(name, owner, open)
            elif name in namespace.elsewhere and not namespace.is_copied(name):
                taken.values[name] = namespace.elsewhere[name]
            elif name in namespace.globals:
                taken.values[name] = Here(namespace.globals[name], owner)

    async def prepare(self, execution: Execution, taken: Taken) -> Submission:
        """Return what a place is given for a cell, after sending values that are not there.

        Raises: PlaceError if it cannot run there.
        """
        cell = execution.cell
        place = await self._place(cell, taken)
        inputs: dict[str, Input] = {}
        refs: list[object] = []
        after: list[Flight] = []
        to_send: dict[str, Here] = {}
        for name, found in taken.values.items():
            if isinstance(found, _Pending):
                if found.open.place is place:
                    after.append(found.open.flight)
                    inputs[name] = Referred(len(refs))
                    refs.append(FromFlight(found.open.flight, name))
                    continue
                await asyncio.wait([found.open.done])
                ref = found.open.flight.values.get(name)
                if ref is None:
                    continue
                found = RemoteValue(name, found.cell, found.open.place, ref)
            if isinstance(found, RemoteValue):
                if isinstance(found.ref, Module):
                    inputs[name] = found.ref
                    continue
                if found.place is place and not found.lost:
                    inputs[name] = Referred(len(refs))
                    refs.append(found.ref)
                    continue
                [value] = await self.values.get([found])
                found = Here(value, found.cell)
            to_send[name] = found
        for name, (given, ref) in (await self.values.send(place, cell, to_send)).items():
            if isinstance(given, Referred):
                given = Referred(len(refs))
                refs.append(ref)
            inputs[name] = given
        analysis = self._program.placement.own_analysis(cell)
        source = self._program.compiled[cell].source
        keep = sorted(analysis.defs | analysis.deleted)
        limits = self._lifecycle.limits
        shared = self._program.language.tracks("_name")
        task = Task(place.notebook, cell, execution.run, source, inputs, keep, limits, shared)
        return Submission(place, task, refs, after)

    async def _place(self, cell: str, taken: Taken) -> Place:
        """Return the place that `cell` names.

        Raises: CannotSend if there is none.
        """
        name = self._program.placement.on[cell]
        if not taken.on:
            what = "is elsewhere" if name in self._namespace.elsewhere else "is missing"
            raise CannotSend(
                f"cell {cell!r} is to run on `{name}`, which {what}",
                f"define `{name}`, a client of a cluster, in another cell, which runs here",
            )
        [value] = taken.on
        known = self._places.get(name)
        if known is None or known[0] is not value:
            place = await asyncio.to_thread(make_place, value, name, cell)
            loop = asyncio.get_running_loop()

            def lost(refs: Collection[object], where: str, reason: str) -> None:
                _soon(loop, self.values.note_lost, refs, where, reason)

            place.lost = lost
            known = self._places[name] = (value, place)
        place = known[1]
        await asyncio.to_thread(place.check)
        return place

    async def moved(self, action: Coroutine[Any, Any, T]) -> tuple[T | None, PlaceError | None]:
        """Return what `action`, which sends or fetches values, returns, or why it could not.

        Nothing of both if an interrupt has ended it.
        """
        task = create_task(action)
        self._moving.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._moving.discard(task)
            task.cancel()
        if task.cancelled():
            return None, None
        error = task.exception()
        if error is None:
            return task.result(), None
        if not isinstance(error, PlaceError):
            raise error
        return None, error

    def stop_moving(self) -> None:
        """Let an interrupt end what sends or fetches values."""
        for task in tuple(self._moving):
            task.cancel()

    def to_fetch(self, cell: str) -> list[RemoteValue]:
        """Return the values that `cell`, which runs here at its turn, names and that are elsewhere."""
        self.values.ran(cell)
        self._lifecycle.clear(cell)
        self._namespace.load(cell, names_needed(self._program, cell))
        return self.values.to_fetch(cell)

    # A cell on its way

    async def follow(self, execution: Execution, given: Submission, submitted: Callable[[], object]) -> None:
        """Have a place run a cell, and return when it has ended; its outcome is in `execution.status`.

        That stays "running" if the cell was interrupted before it began, and is "cancelled" if it was not
        started, since one that it follows did not end well.
        """
        place = given.place
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Ended] = loop.create_future()
        began = [False]

        def set_done(ended: Ended) -> None:
            if not done.done():
                done.set_result(ended)

        def receive(report: Any) -> None:
            if isinstance(report, Ended):
                _soon(loop, set_done, report)
            elif isinstance(report, Began):
                started = CellStarted(report.cell, report.run, report.at, report.where)
                self._recorder.emit_from(loop, started, lambda: execution.retired)
                _soon(loop, self._begin, execution, report.where, began)
            elif isinstance(report, StateSet):
                self._set_state(execution, place, report)
            else:
                execution.outputs.relay(report)

        flight = place.submit(given.task, given.refs, receive, given.after)
        open = self._open[execution.cell] = _Open(flight, place, done)
        submitted()
        try:
            while True:
                try:
                    ended = await asyncio.shield(done)
                    break
                except asyncio.CancelledError:
                    execution.end()
                    place.interrupt(flight)
        finally:
            if self._open.get(execution.cell) is open:
                del self._open[execution.cell]
        self._conclude(execution, place, flight, ended, began)

    def fail(self, execution: Execution, error: PlaceError) -> None:
        """End a cell that cannot be run, whose names are gone already."""
        described = CellError(type(error).__name__, error.message, hint=error.hint)
        self._finish(execution, Ended(execution.cell, execution.run, "error", error=described), [False])

    def _begin(self, execution: Execution, where: str, began: list[bool]) -> None:
        """Note that a cell is executed: what is to be done before that here."""
        if not began[0]:
            began[0] = True
            execution.where = where
            self._call(of_others(self._hooks.pre_execution), execution)

    def _conclude(
        self, execution: Execution, place: Place, flight: Flight, ended: Ended, began: list[bool]
    ) -> None:
        cell = execution.cell
        if ended.status == "cancelled":
            execution.status = "cancelled"
            return
        if ended.status == "interrupted" and not began[0]:
            return
        if ended.where:
            where = ended.where
            retiring = lambda: place.retire(cell, execution.run, where)  # noqa: E731
            execution.on_retire = [*(execution.on_retire or ()), retiring]
        kept = {summary.name for summary in ended.values}
        for summary in ended.values:
            value = RemoteValue(summary.name, cell, place, flight.values[summary.name])
            value.type, value.text, value.nbytes = summary.type, summary.text, summary.nbytes
            value.where = ended.where
            self._namespace.arrive(value)
        if self._program.redefine == "live":
            for name in self._program.placement.own_analysis(cell).deleted - kept:
                self._namespace.globals.pop(name, None)
                self._namespace.elsewhere.pop(name, None)
        self._finish(execution, ended, began)

    def _finish(self, execution: Execution, ended: Ended, began: list[bool]) -> None:
        """Say how a cell ended, and that it began if that was not said."""
        cell, error, shown = execution.cell, ended.error, ended.shown
        if not began[0]:
            self._recorder.emit(CellStarted(cell, execution.run, time(), ended.where))
            self._recorder.flush()
            self._begin(execution, ended.where, began)
        if error is not None and ended.missing:
            text, cells = _NO_SHELL, list[str]()
            if ended.missing != "get_ipython":
                text, cells = cell_errors.explain_missing(
                    ended.missing, cell, self._namespace, self._program, self._notebook
                )
            if text:
                error = cell_errors.with_explanation(error, text, cells)
        if error is not None and not shown:
            execution.outputs.append(cell_errors.error_item(error))
        execution.status = ended.status
        self._call(of_others(self._hooks.post_execution), execution)
        if execution.status != "ok":
            execution.end()
        self._recorder.emit(CellFinished(cell, execution.run, execution.status, ended.duration, error))

    def _call(self, hooks: list[Callable[[Any], object]], execution: Execution) -> None:
        if hooks:
            context = contextvars.copy_context()
            context.run(current_execution.set, execution)
            context.run(call_hooks, hooks, execution, self._interrupts)

    def _set_state(self, execution: Execution, place: Place, report: StateSet) -> None:
        """Set a state as the cell wants it; on a thread of the place."""
        setter = setter_of(report.state)
        if setter is not None and not execution.retired:
            context = contextvars.Context()
            context.run(current_execution.set, execution)
            context.run(setter, place.unpickle(report.update))


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Call `function` on the loop's thread, in a context that belongs to no cell."""
    try:
        loop.call_soon_threadsafe(function, *arguments, context=contextvars.Context())
    except RuntimeError:
        pass  # the loop is closed: the notebook is gone
