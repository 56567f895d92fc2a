"""The walk over statements: which names they use, and on which paths.

The walk visits the code in the order of execution and tells `scopes` which names it meets, and
`definite_binding` which paths there are. A name is certainly bound where every path binds it; a path is what
the statements spell out. An exception may leave a `try` body anywhere, a loop may run no round, an operand
after `and` may be skipped; `with` swallows nothing, and the body of a function runs at an unknown time.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any

from .definite_binding import UNREACHABLE, join
from .expressions import ExpressionWalk, parameters_of
from .names import class_private
from .scopes import Certain


class StatementWalk(ExpressionWalk):
    """Walks over the statements of a cell."""

    def __init__(
        self, star_names: Callable[[str], set[str] | None], is_private: Callable[[str], bool]
    ) -> None:
        super().__init__(is_private)
        #: For each loop around this point, what is bound where it is left by `break`.
        self.breaks: list[list[set[str]]] = []
        self.imports: dict[str, set[str]] = {}
        #: `from __future__ import annotations` holds, which keeps annotations as text.
        self.postponed = False
        #: `from m import *` at module level, those of modules that are not there, and what the others bind.
        self.stars: list[ast.ImportFrom] = []
        self.unknown_stars: list[ast.ImportFrom] = []
        self.starred: set[str] = set()
        self.star_names = star_names

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            rule = _RULES.get(type(statement))
            if rule is not None:
                rule(self, statement)
            else:
                self.expression(statement)

    def path(self, start: set[str], certain: Certain, statements: list[ast.stmt]) -> set[str]:
        """Walk over statements that begin with `start` and `certain`; return what is bound after them."""
        self.scope.flow = start.copy()
        self.assume(certain)
        self.block(statements)
        return self.scope.flow

    def assign(self, node: ast.Assign) -> None:
        self.expression(node.value)
        for target in node.targets:
            self.expression(target)

    def augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.use(node.target.id, "load", node.target)
            self.expression(node.value)
            self.use(node.target.id, "store", node.target)
        else:
            self.expression(node.target)
            self.expression(node.value)

    def annotated(self, node: ast.AnnAssign) -> None:
        self.expression(node.value)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.expression(node.target)
        elif node.simple:
            # Without a value the name is the scope's and yet not bound.
            self.use(node.target.id, "annotate", node.target)
        # Python evaluates no annotation of a local variable.
        self.annotation(node.annotation, self.scope.kind == "function")

    def annotation(self, node: ast.expr | None, never: bool = False) -> None:
        """Walk over an annotation; it is not evaluated if `never`, or if the cell postpones them all."""
        before = self.unevaluated
        self.unevaluated = before or never or self.postponed
        self.expression(node)
        self.unevaluated = before

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                # Anywhere else it is a syntax error.
                if self.scope is self.module and isinstance(node, ast.ImportFrom):
                    self.star(node)
                continue
            if isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level:
                self.postponed |= alias.name == "annotations"
            name = alias.asname or alias.name.partition(".")[0]
            hidden = isinstance(node, ast.Import) and not alias.asname and "." in alias.name
            self.use(name, "store", node if hidden else alias)
            if self.scope is self.module and not self.is_private(name):
                if isinstance(node, ast.Import):
                    source = f"import {alias.name}{' as' if alias.asname else ''}"
                else:
                    source = f"from {'.' * node.level}{node.module or ''} import {alias.name}"
                if hidden:
                    self.imports.setdefault(name, set()).add(source)
                else:
                    self.imports[name] = {source}

    def star(self, node: ast.ImportFrom) -> None:
        """Bind what a star import binds, as far as it is known."""
        self.stars.append(node)
        module = "." * node.level + (node.module or "")
        names = self.star_names(module)
        if names is None:
            self.unknown_stars.append(node)
        for name in names or ():
            if not self.is_private(name):
                self.use(name, "store", node)
                self.imports[name] = {f"from {module} import *"}
                self.starred.add(name)

    def declared_global(self, node: ast.Global) -> None:
        if self.scope is not self.module:
            for name in node.names:
                self.scope.globals.add(class_private(name, self.scope.class_name))
                self.use(name, "declare", node)

    def declared_nonlocal(self, node: ast.Nonlocal) -> None:
        self.scope.nonlocals.update(class_private(name, self.scope.class_name) for name in node.names)

    def left(self, node: ast.stmt) -> None:
        """Walk over a statement that ends its path."""
        self.expression(node)
        if isinstance(node, ast.Break) and self.breaks:
            self.breaks[-1].append(self.scope.flow)
        self.scope.flow = UNREACHABLE

    def asserted(self, node: ast.Assert) -> None:
        when_true, when_false = self.condition(node.test)
        mark = len(self.trail)
        self.assume(when_false)
        self.expression(node.msg)
        self.undo(mark)
        self.assume(when_true)

    def branch(self, node: ast.If) -> None:
        ends: list[set[str]] = []
        while True:
            when_true, when_false = self.condition(node.test)
            start = self.scope.flow
            ends.append(self.path(start, when_true, node.body))
            self.scope.flow = start
            self.assume(when_false)
            # A chain of `elif` is a nest of `else`, as deep as the chain is long.
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        self.block(node.orelse)
        self.scope.flow = join((*ends, self.scope.flow))

    def for_loop(self, node: ast.For | ast.AsyncFor) -> None:
        self.expression(node.iter)
        before = self.scope.flow.copy()
        self.breaks.append([])
        self.expression(node.target)
        self.block(node.body)
        broken = self.breaks.pop()
        self.scope.flow = join((before, self.scope.flow))
        self.block(node.orelse)
        self.scope.flow = join((self.scope.flow, *broken))

    def while_loop(self, node: ast.While) -> None:
        when_true, when_false = self.condition(node.test)
        before = self.scope.flow.copy()
        self.breaks.append([])
        self.assume(when_true)
        self.block(node.body)
        broken = self.breaks.pop()
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self.scope.flow = UNREACHABLE if endless else join((before, self.scope.flow))
        self.assume(when_false)
        self.block(node.orelse)
        self.scope.flow = join((self.scope.flow, *broken))

    def with_block(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.expression(item.context_expr)
            self.expression(item.optional_vars)
        self.block(node.body)

    def try_block(self, node: Any) -> None:
        scope = self.scope
        before = scope.flow.copy()
        self.block(node.body)
        # What is bound wherever in the body the exception was raised.
        risky = join((before, scope.flow))
        self.block(node.orelse)
        ends = [scope.flow]
        for handler in node.handlers:
            scope.flow = risky.copy()
            self.handler(handler)
            ends.append(scope.flow)
        scope.flow = after = join(ends)
        if node.finalbody:
            start = join((risky, after))
            end = self.path(start, (), node.finalbody)
            unreachable = after is UNREACHABLE or end is UNREACHABLE
            scope.flow = UNREACHABLE if unreachable else (after - (start - end)) | end

    def handler(self, node: ast.ExceptHandler) -> None:
        self.expression(node.type)
        if node.name is None:
            self.block(node.body)
            return
        scope = self.scope
        name = class_private(node.name, scope.class_name)
        at_module_level = scope is self.module or name in scope.globals
        if at_module_level:
            self.handlers[name] = self.handlers.get(name, 0) + 1
        self.use(node.name, "store", node)
        self.block(node.body)
        scope.flow.discard(name)
        if at_module_level:
            self.handlers[name] -= 1
            if not self.handlers[name]:
                del self.handlers[name]

    def match_block(self, node: ast.Match) -> None:
        self.expression(node.subject)
        start = self.scope.flow
        ends: list[set[str]] = []
        for case in node.cases:
            self.scope.flow = start.copy()
            self.expression(case.pattern)
            if case.guard is not None:
                self.assume(self.condition(case.guard)[0])
            ends.append(self.path(self.scope.flow, (), case.body))
            if case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None:
                start = UNREACHABLE
        self.scope.flow = join((*ends, start))

    def function(self, node: Any) -> None:
        self.expression(node.decorator_list)
        self.defaults(node.args)
        generic = self.type_parameters(node)
        arguments: ast.arguments = node.args
        for argument in parameters_of(arguments):
            self.annotation(argument.annotation)
        self.annotation(node.returns)
        self.being_defined.append("" if node.decorator_list else node.name)
        self.enter("function")
        self.parameters(arguments)
        self.block(node.body)
        self.leave()
        self.being_defined.pop()
        if generic:
            self.leave()
        self.use(node.name, "store", node)

    def class_definition(self, node: ast.ClassDef) -> None:
        self.expression(node.decorator_list)
        generic = self.type_parameters(node)
        self.expression(node.bases)
        self.expression(node.keywords)
        self.being_defined.append("" if node.decorator_list else node.name)
        self.enter("class", node.name)
        self.block(node.body)
        self.leave()
        self.being_defined.pop()
        if generic:
            self.leave()
        self.use(node.name, "store", node)

    def type_alias(self, node: Any) -> None:
        if not self.type_parameters(node):
            self.enter("annotation")
        self.scope.deferred = True
        self.expression(node.value)
        self.leave()
        self.expression(node.name)

    def type_parameters(self, node: Any) -> bool:
        """Enter the scope of type parameters, if there are any, and return whether there are."""
        parameters: list[Any] = getattr(node, "type_params", [])
        if not parameters:
            return False
        self.enter("annotation")
        deferred = self.scope.deferred
        for parameter in parameters:
            self.bind(parameter.name)
            if isinstance(node, ast.ClassDef):
                self.scope.bound.add(class_private(parameter.name, node.name))
            # Bounds and defaults are evaluated when they are asked for.
            self.scope.deferred = True
            self.expression(getattr(parameter, "bound", None))
            self.expression(getattr(parameter, "default_value", None))
            self.scope.deferred = deferred
        return True


_RULES: dict[type[ast.AST], Callable[[StatementWalk, Any], None]] = {
    ast.AnnAssign: StatementWalk.annotated,
    ast.Assert: StatementWalk.asserted,
    ast.Assign: StatementWalk.assign,
    ast.AsyncFor: StatementWalk.for_loop,
    ast.AsyncFunctionDef: StatementWalk.function,
    ast.AsyncWith: StatementWalk.with_block,
    ast.AugAssign: StatementWalk.augmented,
    ast.Break: StatementWalk.left,
    ast.ClassDef: StatementWalk.class_definition,
    ast.Continue: StatementWalk.left,
    ast.For: StatementWalk.for_loop,
    ast.FunctionDef: StatementWalk.function,
    ast.Global: StatementWalk.declared_global,
    ast.If: StatementWalk.branch,
    ast.Import: StatementWalk.imported,
    ast.ImportFrom: StatementWalk.imported,
    ast.Match: StatementWalk.match_block,
    ast.Nonlocal: StatementWalk.declared_nonlocal,
    ast.Raise: StatementWalk.left,
    ast.Return: StatementWalk.left,
    ast.Try: StatementWalk.try_block,
    ast.TryStar: StatementWalk.try_block,
    ast.While: StatementWalk.while_loop,
    ast.With: StatementWalk.with_block,
}
if hasattr(ast, "TypeAlias"):
    _RULES[ast.TypeAlias] = StatementWalk.type_alias  # pyright: ignore
