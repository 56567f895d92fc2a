"""jupytext's light scripts: paragraphs are cells, and `# +` begins a cell with blank lines in it.

A paragraph of comments is Markdown. A cell that begins with `# +` ends at `# -` or where another one begins.
"""

import ast
import json
import re

from .cell_marker import read_marker, uncommented, valid_id
from .percent import has_markers, jupytext_format, marker_rows, only_comments
from .raw_cell import RawCell, first_line, trimmed

_BEGIN = re.compile(r"# \+(?P<rest>$|\s.*)")
_END = re.compile(r"# -\s*$")
#: A marker that begins a cell even in a file without a header, since no comment looks like it.
_CERTAIN = re.compile(r"# \+\s*($|\[|\{|[\w.-]+=)")
_METADATA = re.compile(r"\{.*\}\s*$")


def recognizes(text: str) -> bool:
    """Whether the text is a light script: its header or its markers say so."""
    name = jupytext_format(text)
    return name == "light" or (not name and bool(marker_rows(text, _CERTAIN)) and not has_markers(text))


def read(text: str) -> list[RawCell]:
    """Return the cells of a light script."""
    lines = text.split("\n")
    begins, ends = set(marker_rows(text, _BEGIN)), set(marker_rows(text, _END))
    inside = _rows_inside_statements(text)
    cells: list[RawCell] = []
    row = 0
    while row < len(lines):
        start = row
        row += 1
        if start in begins:
            while row < len(lines) and row not in begins and row not in ends:
                row += 1
            match = _BEGIN.match(lines[start])
            rest = match["rest"] if match else ""
            source = trimmed(lines[start + 1 : row])
            if source:
                cells.append(_marked(rest, source, first_line(lines, start + 1)))
            row += row in ends
        elif lines[start].strip() and start not in ends:
            while row < len(lines) and row not in begins and not _ends_paragraph(lines, row, inside):
                row += 1
            source = trimmed(lines[start:row])
            if not only_comments(source):
                cells.append(RawCell(source, line=start + 1))
            elif not source.startswith(("# ---", "#!")):
                cells.append(RawCell(uncommented(source), line=start + 1, kind="markdown"))
    return cells


def _marked(rest: str, source: str, line: int) -> RawCell:
    """Return the cell whose marker is followed by `rest`."""
    whole = _METADATA.search(rest)
    kind, title, metadata = read_marker(_METADATA.sub("", rest))
    if whole:
        try:
            metadata |= json.loads(whole[0])
        except ValueError:
            pass  # it has no readable metadata
    text = source if kind == "code" else uncommented(source)
    return RawCell(text, title, valid_id(metadata.pop("id", "")), line=line, kind=kind, metadata=metadata)


def _ends_paragraph(lines: list[str], row: int, inside: set[int]) -> bool:
    """Whether the line is blank, and the next one is neither indented nor part of the same statement."""
    if lines[row].strip() or row in inside:
        return False
    following = next((line for line in lines[row:] if line.strip()), "")
    return not following.startswith((" ", "\t"))


def _rows_inside_statements(text: str) -> set[int]:
    """Return the indices of all lines of statements but their first; none if the text does not parse."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return set()
    return {row for node in body for row in range(node.lineno, node.end_lineno or node.lineno)}
