"""The cells of a notebook file: percent scripts, `.ipynb` and marimo's `.py`.

`load` reads a file and returns its code cells in order. It never imports or runs the file. Which of
the two `.py` forms a file has is seen in its text: marimo's has `app = marimo.App(` and cells that are
functions; any other is a percent script, cut at its `# %%` lines. Markdown and raw cells are left out,
since the kernel has no use for them. A cell's id comes from its title, function name or `.ipynb` id,
so it stays when other cells come and go; one without any is named by its position.

A cell that does not parse is that cell's error, found by the kernel, which still runs the others. Only
what leaves no cell at all (no such file, no text, no notebook) is a `NotebookFileError`.
"""

import ast
import io
import itertools
import json
import os
import re
import textwrap
import tokenize
from typing import Any, Literal, NamedTuple

import msgspec

from ...protocol.errors import NotebookFileError
from ...protocol.messages import Cell

Format = Literal["percent", "ipynb", "marimo"]


class NotebookFile(msgspec.Struct, frozen=True):
    """What a notebook file holds."""

    path: str
    format: Format
    #: Code cells in notebook order; ids are unique.
    cells: list[Cell]
    #: Titles as written, by cell id; cells without one are not in it.
    titles: dict[str, str] = {}
    #: Cells that the file itself says are not to be run.
    disabled: list[str] = []


class _Found(NamedTuple):
    """A cell before it has its id."""

    source: str
    title: str = ""
    #: A valid id that the file gives; empty for none.
    id: str = ""
    disabled: bool = False


def load(path: str | os.PathLike[str]) -> NotebookFile:
    """Return the cells of the notebook file at `path`.

    Raises: NotebookFileError if it is missing, a directory, unreadable, or no notebook.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise NotebookFileError(f"{name}: {error.strerror}") from error
    form: Format
    if suffix == ".ipynb":
        form, found = "ipynb", _ipynb_cells(name, _decode(name, data, "utf-8-sig"))
    elif suffix == ".py":
        text = _decode(name, data, _declared_encoding(name, data))
        marimo = _marimo_module(name, text)
        if marimo is not None:
            form, found = "marimo", _marimo_cells(marimo, text)
        else:
            form, found = "percent", _percent_cells(name, text)
    else:
        raise NotebookFileError(f"{name}: not a notebook file; one ends with .py or .ipynb")
    return _numbered(name, form, found)


def _numbered(name: str, form: Format, found: list[_Found]) -> NotebookFile:
    """Return the notebook with an id for each cell; a repeated one gets a number."""
    cells: list[Cell] = []
    titles: dict[str, str] = {}
    disabled: list[str] = []
    used: set[str] = set()
    for position, cell in enumerate(found, 1):
        wanted = cell.id or _slug(cell.title) or f"cell-{position}"
        cell_id, copy = wanted, 1
        while cell_id in used:
            copy += 1
            cell_id = f"{wanted}-{copy}"
        used.add(cell_id)
        cells.append(Cell(cell_id, cell.source))
        if cell.title:
            titles[cell_id] = cell.title
        if cell.disabled:
            disabled.append(cell_id)
    return NotebookFile(name, form, cells, titles, disabled)


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-_")[:48].rstrip("-")


def _declared_encoding(name: str, data: bytes) -> str:
    """Return the encoding that a BOM or a PEP 263 comment declares."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise NotebookFileError(f"{name}: {error.msg}") from error


def _decode(name: str, data: bytes, encoding: str) -> str:
    """Return the text with `\\n` as its only line end."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotebookFileError(f"{name}: not {encoding} text: {error.reason}") from error
    if "\0" in text:
        raise NotebookFileError(f"{name}: not a text file: it contains null bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# Percent scripts

_MARKER = re.compile(r"#\s*%%+(?P<rest>$|[\s\[].*)")
_KIND = re.compile(r"\[(code|markdown|md|raw)\]")
_OPTION = re.compile(r"(?:^|\s+)[\w.-]+=(?:\"[^\"]*\"|'[^']*'|\S+)")


def _percent_cells(name: str, text: str) -> list[_Found]:
    """Return the cells of a percent script; without `# %%` lines the whole file is one."""
    lines = text.split("\n")
    markers = _marker_lines(text, lines)
    found: list[_Found] = []
    preamble = _trimmed(lines[: markers[0]] if markers else lines)
    if not markers:
        _require_parsable(name, preamble)
    if preamble and (not markers or _has_code(preamble)):
        found.append(_Found(preamble))
    for start, end in itertools.pairwise([*markers, len(lines)]):
        match = _MARKER.match(lines[start])
        rest = "" if match is None else match["rest"]
        kind = _KIND.search(rest)
        source = _trimmed(lines[start + 1 : end])
        if source and (kind is None or kind[1] == "code"):
            found.append(_Found(source, _OPTION.sub("", _KIND.sub("", rest)).strip()))
    return found


def _marker_lines(text: str, lines: list[str]) -> list[int]:
    """Return the indices of the `# %%` lines, without those inside of strings."""
    rows = [index for index, line in enumerate(lines) if _MARKER.match(line)]
    try:
        comments = {
            token.start[0] - 1
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }
    except (tokenize.TokenError, SyntaxError):
        # A cell is broken, so nobody can tell what is a string: go by the lines.
        return rows
    return [row for row in rows if row in comments]


def _trimmed(lines: list[str]) -> str:
    """Return the lines without the blank ones around them."""
    return "\n".join(lines).strip("\n").rstrip()


def _has_code(source: str) -> bool:
    """Whether there is more than comments and a docstring."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return True
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    return bool(body)


