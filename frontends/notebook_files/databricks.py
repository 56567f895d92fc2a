"""Databricks notebooks: scripts whose cells are separated by `# COMMAND ----------` lines.

A line that begins with `# MAGIC` is part of a cell in another language, whose name is on its first line.
Markdown cells are left out. Any other keeps its `%` line, so that it fails and is not silently left out.
"""

import itertools
import re

from .percent import marker_rows
from .raw_cell import RawCell, trimmed

_SEPARATOR = re.compile(r"# COMMAND -{10}\s*$")
_TITLE = re.compile(r"# DBTITLE \d+,(?P<title>.*)")
_MAGIC = re.compile(r"# MAGIC ?(?P<line>.*)")


def read(text: str) -> list[RawCell]:
    """Return the cells that are not Markdown."""
    lines = text.split("\n")
    cells: list[RawCell] = []
    for start, end in itertools.pairwise([0, *marker_rows(text, _SEPARATOR), len(lines)]):
        title, source = "", list[str]()
        # The first line is the header or a separator.
        for line in lines[start + 1 : end]:
            if match := _TITLE.match(line):
                title = match["title"].strip()
            elif match := _MAGIC.match(line):
                source.append(match["line"])
            else:
                source.append(line)
        code = trimmed(source).removeprefix("%python\n")
        if code and not code.startswith("%md"):
            cells.append(RawCell(code, title))
    return cells
