"""Finds the place that a value stands for, by an entry point of the group `cellwire.places`.

The entry point is named after the top-level module of the value's class, so that only engines whose library
the user has imported are loaded, and this package names none. It is a function of the value.
"""

from collections.abc import Callable
from typing import Any, cast

from .place import CannotSend, Place, PlaceError

_GROUP = "cellwire.places"
_ENGINES = "cellwire.engines"

#: The loaded functions, by the name of the module.
makers: dict[str, Callable[[Any], Place]] = {}


def make_place(value: object, name: str, cell: str) -> Place:
    """Return a new place for `value`, the variable `name` on which `cell` is to run.

    Raises: CannotSend if the value is not a place.
    """
    kind = cast("type[Any]", type(value))
    module = kind.__module__.partition(".")[0]
    maker = makers.get(module) or _load(module)
    if maker is None:
        raise CannotSend(
            f"cell {cell!r} is to run on `{name}`, but a {kind.__module__}.{kind.__qualname__} "
            "is not a place",
            f"make `{name}` a client of a cluster; {_known()}",
        )
    makers[module] = maker
    try:
        return maker(value)
    except PlaceError:
        raise
    except Exception as error:
        raise CannotSend(f"cell {cell!r} cannot run on `{name}`: {type(error).__name__}: {error}") from error


def connect(address: str) -> Any:
    """Return a client of the cluster at `address`, whose scheme names an entry point of `cellwire.engines`.

    Raises: CannotSend if no package has that engine.
    """
    from importlib.metadata import entry_points

    scheme = address.partition(":")[0]
    for found in entry_points(group=_ENGINES, name=scheme):
        return found.load()(address)
    known = ", ".join(sorted(entry_points(group=_ENGINES).names)) or "none"
    raise CannotSend(f"no package has an engine for {address!r}; there are: {known}")


def _load(module: str) -> Callable[[Any], Place] | None:
    from importlib.metadata import entry_points

    for found in entry_points(group=_GROUP, name=module):
        return found.load()
    return None


def _known() -> str:
    from importlib.metadata import entry_points

    names = sorted({*makers, *entry_points(group=_GROUP).names})
    return f"there are places for values of {', '.join(names) or 'no package'}"
