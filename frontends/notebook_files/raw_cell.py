"""A cell as a file format has it: what every reader of a format returns."""

import re
from typing import NamedTuple


class RawCell(NamedTuple):
    """A cell before `load` gives it its id."""

    source: str
    title: str = ""
    #: A valid id that the file gives; empty for none.
    id: str = ""
    disabled: bool = False
    #: The number in the file of the line on which the source begins; 0 where the file has no such lines.
    line: int = 0
    #: The variable whose value says where the cell runs; empty for the kernel itself.
    on: str = ""


_ON = re.compile(r"(?:^|\s)on=(?:\"([^\"]*)\"|'([^']*)'|(\S+))")


def place_in(options: str) -> str:
    """Return the value of the option `on="…"` of the line that begins a cell; empty without it."""
    found = _ON.search(options)
    return next(filter(None, found.groups()), "") if found else ""


def trimmed(lines: list[str]) -> str:
    """Return the lines as one text without the blank ones around them."""
    return "\n".join(lines).strip("\n").rstrip()


def first_line(lines: list[str], start: int) -> int:
    """Return the number, from 1, of the first line that is not blank, looking from the index `start`."""
    while start < len(lines) and not lines[start]:
        start += 1
    return start + 1
