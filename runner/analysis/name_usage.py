"""What the code of one cell does with the names of module level, put together from a walk over its tree."""

import ast
from collections.abc import Mapping
from typing import NamedTuple

from .definite_binding import UNREACHABLE
from .names import is_private
from .scopes import Use
from .star_imports import star_names
from .statements import StatementWalk


class NameUsage(NamedTuple):
    """What a cell does with names of module level."""

    defs: set[str]
    refs: set[str]
    #: Names in `refs` that are read, or deleted, while the cell runs.
    immediate: set[str]
    #: Names in `refs` that only bodies of functions read.
    deferred: set[str]
    #: Names in `defs` that may be read, or deleted, before they are bound.
    rereads: set[str]
    #: Names that bodies of functions read, the cell's own definitions among them.
    function_reads: set[str]
    #: Names in `defs` that a function reads which exists before they are bound.
    late_rereads: set[str]
    #: Names in `defs` that the cell may leave as they were.
    maybe_defs: set[str]
    deleted: set[str]
    privates: set[str]
    #: Each public name that an import binds, with what is imported.
    imports: set[tuple[str, str]]
    #: Uses of names that are private to the cell.
    private_uses: list[Use]
    #: Likewise, but in a class body, which comes first if it has bound the name by then.
    private_uses_in_class: list[Use]
    #: `from m import *` at module level, and those of modules that are not there.
    stars: list[ast.ImportFrom]
    unknown_stars: list[ast.ImportFrom]
    #: Names in `defs` that only a star import binds.
    starred: set[str]
    #: It may bind names that are not in the source.
    is_open: bool = False
    #: Names in `refs` that it does without if no cell above defines them.
    weak: frozenset[str] = frozenset()
    #: In which statement a name in `defs` is certainly bound at last, counted from 0; the others may not be.
    bound_in: Mapping[str, int] = {}
    #: In which statement a name is first read, or deleted, that may not be bound by then.
    read_in: Mapping[str, int] = {}


def find_usage(tree: ast.Module, follow_stars: bool = False, shared: bool = False) -> NameUsage:
    """Return what `tree` does with names of module level; what stars bind too if they are to be followed.

    If names are `shared`, an underscore in front makes none private.

    Raises: RecursionError if it is nested too deeply.
    """
    is_own = _is_never if shared else is_private
    walk = StatementWalk(_star_names if follow_stars else lambda module: None, is_own)
    bound_in, read_in = _walk_in_steps(walk, tree.body)
    imports = {(name, source) for name, sources in walk.imports.items() for source in sources}
    defs: set[str] = set()
    refs: set[str] = set()
    deleted: set[str] = set()
    privates: set[str] = set()
    private_uses: list[Use] = []
    private_uses_in_class: list[Use] = []
    # Names that are read or deleted now, those among them that may not be bound by then; the same for later.
    now: set[str] = set()
    early: set[str] = set()
    later: set[str] = set()
    exposed: set[str] = set()
    declared: list[Use] = []
    handled: list[tuple[list[Use], Use]] = []
    module = walk.module
    for uses, private in (
        (module.uses, private_uses),
        (module.nested, private_uses),
        (walk.class_reads, private_uses_in_class),
    ):
        for use in uses:
            name, action = use.name, use.action
            if action == "declare":
                declared.append(use)
            elif is_own(name):
                privates.add(name)
                private.append(use)
            elif use.handler:
                handled.append((private, use))
            elif action == "load" or action == "delete":
                refs.add(name)
                if action == "delete":
                    deleted.add(name)
                if use.when == "now":
                    now.add(name)
                    if not use.certain:
                        early.add(name)
                elif use.when == "later":
                    later.add(name)
                    if not use.certain:
                        exposed.add(name)
            else:
                defs.add(name)
    # The name of a handler is private to the cell, unless the cell defines it elsewhere as well: then
    # Python's deleting it at the end of the handler is what is meant.
    own_names = set(privates)
    for private, use in handled:
        if use.name not in defs:
            private.append(use)
            own_names.add(use.name)
    private_uses.extend(use for use in declared if use.name in own_names)
    return NameUsage(
        defs,
        refs - defs,
        now - defs,
        later - now - defs,
        early & defs,
        later,
        exposed & defs,
        set() if module.flow is UNREACHABLE else defs - module.flow,
        deleted - defs,
        privates,
        imports,
        private_uses,
        private_uses_in_class,
        walk.stars,
        walk.unknown_stars,
        walk.starred
        - {use.name for use in module.uses if use.action == "store" and use.node not in walk.stars},
        bound_in=bound_in,
        read_in=read_in,
    )


def _walk_in_steps(walk: StatementWalk, body: list[ast.stmt]) -> tuple[dict[str, int], dict[str, int]]:
    """Walk over `body`, and return in which statement each name is certainly bound, and first read."""
    bound_in: dict[str, int] = {}
    read_in: dict[str, int] = {}
    module = walk.module
    every = (module.uses, module.nested, walk.class_reads)
    for index, statement in enumerate(body):
        seen = [len(uses) for uses in every]
        mark = len(walk.trail)
        walk.block((statement,))
        for uses, start in zip(every, seen, strict=True):
            for use in uses[start:]:
                if use.when == "now" and not use.certain and use.action in ("load", "delete"):
                    read_in.setdefault(use.name, index)
        for scope, name in walk.trail[mark:]:
            if scope is module and name in module.flow:
                bound_in.setdefault(name, index)
    return bound_in, read_in


def _is_never(name: str) -> bool:
    return False


def _star_names(module: str) -> set[str] | None:
    return None if module.startswith(".") else star_names(module, _top_level)


def _top_level(tree: ast.Module) -> tuple[set[str], list[str]]:
    """Return the names that a module binds at its top level, and the modules of its stars as written."""
    walk = StatementWalk(lambda module: set(), is_private)
    walk.block(tree.body)
    uses = [use for use in (*walk.module.uses, *walk.module.nested) if use.action != "load"]
    stars = ["." * star.level + (star.module or "") for star in walk.stars]
    return {use.name for use in uses if use.action == "store"}, stars
