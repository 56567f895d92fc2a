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
    lost = _makers_of_lost_names(engine)
    return [cell for cell in notebook.order if cell in lost or _has_to_run(notebook.cells[cell])]


def _has_to_run(cell: CellState) -> bool:
    return cell.stale or (cell.status in ("error", "interrupted") and not is_wrong(cell))


def _makers_of_lost_names(engine: Engine) -> set[str]:
    """Return cells that succeeded, but whose version of a name was dropped when no cell needed it.

    The end of the notebook may need it once the cell that made the next version is gone.
    """
    program, states = engine.program, engine.notebook.cells
    found: set[str] = set()
    for name in {name for state in states.values() for name in state.defs} - engine.globals.keys():
        well = [cell for cell in program.graph.makers(name) if states[cell].status == "ok"]
        analysis = program.compiled[well[-1]].analysis if well else None
        if analysis is not None and name in analysis.defs - analysis.maybe_defs:
            found.add(well[-1])
    return found
