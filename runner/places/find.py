"""Finds the place that a value stands for, by an entry point of the group `cellwire.places`.

It is named like the top module of the value's class, so that nothing is loaded but what the user has
imported, and this package knows no engine by name. The entry point is a function of the value.
"""

from collections.abc import Callable
from typing import Any, cast

from .place import CannotSend, Place

_GROUP = "cellwire.places"

#: The functions that were loaded, and those that stand for themselves, by the name of the module.
makers: dict[str, Callable[[Any], Place]] = {}


def make_place(value: object, name: str, cell: str) -> Place:
    """Return a new place for `value`, the variable `name` on which `cell` is to run.

    Raises: CannotSend if the value stands for none.
    """
    kind = cast("type[Any]", type(value))
    module = kind.__module__.partition(".")[0]
    maker = makers.get(module) or _load(module)
    if maker is None:
        raise CannotSend(
            f"cell {cell!r} is to run on `{name}`, and a {kind.__module__}.{kind.__qualname__} is no place",
            f"let `{name}` be a client of a cluster; {_known()}",
        )
    makers[module] = maker
    return maker(value)


def _load(module: str) -> Callable[[Any], Place] | None:
    from importlib.metadata import entry_points

    for found in entry_points(group=_GROUP, name=module):
        return found.load()
    return None


def _known() -> str:
    from importlib.metadata import entry_points

    names = sorted({*makers, *entry_points(group=_GROUP).names})
    return f"there are places for values of {', '.join(names) or 'no package'}"
