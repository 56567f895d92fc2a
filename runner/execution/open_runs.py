"""Runs whose cells have not all ended, and what each of these cells waits for.

Cells of all these runs that have not had their turn are one plan, in the order of the notebook. Those in
flight come first in it: nothing of what they need may change before they have ended.
"""

import asyncio
from asyncio import Event  # as it is before user code can replace it
from collections.abc import Collection, Iterable, Sequence

from ...protocol.events import RunFinished
from ...protocol.notebook import Notebook
from ..attribution.context import Execution
from ..dataflow.plan import Plan
from ..dataflow.program import Program
from ..dataflow.ready import ReadyCells
from .overlap import Underway, waits_of


class OpenRun:
    """A run with cells that have not ended."""

    __slots__ = ("cells", "failed", "finished", "left", "reason", "run", "then")

    def __init__(self, run: int, cells: list[str], left: Collection[str]) -> None:
        self.run: int = run
        #: All cells of its plan, in order.
        self.cells: list[str] = cells
        #: Those that have not ended.
        self.left: set[str] = set(left)
        #: Those that failed before any had its turn.
        self.failed: list[str] = []
        #: Why cells of it were interrupted though the run was not; empty if none was.
        self.reason: str = ""
        #: The run that ends after this one, which it has caused by setting a state.
        self.then: OpenRun | None = None
        #: Set by what waits for its end.
        self.finished: asyncio.Future[RunFinished] | None = None


class Flight:
    """A cell that has had its turn and not ended: it awaits, runs elsewhere, or waits for values."""

    __slots__ = ("cell", "ended", "execution", "landed", "run", "submitted", "task")

    def __init__(self, cell: str, run: OpenRun) -> None:
        self.cell: str = cell
        self.run: OpenRun = run
        #: None as long as it waits for values.
        self.execution: Execution | None = None
        #: What stands for it on the loop; None while it is sent there.
        self.task: asyncio.Task[None] | None = None
        #: Whether a place has it.
        self.submitted: bool = False
        #: Whether it is known how it ended; and whether nothing of it is left to do.
        self.ended: bool = False
        self.landed: bool = False


class OpenRuns:
    """The open runs, by number; the cells that wait for their turn, with their runs; those in flight."""

    def __init__(self, program: Program, notebook: Notebook) -> None:
        self._program = program
        self._notebook = notebook
        self.runs: dict[int, OpenRun] = {}
        self.pending: dict[str, OpenRun] = {}
        self.flights: dict[str, Flight] = {}
        #: Set with each change that may let a cell have its turn, or end a run.
        self.progress = Event()
        self._ready = ReadyCells((), lambda _: ())

    def add(self, plan: Plan, cells: Sequence[str]) -> OpenRun:
        """Have `cells` wait for their turn in `plan`."""
        if not self.runs:
            # It belongs to the loop that runs.
            self.progress = Event()
        run = self.runs[plan.run] = OpenRun(plan.run, plan.cells, cells)
        self.pending.update(dict.fromkeys(cells, run))
        self.arrange()
        return run

    def arrange(self) -> None:
        """Find out what the cells that wait for their turn wait for."""
        program, states = self._program, self._notebook.cells
        cells = [*self.pending]
        if len(self.runs) > 1:
            cells = program.sequence.topological(cells)
        flights = [cell for cell in self.flights if cell in program.compiled]
        loose = {cell for cell in (*flights, *cells) if cell in states and states[cell].loose}
        runs = {cell: run.run for cell, run in self.pending.items()}
        waits = waits_of(program, cells, Underway(flights, runs, loose))
        on = program.placement.on
        begun = waits.begun.__getitem__ if on else None
        self._ready = ReadyCells([*flights, *cells], waits.done.__getitem__, begun, on)
        for cell in flights:
            self._ready.take(cell)
            if self.flights[cell].submitted:
                self._ready.begun(cell)

    def pop(self) -> tuple[str, OpenRun] | None:
        """Take out the next cell that may have its turn, with its run; None if each waits for another one."""
        cell = self._ready.pop()
        return None if cell is None else (cell, self.pending.pop(cell))

    def take(self, cells: Iterable[str]) -> dict[int, list[str]]:
        """Take out cells that wait for their turn, and return them by run: nothing is left to do of them."""
        taken: dict[int, list[str]] = {}
        for cell in cells:
            run = self.pending.pop(cell)
            self._ready.take(cell)
            self.done(cell, run)
            taken.setdefault(run.run, []).append(cell)
        return taken

    def submitted(self, flight: Flight) -> None:
        """Note that a place has a cell: others need not wait for its end."""
        flight.submitted = True
        self._ready.begun(flight.cell)
        self.progress.set()

    def done(self, cell: str, run: OpenRun) -> None:
        """Note that nothing of `cell` is left to do in `run`."""
        run.left.discard(cell)
        self._ready.done(cell)
        self.progress.set()

    async def wait(self) -> None:
        """Wait until something has changed, after what is known by now."""
        self.progress.clear()
        await self.progress.wait()

    def cancel_flights(self) -> None:
        """Cancel the tasks of all cells in flight."""
        for flight in self.flights.values():
            if flight.task is not None:
                flight.task.cancel()

    def replaced(self, plan: Plan) -> list[str]:
        """Return the waiting cells that `plan` runs, or that do not run any more."""
        planned, works = set(plan.cells), self._program.works
        return [cell for cell in self.pending if cell in planned or not works(cell)]

    def unfounded(self, plan: Plan, changed: Collection[str]) -> list[str]:
        """Return the waiting cells that are `changed`, or that read from stale ones which do not run."""
        states, graph = self._notebook.cells, self._program.graph
        left = {cell for cell in self.pending if cell not in changed}
        runs = left.union(plan.cells)
        outdated = {*plan.stale, *changed}

        def is_unfounded(cell: str) -> bool:
            parents = graph.parents(cell) - runs
            return any(parent in outdated or states[parent].stale for parent in parents)

        while wrong := {cell for cell in left if is_unfounded(cell)}:
            left -= wrong
            runs -= wrong
        return [cell for cell in self.pending if cell not in left]
