"""From the source of a cell to code that runs beside that of all others in one namespace.

One parse serves the analysis and the code. A cell has two parts: the body, and the trailing expression
that is the cell's value, evaluated with `eval` after it. Either gives a coroutine if it awaits.

Names of the cell's own (private ones, and those of `except ... as name`) are renamed in the tree
wherever they mean the module level, and there alone: not as parameters, locals, attributes or keywords.
Functions and classes keep the name that was written, in `__name__` and in tracebacks.
"""

import __future__

import ast
import re
from functools import reduce
from operator import or_
from types import CodeType
from typing import Any

import msgspec

from .analysis import Analysis, conclude, examine, generate, is_async, is_import_only, parse
from .names import is_mangled, mangle, unmangle
from .scopes import Use

#: Compiler flags that `from __future__ import ...` sets.
_FUTURE_FLAGS = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_TEXT_ANNOTATIONS = __future__.annotations.compiler_flag


class CompiledCell(msgspec.Struct, frozen=True):
    """The code of a cell."""

    cell: str
    filename: str
    analysis: Analysis
    #: Everything but the trailing expression; None if that is all there is.
    body: CodeType | None
    #: The trailing expression; None if there is none, or it ends with a semicolon.
    value: CodeType | None
    #: The globals under which its private names are kept.
    private_globals: frozenset[str] = frozenset()

    @property
    def body_is_async(self) -> bool:
        """Whether evaluating the body gives a coroutine."""
        return is_async(self.body)

    @property
    def value_is_async(self) -> bool:
        """Whether evaluating the value gives a coroutine."""
        return is_async(self.value)


def cell_filename(cell: str) -> str:
    """Return the file name under which tracebacks show the code of `cell`."""
    return f"<cell {cell if cell.isprintable() else ascii(cell)[1:-1]}>"


def compile_cell(source: str, cell: str, filename: str = "") -> CompiledCell:
    """Return the code of `source` as the cell `cell`.

    Raises: AnalysisError if Python rejects it, or if it has a star import.
    """
    filename = filename or cell_filename(cell)
    tree = parse(source, filename)
    found = examine(tree)
    imports_only = is_import_only(tree)
    statements = tree.body
    has_value = bool(statements) and not _ends_with_semicolon(source, statements[-1])
    own = found.own or found.own_or_class
    if own:
        _rename(found.own, cell)
        if found.own_or_class:
            tree = ast.fix_missing_locations(_ClassReads(found.own_or_class, cell).visit(tree))
            statements = tree.body
    trailing = None
    if has_value and isinstance(last := statements[-1], ast.Expr):
        trailing = ast.Expression(last.value)
        del statements[-1]
    if statements and _is_text(statements[0]):
        # A docstring would be bound to `__doc__`, which all cells share.
        del statements[0]
    body = generate(tree, filename, "exec") if statements else None
    future = body.co_flags & _FUTURE_FLAGS if body else 0
    value = generate(trailing, filename, "eval", future) if trailing else None
    analysis = conclude(found, imports_only, is_async(body) or is_async(value))
    if not own:
        return CompiledCell(cell, filename, analysis, body, value)
    return CompiledCell(
        cell,
        filename,
        analysis,
        body and _with_written_names(body, bool(future & _TEXT_ANNOTATIONS)),
        value and _with_written_names(value, bool(future & _TEXT_ANNOTATIONS)),
        frozenset([mangle(use.name, cell) for use in (*found.own, *found.own_or_class)]),
    )


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _ends_with_semicolon(source: str, last: ast.stmt) -> bool:
    """Return whether a semicolon follows `last`, the last statement of `source`."""
    if ";" not in source:
        return False
    assert last.end_lineno is not None
    # Behind the last statement stand only semicolons, continued lines and comments.
    lines = re.split("\r\n|\r|\n", source)[last.end_lineno - 1 :]
    lines[0] = lines[0].encode()[last.end_col_offset :].decode()
    return ";" in "\n".join(lines).partition("#")[0]


def _rename(uses: list[Use], cell: str) -> None:
    """Write the names of the cell's own in its tree as the globals that they are kept under."""
    for use in uses:
        node: Any = use.node
        name = mangle(use.name, cell)
        if isinstance(node, ast.Name):
            node.id = name
        elif isinstance(node, ast.alias):
            node.asname = name
        elif isinstance(node, ast.Import):
            node.names = [part for alias in node.names for part in _renamed_import(alias, use.name, name)]
        elif isinstance(node, ast.Global):
            node.names.append(name)
        elif isinstance(node, ast.MatchMapping):
            node.rest = name
        else:
            node.name = name


def _renamed_import(alias: ast.alias, written: str, name: str) -> list[ast.alias]:
    """Return what binds to `name` what `import written.part` binds to `written`."""
    package = alias.name.partition(".")[0]
    if alias.asname or package != written or package == alias.name:
        return [alias]
    # `import a.b as n` binds the part and not the package, which is therefore imported after it.
    return [ast.copy_location(ast.alias(imported, name), alias) for imported in (alias.name, package)]


class _ClassReads(ast.NodeTransformer):
    """Lets reads in a class body find the cell's own name where the class has not bound its own."""

    def __init__(self, reads: list[Use], cell: str) -> None:
        self._names = {use.node: mangle(use.name, cell) for use in reads}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node not in self._names:
            return node
        return ast.IfExp(_bound_in_class(node), node, _own(node, self._names[node]))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt | list[ast.stmt]:
        target = node.target
        node.value = self.visit(node.value)
        if not isinstance(target, ast.Name) or target not in self._names:
            node.target = self.visit(target)
            return node
        missing = ast.UnaryOp(ast.Not(), _bound_in_class(target))
        return [ast.If(missing, [ast.Assign([target], _own(target, self._names[target]))], []), node]


def _bound_in_class(node: ast.Name) -> ast.expr:
    """Return the test whether the class body that is executed has bound the name."""
    namespace = ast.Call(ast.Name("locals", ast.Load()), [], [])
    return ast.Compare(ast.Constant(node.id), [ast.In()], [namespace])


def _own(node: ast.Name, name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _with_written_names(code: CodeType, annotations_are_text: bool) -> CodeType:
    """Return `code` with its functions and classes called what the user called them."""
    constants: list[object] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_with_written_names(constant, annotations_are_text))
        elif isinstance(constant, str) and is_mangled(constant) and not annotations_are_text:
            # The name of a class, or its qualified name. Annotations that are kept as text must
            # go on naming the global.
            constants.append(unmangle(constant))
        else:
            constants.append(constant)
    return code.replace(
        co_name=unmangle(code.co_name), co_qualname=unmangle(code.co_qualname), co_consts=tuple(constants)
    )
