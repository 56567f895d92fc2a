"""Runs, from a request to the event that says that nothing of it is left to do.

A run has the turn until its cells have ended or all that are left wait for others in flight: those await or
run elsewhere. In that case it gives the turn away and is open. Requests that come then find the notebook as
it will be: cells that depend on one in flight wait for it, and one in flight that a request touches (it
runs it again, changes or deletes it, or does so with what it depends on) is interrupted first. A task, the
keeper, goes on with open runs each time something in flight has ended, and ends them.

Runs that setters of states cause are numbered -1, -2, … and come before the end of the run that caused them.
An interrupt ends all runs that are open.
"""

import asyncio
from asyncio import (  # as they are before user code can replace them
    CancelledError,
    Task,
    get_running_loop,
    shield,
)
from asyncio.tasks import _unregister_task  # pyright: ignore[reportPrivateUsage]
from collections.abc import Callable, Collection

from ...protocol import events, messages
from ...protocol.events import RunFinished, RunStatus
from ..dataflow.plan import Plan, Planner
from ..dataflow.program import Change
from ..output.reports import format_error, write_report
from .corrections import Corrections
from .hooks import Hooks, call_hooks
from .interrupts import Interrupts
from .lifecycle import CellLifecycle
from .open_runs import OpenRun
from .own_tasks import create_task
from .preparation import Preparation
from .recorder import Recorder
from .scheduler import Scheduler
from .state_updates import PendingUpdates
from .turn import Turn


