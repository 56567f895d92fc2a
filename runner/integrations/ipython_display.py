"""`IPython.display` in a cell, where IPython is installed and the user imports it.

There is no InteractiveShell: `display`, `update_display`, `publish_display_data` and `clear_output` of
`IPython.core.display_functions` are replaced when that module is imported, and append to the cell's
outputs. A display id names items of any cell, each until that cell runs again.
"""

import os
from _thread import allocate_lock
from collections.abc import Container
from typing import Any
from weakref import WeakKeyDictionary

from ..api.output import OutputHandle, output
from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution
from ..output.encoding import as_plain
from ..output.formatting import UNASKED, Data, Metadata, format_value, show_itself

#: Guards the items of each execution by display id.
_lock = allocate_lock()
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
        clear_output()
    if not objs and display_id:
        objs, raw = ({},), True  # an empty item that is filled later
    for value in objs:
        if not raw and not update and type(value) not in UNASKED and show_itself(value):
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
    """Remove every output and the text; with `wait`, displays may show them until something new comes."""
    output.clear(wait)
    output.clear_console()


def _bundle(data: Any) -> tuple[Data, Metadata]:
    return {"text/plain": "", **as_plain(data)}, {}


def _publish(data: Data, metadata: Metadata, display_id: str | None, update: bool) -> None:
    about = as_plain(metadata)
    if display_id:
        about = {**about, "cellwire": {"display_id": display_id}}
    execution = current_execution.get()
    if not update or execution is None:
        handle = output.append_bundle(data, about)
        if display_id and execution is not None:
            with _lock:
                _displayed.setdefault(execution, {}).setdefault(display_id, []).append(handle)
    elif display_id:
        with _lock:
            handles = [handle for items in _displayed.values() for handle in items.get(display_id, ())]
        for handle in handles:
            handle.replace_bundle(data, about)
