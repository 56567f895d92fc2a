"""The errors of cells: those that failed, stopped or were interrupted, or did not run because of another one.

An exception that a cell raised becomes both a `CellError` and an output item, so that partial results and the
error are shown together. A missing name is explained by what the program and the notebook know about the
cells that should define it. Only the last exception, with its traceback and frames, is kept, for debuggers. A
user's exception class that raises while it is described does no further harm. Structural errors are in
`dataflow/structural_errors.py`.
"""

import builtins
import linecache
import re
import sys
from collections.abc import Iterable, Sequence
from traceback import TracebackException
from typing import Any

import msgspec

from ...protocol.mime_types import ERROR_MIME
from ...protocol.notebook import CellError, CellState, Notebook
from ..analysis.names import is_mangled, unmangle
from ..attribution.context import Execution
from ..dataflow.program import Program
from ..output.reports import is_own, name_of_class, without_own_frames
from .namespace import Namespace

#: How many characters of a message or traceback are kept: half from its start, half from its end.
_LONGEST = 64 * 1024
#: The module of exceptions about the wrong use of a magic, for which a traceback is of no use.
_MISUSE = "IPython.core.error"
#: How many names are compared for a suggestion, and how many letters may differ in all.
_MOST_CANDIDATES = 750
_MOST_EDITS = 2

#: The execution whose error debuggers find.
last: Execution | None = None


def raised(
    error: BaseException, filename: str, explanation: str = "", cells: Sequence[str] = ()
) -> CellError:
    """Return the error for an exception that left the cell whose code has this file name.

    `explanation` (with the `cells` that it names) adds what the exception itself does not say.
    """
    kind = name_of_class(type(error))
    message = unmangle(_message(error)) + _suggestion(error)
    text = f"{kind}: {message}"
    line = column = end_line = end_column = 0
    try:
        report = TracebackException.from_exception(error, compact=True)
        line, column, end_line, end_column = _position(report, filename)
        without_own_frames(report)
        # Without the suggestion of newer Pythons, which do not know about private names.
        report._str = message  # pyright: ignore[reportAttributeAccessIssue]
        text = unmangle("".join(report.format()))
        module = type(error).__module__
        if module == _MISUSE:
            text = f"{kind}: {message}\n"
        elif type(module) is str and module.startswith("cellwire."):
            text = text.replace(f"{module}.{kind}", kind)
    except BaseException as failure:
        text += f"\n(its traceback could not be shown: {name_of_class(type(failure))})\n"
    if explanation:
        message = f"{message}: {explanation}"
        text = f"{text.rstrip()}: {explanation}\n"
    return CellError(
        kind,
        _bounded(message),
        traceback=_bounded(text),
        cells=list(cells),
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
    )


def keep_last(error: BaseException, execution: Execution) -> None:
    """Keep `error` where debuggers find it, as the interactive interpreter does: `pdb.pm()` shows its frames.

    It is kept until another cell raises, or this one runs again or is deleted.
    """
    global last
    trace = error.__traceback__
    while trace is not None and is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    error.__traceback__ = trace
    last = execution
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.last_exc = error  # pyright: ignore[reportAttributeAccessIssue]


def forget_last() -> None:
    """Drop what `keep_last` kept."""
    global last
    last = None
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def interrupted(error: BaseException | None, filename: str) -> CellError:
    """Return the error of a cell that was interrupted while it ran; `filename` is that of its code."""
    if error is None:
        return CellError("Interrupted", "interrupted while it ran")
    described = raised(error, filename)
    return CellError(
        "Interrupted",
        "interrupted while it ran",
        traceback=described.traceback,
        line=described.line,
        column=described.column,
        end_line=described.end_line,
        end_column=described.end_column,
    )


def error_item(error: CellError, cell: str = "", file: str = "") -> dict[str, Any]:
    """Return the mime bundle that shows `error` among the outputs of its cell.

    `cell` and `file` say whose error it is if it is shown in another one, which embeds that notebook.
    """
    described: dict[str, Any] = {"kind": error.kind, "message": error.message, "traceback": error.traceback}
    if error.hint:
        described["hint"] = error.hint
    if error.cells:
        described["cells"] = list(error.cells)
    if error.line:
        position = {"line": error.line, "column": error.column}
        described.update(position, end_line=error.end_line, end_column=error.end_column)
    if file:
        described.update(cell=cell, file=file)
    plain = error.traceback or f"{error.kind}: {error.message}"
    return {"text/plain": plain, ERROR_MIME: described}


