"""Which cells of an embedded notebook run when it is embedded again, and the order in which all are shown."""

from ...protocol.notebook import CellState
from ..dataflow.program import Program
from ..engine import Engine


def in_order(program: Program) -> list[str]:
    """Return the cells in the order in which they run; those that cannot run follow the cell above them."""
    works = [cell for cell in program.graph.order if program.works(cell)]
    behind: dict[str, list[str]] = {}
    above = ""
    for cell in program.graph.order:
        if program.works(cell):
            above = cell
        else:
            behind.setdefault(above, []).append(cell)
    running = ["", *program.sequence.topological(works)]
    return [each for cell in running for each in (cell, *behind.get(cell, ())) if each]


def is_wrong(cell: CellState) -> bool:
    """Return whether a cell cannot run."""
    return cell.status == "error" and not cell.started


def to_run(engine: Engine) -> list[str]:
    """Return the cells that are stale, and those that failed, which may succeed now, in notebook order."""
    notebook = engine.notebook
    return [cell for cell in notebook.order if _has_to_run(notebook.cells[cell])]


def _has_to_run(cell: CellState) -> bool:
    return cell.stale or (cell.status in ("error", "interrupted") and not is_wrong(cell))
