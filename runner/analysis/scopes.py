"""Which scope a name belongs to, found while the scopes are walked through once.

The rules are those of CPython's `symtable`. That module cannot be asked itself: it takes text and not a
tree (a second parse for each cell), and it says which names a scope has, not where: which read of `e`
stands in the handler that binds it, which name has to be renamed because it is private, which
read comes before the first binding. The tests compare the two over the standard library.

Each scope collects the uses of names in it. When it is left, those that it binds are settled and the
others move to the scope that Python looks in next; what arrives at the module is the result. The walk
also knows, for each scope, which names are certainly bound at its current point (see `definite_binding`).
"""

import ast
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from .names import class_private

Action = Literal["load", "store", "annotate", "delete", "declare"]
When = Literal["now", "later", "never"]
#: What executes apart from its surroundings has a scope; only that of a class is seen by no other.
Kind = Literal["module", "class", "function", "comprehension", "annotation"]
#: What a class provides to the functions in it.
_CLASS_CELLS = ("__class__", "__classdict__")


class Use(NamedTuple):
    """A place in the code where a name is used."""

    name: str
    action: Action
    #: What to change in order to rename: a name, definition, alias, handler, pattern, or statement.
    node: ast.AST
    #: When it is executed: together with the cell, when a function is called, or not at all.
    when: When
    #: Whenever it is executed, the name is bound at module level by then.
    certain: bool
    #: It is in a class body, and may be executed before the name is bound there.
    unbound: bool
    #: It is in an `except ... as name` of module level.
    handler: bool


class Scope:
    """A scope while it is walked through."""

    __slots__ = (
        "bound",
        "class_name",
        "deferred",
        "flow",
        "globals",
        "kind",
        "nested",
        "nonlocals",
        "outer",
        "uses",
    )

    def __init__(self, kind: Kind, outer: "Scope | None", class_name: str | None, deferred: bool) -> None:
        self.kind: Kind = kind
        self.outer = outer
        #: The innermost class around, whose name is put before `__names`.
        self.class_name = class_name
        #: The code is not executed where it stands.
        self.deferred = deferred
        self.bound: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        #: Names that are certainly bound at this point.
        self.flow: set[str] = set()
        self.uses: list[Use] = []
        #: Uses from scopes within this one, which do not see a class around it.
        self.nested: list[Use] = []


#: Names that became certain, and where.
Certain = Sequence[tuple[Scope, str]]


class Scopes:
    """The scopes around the point that a walk has reached."""

    def __init__(self, is_private: Callable[[str], bool]) -> None:
        #: Whether a name belongs to its cell.
        self.is_private = is_private
        self.module = self.scope = Scope("module", None, None, False)
        #: Names of the handlers around this point that bind at module level, and how many of each.
        self.handlers: dict[str, int] = {}
        #: Reads of the module that are reads of a class body instead if the name is bound there by then.
        self.class_reads: list[Use] = []
        #: Every addition to a flow, so that those of code that may be skipped can be undone.
        self.trail: list[tuple[Scope, str]] = []
        #: Functions and classes around this point, whose code is called once their names are bound; those
        #: that a decorator may call earlier have an empty name here.
        self.being_defined: list[str] = []
        #: The walk is in an annotation that Python compiles and never evaluates.
        self.unevaluated = False

    def enter(self, kind: Kind, class_name: str | None = None) -> None:
        outer = self.scope
        self.scope = Scope(kind, outer, class_name or outer.class_name, outer.deferred or kind == "function")

    def leave(self) -> None:
        """Settle the uses of the scope, hand on the others and return to the scope around it."""
        scope = self.scope
        outer = enclosing = scope.outer
        assert outer is not None
        assert enclosing is not None
        while enclosing.kind == "class":
            enclosing = enclosing.outer
            assert enclosing is not None
        crosses_class = outer.kind == "class"
        sees_class = crosses_class and scope.kind == "annotation"
        module = self.module.nested
        for use in scope.uses:
            name = use.name
            if name in scope.globals:
                module.append(use)
            elif name in scope.bound:
                # A name that a class binds is looked up in the class and then in the module,
                # whatever the functions around it bind.
                if scope.kind == "class" and use.unbound and use.action == "load":
                    self.class_reads.append(use)
            elif not (crosses_class and name in _CLASS_CELLS):
                (outer.uses if sees_class else enclosing.nested).append(use)
        for use in scope.nested:
            name = use.name
            if name in scope.globals:
                module.append(use)
            elif name not in scope.bound and not (crosses_class and name in _CLASS_CELLS):
                enclosing.nested.append(use)
        self.scope = outer

    def use(self, name: str, action: Action, node: ast.AST, scope: Scope | None = None) -> None:
        scope = scope or self.scope
        if name.startswith("__"):
            name = class_private(name, scope.class_name)
        scope.uses.append(
            Use(
                name,
                action,
                node,
                "never" if self.unevaluated else "later" if scope.deferred else "now",
                name in self.module.flow
                or (name in scope.globals and name in scope.flow)
                or (scope.deferred and name in self.being_defined),
                self._unbound_in_class(name, scope),
                name in self.handlers,
            )
        )
        if action == "load":
            return
        if name not in scope.globals and name not in scope.nonlocals:
            scope.bound.add(name)
        if action == "store":
            self.assume([(scope, name)])
        elif action == "delete":
            scope.flow.discard(name)

    def _unbound_in_class(self, name: str, scope: Scope) -> bool:
        if scope.kind == "annotation":
            # Evaluated when the class is complete, if at all: a private name is taken to be the class's.
            scope = scope.outer or scope
            return scope.kind == "class" and name not in scope.flow and not self.is_private(name)
        return scope.kind == "class" and name not in scope.flow

    def bind(self, name: str) -> None:
        """Make `name` local to the scope, like a parameter."""
        self.scope.bound.add(class_private(name, self.scope.class_name))

    def assume(self, certain: Certain) -> None:
        for scope, name in certain:
            if name not in scope.flow:
                scope.flow.add(name)
                self.trail.append((scope, name))

    def undo(self, mark: int) -> Certain:
        """Take back, and return, what has become certain since the trail was `mark` long."""
        undone = self.trail[mark:]
        del self.trail[mark:]
        for scope, name in undone:
            scope.flow.discard(name)
        return undone
