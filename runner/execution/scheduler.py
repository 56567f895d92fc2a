"""How a plan is run: whose turn it is, what overlaps, and what is not run after all.

Cells follow each other on this thread for as long as none of them awaits. From the first that does, each
such cell is a task in one task group, and cells that need not wait for it go on beside it. A cell that
depends on one whose last run failed, stopped or was interrupted is cancelled at its turn, with that cause,
whichever run that was; an interrupt drops all cells that have not had their turn.

A cell that runs elsewhere is a task as well. Here it is submitted, before any other that may have its turn,
and no other cell begins meanwhile: values are sent as they are at that moment. A cell whose names have
values elsewhere is a task that fetches them first.
"""

import asyncio
import contextvars
from asyncio import (  # as they are before user code can replace them
    CancelledError,
    Event,
    Lock,
    current_task,
    sleep,
    wait,
)
from collections.abc import Coroutine, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ..attribution.context import Execution
from ..dataflow.plan import Plan, Planner
from ..dataflow.program import Program
from ..dataflow.ready import ReadyCells
from . import cell_errors as errors
from .corrections import Corrections
from .executor import Executor
from .hidden_task import HiddenTask
from .hooks import Hooks
from .interrupts import Interrupts
from .lifecycle import CellLifecycle
from .namespace import Namespace, RemoteValue
from .overlap import names_needed, waits_of
from .own_tasks import TaskGroup, create_task
from .recorder import Recorder
from .state_updates import PendingUpdates

if TYPE_CHECKING:
    from ..places.place import PlaceError
    from .elsewhere import Elsewhere, Submission

T = TypeVar("T")
#: Seconds that cells may follow each other before the loop's other tasks have a turn.
_TURN = 0.01
_BAD_ENDS = frozenset({"error", "stopped", "cancelled", "interrupted"})


