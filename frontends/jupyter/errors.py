"""Errors of cells in Jupyter's form: a name, a value, the lines of a traceback.

The kernel names cells by their ids, which are random in a Jupyter notebook; a reader knows their numbers.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...protocol.errors import RequestError
from ...protocol.notebook import CellError

#: Returns the number that a cell has in its notebook; None if it has none.
NumberOf = Callable[[str], int | None]

#: How messages and tracebacks name a cell.
_CELL = re.compile(r"""cell (['"])(.+?)\1""")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_FILE = re.compile(r'File "<cell (.+?)>"')


def of_cell(error: CellError, number_of: NumberOf, lines: list[str] | None = None) -> dict[str, Any]:
    """Return a cell's error in Jupyter's form; `lines` replace the traceback."""
    kind, message = error.kind, _numbered(error.message, number_of)
    # The cell was cancelled before its turn, and not because of another cell.
    if kind == "Interrupted" or (kind == "Cancelled" and not error.cells):
        kind, message = "KeyboardInterrupt", ""
    text = error.traceback or (f"{kind}: {message}" if message else kind)
    if error.hint and not lines:
        text = f"{text.rstrip()}\n{error.hint}"
    if lines:
        lines = [*lines[:-1], _with_explanation(lines[-1], message)]
    else:
        lines = [_numbered(line, number_of) for line in text.rstrip("\n").split("\n")]
    return {"ename": kind, "evalue": message, "traceback": lines}


def of_item(described: Mapping[str, Any], number_of: NumberOf) -> dict[str, Any]:
    """Return the error that an output item describes, in Jupyter's form."""
    names = ("kind", "message", "traceback", "hint")
    kind, message, traceback, hint = (str(described.get(name, "")) for name in names)
    return of_cell(CellError(kind, message, traceback, hint), number_of, described.get("lines"))


def of_request(error: RequestError) -> dict[str, Any]:
    """Return the error of a request that the kernel refused, in Jupyter's form."""
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    return {"status": "error", **named("RequestError", text)}


def named(kind: str, message: str) -> dict[str, Any]:
    """Return an error without a traceback, in Jupyter's form."""
    return {"ename": kind, "evalue": message, "traceback": [f"{kind}: {message}"]}


def _with_explanation(line: str, message: str) -> str:
    """Return the last line of a traceback, with what `message` adds to it, such as why a name is missing."""
    said = _COLOUR.sub("", line).partition(": ")[2]
    return line + message[len(said) :] if said and message.startswith(said) else line


def _numbered(text: str, number_of: NumberOf) -> str:
    def cell(found: re.Match[str]) -> str:
        number = number_of(found[2])
        return found[0] if number is None else f"cell [{number}]"

    def file(found: re.Match[str]) -> str:
        number = number_of(found[1])
        return found[0] if number is None else f"Cell In[{number}]"

    return _FILE.sub(file, _CELL.sub(cell, text))
