"""The walk over expressions and patterns: which names they use, in the order of execution.

Code that may be skipped (an operand after `and`, a branch of `a if b else c`, the rounds of a comprehension)
makes no name certain afterwards. For a condition the walk tracks what is certain when it was true and when
it was false.
"""

import ast
from collections.abc import Callable, Sequence
from typing import Any

from .scopes import Action, Certain, Scopes

#: Fields of nodes that are no code.
_NO_CODE = frozenset(
    {"attr", "conversion", "ctx", "is_async", "kind", "op", "ops", "type_comment", "kwd_attrs"}
)


class _Parts(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of each type of node that are code, last first."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        parts = self[kind] = tuple(field for field in reversed(kind._fields) if field not in _NO_CODE)
        return parts


_PARTS = _Parts({ast.Constant: ()})


class ExpressionWalk(Scopes):
    """Walks over expressions and patterns."""

    def expression(self, root: ast.AST | Sequence[ast.AST] | None) -> None:
        """Walk over an expression, or the parts of a statement, in the order of execution."""
        # A stack instead of recursion: chains of operators and calls have no bound on their depth.
        stack: list[Any] = [root]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Name):
                self.use(node.id, _ACTIONS[type(node.ctx)], node)
            elif isinstance(node, list):
                stack.extend(reversed(node))  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(node, ast.AST):
                kind = type(node)
                rule = _RULES.get(kind)
                if rule is not None:
                    rule(self, node)
                else:
                    stack.extend([getattr(node, part) for part in _PARTS[kind]])

    def condition(self, test: ast.expr) -> tuple[Certain, Certain]:
        """Walk over `test` and return what is certain only if it is true, and only if it is false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            when_true, when_false = self.condition(test.operand)
            return when_false, when_true
        if not isinstance(test, ast.BoolOp):
            self.expression(test)
            return (), ()
        needed = 0 if isinstance(test.op, ast.And) else 1
        certain = self.condition(test.values[0])[needed]
        mark = len(self.trail)
        self.assume(certain)
        for value in test.values[1:]:
            self.assume(self.condition(value)[needed])
        gained = self.undo(mark)
        return ((), gained) if needed else (gained, ())

    def boolean(self, node: ast.BoolOp) -> None:
        self.condition(node)

    def compare(self, node: ast.Compare) -> None:
        self.expression(node.left)
        self.expression(node.comparators[0])
        mark = len(self.trail)
        for comparator in node.comparators[1:]:
            self.expression(comparator)
        self.undo(mark)

    def conditional(self, node: ast.IfExp) -> None:
        when_true, when_false = self.condition(node.test)
        mark = len(self.trail)
        for certain, branch in ((when_true, node.body), (when_false, node.orelse)):
            self.assume(certain)
            self.expression(branch)
            self.undo(mark)

    def walrus(self, node: ast.NamedExpr) -> None:
        self.expression(node.value)
        scope = self.scope
        while scope.kind == "comprehension" and scope.outer is not None:
            scope = scope.outer
        self.use(node.target.id, "store", node.target, scope)

    def comprehension(self, node: Any) -> None:
        generators: list[ast.comprehension] = node.generators
        self.expression(generators[0].iter)
        mark = len(self.trail)
        self.enter("comprehension")
        for generator in generators:
            if generator is not generators[0]:
                self.expression(generator.iter)
            self.expression(generator.target)
            for test in generator.ifs:
                self.assume(self.condition(test)[0])
        for part in ("elt", "key", "value"):
            self.expression(getattr(node, part, None))
        self.leave()
        self.undo(mark)

    def function_expression(self, node: ast.Lambda) -> None:
        self.defaults(node.args)
        self.enter("function")
        self.parameters(node.args)
        self.expression(node.body)
        self.leave()

    def capture(self, node: Any) -> None:
        """Walk over a pattern that may bind a name itself."""
        for part in ("keys", "patterns", "pattern"):
            self.expression(getattr(node, part, None))
        name: str | None = getattr(node, "name", None) or getattr(node, "rest", None)
        if name is not None:
            self.use(name, "store", node)

    def defaults(self, arguments: ast.arguments) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            self.expression(default)

    def parameters(self, arguments: ast.arguments) -> None:
        for argument in parameters_of(arguments):
            self.bind(argument.arg)


def parameters_of(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [argument for argument in (arguments.vararg, arguments.kwarg) if argument]


_ACTIONS: dict[type[ast.expr_context], Action] = {ast.Load: "load", ast.Store: "store", ast.Del: "delete"}
_RULES: dict[type[ast.AST], Callable[[ExpressionWalk, Any], None]] = {
    ast.BoolOp: ExpressionWalk.boolean,
    ast.Compare: ExpressionWalk.compare,
    ast.DictComp: ExpressionWalk.comprehension,
    ast.GeneratorExp: ExpressionWalk.comprehension,
    ast.IfExp: ExpressionWalk.conditional,
    ast.Lambda: ExpressionWalk.function_expression,
    ast.ListComp: ExpressionWalk.comprehension,
    ast.MatchAs: ExpressionWalk.capture,
    ast.MatchMapping: ExpressionWalk.capture,
    ast.MatchStar: ExpressionWalk.capture,
    ast.NamedExpr: ExpressionWalk.walrus,
    ast.SetComp: ExpressionWalk.comprehension,
}
