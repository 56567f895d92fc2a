"""marimo's notebooks: Python modules whose cells are functions and blocks of an app."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from typing import Any

from ...protocol.errors import NotebookFileError
from .raw_cell import RawCell, first_line, trimmed


def parse(name: str, text: str) -> ast.Module | None:
    """Return the module if the text is a marimo notebook, None if it is another script.

    Raises: NotebookFileError if it is a marimo notebook and does not parse.
    """
    if not re.search(r"^app = marimo\.App\(", text, re.M) or not re.search(r"\bapp\.(cell|setup|_unp)", text):
        return None
    try:
        module = ast.parse(text, name)
    except SyntaxError as error:
        if re.search(r"^# %%", text, re.M):
            return None
        raise NotebookFileError(f"{name}: line {error.lineno}: {error.msg}") from None
    made = any(
        isinstance(s, ast.Assign) and ast.unparse(s).startswith("app = marimo.App(") for s in module.body
    )
    return module if made else None


def read(module: ast.Module, text: str) -> list[RawCell]:
    """Return the cells of a marimo notebook, in the order of the file.

    These are its functions and classes, the setup block, and the cells that marimo could not parse.
    """
    lines = text.split("\n")
    cells: list[RawCell] = []
    for node in module.body:
        match node:
            case ast.With(items=[ast.withitem(context_expr=setup)]) if _app_name(setup) == "setup":
                source, line = _block(node.lineno, node.body, lines)
                cells.append(RawCell(source, "setup", line=line))
            case ast.Expr(value=ast.Call(args=[ast.Constant(value=str(source)) as constant, *_]) as call) if (
                _app_name(call) == "_unparsable_cell"
            ):
                title = str(_keyword(call, "name") or "")
                as_written = (constant.end_lineno or 0) - constant.lineno == source.count("\n")
                line = constant.lineno + len(source) - len(source.lstrip("\n")) if as_written else 0
                cells.append(RawCell(textwrap.dedent(source).strip(), title.strip("_") and title, line=line))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    kind = _app_name(decorator)
                    disabled = _keyword(decorator, "disabled") is True
                    if kind == "cell":
                        title = node.name if node.name.strip("_") else ""
                        source, line = _block(node.lineno, node.body, lines)
                        if source:
                            cells.append(
                                RawCell(
                                    source,
                                    title,
                                    disabled=disabled,
                                    line=line,
                                    metadata=_metadata(decorator),
                                    markdown=_markdown(source),
                                )
                            )
                    elif kind in ("function", "class_definition"):
                        start = _last(decorator)
                        source, line = trimmed(lines[start : _last(node)]), first_line(lines, start)
                        cells.append(RawCell(source, node.name, disabled=disabled, line=line))
            case _:
                pass
    return cells


def _app_name(node: ast.expr) -> str:
    """Return `cell` for `app.cell` and for `app.cell(...)`; empty for anything else."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "app":
        return node.attr
    return ""


def _keyword(node: ast.expr, name: str) -> object:
    """Return the constant that a call gives for the keyword `name`; None if it gives none."""
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
    return None


def _metadata(decorator: ast.expr) -> dict[str, Any]:
    """Return the options of the cell's decorator, in the terms of Jupyter's format."""
    return {"jupyter": {"source_hidden": True}} if _keyword(decorator, "hide_code") is True else {}


def _markdown(source: str) -> str:
    """Return the text of a cell that is nothing but `mo.md("text")`."""
    if not source.startswith("mo.md("):
        return ""
    try:
        [statement] = ast.parse(source).body
    except (SyntaxError, ValueError):
        return ""
    match statement:
        case ast.Expr(value=ast.Call(args=[ast.Constant(value=str(text))], keywords=[])):
            return inspect.cleandoc(text)
        case _:
            return ""


def _last(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def _block(header: int, body: list[ast.stmt], lines: list[str]) -> tuple[str, int]:
    """Return a block's source, dedented, without the `return` that marimo puts at its end, and its line.

    `header` is the number of the line with the block's `def` or `with`.
    """
    returns = isinstance(body[-1], ast.Return)
    kept = body[:-1] if returns else body
    rest = "\n".join(lines[header - 1 :])
    for token in tokenize.generate_tokens(io.StringIO(rest).readline):
        if token.type == tokenize.NEWLINE:
            header += token.start[0] - 1
            break
    if body[0].lineno <= header:
        # The whole block is on one line with its header.
        text = "\n".join(lines)
        return "; ".join(ast.get_source_segment(text, statement) or "" for statement in kept), header
    end = body[-1].lineno - 1 if returns else _last(body[-1])
    indent = " " * body[0].col_offset
    while not returns and end < len(lines) and lines[end].startswith(indent):
        # Comments at the end belong to no statement.
        end += 1
    inside = [line.removeprefix(indent) for line in lines[header:end]]
    return trimmed(inside), header + first_line(inside, 0)
