"""The turn of a cell, as everything but the scheduler sees it: it begins or is skipped, and it ends."""

import contextvars
from collections.abc import Iterable

from ..attribution.context import Execution
from ..dataflow.program import Program
from . import cell_errors as errors
from .corrections import Corrections
from .executor import Executor
from .hidden_task import HiddenTask
from .lifecycle import CellLifecycle
from .namespace import Namespace
from .overlap import names_needed
from .recorder import Recorder

_BAD_ENDS = frozenset({"error", "stopped", "cancelled", "interrupted"})


class CellTurns:
    """The turns of single cells."""

    def __init__(
        self,
        recorder: Recorder,
        lifecycle: CellLifecycle,
        program: Program,
        namespace: Namespace,
        corrections: Corrections,
        executor: Executor,
        context: contextvars.Context,
    ) -> None:
        self._notebook = recorder.notebook
        self._lifecycle = lifecycle
        self._program = program
        self._namespace = namespace
        self._corrections = corrections
        self._executor = executor
        self._context = context
        #: What hides the calling task from cells; None before there is a loop.
        self.hidden: HiddenTask | None = None
        #: Cells that have started and not ended.
        self.in_flight: set[str] = set()
        #: Whether cells run elsewhere, so that the order of their ends is not the notebook's.
        self.anywhere = False
        #: The cells of each run that failed, until they are taken.
        self.failed: dict[int, list[str]] = {}
        #: Cells that were interrupted and are not marked stale yet.
        self.interrupted: list[str] = []

    def run(self, cell: str, run: int) -> None:
        """Run a cell that does not await, unless it is cancelled."""
        if not self.cancelled(cell, run):
            execution = self.start(cell, run)
            assert self.hidden is not None
            with self.hidden:
                self._context.run(self._executor.run, execution, self._program.compiled[cell])
            self.ended(execution)

    def start(self, cell: str, run: int) -> Execution:
        """Begin with a cell, and return its execution."""
        # What cells in flight need stays as it is; what this one needs is the same, or it would have waited.
        # Beside cells elsewhere the order is not the notebook's, and no version is put aside for that.
        only = names_needed(self._program, cell) if self.in_flight or self.anywhere else None
        self.in_flight.add(cell)
        return self._lifecycle.start(cell, run, only)

    def cancelled(self, cell: str, run: int) -> bool:
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
        self._lifecycle.skip(cell, run, "cancelled", errors.cancelled(states[cause]))
        return True

    def ended(self, execution: Execution) -> None:
        """Draw the conclusions from how a cell has ended."""
        cell = execution.cell
        self.in_flight.discard(cell)
        known = cell in self._program.compiled
        if known and self._program.compiled[cell].analysis.maybe_defs:
            self._namespace.leave(cell)
        if execution.status == "interrupted":
            self.interrupted.append(cell)
        elif execution.status == "error":
            self.failed.setdefault(execution.run, []).append(cell)
        if not known:
            return  # the language has changed, and with it what the cell is
        if execution.status != "ok" and self._program.compiled[cell].analysis.import_only:
            self._outdate_readers(cell)
        if not execution.where:
            wrong = self._corrections.after(execution)
            if wrong:
                self.failed.setdefault(execution.run, []).extend(wrong)

    def take_failed(self, run: int, order: list[str]) -> list[str]:
        """Return the cells of `run` that failed, in the order of its plan, and forget them."""
        if run not in self.failed:
            return []
        place = {cell: index for index, cell in enumerate(order)}
        return sorted(self.failed.pop(run), key=lambda cell: place.get(cell, 0))

    def drop(self, cells: Iterable[str], run: int) -> None:
        """Skip cells whose turn will not come; they and the interrupted ones are stale."""
        states = self._notebook.cells
        dropped = [cell for cell in cells if cell in states]
        for cell in dropped:
            self._lifecycle.skip(cell, run, "cancelled", errors.never_ran())
        self.mark_stale(dropped)

    def mark_stale(self, dropped: Iterable[str] = ()) -> None:
        """Mark the interrupted cells stale, and those that were `dropped`."""
        if stale := [*self.interrupted, *dropped]:
            self.interrupted = []
            self._lifecycle.mark_stale(cell for cell in stale if cell in self._notebook.cells)

    def _outdate_readers(self, cell: str) -> None:
        """Mark stale what depends on imports that failed; it does not follow a run of theirs otherwise."""
        self._lifecycle.mark_stale(
            child
            for child in self._program.graph.children(cell)
            if self._notebook.cells[child].status not in ("queued", "running")
        )
