"""Which names `from m import *` binds, found without running `m` where that is possible.

A module that is loaded says it itself. Otherwise its source does: the literal `__all__`, or else its
top-level bindings, following the stars in it. An extension module of the standard library is loaded, as
that runs nothing of the user's. What this gets wrong is corrected once the cell has run.
"""

import ast
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, cast

#: Bytes of a source that are parsed, and modules that are followed from one star.
_LARGEST = 4 << 20
_MOST_MODULES = 50

#: Returns the names that a tree binds at its top level, and the modules of the stars in it.
TopLevel = Callable[[ast.Module], tuple[set[str], list[str]]]


def is_public(name: str) -> bool:
    """Return whether a star takes `name` from a module without `__all__`."""
    return not name.startswith("_")


def names_of_module(module: ModuleType) -> set[str]:
    """Return what a star takes from a module that is loaded."""
    listed: Any = getattr(module, "__all__", None)
    if listed is None:
        names: list[str] = [*vars(module)]
        return set(filter(is_public, names))
    return set(map(str, listed))


def star_names(module: str, top_level: TopLevel) -> set[str] | None:
    """Return what `from module import *` binds, as far as it is known before it runs.

    None if there is no such module. `top_level` looks at a tree of its source.
    """
    found: set[str] = set()
    seen = {module}
    todo = [module]
    while todo and len(seen) <= _MOST_MODULES:
        name = todo.pop()
        names, stars = _names(name, top_level)
        if names is None:
            if name == module:
                return None
            continue
        found |= names
        new = [star for star in stars if star not in seen]
        seen.update(new)
        todo += new
    return found


def _names(module: str, top_level: TopLevel) -> tuple[set[str] | None, list[str]]:
    """Return the names of one module, and the modules whose names it has by stars."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        try:
            return names_of_module(loaded), []
        except BaseException:
            return set(), []  # no module, or one with attributes of its own kind
    spec = find_spec(module)
    if spec is None:
        return None, []
    origin = spec.origin
    if origin is not None and origin.endswith(".py"):
        try:
            status = os.stat(origin)
            if status.st_size > _LARGEST:
                return set(), []
            names, stars = _names_of_source(origin, status.st_mtime_ns, top_level)
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
            return set(), []
        package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
        return set(names), [_absolute(star, package) for star in stars]
    if module.partition(".")[0] in sys.stdlib_module_names:
        try:
            return names_of_module(importlib.import_module(module)), []
        except ImportError:
            return None, []
    return set(), []


def find_spec(module: str) -> Any:
    """Return the spec of `module`, importing no package on the way."""
    path: Sequence[str] | None = None
    spec: Any = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        for finder in sys.meta_path:
            try:
                spec = finder.find_spec(name, path)
            except BaseException:
                spec = None  # a finder that a library has put there, or that an interrupt has ended
            if spec is not None:
                break
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and count < len(parts):
            return None
    return spec


@lru_cache(64)
def _names_of_source(path: str, _changed: int, top_level: TopLevel) -> tuple[frozenset[str], tuple[str, ...]]:
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    listed: set[str] | None = None
    for statement in tree.body:
        values = _all_of(statement)
        if values is not None:
            listed = values if listed is None else listed | values
    if listed is not None:
        return frozenset(listed), ()
    names, stars = top_level(tree)
    return frozenset(filter(is_public, names)), tuple(stars)


def _all_of(statement: ast.stmt) -> set[str] | None:
    """Return the names of a literal `__all__ = [...]` or `__all__ += [...]`."""
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple() as value)
            | ast.AugAssign(target=ast.Name(id="__all__"), value=ast.List() | ast.Tuple() as value)
            | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.List() | ast.Tuple() as value)
        ):
            return {str(cast("object", part.value)) for part in value.elts if isinstance(part, ast.Constant)}
        case _:
            return None


def _absolute(star: str, package: str) -> str:
    """Return the absolute name of a module that is written with leading dots in `package`."""
    dots = len(star) - len(star.lstrip("."))
    if not dots:
        return star
    parts = package.split(".")
    base = parts[: len(parts) - dots + 1]
    return ".".join([*base, *([star[dots:]] if star[dots:] else [])])
