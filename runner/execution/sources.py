"""The sources of cells where Python looks for them: tracebacks, debuggers and `inspect`."""

import io
import linecache
from contextlib import suppress

#: The sources in the cache, which are looked at for each run.
_remembered: dict[str, str] = {}


def remember_source(filename: str, source: str) -> None:
    """Let Python find `source` under the file name that the code of the cell has."""
    try:
        if filename in linecache.cache and _remembered.get(filename) is source:
            return
        if not filename.startswith("<"):
            return  # a file, which Python reads by itself
        _remembered[filename] = source
        # Cut as Python cuts it: at the ends of lines alone, not at form feeds and the like.
        # Python takes each line to have an end, as in a file, and would put its carets one too far without.
        lines = io.StringIO(source + "\n", newline=None).readlines()
        linecache.cache[filename] = (len(source), None, lines, filename)
    except Exception:
        pass  # user code may have put anything in place of the cache


def forget_source(filename: str) -> None:
    """Keep nothing of a cell that is gone."""
    _remembered.pop(filename, None)
    with suppress(Exception):
        linecache.cache.pop(filename, None)
