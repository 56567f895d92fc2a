"""Faults of structure: what is wrong with a cell before anything runs, and what to type instead.

The texts only; `program.py` finds the faults.
"""

from collections.abc import Sequence

from ...protocol.notebook import CellError
from ..analysis.analysis import AnalysisError


def invalid_source(error: AnalysisError) -> CellError:
    """Return what to say about a cell that does not compile."""
    where = f" (line {error.line})" if error.line else ""
    return CellError(error.kind, f"{error.message}{where}", hint=error.hint or "")


def multiple_definitions(conflicts: dict[str, list[str]]) -> CellError:
    """Return what to say about a cell that defines names which other cells define: name to those cells."""
    parts = [f"{name!r} is also defined by {_cells(cells)}" for name, cells in sorted(conflicts.items())]
    names = ", ".join(sorted(conflicts))
    return CellError(
        "MultipleDefinitions",
        "; ".join(parts),
        hint=f"define each name in one cell: rename it here, make it private (_{sorted(conflicts)[0]}), "
        f"or delete the other definition of {names}",
        cells=list(dict.fromkeys(cell for cells in conflicts.values() for cell in cells)),
    )


def cycle(path: Sequence[tuple[str, str]]) -> CellError:
    """Return what to say about a cell on a cycle: (a cell, the name that the next one reads from it), …"""
    steps = [f"{cell!r} defines {name!r}, read by" for cell, name in path]
    return CellError(
        "Cycle",
        f"{' '.join(steps)} {path[0][0]!r}",
        hint="break the cycle: merge these cells or rename one of the names "
        + ", ".join(sorted({name for _, name in path})),
        cells=[cell for cell, _ in path],
    )


def _cells(cells: Sequence[str]) -> str:
    return f"cell {cells[0]!r}" if len(cells) == 1 else "cells " + ", ".join(map(repr, cells))
