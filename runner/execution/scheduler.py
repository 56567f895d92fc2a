"""How a plan is run: whose turn it is, what overlaps, and what is not run after all.

Cells follow each other on this thread for as long as none of them awaits. From the first that does, each
such cell is a task in one task group, and cells that need not wait for it go on beside it. A cell that
depends on one whose last run failed, stopped or was interrupted is cancelled at its turn, with that cause,
whichever run that was; an interrupt drops all cells that have not had their turn.
"""

import asyncio
import contextvars
from asyncio import Event, TaskGroup, current_task, sleep  # as they are before user code can replace them
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

from ..attribution.context import Execution
from ..dataflow.plan import Plan
from ..dataflow.program import Program
from ..dataflow.ready import ReadyCells
from . import cell_errors as errors
from .corrections import Corrections
from .executor import Executor
from .hidden_task import HiddenTask
from .interrupts import Interrupts
from .lifecycle import CellLifecycle
from .namespace import Namespace
from .recorder import Recorder

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
        # Tasks of cells that have begun and not ended.
        #: What hides the calling task from cells; None before there is a loop.
        self.hidden: HiddenTask | None = None
        self._tasks: dict[asyncio.Task[Any], Execution] = {}
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
        try:
            turn = monotonic()
            while done < len(order) and not self._interrupts.count:
                if order[done] not in self._program.compiled:
                    done += 1  # rejected since the run began, as the language has changed
                    continue
                if self._program.compiled[order[done]].analysis.is_async:
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

    def _run_sync(self, cell: str) -> None:
        """Run a cell that does not await, unless it is cancelled."""
        if not self._cancelled(cell):
            execution = self._start(cell)
            assert self.hidden is not None
            with self.hidden:
                self._context.run(self._executor.run, execution, self._program.compiled[cell])
            self._ended(execution)

    async def _run_overlapping(self, cells: Sequence[str]) -> None:
        """Run `cells`; those that await run beside the others."""
        interrupts = self._interrupts
        progress = Event()
        before = self._before(cells)
        ready = ReadyCells(cells, before.__getitem__)
        started: list[Execution] = []

        async def run(execution: Execution) -> None:
            task = current_task()
            assert task is not None
            self._tasks[task] = execution
            try:
                await self._executor.run_async(execution, self._program.compiled[execution.cell])
            finally:
                self._tasks.pop(task)
                self._ended(execution)
                self._recorder.flush()
                ready.done(execution.cell)
                progress.set()

        async def follow(group: TaskGroup) -> None:
            while len(ready) and not interrupts.count:
                cell = ready.pop()
                if cell is None:
                    progress.clear()
                    self._recorder.flush()
                    await progress.wait()
                elif cell not in self._program.compiled:
                    ready.done(cell)
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
                except asyncio.CancelledError:
                    # What the group cancels now has been interrupted.
                    interrupts.count = interrupts.count or 1
                    raise
        finally:
            lost = [execution.cell for execution in started if execution.status == "running"]
            self._in_flight.difference_update(lost)
            self._drop([*lost, *ready.drop()])

    def _before(self, cells: Sequence[str]) -> dict[str, set[str]]:
        """Return for each of `cells` the earlier ones that it must not overlap with.

        They are its parents, and cells that need another version of a name.
        """
        if not self._program.language.overlaps:
            return {cell: set(cells[max(place - 1, 0) : place]) for place, cell in enumerate(cells)}
        graph = self._program.graph
        versions = graph.redefine != "live" and (graph.shared or graph.upward)
        before: dict[str, set[str]] = {}
        # For each name the cells that need the same version of it, and those that need the one before.
        groups: dict[str, tuple[str | None, list[str], list[str]]] = {}
        for cell in cells:
            waits = before[cell] = {parent for parent in graph.parents(cell) if parent in before}
            hidden = self._program.sequence.hidden(cell)
            for name in self._names_needed(cell) if versions else ():
                names = graph.names_of(cell)
                own = name in names.defs or name in names.deleted or name in hidden
                version = None if own else graph.binding(cell, name)
                same, members, others = groups.get(name, (None, [], []))
                if version is None or version != same:
                    members, others = [], members
                members.append(cell)
                groups[name] = (version, members, others)
                waits.update(others)
        return before

    def _names_needed(self, cell: str) -> frozenset[str]:
        """Return the names that `cell` reads or makes."""
        graph = self._program.graph
        names = graph.names_of(cell)
        return frozenset((*graph.reads(cell), *names.defs, *names.deleted))

    def _start(self, cell: str) -> Execution:
        # What cells in flight need stays as it is; what this one needs is the same, or it would have waited.
        only = self._names_needed(cell) if self._in_flight else None
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
