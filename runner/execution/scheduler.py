"""How a plan is carried out: whose turn it is, what overlaps, and what is not run after all.

Cells follow each other on this thread for as long as none of them awaits. From the first that does, each
such cell is a task in one task group, and cells that need not wait for it go on beside it. A cell
whose parent has not ended well is cancelled at its turn and passes the cause on; an interrupt
drops all that have not had their turn.
"""

import asyncio
import contextvars
import time
from collections.abc import Sequence
from typing import Any

from ...protocol.notebook import Notebook
from ..attribution.context import Execution
from ..dataflow.plan import Plan
from ..dataflow.program import Program
from ..dataflow.ready import ReadyCells
from . import cell_errors as errors
from .executor import Executor
from .interrupts import Interrupts
from .lifecycle import Stage

#: Seconds that cells may follow each other before the loop's other tasks have a turn.
_TURN = 0.01


class Conductor:
    """Carries out plans, one after the other."""

    def __init__(
        self,
        stage: Stage,
        program: Program,
        notebook: Notebook,
        executor: Executor,
        interrupts: Interrupts,
        context: contextvars.Context,
    ) -> None:
        self._stage = stage
        self._program = program
        self._notebook = notebook
        self._executor = executor
        self._interrupts = interrupts
        self._context = context
        self._tasks: set[asyncio.Task[Any]] = set()
        self._run = 0
        # Cells of this run that have not ended well, and the cell that is the cause.
        self._causes: dict[str, str] = {}
        self._failed: list[str] = []
        self._interrupted: list[str] = []

    async def carry_out(self, plan: Plan) -> list[str]:
        """Run the cells of `plan` and return those that failed, in its order.

        Raises: CancelledError if the calling task is cancelled; all cells have ended by then.
        """
        self._run = plan.run
        self._causes, self._failed, self._interrupted = {}, [], []
        order = plan.cells
        done = 0
        try:
            turn = time.monotonic()
            while done < len(order) and not self._interrupts.requested:
                if self._program.compiled[order[done]].analysis.is_async:
                    schedule = ReadyCells(order[done:], self._program.graph.predecessors)
                    done = len(order)
                    await self._overlapping(schedule)
                    break
                self._take(order[done])
                done += 1
                if time.monotonic() - turn > _TURN:
                    await self._let_others()
                    turn = time.monotonic()
        finally:
            self._drop(order[done:])
        place = {cell: index for index, cell in enumerate(order)} if len(self._failed) > 1 else {}
        return sorted(self._failed, key=lambda cell: place.get(cell, 0))

    def cancel(self) -> None:
        """Cancel the cells that await; on the event loop's thread."""
        for task in tuple(self._tasks):
            task.cancel()

    def _take(self, cell: str) -> None:
        """Let a cell that does not await have its turn."""
        if not self._cancelled(cell):
            execution = self._stage.begin(cell, self._run)
            self._context.run(self._executor.run, execution, self._program.compiled[cell])
            self._ended(execution)

    async def _overlapping(self, schedule: ReadyCells) -> None:
        """Carry out `schedule`; cells that await run beside the others."""
        interrupts = self._interrupts
        progress = asyncio.Event()

        async def run(execution: Execution) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            interrupts.own_tasks.add(task)
            try:
                await self._executor.run_async(execution, self._program.compiled[execution.cell])
            finally:
                interrupts.own_tasks.discard(task)
                self._tasks.discard(task)
                self._ended(execution)
                self._stage.flush()
                schedule.finished(execution.cell)
                progress.set()

        async def follow(group: asyncio.TaskGroup) -> None:
            while len(schedule) and not interrupts.requested:
                cell = schedule.next()
                if cell is None:
                    progress.clear()
                    self._stage.flush()
                    await progress.wait()
                elif not self._program.compiled[cell].analysis.is_async:
                    self._take(cell)
                    schedule.finished(cell)
                    await self._let_others()
                elif self._cancelled(cell):
                    schedule.finished(cell)
                else:
                    execution = self._stage.begin(cell, self._run)
                    self._context.run(group.create_task, run(execution))
                    # It gets to its first await before the next cell begins.
                    await self._let_others()

        try:
            async with asyncio.TaskGroup() as group:
                try:
                    await follow(group)
                except asyncio.CancelledError:
                    # What the group cancels now has been interrupted.
                    interrupts.requested = interrupts.requested or 1
                    raise
        finally:
            self._drop(schedule.drop())

    async def _let_others(self) -> None:
        """Give the other tasks of the loop their turn."""
        self._stage.flush()
        await asyncio.sleep(0)

    def _cancelled(self, cell: str) -> bool:
        """Skip `cell` if something that it depends on has not ended well, and return whether."""
        if not self._causes:
            return False
        for parent in self._program.graph.parents(cell):
            cause = self._causes.get(parent)
            if cause is not None:
                self._causes[cell] = cause
                self._stage.skip(cell, self._run, "cancelled", errors.cancelled(self._notebook.cells[cause]))
                return True
        return False

    def _ended(self, execution: Execution) -> None:
        if execution.status != "ok":
            self._causes[execution.cell] = execution.cell
            if execution.status == "interrupted":
                self._interrupted.append(execution.cell)
            elif execution.status != "stopped":
                self._failed.append(execution.cell)

    def _drop(self, cells: Sequence[str]) -> None:
        """Skip cells whose turn will not come; they and the interrupted ones are stale."""
        for cell in cells:
            self._stage.skip(cell, self._run, "cancelled", errors.never_ran())
        self._stage.mark_stale([*self._interrupted, *cells])
        self._interrupted = []
