"""Structural errors: what is wrong with a cell before anything runs, and what to type instead.

Only the texts; `program.py` finds the errors. Each text names a few cells and counts the others, so that the
errors of a thousand cells that share one are short.
"""

from collections.abc import Sequence

from ...protocol.notebook import CellError
from ..analysis.analysis import AnalysisError

#: Cells and names that one error spells out.
_MOST = 5


def invalid_source(error: AnalysisError) -> CellError:
    """Return the error of a cell that does not compile."""
    where = f" (line {error.line})" if error.line else ""
    return CellError(
        error.kind,
        f"{error.message}{where}",
        traceback=error.excerpt,
        hint=error.hint or "",
        line=error.line,
        column=error.offset,
        end_line=error.end_line,
        end_column=error.end_offset,
    )


def multiple_definitions(conflicts: dict[str, list[str]]) -> CellError:
    """Return the error of a cell that defines names of other cells; `conflicts` maps a name to these."""
    names = sorted(conflicts)
    parts = [f"{name!r} is also defined by {_cells(conflicts[name])}" for name in names[:_MOST]]
    if len(names) > _MOST:
        parts.append(f"so are {len(names) - _MOST} more names")
    cells = dict.fromkeys(cell for name in names[:_MOST] for cell in conflicts[name][:_MOST])
    return CellError(
        "MultipleDefinitions",
        "; ".join(parts),
        hint=f"define each name in one cell: rename it here, make it private (_{names[0]}), "
        f"or delete the other definition of {_list(names)}",
        cells=list(cells),
    )


def cycle(path: Sequence[tuple[str, str]]) -> CellError:
    """Return the error of a cell on a cycle of (a cell, the name that the next one reads from it), …"""
    steps = [f"{cell!r} defines {name!r}, read by" for cell, name in path[:_MOST]]
    if len(path) > _MOST:
        steps.append(f"{path[_MOST][0]!r}, and so on over {len(path) - _MOST} more cells, read by")
    return CellError(
        "Cycle",
        f"{' '.join(steps)} {path[0][0]!r}",
        hint="break the cycle: merge these cells or rename one of the names "
        + _list(sorted({name for _, name in path[: _MOST + 1]})),
        cells=[cell for cell, _ in path[: 2 * _MOST]],
    )


def _cells(cells: Sequence[str]) -> str:
    return f"cell {cells[0]!r}" if len(cells) == 1 else "cells " + _list([repr(cell) for cell in cells])


def _list(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST} more" if len(words) > _MOST else ""
    return ", ".join(words[:_MOST]) + more