class Runs:
    """Carries out requests, one at a time and those beside it that have given their turn away."""

    def __init__(
        self,
        recorder: Recorder,
        preparation: Preparation,
        scheduler: Scheduler,
        lifecycle: CellLifecycle,
        planner: Planner,
        corrections: Corrections,
        updates: PendingUpdates,
        interrupts: Interrupts,
        hooks: Hooks,
    ) -> None:
        self._recorder = recorder
        self._notebook = recorder.notebook
        self._preparation = preparation
        self._scheduler = scheduler
        self._lifecycle = lifecycle
        self._planner = planner
        self._corrections = corrections
        self._updates = updates
        self._interrupts = interrupts
        self._hooks = hooks
        #: The number of the last run that states have caused.
        self.last_own = 0
        self._turn = Turn(recorder, scheduler, updates, interrupts, self._start_keeper)
        #: Goes on with open runs; None if there are none.
        self.keeper: Task[None] | None = None
        self._own_task: Task[None] | None = None
        # What is called once the next run is announced.
        self._once_planned: list[Callable[[], object]] = []

    async def execute(self, run: int, request: messages.Run) -> RunFinished:
        """Carry out `request` as run number `run`, with the runs that states cause, and return its end."""
        finished = await self.start(run, request)
        if finished is not None:
            return finished
        end = self._scheduler.runs[run].finished = get_running_loop().create_future()
        try:
            return await shield(end)
        except CancelledError:
            self._interrupts.count = self._interrupts.count or 1
            self._scheduler.cancel()
            await asyncio.wait([end])
            raise

    async def start(self, run: int, request: messages.Run) -> RunFinished | None:
        """Do what `execute` does, but return None when the run has given its turn away."""
        async with self._turn:
            if self._scheduler.runs and self._interrupts.is_due(run):
                await self._end_open()
                self._interrupts.reset()
            return await self._run_request(run, request)

    async def follow_states(self) -> None:
        """Run what has to follow states that were set, as soon as nothing else has the turn."""
        async with self._turn:
            try:
                await self._run_state_readers(0)
            finally:
                if self._interrupts.count:
                    self._discard_state_updates()

    def on_state_set(self) -> None:
        """Act upon states that were set while nothing had the turn."""
        if self._updates and not self._turn.taken:
            self._own_task = create_task(self.follow_states())
            self._own_task.add_done_callback(lambda _: self._call_planned())

    def once_planned(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the run that follows the states set so far is announced, now if none will be.

        Whoever waits for both finds that run in progress, and does not take the notebook for idle.
        """
        if self._updates and not self._turn.taken:
            self._once_planned.append(callback)
        else:
            callback()

    def _call_planned(self) -> None:
        self._recorder.flush()
        while self._once_planned:
            self._once_planned.pop(0)()

    def outdate(self, cells: Collection[str]) -> None:
        """Mark cells stale, and what depends on them: something outside has changed."""
        compiled = self._planner.program.compiled
        known = {cell for cell in cells if cell in compiled}
        imported = {cell: compiled[cell].analysis.defs for cell in known}
        self._lifecycle.mark_stale(self._planner.no_run(0, Change(rebound=known, imported=imported)).stale)
        self._recorder.flush()

    # One run

    async def _run_request(self, run: int, request: messages.Run) -> RunFinished | None:
        scheduler = self._scheduler
        failed: list[str] = []
        reason = ""
        cancelled: CancelledError | None = None
        changed: Collection[str] = ()
        self._interrupts.begin(run)
        try:
            if scheduler.runs:
                changed, touched = self._preparation.touched(request)
                await scheduler.call_off(touched)
            plan, failed = self._preparation.prepare(run, request)
            if scheduler.runs:
                await scheduler.make_way(plan, changed)
            failed += await self._run_plan(plan)
            if (self._updates or self._corrections.rebound) and run not in scheduler.runs:
                await self._run_state_readers(run)
        except CancelledError as error:
            self._interrupts.count = self._interrupts.count or 1
            cancelled = error
            reason = "the task that carried it out was cancelled"
        except BaseException as error:
            # A fault of cellwire's own must not leave the kernel waiting for the end of the run.
            reason = _bug(error)
        if run in scheduler.runs and not self._interrupts.count:
            scheduler.runs[run].failed = failed
            return None
        if self._interrupts.count:
            if scheduler.runs:
                await self._end_open(but=run)
            self._discard_state_updates()
            reason = reason or "interrupted"
        interrupted = self._interrupts.end(run)
        finished = RunFinished(run, _status(interrupted, failed or reason), failed, reason)
        self._finish(finished)
        if cancelled is not None:
            raise cancelled
        return finished

    async def _run_plan(self, plan: Plan) -> list[str]:
        """Carry out `plan` and return the cells that failed."""
        if self._hooks.preparation:
            self._recorder.flush()
            call_hooks(self._hooks.preparation, plan, self._interrupts)
        self._lifecycle.mark_stale(plan.stale)
        if not plan.cells:
            self._scheduler.rest()
            return []
        self._recorder.emit(events.RunPlanned(plan.run, plan.cells))
        if self._once_planned:
            self._call_planned()
        return await self._scheduler.run(plan)

    def _finish(self, finished: RunFinished) -> None:
        self._recorder.emit(finished)
        self._recorder.flush()
        call_hooks(self._hooks.on_finish, finished, self._interrupts)

    # Open runs

    def _start_keeper(self) -> None:
        if self.keeper is None:
            # Cells do not find it among the tasks of the loop.
            self.keeper = create_task(self._keep())
            _unregister_task(self.keeper)

    async def _keep(self) -> None:
        """Go on with the open runs until there are none."""
        while self._scheduler.runs:
            async with self._turn:
                try:
                    await self._go_on()
                except BaseException as error:
                    self._interrupts.count = self._interrupts.count or 1
                    await self._end_open(_bug(error))
            if self._scheduler.runs:
                await self._scheduler.open.wait()
        self.keeper = None

    async def _go_on(self) -> None:
        """Give cells of open runs their turn, and end the runs that have no cells left."""
        runs = self._scheduler.runs
        while True:
            await self._scheduler.drive()
            if self._interrupts.count:
                await self._end_open()
                self._discard_state_updates()
                return
            done = next((run for run in runs.values() if not run.left and not self._causes(run)), None)
            if done is None:
                return
            if done.run < 0:
                self._end(done)
            if (self._updates or self._corrections.rebound) and done.then is None:
                await self._run_state_readers(max(0, done.run))
            if done.run in runs and not self._causes(done) and not self._interrupts.count:
                self._end(done)

    def _causes(self, run: OpenRun) -> bool:
        """Return whether a run that `run` has caused is open."""
        return any(own.then is run for own in self._scheduler.runs.values())

    async def _end_open(self, reason: str = "", *, but: int = 0) -> None:
        """End all that is open after an interrupt, runs that states have caused first; not the run `but`."""
        await self._scheduler.end()
        runs = self._scheduler.runs
        runs.pop(but, None)
        for number in sorted(runs, key=lambda number: (number > 0, abs(number))):
            self._end(runs[number], reason)

    def _end(self, run: OpenRun, bug: str = "") -> None:
        """Say how an open run without cells ended."""
        del self._scheduler.runs[run.run]
        self._scheduler.rest()
        interrupted = self._interrupts.end(run.run) if run.run > 0 else self._interrupts.count
        failed = run.failed + self._scheduler.turns.take_failed(run.run, run.cells)
        status = "error" if bug else _status(interrupted or run.reason, failed)
        reason = bug or ("interrupted" if interrupted else run.reason)
        finished = RunFinished(run.run, status, failed, reason)
        self._finish(finished)
        if run.finished is not None:
            run.finished.set_result(finished)

    # States

    async def _run_state_readers(self, cause: int) -> None:
        """Run what has to follow the runs so far, until nothing is left to do, or a run of that is open.

        That is readers of states that were set, and of names that a star import turned out to bind or not to.
        Run number `cause`, if there is one, ends after what is open then.
        """
        runs = self._scheduler.runs
        while (readers := await self._readers_to_run()) and not self._interrupts.count:
            plan = self._planner.run_readers(self.last_own - 1, readers)
            if plan.cells:
                self.last_own = plan.run
            failed: list[str] = []
            try:
                if runs:
                    await self._scheduler.make_way(plan, ())
                failed = await self._run_plan(plan)
            except CancelledError:
                self._interrupts.count = self._interrupts.count or 1
                raise
            finally:
                if plan.cells and plan.run not in runs:
                    interrupted = self._interrupts.count
                    reason = "interrupted" if interrupted else ""
                    self._finish(RunFinished(plan.run, _status(interrupted, failed), failed, reason))
            if plan.run in runs:
                if cause:
                    runs[plan.run].then = runs.setdefault(cause, OpenRun(cause, [], ()))
                return

    async def _readers_to_run(self) -> dict[str, set[str]]:
        """Return the cells that have to run, each with the cells that set a state which it reads."""
        if self._interrupts.count:
            return {}
        behind = [cell for work in self._updates.take_work() for cell in await work()]
        readers = self._updates.drain(self._scheduler.turns.in_flight) if self._updates else {}
        for cell in (*behind, *self._corrections.take()):
            if cell in self._notebook.cells and not self._notebook.cells[cell].stale:
                readers.setdefault(cell, set())
        return readers

    def _discard_state_updates(self) -> None:
        """Forget states that were set, leaving their readers stale."""
        self._updates.take_work()
        self.outdate({*self._updates.drain(), *self._corrections.take()})


def _bug(error: BaseException) -> str:
    """Report a fault of cellwire's own, and return what to say of it."""
    reason = "cellwire itself failed, which is a bug:\n" + format_error(error, own=True)
    write_report(reason)
    return reason


def _status(interrupted: object, failed: object) -> RunStatus:
    return "interrupted" if interrupted else "error" if failed else "ok"
