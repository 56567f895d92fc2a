"""From the source of a cell to code that runs beside the code of all other cells in one namespace.

One parse serves the analysis and the code. A cell has two parts: the body, and the trailing expression
that is the cell's value, evaluated with `eval` after it. Either gives a coroutine if it awaits.

The cell's own names (private ones, and those of `except ... as name`) are renamed in the tree where they are
names of module level, and only there: not as parameters, locals, attributes or keywords. Functions and
classes keep the name as written, in `__name__` and in tracebacks.
"""

import __future__

import ast
import re
from functools import reduce
from operator import or_
from types import CodeType
from typing import Any

import msgspec

from .analysis import (
    Analysis,
    cell_files,
    compile_tree,
    is_async,
    is_import_only,
    to_analysis,
    too_deep,
)
from .language import PYTHON, Language
from .names import mangle, unmangle
from .scopes import Use

__all__ = ["CompiledCell", "cell_filename", "compile_cell", "show_warnings", "unmangle"]

#: Compiler flags that `from __future__ import ...` sets.
_FUTURE_FLAGS = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
#: The functions of `operator` that do what `+=` and the like do.
_IN_PLACE: dict[type[ast.operator], str] = {
    ast.Add: "iadd",
    ast.Sub: "isub",
    ast.Mult: "imul",
    ast.MatMult: "imatmul",
    ast.Div: "itruediv",
    ast.FloorDiv: "ifloordiv",
    ast.Mod: "imod",
    ast.Pow: "ipow",
    ast.LShift: "ilshift",
    ast.RShift: "irshift",
    ast.BitAnd: "iand",
    ast.BitOr: "ior",
    ast.BitXor: "ixor",
}


class CompiledCell(msgspec.Struct, frozen=True):
    """The code of a cell."""

    cell: str
    filename: str
    analysis: Analysis
    #: The source as Python that is run.
    source: str
    #: Everything but the trailing expression; None if that is all there is.
    body: CodeType | None
    #: The trailing expression; None if there is none, or it ends with a semicolon.
    value: CodeType | None
    #: The globals under which its private names are kept.
    private_globals: frozenset[str] = frozenset()
    #: Whether Python warns of something in the source.
    warns: bool = False

    def defining(self, defs: frozenset[str]) -> "CompiledCell":
        """Return the same code for a cell that turned out to define `defs`."""
        known = self.analysis
        analysis = msgspec.structs.replace(
            known,
            defs=defs,
            refs=known.refs - defs,
            immediate=known.immediate - defs,
            deferred=known.deferred - defs,
            # What only stars bind is not read before; of other code nothing is known.
            rereads=(known.rereads | known.immediate) & defs if known.is_open else known.rereads,
            starred=defs - (known.defs - known.starred),
        )
        return msgspec.structs.replace(self, analysis=analysis)

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


def compile_cell(source: str, cell: str, filename: str = "", language: Language = PYTHON) -> CompiledCell:
    """Return the code of `source` as the cell `cell`.

    Raises: AnalysisError if the language rejects it, or it has a star import of a module that is not found.
    """
    filename = filename or cell_filename(cell)
    cell_files.noticed = False
    parsed = language.parse(source, filename)
    found = language.find_names(parsed)
    source, tree = parsed
    imports_only = is_import_only(tree)
    statements = tree.body
    has_value = bool(statements) and not _ends_with_semicolon(source, statements[-1])
    own = found.private_uses or found.private_uses_in_class
    if own:
        # Renaming hides some errors, and messages should show the names as written: compile once before.
        compile_tree(tree, filename, "exec")
        _rename(tree, found.private_uses, cell)
        if found.private_uses_in_class:
            try:
                ast.fix_missing_locations(_ClassReads(found.private_uses_in_class, cell).visit(tree))
            except RecursionError:
                raise too_deep() from None
    trailing = None
    if has_value and isinstance(last := statements[-1], ast.Expr):
        trailing = ast.Expression(last.value)
        del statements[-1]
    if statements and _is_text(statements[0]):
        # A docstring would be bound to `__doc__`, which all cells share.
        del statements[0]
    body = compile_tree(tree, filename, "exec") if statements else None
    future = body.co_flags & _FUTURE_FLAGS if body else 0
    value = compile_tree(trailing, filename, "eval", future) if trailing else None
    analysis = to_analysis(found, imports_only, is_async(body) or is_async(value))
    private = frozenset(
        [mangle(use.name, cell) for use in (*found.private_uses, *found.private_uses_in_class)]
    )
    return CompiledCell(cell, filename, analysis, source, body, value, private, cell_files.noticed)


def show_warnings(source: str, filename: str) -> None:
    """Let Python warn of what is in `source`, as the filters say that are in force.

    Raises: SyntaxError where they make an error of it.
    """
    cell_files.shown = True
    try:
        compile(source, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    finally:
        cell_files.shown = False


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


def _rename(tree: ast.Module, uses: list[Use], cell: str) -> None:
    """Rename the private names of the cell in its tree to the globals that hold them."""
    definitions: dict[ast.AST, str] = {}
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
        elif isinstance(node, _DEFINITIONS) and not use.handler:
            definitions[node] = name
        else:
            node.name = name
    if definitions:
        _move_definitions(tree, definitions)


def _move_definitions(tree: ast.Module, definitions: dict[ast.AST, str]) -> None:
    """Define functions and classes under the names as written, and then move them to their globals.

    Their names are in tracebacks and representations, and that of a class is part of its `__attributes`.
    """
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            block: list[Any] = getattr(node, part, [])
            todo += block
            for index in range(len(block) - 1, -1, -1):
                if block[index] in definitions:
                    block[index + 1 : index + 1] = _moved(block[index], definitions[block[index]])


def _moved(definition: Any, name: str) -> list[ast.stmt]:
    """Return what gives the global that `definition` was bound to another name."""
    move = ast.Assign([ast.Name(name, ast.Store())], ast.Name(definition.name, ast.Load()))
    remove = ast.Delete([ast.Name(definition.name, ast.Del())])
    return [ast.fix_missing_locations(ast.copy_location(part, definition)) for part in (move, remove)]


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
        self._cell = cell
        self._names = {use.node: use.name for use in reads}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node not in self._names:
            return node
        return ast.IfExp(self._is_bound(node), node, self._own(node))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        target = node.target
        node.value = self.visit(node.value)
        if not isinstance(target, ast.Name) or target not in self._names:
            node.target = self.visit(target)
            return node
        # One assignment, as it was: a value that raises leaves the class without the name.
        module = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("operator")], [])
        function = ast.Attribute(module, _IN_PLACE[type(node.op)], ast.Load())
        read = ast.Name(target.id, ast.Load())
        own = ast.IfExp(self._is_bound(target), read, self._own(target))
        return ast.copy_location(ast.Assign([target], ast.Call(function, [own, node.value], [])), node)

    def _is_bound(self, node: ast.Name) -> ast.expr:
        """Return the test whether the class body that is executed has bound the name."""
        namespace = ast.Call(ast.Name("locals", ast.Load()), [], [])
        return ast.Compare(ast.Constant(self._names[node]), [ast.In()], [namespace])

    def _own(self, node: ast.Name) -> ast.expr:
        return ast.Name(mangle(self._names[node], self._cell), ast.Load())
