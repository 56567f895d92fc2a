"""Databricks notebooks: scripts whose cells are separated by `# COMMAND ----------` lines.

A line that begins with `# MAGIC` belongs to a cell in another language, which its first line names. Except
for Markdown, such a cell keeps its `%` line, so that it fails when it runs and is not silently left out.
"""

import itertools
import re

from .percent import marker_rows
from .raw_cell import RawCell, first_line, trimmed

_SEPARATOR = re.compile(r"# COMMAND -{10}\s*$")
_TITLE = re.compile(r"# DBTITLE \d+,(?P<title>.*)")
_MAGIC = re.compile(r"# MAGIC ?(?P<line>.*)")


def read(text: str) -> list[RawCell]:
    """Return the cells of a Databricks notebook."""
    lines = text.split("\n")
    cells: list[RawCell] = []
    for start, end in itertools.pairwise([0, *marker_rows(text, _SEPARATOR), len(lines)]):
        title, source = "", list[str]()
        # The first line is the header or a separator.
        numbers: list[int] = []
        for number, line in enumerate(lines[start + 1 : end], start + 2):
            if match := _TITLE.match(line):
                title = match["title"].strip()
                continue
            numbers.append(number)
            match = _MAGIC.match(line)
            source.append(match["line"] if match else line)
        code = trimmed(source)
        skipped = first_line(source, 0) - 1
        if code.startswith("%python\n"):
            code, skipped = code.removeprefix("%python\n"), skipped + 1
        if code.startswith("%md"):
            text = re.sub(r"^%md\S*\s*", "", code)
            cells.append(RawCell(text, title, line=numbers[skipped], kind="markdown"))
        elif code:
            cells.append(RawCell(code, title, line=numbers[skipped]))
    return cells
