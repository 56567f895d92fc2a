"""Corrects the program by what a cell turns out to bind when it has run.

A star import, a script or `exec` binds names that the source does not show for certain. A cell may also
change the language of the cells after it. The program is corrected when such a cell ends. Readers that ran
before that are collected here, and the engine runs them at the end of the run.
"""

import sys

from ..analysis.star_imports import names_of_module
from ..attribution.context import Execution
from ..dataflow.program import Change, Program
from .lifecycle import CellLifecycle
from .namespace import Namespace
from .recorder import Recorder


class Corrections:
    """Corrects the program after cells that have ended."""

    def __init__(
        self, recorder: Recorder, lifecycle: CellLifecycle, program: Program, namespace: Namespace
    ) -> None:
        self._recorder = recorder
        self._lifecycle = lifecycle
        self._program = program
        self._namespace = namespace
        self._version = 0
        #: Cells whose names turned out to come from another cell, until `take`.
        self.rebound: set[str] = set()

    def after(self, execution: Execution) -> list[str]:
        """Correct the program after a cell has ended, and return the cells that now have an error."""
        analysis = self._program.compiled[execution.cell].analysis
        failed: list[str] = []
        if analysis.is_open or (analysis.stars and execution.status == "ok"):
            failed = self._correct_names(execution)
        if self._program.language.version != self._version:
            self._version = self._program.language.version
            failed += self._take_over(execution.run, self._program.recompile())
        return failed

    def take(self) -> set[str]:
        """Return `rebound` and empty it."""
        rebound, self.rebound = self.rebound, set()
        return rebound

    def _correct_names(self, execution: Execution) -> list[str]:
        """Make a cell define what it bound, if its source said something else or not enough."""
        cell, language = execution.cell, self._program.language
        analysis = self._program.compiled[cell].analysis
        found = set(analysis.defs - analysis.starred)
        before = self._namespace.observed(cell) if analysis.is_open else {}
        found.update(filter(language.tracks, before))
        for module in map(sys.modules.get, analysis.stars):
            try:
                if module is not None:
                    found.update(filter(language.tracks, names_of_module(module)))
                elif not analysis.is_open:
                    return []
            except BaseException:
                return []  # a module with an `__all__` or attributes of its own kind
        defs = frozenset(found)
        if defs == analysis.defs:
            return []
        self._namespace.claim(cell, defs, before)
        return self._take_over(execution.run, self._program.correct(cell, defs))

    def _take_over(self, run: int, change: Change) -> list[str]:
        states = self._recorder.notebook.cells
        failed = self._lifecycle.apply_change(run, change)
        # Cells that are yet to run will find the corrected bindings anyway.
        rebound = [cell for cell in change.rebound if states[cell].status != "queued"]
        self.rebound.update(rebound, change.healed)
        return failed