def cancelled(cause: CellState) -> CellError:
    """Return the error of a cell that does not run because of `cause`, which it depends on."""
    outcomes = {"error": "failed", "stopped": "stopped", "interrupted": "was interrupted"}
    why = outcomes.get(cause.status, "did not run")
    detail = f" ({cause.error.kind})" if cause.status == "error" and cause.error else ""
    return CellError("Cancelled", f"not run because cell {cause.id!r} {why}{detail}", cells=[cause.id])


def cause_of(cell: CellState) -> str:
    """Return the cell that caused the failure of `cell`: itself, unless it was cancelled."""
    named = cell.error.cells if cell.status == "cancelled" and cell.error else []
    return named[0] if named else cell.id


def never_ran() -> CellError:
    """Return the error of a cell whose turn had not come when the run was interrupted."""
    return CellError("Cancelled", "interrupted before it ran")


def explanation(
    namespace: Namespace, program: Program, notebook: Notebook, error: BaseException, cell: str
) -> tuple[str, list[str]]:
    """Return why a name was missing, if `error` is about one, and the cells that the text names."""
    name = missing_name(error, namespace.globals)
    return explain_missing(name, cell, namespace, program, notebook) if name else ("", [])


def missing_name(error: BaseException, globals: dict[str, Any]) -> str:
    """Return the name that code with these `globals` did not find, if `error` is about one; else empty."""
    if (
        not isinstance(error, NameError)
        or isinstance(error, UnboundLocalError)
        or type(error.name) is not str
    ):
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # Otherwise it is a library's own mistake.
    return error.name if trace is not None and trace.tb_frame.f_globals is globals else ""


def explain_missing(
    name: str, cell: str, namespace: Namespace, program: Program, notebook: Notebook
) -> tuple[str, list[str]]:
    """Return why `name` is missing in `cell`, and the cells that the text names."""
    value = namespace.elsewhere.get(name)
    if value is not None and cell in program.graph and program.graph.binding(cell, name) == value.cell:
        return (
            f"cell {value.cell!r} defines it, and its value is on {value.where}: it is fetched for a cell "
            f"whose code names it; elsewhere cw.fetch({name!r}) returns it",
            [value.cell],
        )
    if is_mangled(name):
        return _missing_private_name(unmangle(name), cell, program)
    return _missing_name(name, cell, program, notebook)


def with_explanation(error: CellError, explanation: str, cells: Sequence[str]) -> CellError:
    """Return `error` of a cell that ran elsewhere with an explanation that only the notebook can give."""
    text = f"{error.traceback.rstrip()}: {explanation}\n"
    message = _bounded(f"{error.message}: {explanation}")
    return msgspec.structs.replace(error, message=message, traceback=_bounded(text), cells=list(cells))


def _missing_private_name(name: str, cell: str, program: Program) -> tuple[str, list[str]]:
    others = [
        other for other, code in program.compiled.items() if other != cell and name in code.analysis.privates
    ]
    if not others:
        return (
            "names that begin with an underscore are private to their cell, and this one does not define it",
            [],
        )
    return (
        f"names that begin with an underscore are private to their cell, and it is one of cell {others[0]!r}",
        [others[0]],
    )


def _missing_name(name: str, cell: str, program: Program, notebook: Notebook) -> tuple[str, list[str]]:
    graph = program.graph
    maker = graph.binding(cell, name) if cell in graph else None
    if maker is not None and name in program.compiled[maker].analysis.deleted:
        definers = [other for other in graph.makers_above(maker, name) if other != maker]
        if definers:
            return f"cell {definers[-1]!r} defines it, but cell {maker!r} deletes it", [definers[-1], maker]
        return f"cell {maker!r} deletes it", [maker]
    definers = [other for other in program.definers.all(name) if other != cell]
    if not definers:
        if cell in program.definers.all(name):
            return f"cell {cell!r} defines it, but only after reading it", []
        broken = _rejected_definer(name, program, notebook)
        if broken is not None:
            return f"cell {broken!r} should define it, but {why_missing(notebook.cells[broken])}", [broken]
        return _lost_name(name, program, notebook)
    definer = maker or definers[0]
    if cell in graph and name in program.sequence.hidden(cell):
        return (
            f"cell {definer!r} defines it, but comes after this cell, whose functions read it; move it above",
            [definer],
        )
    if maker is None and program.works(definer):
        return f"cell {definer!r} defines it, but comes after this cell", [definer]
    return f"cell {definer!r} should define it, but {why_missing(notebook.cells[definer])}", [definer]


def _rejected_definer(name: str, program: Program, notebook: Notebook) -> str | None:
    """Return a cell that does not compile and whose text seems to define `name`."""
    binding = re.compile(
        rf"^[ \t]*(?:[\w, *]|(?<!\w)\()*\b{name}\b[^=(<>!\n]*=(?!=)"  # a target of an assignment
        rf"|\b(?:def|class|as|for)[ \t]+{name}\b|\bimport\b[^#\n]*\b{name}\b",
        re.M,
    )
    for cell, error in program.errors.items():
        if error.kind == "SyntaxError" and binding.search(notebook.cells[cell].source):
            return cell
    return None


