"""Puts the sources of cells where tracebacks, debuggers and `inspect` look for them."""

import io
import linecache
from contextlib import suppress

#: The sources in the cache, which each run checks.
_remembered: dict[str, str] = {}


def remember_source(filename: str, source: str) -> None:
    """Make Python find `source` under the file name of the cell's code."""
    try:
        if filename in linecache.cache and _remembered.get(filename) is source:
            return
        if not filename.startswith("<"):
            return  # a file, which Python reads by itself
        _remembered[filename] = source
        # Split as Python does: only at line ends, not at form feeds and the like. Python takes each line to
        # have an end, as in a file; without the last one its carets would be one place too far.
        lines = io.StringIO(source + "\n", newline=None).readlines()
        linecache.cache[filename] = (len(source), None, lines, filename)
    except Exception:
        pass  # user code may have put anything in place of the cache


def forget_source(filename: str) -> None:
    """Forget the source of a deleted cell."""
    _remembered.pop(filename, None)
    with suppress(Exception):
        linecache.cache.pop(filename, None)
