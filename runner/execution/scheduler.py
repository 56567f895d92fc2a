"""How plans are run: whose turn it is, what overlaps, and what is not run after all.

Cells follow each other on this thread for as long as none of them awaits. From the first that does, each
such cell is a task, in flight until it has ended, and cells that need not wait for it go on beside it. A
cell that depends on one whose last run failed, stopped or was interrupted is cancelled at its turn, with
that cause, whichever run that was; an interrupt drops all cells that have not had their turn.

A cell that runs elsewhere is a task as well. Here it is submitted, before any other that may have its turn,
and no other cell begins meanwhile: values are sent as they are at that moment. A cell whose names have
values elsewhere is a task that fetches them first.

When all that is left of a run waits for cells in flight, it gives its turn away: `run` returns, and the run
is in `runs` until its last cell has ended. What waits in open runs is one plan in the order of the notebook,
so a later run finds the notebook as if the cells had run one by one. `call_off` and `make_way` are for a
request that concerns what is open; `drive` goes on with it.
"""

import contextvars
from asyncio import (  # as they are before user code can replace them
    CancelledError,
    Lock,
    Task,
    current_task,
    sleep,
)
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..attribution.context import Execution
from ..dataflow.plan import Plan, Planner
from ..dataflow.program import Program
from .cell_turns import CellTurns
from .executor import Executor
from .hooks import Hooks
from .interrupts import Interrupts
from .lifecycle import CellLifecycle
from .namespace import Namespace, RemoteValue
from .open_runs import Flight, OpenRun, OpenRuns
from .overlap import names_needed
from .own_tasks import create_task
from .recorder import Recorder
from .state_updates import PendingUpdates

if TYPE_CHECKING:
    from .elsewhere import Elsewhere, Submission

#: Seconds that cells may run one after another before the loop's other tasks get a turn.
_TURN = 0.01