def _lost_name(name: str, program: Program, notebook: Notebook) -> tuple[str, list[str]]:
    """Return what happened to the last cell that defined `name`."""
    definer = program.definers.last(name)
    if definer is None:
        return "", []
    state = notebook.cells.get(definer)
    if state is None:
        return f"cell {definer!r}, which defined it, has been deleted", [definer]
    if definer in program.errors:
        return f"cell {definer!r} defined it, but {why_missing(state)}", [definer]
    return f"cell {definer!r} no longer defines it", [definer]


def why_missing(cell: CellState) -> str:
    """Return why the names that `cell` defines may be missing."""
    error = cell.error
    if error is not None and error.kind == "SyntaxError":
        return f"it has a syntax error: {error.message}"
    if error is not None and error.kind in ("ImportStar", "MultipleDefinitions", "Cycle"):
        return f"it cannot run: {error.message}"
    if cell.disabled:
        return "it is disabled"
    if cell.status == "error":
        return f"it failed ({error.kind})" if error else "it failed"
    if cell.status == "stopped":
        return "it stopped before defining it"
    if cell.status == "cancelled":
        return f"it was cancelled: {error.message}" if error else "it was cancelled"
    if cell.status == "interrupted":
        return "it was interrupted"
    if cell.status == "running":
        return "it has not ended yet"
    if cell.status in ("idle", "queued") or not cell.run:
        return "it has not been run yet"
    return "did not when it ran"


def _position(report: TracebackException, filename: str) -> tuple[int, int, int, int]:
    """Return where in the cell the exception was raised: line, column, end line, end column, all from 1.

    0 for what is unknown.
    """
    for frame in reversed(report.stack):
        if frame.filename == filename:
            line = frame.lineno or 0
            end_line = frame.end_lineno or 0
            return (
                line,
                _column(filename, line, frame.colno),
                end_line,
                _column(filename, end_line, frame.end_colno),
            )
    # A SyntaxError of the cell's own text, as `eval` raises it; no other report has a file name.
    if getattr(report, "filename", None) == filename:
        return (
            int(report.lineno or 0),
            report.offset or 0,
            int(report.end_lineno or 0),
            report.end_offset or 0,
        )
    return 0, 0, 0, 0


def _column(filename: str, line: int, offset: int | None) -> int:
    """Return the column, from 1, at `offset` bytes in a line of the cell; 0 if it is unknown."""
    if not line or offset is None:
        return 0
    return len(linecache.getline(filename, line).encode()[:offset].decode(errors="replace")) + 1


def _suggestion(error: BaseException) -> str:
    """Return the name that was probably meant, as a sentence of Python's own tracebacks; empty if none."""
    try:
        if isinstance(error, NameError) and error.name and error.__traceback__ is not None:
            trace = error.__traceback__
            while trace.tb_next is not None:
                trace = trace.tb_next
            frame = trace.tb_frame
            candidates: Iterable[Any] = [*frame.f_locals, *frame.f_globals, *vars(builtins)]
            wrong = error.name
        elif isinstance(error, AttributeError) and error.name and error.obj is not None:
            candidates, wrong = dir(error.obj), error.name
        else:
            return ""
        if is_mangled(wrong):
            return ""
        names = [name for name in candidates if isinstance(name, str) and not is_mangled(name)]
        closest = _closest(wrong, names) if len(names) <= _MOST_CANDIDATES else None
    except BaseException:
        return ""  # the object that lacks the attribute has a `__dir__` of its own
    return f". Did you mean: '{closest}'?" if closest else ""


def _closest(wrong: str, names: Iterable[str]) -> str | None:
    best, fewest = None, min(_MOST_EDITS, len(wrong) // 3) + 1
    for name in names:
        if name != wrong and abs(len(name) - len(wrong)) < fewest:
            edits = _edits(wrong, name)
            if edits < fewest:
                best, fewest = name, edits
    return best


def _edits(one: str, other: str) -> int:
    """Return how many letters have to be inserted, removed or replaced to turn `one` into `other`."""
    row = list(range(len(other) + 1))
    for count, letter in enumerate(one, 1):
        diagonal, row[0] = row[0], count
        for index, there in enumerate(other, 1):
            diagonal, row[index] = (
                row[index],
                min(row[index] + 1, row[index - 1] + 1, diagonal + (letter.lower() != there.lower())),
            )
    return row[-1]


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "<its str() raised>"


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
