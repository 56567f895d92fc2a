"""Which cells run elsewhere: each names a variable, and the value of the variable says where.

The variable counts as one more name that the cell reads. So the cell runs after the one that defines the
variable, runs again when that is edited, and does not run if that failed.
"""

import msgspec

from ..analysis.analysis import Analysis
from ..analysis.compiler import CompiledCell


class Placement:
    """The variables that the cells of a notebook run on."""

    def __init__(self) -> None:
        #: The variable of each cell that does not run here.
        self.on: dict[str, str] = {}
        # The names of each of these cells without that variable.
        self._analyses: dict[str, Analysis] = {}

    def set(self, cell: str, on: str) -> None:
        """Make `cell` run on the variable `on`, or here if that is empty."""
        if on:
            self.on[cell] = on
        else:
            self.on.pop(cell, None)

    def enter(self, cell: str, compiled: CompiledCell | None) -> CompiledCell | None:
        """Return `compiled`, the new code of `cell`, as code that also reads the variable that it runs on."""
        self._analyses.pop(cell, None)
        if compiled is None or cell not in self.on:
            return compiled
        analysis = self._analyses[cell] = compiled.analysis
        on = frozenset([self.on[cell]])
        if on <= analysis.defs:
            analysis = msgspec.structs.replace(analysis, rereads=analysis.rereads | on, import_only=False)
        else:
            read = {"refs": analysis.refs | on, "immediate": analysis.immediate | on}
            analysis = msgspec.structs.replace(analysis, **read, import_only=False)
        return msgspec.structs.replace(compiled, analysis=analysis)

    def own_analysis(self, cell: str) -> Analysis:
        """Return the names in the code of `cell` itself, which compiles and runs elsewhere."""
        return self._analyses[cell]
