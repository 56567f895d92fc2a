"""Which cells run elsewhere: each names a variable, and the value of that says where.

The name counts as one more that the cell reads before it runs. So the cell follows the one that defines
the variable, runs again when that is edited, and does not run if that has failed.
"""

import msgspec

from ..analysis.analysis import Analysis
from ..analysis.compiler import CompiledCell


class Placement:
    """The variables that cells of a notebook run on."""

    def __init__(self) -> None:
        #: The variable for each cell that does not run here.
        self.on: dict[str, str] = {}
        # What the code itself of each of these does with names.
        self._analyses: dict[str, Analysis] = {}

    def set(self, cell: str, on: str) -> None:
        """Let `cell` run on the variable `on`; here if that is empty."""
        if on:
            self.on[cell] = on
        else:
            self.on.pop(cell, None)

    def enter(self, cell: str, compiled: CompiledCell | None) -> CompiledCell | None:
        """Return `compiled`, the new code of `cell`, as code that also reads where it runs."""
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
        """Return what the code of `cell`, which runs elsewhere and compiles, does with names."""
        return self._analyses[cell]
