"""The sources of cells where Python looks for them: tracebacks, debuggers and `inspect`."""

import io
import linecache
from contextlib import suppress


def remember_source(filename: str, source: str) -> None:
    """Let Python find `source` under the file name that the code of the cell has."""
    # Cut as Python cuts it: at the ends of lines alone, not at form feeds and the like.
    lines = io.StringIO(source, newline=None).readlines()
    with suppress(Exception):  # user code may have put anything in place of the cache
        linecache.cache[filename] = (len(source), None, lines, filename)


def forget_source(filename: str) -> None:
    """Keep nothing of a cell that is gone."""
    with suppress(Exception):
        linecache.cache.pop(filename, None)