def _require_parsable(name: str, source: str) -> None:
    """Raise NotebookFileError if a file that is all one cell does not parse: nothing could run."""
    try:
        compile(source, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        raise NotebookFileError(f"{name}: line {error.lineno}: {error.msg}") from error


# Jupyter notebooks


def _ipynb_cells(name: str, text: str) -> list[_Found]:
    """Return the code cells of a Jupyter notebook, of format 3 or 4."""
    try:
        document: Any = json.loads(text)
        language = document.get("metadata", {}).get("language_info", {}).get("name", "python")
        cells: list[Any] = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        found: list[_Found] = []
        for cell in cells:
            source: str | list[str] = cell.get("source", cell.get("input", ""))
            source = _trimmed((source if isinstance(source, str) else "".join(source)).split("\n"))
            if cell["cell_type"] == "code" and source:
                cell_id = str(cell.get("id", ""))
                valid = re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id)
                found.append(_Found(source, id=cell_id if valid else ""))
    except json.JSONDecodeError as error:
        raise NotebookFileError(f"{name}: line {error.lineno}: not JSON: {error.msg}") from error
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise NotebookFileError(f"{name}: JSON, but not a Jupyter notebook") from error
    if language not in ("python", "ipython"):
        raise NotebookFileError(f"{name}: a notebook for {language}; cellwire runs Python")
    return found


# marimo


def _marimo_module(name: str, text: str) -> ast.Module | None:
    """Return the module if the text is a marimo notebook, None if it is a percent script."""
    if not re.search(r"^app = marimo\.App\(", text, re.M) or not re.search(r"\bapp\.(cell|setup|_unp)", text):
        return None
    try:
        module = ast.parse(text, name)
    except SyntaxError as error:
        if re.search(r"^# %%", text, re.M):
            return None
        raise NotebookFileError(f"{name}: line {error.lineno}: {error.msg}") from error
    made = any(
        isinstance(s, ast.Assign) and ast.unparse(s).startswith("app = marimo.App(") for s in module.body
    )
    return module if made else None


def _marimo_cells(module: ast.Module, text: str) -> list[_Found]:
    """Return the cells of a marimo notebook: functions, setup block, and those marimo could not parse."""
    lines = text.split("\n")
    found: list[_Found] = []
    for node in module.body:
        match node:
            case ast.With(items=[ast.withitem(context_expr=setup)]) if _app_name(setup) == "setup":
                found.append(_Found(_block(node.lineno, node.body, lines), "setup"))
            case ast.Expr(value=ast.Call(args=[ast.Constant(value=str(source)), *_]) as call) if (
                _app_name(call) == "_unparsable_cell"
            ):
                title = str(_keyword(call, "name") or "")
                found.append(_Found(textwrap.dedent(source).strip(), title.strip("_") and title))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    kind = _app_name(decorator)
                    disabled = _keyword(decorator, "disabled") is True
                    if kind == "cell":
                        title = node.name if node.name.strip("_") else ""
                        source = _block(node.lineno, node.body, lines)
                        if source:
                            found.append(_Found(source, title, disabled=disabled))
                    elif kind in ("function", "class_definition"):
                        source = _trimmed(lines[_last(decorator) : _last(node)])
                        found.append(_Found(source, node.name, disabled=disabled))
            case _:
                pass
    return found


def _app_name(node: ast.expr) -> str:
    """Return `cell` for `app.cell` and for `app.cell(...)`; empty for anything else."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "app":
        return node.attr
    return ""


def _keyword(node: ast.expr, name: str) -> object:
    """Return the constant given for the keyword `name` of a call; None if there is none."""
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
    return None


def _last(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def _block(header: int, body: list[ast.stmt], lines: list[str]) -> str:
    """Return a block's source, moved to the left, without the `return` that marimo puts at its end.

    `header` is the number of the line that the block's `def` or `with` is in.
    """
    returns = isinstance(body[-1], ast.Return)
    kept = body[:-1] if returns else body
    rest = "\n".join(lines[header - 1 :])
    for token in tokenize.generate_tokens(io.StringIO(rest).readline):
        if token.type == tokenize.NEWLINE:
            header += token.start[0] - 1
            break
    if body[0].lineno <= header:
        # The whole block is in the line of its header.
        return "; ".join(ast.get_source_segment("\n".join(lines), statement) or "" for statement in kept)
    end = body[-1].lineno - 1 if returns else _last(body[-1])
    indent = " " * body[0].col_offset
    while not returns and end < len(lines) and lines[end].startswith(indent):
        # Comments at the end belong to no statement.
        end += 1
    return _trimmed([line.removeprefix(indent) for line in lines[header:end]])
