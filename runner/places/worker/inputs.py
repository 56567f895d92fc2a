"""The inputs of a cell as its namespace holds them on the worker."""

import importlib
import pickle
import sys
from collections.abc import Sequence
from typing import Any, cast

from ..place import Input, Module, ModuleNotFound, Pickled, PlaceError, Referred, Task


def provide(task: Task, values: Sequence[Any], where: str, hint: str) -> dict[str, Any]:
    """Return the values by name. `hint` says how to get a missing module to `where`.

    Raises: PlaceError if a value is not available; whatever unpickling raises.
    """
    found: dict[str, Any] = {}
    # Two names of one object stay names of one object.
    known: dict[int, Any] = {}
    for name, given in task.inputs.items():
        try:
            value = _value(given, values)
        except ModuleNotFoundError as error:
            what = f"`{name}` needs the module {error.name!r}, which is not installed on {where}"
            raise ModuleNotFound(what, hint) from None
        if isinstance(value, PlaceError):
            raise value
        if isinstance(given, Referred):
            if id(value) not in known:
                known[id(value)] = isolated(value, name in task.keep)
            value = known[id(value)]
        found[name] = value
    return found


def _value(given: Input, values: Sequence[Any]) -> Any:
    match given:
        case Module(name=module):
            return importlib.import_module(module)
        case Pickled(data=data):
            return pickle.loads(data)
        case Referred(index=index):
            return values[index]


def isolated(value: Any, replaced: bool) -> Any:
    """Return `value` so that in-place changes of a cell are not seen by others on the same worker.

    What is inside a container is shared. An array is read-only, and a copy where the cell also defines its
    name (`replaced`), as in `a += 1`.
    """
    kind = cast("type[Any]", type(value))
    if kind in (list, dict, set, bytearray):
        return cast("Any", kind(value))
    package = kind.__module__.partition(".")[0]
    if package == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        return value.copy(deep=not _copies_on_write())
    if package == "numpy" and kind.__name__ == "ndarray":
        if replaced:
            return value.copy()
        view = value.view()
        view.flags.writeable = False
        return view
    return value


def _copies_on_write() -> bool:
    pandas: Any = sys.modules["pandas"]
    return int(pandas.__version__.partition(".")[0]) >= 3 or pandas.options.mode.copy_on_write is True
