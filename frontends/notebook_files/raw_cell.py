"""A cell as a file format has it: what every reader of a format returns."""

from typing import NamedTuple


class RawCell(NamedTuple):
    """A cell before `load` gives it its id."""

    source: str
    title: str = ""
    #: A valid id that the file gives; empty for none.
    id: str = ""
    disabled: bool = False


def trimmed(lines: list[str]) -> str:
    """Return the lines as one text without the blank ones around them."""
    return "\n".join(lines).strip("\n").rstrip()
