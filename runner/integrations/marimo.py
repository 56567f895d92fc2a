"""marimo's own functions in a cell: those that need marimo's runtime act on cellwire's instead.

Modules of marimo are patched when the user imports marimo, before it passes on their names. Functions that
work without a runtime stay as they are. Code that marimo's own runtime runs in this process, as in a server
of marimo apps, gets marimo's own behaviour.

Only this file is loaded at the start; the others are loaded when marimo is.
"""

from functools import partial
from importlib import import_module
from typing import Any

from ..attribution.after_import import after_import
from ..output.reports import write_report

#: Modules of marimo, and the function that patches each.
_PATCHES = {
    "_runtime.context.utils": "runtime.patch_mode",
    "_runtime.control_flow": "runtime.patch_stop",
    "_runtime.output._output": "runtime.patch_output",
    "_runtime.capture": "runtime.patch_capture",
    "_runtime.state": "runtime.patch_state",
    "_runtime.threads": "runtime.patch_threads",
    "_runtime.watch._path": "runtime.patch_watch",
    "_runtime.runtime": "runtime.patch_parameters",
    "_save.save": "runtime.patch_cache_blocks",
    "_save.toplevel": "runtime.patch_cache_scope",
    "_output.hypertext": "html.patch_html",
    "_output.formatting": "runtime.patch_formatting",
    "_plugins.stateless.status._progress": "progress.patch_status",
    "_plugins.ui._core.ui_element": "elements.patch_elements",
    "_plugins.ui._impl.from_anywidget": "elements.patch_anywidget",
}


def install_marimo() -> None:
    """Make marimo's functions act on the calling cell; the host calls it once, before user code."""
    for module, where in _PATCHES.items():
        after_import(f"marimo.{module}", partial(_patch, where))


def _patch(where: str, module: Any) -> None:
    file, _, function = where.partition(".")
    try:
        getattr(import_module(f"{__package__}.marimo_{file}"), function)(module)
    except AttributeError as error:
        write_report(f"cellwire: a part of marimo's API does not work with this version of it: {error}\n")