class Scheduler:
    """Runs plans, one after the other."""

    def __init__(
        self,
        recorder: Recorder,
        lifecycle: CellLifecycle,
        program: Program,
        namespace: Namespace,
        corrections: Corrections,
        executor: Executor,
        interrupts: Interrupts,
        context: contextvars.Context,
        for_elsewhere: tuple[Hooks, Planner, PendingUpdates],
    ) -> None:
        self._recorder = recorder
        self._notebook = recorder.notebook
        self._lifecycle = lifecycle
        self._program = program
        self._namespace = namespace
        self._corrections = corrections
        self._executor = executor
        self._interrupts = interrupts
        self._context = context
        self._for_elsewhere = for_elsewhere
        #: What runs elsewhere; None before something did.
        self.elsewhere: Elsewhere | None = None
        #: What hides the calling task from cells; None before there is a loop.
        self.hidden: HiddenTask | None = None
        # Tasks of cells that have begun and not ended, and those that send or fetch values for one.
        self._tasks: dict[asyncio.Task[Any], Execution] = {}
        self._moving: set[asyncio.Task[Any]] = set()
        # Cells that have started and not ended.
        self._in_flight: set[str] = set()
        self._run = 0
        self._failed: list[str] = []
        self._interrupted: list[str] = []

    async def run(self, plan: Plan) -> list[str]:
        """Run the cells of `plan` and return those that failed, in its order.

        Raises: CancelledError if the calling task is cancelled; all cells have ended by then.
        """
        self._run = plan.run
        self._failed, self._interrupted = [], []
        order = plan.cells
        done = 0
        on = self._program.placement.on
        try:
            turn = monotonic()
            while done < len(order) and not self._interrupts.count:
                if order[done] not in self._program.compiled:
                    done += 1  # rejected since the run began, as the language has changed
                    continue
                if self._program.compiled[order[done]].analysis.is_async or on or self.elsewhere:
                    rest = order[done:]
                    done = len(order)
                    await self._run_overlapping(rest)
                    break
                self._run_sync(order[done])
                done += 1
                if monotonic() - turn > _TURN:
                    await self._let_others()
                    turn = monotonic()
        finally:
            self._drop(order[done:])
            if self._namespace.displaced:
                self._namespace.rest()
        place = {cell: index for index, cell in enumerate(order)} if len(self._failed) > 1 else {}
        return sorted(self._failed, key=lambda cell: place.get(cell, 0))

    def cancel(self) -> None:
        """Cancel the cells that the last interrupt has yet to strike; called by the event loop."""
        for task, execution in tuple(self._tasks.items()):
            if self._interrupts.strikes(execution):
                self._interrupts.before_striking(execution, task)
                task.cancel()
        # The interrupt may have been for a run that is over.
        for task in tuple(self._moving) if self._interrupts.count else ():
            task.cancel()

    def _run_sync(self, cell: str) -> None:
        """Run a cell that does not await, unless it is cancelled."""
        if not self._cancelled(cell):
            execution = self._start(cell)
            assert self.hidden is not None
            with self.hidden:
                self._context.run(self._executor.run, execution, self._program.compiled[cell])
            self._ended(execution)

    async def _run_overlapping(self, cells: Sequence[str]) -> None:
        """Run `cells`; those that await or run elsewhere run beside the others."""
        interrupts = self._interrupts
        progress = Event()
        on = self._program.placement.on
        if on and self.elsewhere is None:
            from .elsewhere import Elsewhere

            core = self._recorder, self._lifecycle, self._namespace, self._interrupts
            self.elsewhere = Elsewhere(*core, *self._for_elsewhere)
        elsewhere = self.elsewhere
        waits = waits_of(self._program, cells)
        ready = ReadyCells(cells, waits.done.__getitem__, waits.begun.__getitem__ if on else None, on)
        started: list[Execution] = []
        # Cells that have had their turn and wait for values.
        fetching: set[str] = set()
        # Held while values are sent, or a cell runs after fetching some. No other lock is taken under it.
        sending = Lock()

        def done(cell: str) -> None:
            self._recorder.flush()
            ready.done(cell)
            progress.set()

        async def run(execution: Execution) -> None:
            task = current_task()
            assert task is not None
            self._tasks[task] = execution
            try:
                await self._executor.run_async(execution, self._program.compiled[execution.cell])
            finally:
                self._tasks.pop(task)
                self._ended(execution)
                done(execution.cell)

        async def run_elsewhere(execution: Execution, given: "Submission") -> None:
            assert elsewhere is not None
            task = current_task()
            assert task is not None
            if interrupts.count:
                return
            self._tasks[task] = execution
            try:
                await elsewhere.follow(execution, given, lambda: ready.begun(execution.cell))
            finally:
                self._tasks.pop(task)
                self._in_flight.discard(execution.cell)
                if execution.status == "cancelled":
                    if interrupts.count or not self._cancelled(execution.cell):
                        execution.status = "running"  # to be dropped
                elif execution.status != "running":
                    self._ended(execution)
                done(execution.cell)

        async def send(cell: str, group: TaskGroup) -> None:
            assert elsewhere is not None
            self._in_flight.add(cell)
            execution, taken = elsewhere.start(cell, self._run, names_needed(self._program, cell))
            started.append(execution)
            async with sending:
                given, error = await self._moved(elsewhere.prepare(execution, taken))
            if error is not None:
                elsewhere.fail(execution, error)
                self._ended(execution)
                done(cell)
            elif given is not None:
                group.create_task(run_elsewhere(execution, given))
                await self._let_others()

        async def fetch(cell: str, values: list[RemoteValue]) -> None:
            assert elsewhere is not None
            _, error = await self._moved(elsewhere.values.fetch(values))
            async with sending:
                if interrupts.count:
                    return
                fetching.discard(cell)
                self._in_flight.discard(cell)
                if error is None and not self._program.compiled[cell].analysis.is_async:
                    self._run_sync(cell)
                    done(cell)
                    return
                execution = self._start(cell)
            started.append(execution)
            if error is None:
                await run(execution)
            else:
                elsewhere.fail(execution, error)
                self._ended(execution)
                done(cell)

        async def follow(group: TaskGroup) -> None:
            while len(ready) and not interrupts.count:
                cell = ready.pop()
                if cell is None:
                    progress.clear()
                    self._recorder.flush()
                    await progress.wait()
                elif cell not in self._program.compiled or (elsewhere is not None and self._cancelled(cell)):
                    ready.done(cell)
                elif cell in on:
                    await send(cell, group)
                elif elsewhere is not None and (values := self._to_fetch(cell)):
                    fetching.add(cell)
                    self._context.run(group.create_task, fetch(cell, values))
                elif not self._program.compiled[cell].analysis.is_async:
                    self._run_sync(cell)
                    ready.done(cell)
                    await self._let_others()
                elif self._cancelled(cell):
                    ready.done(cell)
                else:
                    execution = self._start(cell)
                    started.append(execution)
                    task = self._context.run(group.create_task, run(execution))
                    # It gets to its first await before the next cell begins.
                    await self._let_others()
                    if task.done() and execution.status == "running":
                        # User code has cancelled the task before it began.
                        interrupts.count = interrupts.count or 1

        try:
            async with TaskGroup() as group:
                try:
                    await follow(group)
                except CancelledError:
                    # What the group cancels now has been interrupted.
                    interrupts.count = interrupts.count or 1
                    raise
        finally:
            lost = [execution.cell for execution in started if execution.status == "running"]
            lost += [cell for cell in cells if cell in fetching]
            self._in_flight.difference_update(lost)
            self._drop([*lost, *ready.drop()])

    def _to_fetch(self, cell: str) -> list[RemoteValue]:
        """Return the values that `cell`, which runs here at its turn, names and that are elsewhere."""
        assert self.elsewhere is not None
        self.elsewhere.values.ran(cell)
        self._lifecycle.clear(cell)
        self._in_flight.add(cell)
        self._namespace.load(cell, names_needed(self._program, cell))
        values = self.elsewhere.values.to_fetch(cell)
        if not values:
            self._in_flight.discard(cell)
        return values

    async def _moved(self, action: Coroutine[Any, Any, T]) -> "tuple[T | None, PlaceError | None]":
        """Return what `action`, which sends or fetches values, returns, or why it could not.

        Nothing of both if an interrupt has ended it.
        """
        assert self.elsewhere is not None
        task = create_task(action)
        self._moving.add(task)
        try:
            await wait([task])
        finally:
            self._moving.discard(task)
            task.cancel()
        if task.cancelled():
            return None, None
        error = task.exception()
        if error is None:
            return task.result(), None
        if not isinstance(error, self.elsewhere.errors):
            raise error
        return None, error

    def _start(self, cell: str) -> Execution:
        # What cells in flight need stays as it is; what this one needs is the same, or it would have waited.
        # Beside cells elsewhere the order is not the notebook's, and no version is put aside for that.
        only = names_needed(self._program, cell) if self._in_flight or self.elsewhere else None
        self._in_flight.add(cell)
        return self._lifecycle.start(cell, self._run, only)

    async def _let_others(self) -> None:
        """Give the other tasks of the loop their turn."""
        self._recorder.flush()
        await sleep(0)

    def _cancelled(self, cell: str) -> bool:
        """Skip `cell` if one that it depends on did not end well when it last ran, and return whether."""
        states = self._notebook.cells
        graph = self._program.graph
        analysis = self._program.compiled[cell].analysis
        if not (analysis.immediate or analysis.deferred or analysis.rereads or analysis.late_rereads):
            return False
        parents = graph.bound_parents(cell)
        bad = [each for each in parents if states[each].status in _BAD_ENDS and self._program.works(each)]
        if bad and graph.upward:
            first = self._program.sequence.precedents(cell)
            bad = [parent for parent in bad if parent in first]
        if not bad:
            return False
        causes = {errors.cause_of(states[parent]) for parent in bad}
        cause = min((cause for cause in causes if cause in states), key=graph.order.place, default=bad[0])
        self._lifecycle.skip(cell, self._run, "cancelled", errors.cancelled(states[cause]))
        return True

    def _ended(self, execution: Execution) -> None:
        self._in_flight.discard(execution.cell)
        if self._program.compiled[execution.cell].analysis.maybe_defs:
            self._namespace.leave(execution.cell)
        if execution.status == "interrupted":
            self._interrupted.append(execution.cell)
        elif execution.status == "error":
            self._failed.append(execution.cell)
        if execution.status != "ok":
            self._outdate_readers_of_imports(execution.cell)
        if not execution.where:
            self._failed += self._corrections.after(execution)

    def _outdate_readers_of_imports(self, cell: str) -> None:
        """Mark stale what depends on imports that failed; it does not follow a run of theirs otherwise."""
        if self._program.compiled[cell].analysis.import_only:
            self._lifecycle.mark_stale(
                child
                for child in self._program.graph.children(cell)
                if self._notebook.cells[child].status not in ("queued", "running")
            )

    def _drop(self, cells: Iterable[str]) -> None:
        """Skip cells whose turn will not come; they and the interrupted ones are stale."""
        dropped = list(cells)
        for cell in dropped:
            self._lifecycle.skip(cell, self._run, "cancelled", errors.never_ran())
        if dropped or self._interrupted:
            self._lifecycle.mark_stale([*self._interrupted, *dropped])
            self._interrupted = []
