"""Where cells come and go: what the last run of each has left behind, and what is said when that goes.

Changes of the program arrive here and leave nothing of deleted and changed cells; the conductor begins
cells here, or skips them. Everything a run of a cell leaves (names, outputs, threads that are told to
end) is removed before the next run, never at its end: until then it is there to be looked at.
"""

import linecache
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...protocol import events
from ...protocol.notebook import CellError, Notebook, Status
from ..attribution.context import Execution
from ..dataflow.disabled import Disabled
from ..dataflow.program import Change, Program
from ..output.output_list import OutputList
from .namespace import Namespace
from .state_updates import StateChanges


class Stage:
    """The cells as they are between being declared and being deleted."""

    def __init__(
        self,
        program: Program,
        namespace: Namespace,
        notebook: Notebook,
        disabled: Disabled,
        changes: StateChanges,
        emit: Callable[[Any], None],
        flush: Callable[[], None],
        new_outputs: Callable[[str, int], OutputList],
    ) -> None:
        self._program = program
        self._namespace = namespace
        self._notebook = notebook
        self._disabled = disabled
        self._changes = changes
        self._emit = emit
        #: Lets what was said be heard.
        self.flush = flush
        self._new_outputs = new_outputs
        self._executions: dict[str, Execution] = {}

    def begin(self, cell: str, run: int) -> Execution:
        """Remove what the cell has left and return its new execution."""
        code = self._program.compiled[cell]
        # A cell that reads a name before it defines it again reads what another cell has defined.
        keep = code.analysis.rereads if self._program.redefine == "allow" else frozenset[str]()
        self._forget(cell, keep)
        if self._program.redefine == "allow":
            self._program.bind(cell, self._namespace.owners)
            self._disabled.graph_changed()
        self._namespace.bind(cell, code)
        self._changes.begin(cell)
        lines = self._notebook.cells[cell].source.splitlines(keepends=True)
        linecache.cache[code.filename] = (len(lines), None, lines, code.filename)
        execution = Execution(cell, run, self._new_outputs(cell, run))
        self._executions[cell] = execution
        return execution

    def skip(self, cell: str, run: int, status: Status, error: CellError | None) -> None:
        """Remove what the cell has left, and say that it does not run."""
        self._forget(cell)
        if self._notebook.cells[cell].stale:
            self._emit(events.CellsMarked([cell], stale=False))
        self._emit(events.CellSkipped(cell, run, status, error))

    def mark_stale(self, cells: Iterable[str]) -> None:
        """Say that cells are stale, those that are not yet."""
        fresh = [cell for cell in cells if not self._notebook.cells[cell].stale]
        if fresh:
            self._emit(events.CellsMarked(fresh))

    def take_over(self, run: int, change: Change, failed: list[str], requested: Sequence[str] = ()) -> Change:
        """Bring namespace and replicas up to date after `change`, and tell its faults."""
        for cell in change.deleted:
            self._forget(cell)
            self._changes.forget(cell)
        for declared in change.declared:
            self._namespace.keep_only(declared.id, frozenset(declared.defs))
        self._disabled.graph_changed(change.deleted)
        if change.deleted:
            self._emit(events.CellsDeleted(change.deleted))
        if change.declared or change.order is not None:
            self._emit(events.GraphChanged(change.declared, change.order))
        self.tell_faults(run, [*requested, *change.broken], failed)
        for cell in change.healed:
            self.skip(cell, run, "idle", None)
        return change

    def tell_faults(self, run: int, cells: Iterable[str], failed: list[str]) -> None:
        """Say what is wrong with those of `cells` that have a fault, and add them to `failed`."""
        for cell in dict.fromkeys(cells):
            if cell in self._program.faults:
                self.skip(cell, run, "error", self._program.faults[cell])
                failed.append(cell)

    def _forget(self, cell: str, keep: frozenset[str] = frozenset()) -> None:
        """Remove all that the last run of `cell` has left behind."""
        execution = self._executions.pop(cell, None)
        if execution is not None:
            execution.retire()
        self._namespace.unbind(cell, keep)
