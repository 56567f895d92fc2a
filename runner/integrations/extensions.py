"""Code of others that changes how cells run: functions that the configuration names, and packages."""

import os
import sys
from importlib import import_module

from ..output.reports import report

_EXTENSIONS = "cellwire.hooks"


def call(extension: str, host: object) -> None:
    """Call a function, given as `module:function`, with the host."""
    module, _, function = extension.partition(":")
    try:
        getattr(import_module(module), function)(host)
    except BaseException as error:
        report(f"cellwire: the extension {extension} could not be loaded\n", error)


def load_extensions(hooks: object) -> None:
    """Call each entry point `cellwire.hooks` of an installed package with `hooks`."""
    if not any(_offers_extension(path) for path in sys.path):
        return
    # This import is a fifth of the start-up, which is why the files are searched first.
    from importlib.metadata import entry_points

    for extension in entry_points(group=_EXTENSIONS):
        try:
            extension.load()(hooks)
        except BaseException as error:
            report(f"cellwire: the hooks of {extension.name} could not be loaded\n", error)


def _offers_extension(path: str) -> bool:
    """Return whether a package installed in `path` may have an entry point `cellwire.hooks`."""
    try:
        with os.scandir(path or ".") as entries:
            metadata = [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    for directory in metadata:
        try:
            with open(os.path.join(directory, "entry_points.txt"), "rb") as file:
                if f"[{_EXTENSIONS}]".encode() in file.read():
                    return True
        except OSError:
            pass  # most packages have no entry points
    return False
