"""What is said of a cell that has not ended well, or has not run because of another one.

An exception that a cell raised becomes a `CellError` and an output item too, so that partial results
and the error stand together; a missing name is explained by what the program and the notebook know of
the cells that would define it. Nothing here keeps an exception, a traceback or a frame. Faults of
structure are in `faults.py`.
"""

import os
import traceback
from collections.abc import Sequence
from typing import Any

from ...protocol.mime_types import ERROR_MIME
from ...protocol.notebook import CellError, CellState, Notebook
from ..analysis.names import unmangle
from ..dataflow.program import Program

#: Characters of a message or traceback that are kept: half from its start, half from its end.
_LONGEST = 64 * 1024
_OWN_CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def raised(error: BaseException, explanation: str = "", cells: Sequence[str] = ()) -> CellError:
    """Return what to say about an exception that left a cell.

    `explanation` (with the `cells` that it names) says more than the exception could know.
    """
    report = traceback.TracebackException.from_exception(error, compact=True)
    _without_own_frames(report)
    message = unmangle(_message(error))
    text = unmangle("".join(report.format()))
    if explanation:
        message = f"{message}: {explanation}"
        text = f"{text.rstrip()}: {explanation}\n"
    kind = type(error).__name__
    return CellError(kind, _bounded(message), traceback=_bounded(text), cells=list(cells))


def interrupted(error: BaseException | None) -> CellError:
    """Return what to say about a cell that was interrupted while it ran."""
    text = raised(error).traceback if error is not None else ""
    return CellError("Interrupted", "interrupted while it ran", traceback=text)


def error_item(error: CellError) -> dict[str, Any]:
    """Return the mime bundle that shows `error` among the outputs of its cell."""
    described: dict[str, Any] = {"kind": error.kind, "message": error.message, "traceback": error.traceback}
    if error.hint:
        described["hint"] = error.hint
    if error.cells:
        described["cells"] = list(error.cells)
    plain = error.traceback or f"{error.kind}: {error.message}"
    return {"text/plain": plain, ERROR_MIME: described}


def cancelled(cause: CellState) -> CellError:
    """Return what to say about a cell that does not run because of `cause`, which it depends on."""
    outcomes = {"error": "failed", "stopped": "stopped", "interrupted": "was interrupted"}
    why = outcomes.get(cause.status, "did not run")
    detail = f" ({cause.error.kind})" if cause.status == "error" and cause.error else ""
    return CellError("Cancelled", f"not run because cell {cause.id!r} {why}{detail}", cells=[cause.id])


def never_ran() -> CellError:
    """Return what to say about a cell whose turn had not come when the run was interrupted."""
    return CellError("Cancelled", "interrupted before it ran")


def explanation(
    globals: dict[str, Any], program: Program, notebook: Notebook, error: BaseException, cell: str
) -> tuple[str, list[str]]:
    """Return why a name was missing, if that is what `error` says, and the cells that this names."""
    if not isinstance(error, NameError) or isinstance(error, UnboundLocalError) or not error.name:
        return "", []
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals is not globals:
        return "", []  # a library's own mistake
    return _missing_name(error.name, cell, program, notebook)


def _missing_name(name: str, cell: str, program: Program, notebook: Notebook) -> tuple[str, list[str]]:
    definers = [other for other in program.claimants(name) if other != cell]
    if not definers:
        if cell in program.claimants(name):
            return f"cell {cell!r} defines it, but only after it has read it", []
        return _lost_name(name, program, notebook)
    definer = definers[0]
    for other in sorted(program.deleters(name)):
        if other != cell and notebook.cells[other].run and notebook.cells[other].status != "idle":
            return f"cell {definer!r} defines it, but cell {other!r} has deleted it", [definer, other]
    return f"cell {definer!r} would define it, but {_state(notebook.cells[definer])}", [definer]


def _lost_name(name: str, program: Program, notebook: Notebook) -> tuple[str, list[str]]:
    """Return what became of the cell that defined `name` last."""
    definer = program.last_definer(name)
    if definer is None:
        return "", []
    state = notebook.cells.get(definer)
    if state is None:
        return f"cell {definer!r}, which defined it, has been deleted", [definer]
    if definer in program.faults:
        return f"cell {definer!r} defined it, but {_state(state)}", [definer]
    return f"cell {definer!r} defines it no longer", [definer]


def _state(cell: CellState) -> str:
    """Return why names that `cell` defines may be missing."""
    error = cell.error
    if error is not None and error.kind in ("SyntaxError", "ImportStar"):
        return f"it has a syntax error: {error.message}"
    if error is not None and error.kind in ("MultipleDefinitions", "Cycle"):
        return f"it cannot run: {error.message}"
    if cell.disabled:
        return "it is disabled"
    if cell.status == "error":
        return f"it failed ({error.kind})" if error else "it failed"
    if cell.status == "stopped":
        return "it stopped before"
    if cell.status == "cancelled":
        return f"it was cancelled: {error.message}" if error else "it was cancelled"
    if cell.status == "interrupted":
        return "it was interrupted"
    if cell.status in ("idle", "queued") or not cell.run:
        return "it has not been run yet"
    return "it has not done so when it ran"


def _without_own_frames(report: traceback.TracebackException) -> None:
    """Remove cellwire's own frames from `report` and from the exceptions that led to it."""
    todo: list[traceback.TracebackException | None] = [report]
    while todo:
        part = todo.pop()
        if part is not None:
            part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_OWN_CODE)]
            todo += (part.__cause__, part.__context__, *(part.exceptions or ()))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its str() raised>"


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
