"""Makes `inspect` find the source of classes that cells define, as it finds that of functions.

A function knows the file name of its code. Of a class Python knows only the module, which has no file. The
cell is found by the code of a method, or else by a class of this name in the source.
"""

import inspect
import linecache
import re
from functools import wraps
from types import FunctionType
from typing import Any, cast


def install_class_sources() -> None:
    """Let `inspect.getfile` know classes of cells; the host calls it once, before user code."""
    original = inspect.getfile

    @wraps(original)
    def getfile(object: Any) -> str:
        try:
            return original(object)
        except (TypeError, OSError):
            filename = _cell_file(object) if issubclass(type(object), type) else ""
            if not filename:
                raise
            return filename

    inspect.getfile = getfile


def _cell_file(kind: Any) -> str:
    """Return the file name of the cell that defines the class `kind`; empty if there is none."""
    if kind.__module__ != "__main__":
        return ""
    members = cast("dict[str, Any]", vars(kind))
    for written in list(members.values()):
        member = getattr(written, "__func__", written)
        if type(member) is FunctionType and member.__qualname__ == f"{kind.__qualname__}.{member.__name__}":
            return member.__code__.co_filename
    header = re.compile(rf"^\s*class\s+{re.escape(kind.__name__)}\b", re.MULTILINE)
    for filename in list(linecache.cache):
        if filename.startswith("<cell ") and header.search("".join(linecache.getlines(filename))):
            return filename
    return ""