class Scheduler:
    """Runs plans; one task at a time calls it, that which has the turn."""

    def __init__(
        self,
        recorder: Recorder,
        lifecycle: CellLifecycle,
        program: Program,
        namespace: Namespace,
        turns: CellTurns,
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
        #: The turns of single cells.
        self.turns = turns
        self._executor = executor
        self._interrupts = interrupts
        self._context = context
        self._for_elsewhere = for_elsewhere
        #: Whether a run waits for its last cells itself instead of giving its turn away.
        self.keeps_turn = False
        #: What runs elsewhere; None before something did.
        self.elsewhere: Elsewhere | None = None
        #: Runs with cells that have not ended; and the same by number.
        self.open = OpenRuns(program, recorder.notebook)
        self.runs = self.open.runs
        self._flights = self.open.flights
        # What was raised where only cellwire's own code raises.
        self._bug: Exception | None = None
        # Held while values are sent, or a cell runs after fetching some. No other lock is taken under it.
        self._sending = Lock()
        # Tasks of cells that have begun and not ended.
        self._tasks: dict[Task[Any], Execution] = {}

    # Runs

    async def run(self, plan: Plan) -> list[str]:
        """Run the cells of `plan` and return those that failed, in its order.

        If cells of it are left that wait for others in flight, it is in `runs`.

        Raises: CancelledError if the calling task is cancelled; all cells have ended by then.
        """
        order = plan.cells
        done = 0
        on = self._program.placement.on
        if self._program.graph.shared:
            self._namespace.queued = {*order, *self.open.pending}
        try:
            turn = monotonic()
            while done < len(order) and not self._interrupts.count:
                if order[done] not in self._program.compiled:
                    done += 1  # rejected since the run began, because the language changed
                    continue
                code = self._program.compiled[order[done]]
                if code.analysis.is_async or on or self.elsewhere or self.runs:
                    rest = order[done:]
                    done = len(order)
                    await self._overlap(plan, rest)
                    break
                self.turns.run(order[done], plan.run)
                done += 1
                if monotonic() - turn > _TURN:
                    await self._let_others()
                    turn = monotonic()
        finally:
            if done < len(order) or self.turns.interrupted:
                self.turns.drop(order[done:], plan.run)
            if self._namespace.displaced:
                self.rest()
        return self.turns.take_failed(plan.run, order) if self.turns.failed else []

    def rest(self) -> None:
        """Put the versions of the notebook's end in place, but of names that cells in flight need."""
        if self._namespace.displaced:
            flights = [cell for cell in self._flights if cell in self._program.compiled]
            needed = {name for cell in flights for name in names_needed(self._program, cell)}
            self._namespace.rest(needed, self.open.pending)

    async def _overlap(self, plan: Plan, cells: Sequence[str]) -> None:
        """Run `cells` beside those in flight, and leave `plan` among the `runs` if some have to wait."""
        if not self.runs:
            # It belongs to the loop that runs.
            self._sending = Lock()
        if self._program.placement.on and self.elsewhere is None:
            from .elsewhere import Elsewhere

            core = self._recorder, self._lifecycle, self._namespace, self._interrupts
            self.elsewhere = Elsewhere(*core, *self._for_elsewhere)
            self.turns.anywhere = True
        run = self.open.add(plan, cells)
        try:
            await self.drive(run)
        finally:
            if not run.left:
                del self.runs[plan.run]

    async def drive(self, run: OpenRun | None = None) -> None:
        """Give cells their turn until none may have it, or all of `run`, or of any run, have ended.

        After an interrupt all cells have ended.

        Raises: CancelledError if the calling task is cancelled; all cells have ended by then.
        """
        try:
            while run.left if run is not None else all(each.left for each in self.runs.values()):
                if self._bug is not None:
                    bug, self._bug = self._bug, None
                    raise bug
                if self._interrupts.count:
                    await self._end_all()
                    return
                next = self.open.pop()
                if next is not None:
                    await self._give_turn(*next)
                    continue
                self._recorder.flush()
                if not self.keeps_turn:
                    return
                await self.open.wait()
        except BaseException as error:
            # What ends now has been interrupted.
            self._interrupts.count = self._interrupts.count or 1
            self.open.cancel_flights()
            # A coroutine that is closed can wait for nothing.
            if not isinstance(error, GeneratorExit):
                await self._end_all()
            raise

    async def _give_turn(self, cell: str, run: OpenRun) -> None:
        elsewhere = self.elsewhere
        code = self._program.compiled.get(cell)
        if code is None:
            self.open.done(cell, run)
        elif elsewhere is None and not code.analysis.is_async:
            await self._run_here(cell, run)
        elif self.turns.cancelled(cell, run.run):
            self.open.done(cell, run)
        elif cell in self._program.placement.on:
            await self._send(cell, run)
        elif elsewhere is not None and (values := elsewhere.to_fetch(cell)):
            self.turns.in_flight.add(cell)
            self._launch(Flight(cell, run), partial(self._fetch, values=values))
        elif not code.analysis.is_async:
            await self._run_here(cell, run)
        else:
            flight = Flight(cell, run)
            flight.execution = self.turns.start(cell, run.run)
            self._launch(flight, self._await)
            # It gets to its first await before the next cell begins.
            await self._let_others()
            if flight.task is not None and flight.task.done():
                self._land(flight)

    async def _run_here(self, cell: str, run: OpenRun) -> None:
        self.turns.run(cell, run.run)
        self.open.done(cell, run)
        await self._let_others()

    async def end(self) -> None:
        """End all cells of the open runs, as the last interrupt does."""
        self.cancel()
        await self._end_all()

    async def _end_all(self) -> None:
        """Drop what has not had its turn, and return when all that is in flight has ended."""
        self._drop([*self.open.pending])
        self.turns.mark_stale()
        while self._flights:
            try:
                await self.open.wait()
            except CancelledError:
                self._interrupts.count += 1
                self.open.cancel_flights()

    def _drop(self, cells: Iterable[str]) -> None:
        """Skip cells that have not had their turn, and mark them and the interrupted ones stale."""
        for number, dropped in self.open.take(cells).items():
            self.turns.drop(dropped, number)

    async def _let_others(self) -> None:
        """Give the other tasks of the loop their turn."""
        self._recorder.flush()
        await sleep(0)

    # Requests that concern what is open

    async def call_off(self, cells: Collection[str]) -> None:
        """Interrupt those of `cells` that are in flight, and return when they have ended."""
        flights = [self._flights[cell] for cell in self._flights if cell in cells]
        for flight in flights:
            flight.run.reason = f"a later request concerns cell {flight.cell!r}, which was running"
            if flight.execution is not None:
                flight.execution.end()
            if flight.task is not None:
                if flight.execution is not None:
                    self._interrupts.before_striking(flight.execution, flight.task)
                flight.task.cancel()
        while not all(flight.landed for flight in flights):
            await self.open.wait()

    async def make_way(self, plan: Plan, changed: Collection[str]) -> None:
        """Take what `plan` runs out of the open runs, and what has nothing to wait for any more.

        That is what reads from cells that are stale and do not run, and what of it has `changed` itself.
        """
        wrong = [cell for cell in self._flights if not self._program.works(cell)]
        await self.call_off({*plan.cells, *plan.stale, *wrong})
        self.open.take(self.open.replaced(plan))
        unfounded = self.open.unfounded(plan, changed)
        for cell in unfounded:
            run = self.open.pending[cell]
            run.reason = run.reason or f"a later request concerns cell {cell!r}, which has not run"
        self._drop(unfounded)
        self.open.arrange()

    def cancel(self) -> None:
        """Cancel the cells that the last interrupt has not struck yet; called by the event loop."""
        for task, execution in tuple(self._tasks.items()):
            if self._interrupts.strikes(execution):
                self._interrupts.before_striking(execution, task)
                task.cancel()
        # The interrupt may have been for a run that is over.
        if self.elsewhere is not None and self._interrupts.count:
            self.elsewhere.stop_moving()
        self.open.progress.set()

    # Cells in flight

    def _launch(self, flight: Flight, steps: Callable[[Flight], Coroutine[Any, Any, None]]) -> None:
        """Let a task take the `steps` of a cell."""
        self._flights[flight.cell] = flight
        task = self._context.run(create_task, self._fly(flight, steps))
        flight.task = task
        # Where it is cancelled before its first step.
        task.add_done_callback(partial(self._land, flight), context=contextvars.Context())
        if not self._program.language.overlaps and len(self.runs) > 1:
            self.open.arrange()

    async def _fly(self, flight: Flight, steps: Callable[[Flight], Coroutine[Any, Any, None]]) -> None:
        try:
            await steps(flight)
        except CancelledError:
            pass
        except Exception as error:
            self._bug = error
        self._land(flight)

    def _land(self, flight: Flight, _: object = None) -> None:
        """Note that a cell in flight has ended, or will not begin."""
        if flight.landed:
            return
        flight.landed = True
        cell, run, execution = flight.cell, flight.run, flight.execution
        del self._flights[cell]
        self.turns.in_flight.discard(cell)
        if not flight.ended:
            if not self._interrupts.count and not run.reason:
                # User code has cancelled the task before it began.
                self._interrupts.count = 1
            if self._program.works(cell):
                self.turns.drop([cell], run.run)
        elif execution is not None and execution.over:
            self.turns.mark_stale()
        self._recorder.flush()
        self.open.done(cell, run)

    async def _await(self, flight: Flight) -> None:
        """Take the steps of a cell that awaits."""
        execution, task = flight.execution, current_task()
        assert execution is not None
        assert task is not None
        self._tasks[task] = execution
        try:
            await self._executor.run_async(execution, self._program.compiled[flight.cell])
        finally:
            self._tasks.pop(task)
            flight.ended = True
            self.turns.ended(execution)

    async def _send(self, cell: str, run: OpenRun) -> None:
        """Submit a cell that runs elsewhere."""
        elsewhere = self.elsewhere
        assert elsewhere is not None
        flight = self._flights[cell] = Flight(cell, run)
        self.turns.in_flight.add(cell)
        flight.execution, taken = elsewhere.start(cell, run.run, names_needed(self._program, cell))
        async with self._sending:
            given, error = await elsewhere.moved(elsewhere.prepare(flight.execution, taken))
        if error is not None:
            elsewhere.fail(flight.execution, error)
            flight.ended = True
            self.turns.ended(flight.execution)
        if given is None:
            self._land(flight)
            return
        self._launch(flight, partial(self._follow, given=given))
        await self._let_others()

    async def _follow(self, flight: Flight, given: "Submission") -> None:
        """Follow a cell that runs elsewhere."""
        elsewhere, execution, task = self.elsewhere, flight.execution, current_task()
        assert elsewhere is not None
        assert execution is not None
        assert task is not None
        if self._interrupts.count:
            return
        self._tasks[task] = execution
        try:
            await elsewhere.follow(execution, given, partial(self.open.submitted, flight))
        finally:
            self._tasks.pop(task)
            self.turns.in_flight.discard(flight.cell)
            if execution.status == "cancelled":
                called_off = self._interrupts.count or execution.over
                flight.ended = not called_off and self.turns.cancelled(flight.cell, execution.run)
            elif execution.status != "running":
                flight.ended = True
                self.turns.ended(execution)

    async def _fetch(self, flight: Flight, values: list[RemoteValue]) -> None:
        """Fetch what a cell names, and run it."""
        elsewhere = self.elsewhere
        assert elsewhere is not None
        cell, run = flight.cell, flight.run.run
        _, error = await elsewhere.moved(elsewhere.values.fetch(values))
        async with self._sending:
            if self._interrupts.count:
                return
            self.turns.in_flight.discard(cell)
            if error is None and not self._program.compiled[cell].analysis.is_async:
                self.turns.run(cell, run)
                flight.ended = True
                return
            execution = flight.execution = self.turns.start(cell, run)
        if error is None:
            await self._await(flight)
        else:
            flight.ended = True
            elsewhere.fail(execution, error)
            self.turns.ended(execution)
