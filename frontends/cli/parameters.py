"""Parameters of a notebook: which names can be given from outside, and the notebook with given values.

If a cell has the tag `parameters`, the names it defines can be given, and a cell after it sets them, as with
papermill. Otherwise any name that a cell defines can be given: in notebook order, its first definition gets
the given value in place of its own, and the cells that depend on it use that.
"""

import ast
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any, Final, NamedTuple, cast

from msgspec.structs import replace

from ...protocol.errors import NotebookFileError
from ...protocol.messages import Cell
from ...protocol.notebook import Redefine
from ..notebook_files.load import NotebookFile, Part

TAG: Final = "parameters"
INJECTED: Final = "injected-parameters"
_PARSE = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
#: Lines that only IPython understands.
_IPYTHON = re.compile(r"^(\s*)[%!].*$", re.M)
#: Nodes that bind names in a scope of their own.
_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


class Text(str):
    """A value as written on the command line: a Python literal, or else text."""


class Parameter(NamedTuple):
    """A name that can be given, and its first definition."""

    name: str
    cell: str
    #: What follows the name's `:` and its `=`; empty if it has none.
    annotation: str = ""
    value: str = ""
    comment: str = ""

    @property
    def is_literal(self) -> bool:
        """Whether the value is a literal, known without running anything."""
        return _literal(self.value) is not _NOTHING

    @property
    def is_text(self) -> bool:
        """Whether it is declared as text, or its value is text."""
        return self.annotation == "str" or (not self.annotation and isinstance(_literal(self.value), str))

    @property
    def is_bool(self) -> bool:
        """Whether it is declared as a bool, or its value is one."""
        return self.annotation == "bool" or (not self.annotation and isinstance(_literal(self.value), bool))


_NOTHING = object()


def parameters_of(notebook: NotebookFile) -> dict[str, Parameter]:
    """Return the parameters by name, in the order of the notebook."""
    tagged = _tagged(notebook, TAG)
    found: dict[str, Parameter] = {}
    for cell in notebook.cells:
        if tagged is not None and cell.id != tagged.id:
            continue
        for name, statement in _bindings(cell.source):
            if name not in found and not name.startswith("_"):
                found[name] = _described(name, cell, statement)
    return found


def with_parameters(notebook: NotebookFile, given: Mapping[str, Any], redefine: Redefine) -> NotebookFile:
    """Return the notebook in which the names have the given values.

    Raises: NotebookFileError if a name cannot be given; the message lists those that can.
    """
    known = parameters_of(notebook)
    for name in given:
        if name not in known:
            raise NotebookFileError(f"{notebook.path}: {_unknown(name, known)}")
    values = {name: _source_of(value, known[name]) for name, value in given.items()}
    tagged = _tagged(notebook, TAG)
    if tagged is not None and redefine == "allow":
        return _with_injected(notebook, tagged, values)
    changed: dict[str, str] = {}
    for name, value in values.items():
        cell = known[name].cell
        source = changed.get(cell) or next(c.source for c in notebook.cells if c.id == cell)
        changed[cell] = _replaced(source, name, value)
    cells = [replace(cell, source=changed.get(cell.id, cell.source)) for cell in notebook.cells]
    parts = [
        replace(part, source=changed[part.id]) if part.id in changed and part.kind == "code" else part
        for part in notebook.parts
    ]
    return replace(notebook, cells=cells, parts=parts)


def described(notebook: NotebookFile) -> str:
    """Return the text of `--help-notebook`."""
    known = parameters_of(notebook)
    tagged = _tagged(notebook, TAG) is not None
    shown = [p for p in known.values() if tagged or p.is_literal]
    lines = [f"Parameters of {notebook.path}:" if shown else f"{notebook.path} has no parameters."]
    for parameter in shown:
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        kind = "" if annotation or not parameter.is_literal else f" ({_kind(parameter.value)})"
        value = f" = {parameter.value}" if parameter.value else ""
        lines.append(
            f"  {parameter.name}{annotation}{value}{kind}"
            + (f"  # {parameter.comment}" if parameter.comment else "")
        )
    others = [name for name in known if known[name] not in shown]
    if others:
        lines.append(f"Other names that can be given: {', '.join(others)}")
    return "\n".join(lines) + "\n"


def _tagged(notebook: NotebookFile, tag: str) -> Part | None:
    return next((part for part in notebook.parts if tag in part.tags and part.kind == "code"), None)


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    names = ", ".join(known) or "none"
    return f"{name!r} is not a parameter{meant}; these can be given: {names}"


