"""What a request means before any cell runs: what it changes, what is then to run, and what is in its way."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...protocol import events, messages
from ...protocol.messages import Cell
from ..dataflow.disabled import Disabled
from ..dataflow.plan import Plan, Planner
from .lifecycle import CellLifecycle
from .recorder import Recorder


class Touched(NamedTuple):
    """What a request touches."""

    #: Cells that are to be declared anew, or deleted.
    changed: set[str]
    #: These, those that are asked for, and what depends on either.
    cells: set[str]


class Preparation:
    """Makes the changes that requests ask for."""

    def __init__(
        self, recorder: Recorder, lifecycle: CellLifecycle, planner: Planner, disabled: Disabled
    ) -> None:
        self._recorder = recorder
        self._notebook = recorder.notebook
        self._lifecycle = lifecycle
        self._planner = planner
        self._program = planner.program
        self._disabled = disabled

    def touched(self, request: messages.Run) -> Touched:
        """Return what `request` touches, as far as that is certain before the program changes.

        What depends on imports is left out: an import that is added changes nothing for their readers.
        """
        changed: set[str] = set()
        asked: set[str] = set()
        match request:
            case messages.RunCells(cells=cells):
                changed = self._changed(cells)
                asked = {cell.id for cell in cells}
            case messages.SyncCells(cells=cells):
                changed = self._changed(cells)
            case messages.DeleteCells(cells=ids):
                changed = set(ids)
            case _:
                pass
        found: set[str] = set()
        todo = [*changed, *asked]
        while todo:
            cell = todo.pop()
            if cell not in found:
                found.add(cell)
                code = self._program.compiled.get(cell)
                if code is not None and not code.analysis.import_only and self._program.works(cell):
                    todo += self._program.graph.children(cell)
        return Touched(changed, found)

    def _changed(self, cells: Iterable[Cell]) -> set[str]:
        states = self._notebook.cells
        return {
            cell.id
            for cell in cells
            if cell.id in states
            and (cell.source, cell.loose, cell.on)
            != (states[cell.id].source, states[cell.id].loose, states[cell.id].on)
        }

    def prepare(self, run: int, request: messages.Run) -> tuple[Plan, list[str]]:
        """Make the changes that `request` asks for; return what is to be run, and the cells with an error."""
        planner, program, lifecycle = self._planner, self._program, self._lifecycle
        match request:
            case messages.RunCells(cells=cells):
                requested = list(dict.fromkeys(cell.id for cell in cells))
                change = program.declare(cells)
                failed = lifecycle.apply_change(run, change, requested)
                return planner.run(run, requested, change), failed
            case messages.SyncCells(cells=cells):
                change = program.declare(cells)
                failed = lifecycle.apply_change(run, change)
                return planner.no_run(run, change), failed
            case messages.DeleteCells(cells=ids, keep=True):
                change = program.delete(ids, keep=True)
                failed = lifecycle.apply_change(run, change)
                return planner.no_run(run, change), failed
            case messages.DeleteCells(cells=ids):
                # Cells that did not run because one of these was disabled have nothing to wait for any more.
                waiting = planner.stale_below(
                    id for id in ids if id in program and self._notebook.cells[id].disabled
                )
                change = program.delete(ids)
                failed = lifecycle.apply_change(run, change)
                return planner.run(run, [cell for cell in waiting if cell in program], change), failed
            case messages.RunStale():
                stale = [cell for cell in self._notebook.order if self._notebook.cells[cell].stale]
                failed = lifecycle.report_errors(run, stale)
                return planner.run(run, stale), failed
            case messages.ConfigureCells(cells=ids, disabled=disabled):
                return self._configure(run, [cell for cell in ids if cell in program], disabled), []
            case messages.SetMode(mode=mode):
                if mode != self._notebook.mode:
                    self._recorder.emit(events.ModeChanged(mode))
                return Plan(run), []

    def _configure(self, run: int, cells: Sequence[str], disabled: bool) -> Plan:
        changed = self._disabled.change(cells, disabled)
        if changed:
            self._recorder.emit(events.CellsConfigured(changed, disabled))
            self._lifecycle.update_reasons()
        autorun = self._notebook.mode == "autorun" and not disabled
        return self._planner.run(run, self._planner.stale_below(changed) if autorun else ())
