"""What the last run of each cell left behind, and the events that go out when it is removed.

Changes of the program are applied here, which removes everything of deleted and changed cells; the scheduler
starts cells here, or skips them. Everything that a run of a cell leaves (names, outputs, threads, which are
asked to end) is removed before the next run, never at its own end: until then it can be inspected.
"""

import contextvars
from collections.abc import Callable, Collection, Iterable

from ...protocol import events
from ...protocol.limits import Limits
from ...protocol.notebook import CellError, Status
from ..analysis.compiler import cell_filename
from ..attribution.context import Execution, current_execution
from ..dataflow.disabled import Disabled
from ..dataflow.program import Change, Program
from ..output.output_list import OutputList
from ..output.reports import report
from . import cell_errors
from .embedded import NOT_EMBEDDED, Embedded
from .interrupts import Interrupts
from .namespace import Namespace
from .recorder import Recorder
from .sources import forget_source, remember_source
from .state_updates import PendingUpdates


class CellLifecycle:
    """The cells between their declaration and their deletion."""

    def __init__(
        self,
        recorder: Recorder,
        program: Program,
        namespace: Namespace,
        disabled: Disabled,
        updates: PendingUpdates,
        limits: Limits,
        interrupts: Interrupts,
        embedded: Embedded = NOT_EMBEDDED,
    ) -> None:
        self._recorder = recorder
        self._notebook = recorder.notebook
        self._program = program
        self._namespace = namespace
        self._disabled = disabled
        self._updates = updates
        self.limits = limits
        self._interrupts = interrupts
        #: Returns the value of a name that is elsewhere; None while no cell has run elsewhere.
        self.fetch: Callable[[str], object] | None = None
        #: Called with each cell that is removed; None while no cell has run elsewhere.
        self.on_forget: Callable[[str], object] | None = None
        self._embedding = embedded.embedding
        self._executions: dict[str, Execution] = {}
        # Stale cells for which frontends have a reason why they do not run.
        self._explained: set[str] = set()

    def start(
        self,
        cell: str,
        run: int,
        only: Collection[str] | None = None,
        take: Callable[[], object] | None = None,
    ) -> Execution:
        """Remove what the cell left, and return its new execution.

        `only` and `take` are for `Namespace.enter`.
        """
        code = self._program.compiled[cell]
        # A name with one value for all cells has it from the cell that ran last, as in any interpreter.
        keep = code.analysis.rereads if self._program.redefine == "live" else frozenset[str]()
        self._forget(cell, keep)
        self._namespace.enter(cell, code, only, take)
        self._updates.cell_started(cell)
        remember_source(code.filename, code.source)
        outputs = OutputList(self._recorder.emitter, cell, run, self.limits)
        execution = Execution(cell, run, outputs, self._embedding)
        execution.fetch = self.fetch
        if cell in self._program.about:
            execution.about = self._program.about[cell]
        self._executions[cell] = execution
        return execution

    def clear(self, cell: str) -> None:
        """Remove what the cell left, some time before it starts."""
        live = self._program.redefine == "live"
        self._forget(cell, self._program.compiled[cell].analysis.rereads if live else frozenset())

    def skip(self, cell: str, run: int, status: Status, error: CellError | None) -> None:
        """Remove what the cell left, and emit that it does not run."""
        self._forget(cell)
        if self._notebook.cells[cell].stale:
            self._recorder.emit(events.CellsMarked([cell], stale=False))
        self._recorder.emit(events.CellSkipped(cell, run, status, error))

    def mark_stale(self, cells: Iterable[str]) -> None:
        """Mark `cells` stale, and emit why they do not run if that is known."""
        reasons: dict[tuple[events.StaleReason, tuple[str, ...]], list[str]] = {}
        for cell in cells:
            state = self._notebook.cells[cell]
            reason, because = self._why_stale(cell)
            if not state.stale or (state.stale_reason, state.stale_because) != (reason, list(because)):
                reasons.setdefault((reason, because), []).append(cell)
        for (reason, because), marked in reasons.items():
            if reason:
                self._explained.update(marked)
            else:
                self._explained.difference_update(marked)
            self._recorder.emit(events.CellsMarked(marked, True, reason, list(because)))

    def update_reasons(self) -> None:
        """Emit why cells that are already stale do not run, where that has changed."""
        known = {*self._disabled.inactive(), *self._explained}
        if known:
            cells = self._notebook.cells
            self._explained.intersection_update(cells)
            self.mark_stale(cell for cell in known if cell in cells and cells[cell].stale)

    def apply_change(self, run: int, change: Change, requested: Iterable[str] = ()) -> list[str]:
        """Update namespace and replicas after `change`, and return the cells whose error it reports.

        The errors of `requested` cells are reported again even if they are not new.
        """
        if change.deleted or change.declared or change.order is not None:
            for cell in change.deleted:
                if change.kept:
                    self._namespace.disown(cell)
                self._forget(cell)
                self._updates.forget(cell)
                forget_source(cell_filename(cell))
            for declared in change.declared:
                self._namespace.keep_only(declared.id, frozenset(declared.defs))
            self._namespace.prune(change.names)
            self._disabled.graph_changed(change.deleted)
            if change.deleted:
                self._recorder.emit(events.CellsDeleted(change.deleted))
            if change.declared or change.order is not None:
                self._recorder.emit(events.GraphChanged(change.declared, change.order))
            self.update_reasons()
        failed = self.report_errors(run, [*requested, *change.broken])
        for cell in change.healed:
            self.skip(cell, run, "idle", None)
        return failed

    def report_errors(self, run: int, cells: Iterable[str]) -> list[str]:
        """Emit the structural errors of `cells`, and return those that have one."""
        failed = [cell for cell in dict.fromkeys(cells) if cell in self._program.errors]
        for cell in failed:
            self.skip(cell, run, "error", self._program.errors[cell])
        return failed

    def retire(self) -> None:
        """End everything that the last runs of the cells left running; names and outputs stay."""
        for execution in self._executions.values():
            _retire(execution)

    def _why_stale(self, cell: str) -> tuple[events.StaleReason, tuple[str, ...]]:
        disabled = self._disabled.cause(cell)
        if disabled is not None:
            return "disabled", (disabled,)
        graph = self._program.graph
        if graph.redefine == "live" and cell in graph:
            contested = tuple(sorted({name for name in graph.reads(cell) if graph.is_contested(name)}))
            if contested:
                return "contested", contested
        return "", ()

    def _call_retiring(self, execution: Execution) -> None:
        """Call what the cell gave to `cw.on_retire`; what that prints belongs to no cell."""
        retiring, execution.on_retire = execution.on_retire or [], None
        context = contextvars.copy_context()
        context.run(current_execution.set, None)
        while retiring:
            try:
                self._interrupts.subject = execution
                context.run(retiring.pop())
                self._interrupts.subject = None
            except BaseException as error:
                self._interrupts.subject = None
                what = f"cellwire: a callback that cell {execution.cell!r} gave to cw.on_retire raised\n"
                context.run(report, what, error)

    def _forget(self, cell: str, keep: frozenset[str] = frozenset()) -> None:
        """Remove everything that the last run of `cell` left."""
        execution = self._executions.pop(cell, None)
        if execution is not None:
            if execution.on_retire:
                self._call_retiring(execution)
            _retire(execution)
        self._namespace.unbind(cell, keep)
        if self.on_forget is not None:
            self.on_forget(cell)


def _retire(execution: Execution) -> None:
    execution.retire()
    if cell_errors.last is execution:
        cell_errors.forget_last()