# Values


def _literal(source: str) -> object:
    try:
        return ast.literal_eval(source) if source else _NOTHING
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _NOTHING


def _kind(source: str) -> str:
    return type(_literal(source)).__name__


def _source_of(value: object, parameter: Parameter) -> str:
    """Return the Python source of a value that was given for `parameter`."""
    if isinstance(value, Text):
        read = _literal(value.strip().capitalize() if parameter.is_bool else value.strip())
        if read is _NOTHING or (parameter.is_text and not isinstance(read, str)):
            return repr(str(value))
        value = read
    return _source(value)


def _source(value: object) -> str:
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return "{" + ", ".join(f"{_source(key)}: {_source(part)}" for key, part in items) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, cast('list[object]', value)))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, date | time):
        return repr(value.isoformat())
    return repr(value)


# Definitions


def _bindings(source: str) -> Iterator[tuple[str, ast.stmt]]:
    """Yield each name that the source binds at its top level, with the whole statement that does it."""
    try:
        body = _parsed(source)
    except (SyntaxError, ValueError):
        try:
            body = _parsed(_IPYTHON.sub(r"\1pass", source))
        except (SyntaxError, ValueError):
            return
    for statement in body:
        for name in _names(statement):
            yield name, statement


def _parsed(source: str) -> list[ast.stmt]:
    return cast("ast.Module", compile(source, "<cell>", "exec", _PARSE, dont_inherit=True)).body


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            if name != "*":
                yield asname or name.partition(".")[0]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case _:
            pass
    if isinstance(node, _SCOPES):
        return
    for child in ast.iter_child_nodes(node):
        yield from _names(child)


def _described(name: str, cell: Cell, statement: ast.stmt) -> Parameter:
    value = _own_value(statement, name)
    if value is None:
        return Parameter(name, cell.id)
    lines = cell.source.split("\n")
    match = re.search(r"#\s*(.*)", _behind(lines, value))
    comment = match[1].strip() if match else ""
    annotation = ast.unparse(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""
    typed = re.match(r"type:\s*([\w\[\], .|]+?)\s*(?:#\s*|$)", comment)
    if typed and not annotation:  # as in papermill
        annotation, comment = typed[1], comment[typed.end() :]
    return Parameter(name, cell.id, annotation, " ".join(ast.unparse(value).split("\n")), comment)


def _own_value(statement: ast.stmt, name: str) -> ast.expr | None:
    """Return the value of an assignment to `name` alone; None if the statement is something else."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
            return value
        case _:
            return None


def _behind(lines: list[str], node: ast.expr) -> str:
    """Return the text after a value on its last line."""
    last = lines[(node.end_lineno or 1) - 1]
    return last.encode()[node.end_col_offset or 0 :].decode()


def _replaced(source: str, name: str, value: str) -> str:
    """Return the source with another value in the first definition of `name`; line numbers stay."""
    statement = next(statement for bound, statement in _bindings(source) if bound == name)
    lines = source.split("\n")
    last = (statement.end_lineno or 1) - 1
    own = _own_value(statement, name)
    if own is None:
        # Another statement binds it, perhaps with other names: let that run, and then set the name.
        return "\n".join([*lines[: last + 1], f"{name} = {value}", *lines[last + 1 :]])
    first, end = own.lineno - 1, (own.end_lineno or 1) - 1
    before = lines[first].encode()[: own.col_offset].decode()
    inside = [f"{before}{value}{_behind(lines, own)}", *[""] * (end - first)]
    return "\n".join([*lines[:first], *inside, *lines[end + 1 :]])


def _with_injected(notebook: NotebookFile, tagged: Part, values: Mapping[str, str]) -> NotebookFile:
    """Return the notebook with a cell after `tagged` that sets the values, replacing an injected one."""
    gone = {part.id for part in notebook.parts if INJECTED in part.tags}
    parts = [part for part in notebook.parts if part.id not in gone]
    used = {part.id for part in parts}
    id = INJECTED
    while id in used:
        id += "-"
    source = "# Parameters\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
    injected = Part(id, "code", source, {"tags": [INJECTED]})
    parts.insert(parts.index(tagged) + 1, injected)
    sources = {cell.id: cell for cell in notebook.cells} | {id: Cell(id, source)}
    cells = [sources[part.id] for part in parts if part.id in sources]
    return replace(notebook, parts=parts, cells=cells)
