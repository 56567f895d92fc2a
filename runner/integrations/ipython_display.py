"""`IPython.display` in a cell, where IPython is installed and the user imports it.

There is no InteractiveShell: `display`, `update_display`, `publish_display_data` and `clear_output` of
`IPython.core.display_functions` are replaced when that module is imported, and append to the cell's
outputs. A display id names items of one execution and is forgotten with it.
"""

import os
from collections.abc import Container
from typing import Any, cast
from weakref import WeakKeyDictionary

from ..api.output import OutputHandle, output
from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution
from ..output.encoding import as_plain
from ..output.formatting import Data, Metadata, format_value

#: The items of each execution by display id.
_displayed: "WeakKeyDictionary[Execution, dict[str, list[OutputHandle]]]" = WeakKeyDictionary()


def install_displays() -> None:
    """Make `IPython.display` append to the calling cell; the host calls it once, before user code."""
    after_import("IPython.core.display_functions", _patch)


def _patch(module: Any) -> None:
    make_handle = module.DisplayHandle

    def display_and_name(*objs: Any, display_id: Any = None, **options: Any) -> Any:
        name = os.urandom(16).hex() if display_id is True else display_id
        display(*objs, display_id=name, **options)
        return make_handle(name) if name else None

    module.display = display_and_name
    module.publish_display_data = publish_display_data
    module.clear_output = clear_output


def display(
    *objs: Any,
    include: Container[str] | None = None,
    exclude: Container[str] | None = None,
    metadata: Metadata | None = None,
    display_id: str | None = None,
    raw: bool = False,
    clear: bool = False,
    update: bool = False,
    **_: Any,
) -> None:
    """Append each object to the outputs, or with `update` replace the items of that display id."""
    if clear:
        output.clear()
    if not objs and display_id:
        objs, raw = ({},), True  # an empty item that is filled later
    for value in objs:
        if not raw and not update and _displays_itself(value):
            continue
        data, about = _bundle(value) if raw else format_value(value)
        kept = {
            mime: content
            for mime, content in data.items()
            if mime == "text/plain"
            or ((include is None or mime in include) and (exclude is None or mime not in exclude))
        }
        _publish(kept, {**about, **(metadata or {})}, display_id, update)


def publish_display_data(
    data: Data,
    metadata: Metadata | None = None,
    *,
    transient: dict[str, Any] | None = None,
    update: bool = False,
    **_: Any,
) -> None:
    """Append a mime bundle to the outputs."""
    bundle, _about = _bundle(data)
    _publish(bundle, metadata or {}, (transient or {}).get("display_id"), update)


def clear_output(wait: bool = False) -> None:
    """Remove every output. `wait` is ignored: how to clear without flicker is the frontend's decision."""
    output.clear()


def _bundle(data: Any) -> tuple[Data, Metadata]:
    return {"text/plain": "", **as_plain(data)}, {}


def _displays_itself(value: Any) -> bool:
    """Call `_ipython_display_` of a value that has no other method to format it; return whether it did."""
    kind = cast("type[Any]", type(value))
    method = getattr(kind, "_ipython_display_", None)
    if method is None or any(name.startswith("_repr_") for base in kind.__mro__ for name in vars(base)):
        return False
    try:
        method(value)
    except NotImplementedError:
        return False
    return True


def _publish(data: Data, metadata: Metadata, display_id: str | None, update: bool) -> None:
    execution = current_execution.get()
    handles: list[OutputHandle] = []
    if display_id and execution is not None:
        handles = _displayed.setdefault(execution, {}).setdefault(display_id, [])
    if update and handles:
        for handle in handles:
            handle.replace_bundle(data, as_plain(metadata))
    else:
        handles.append(output.append_bundle(data, as_plain(metadata)))
