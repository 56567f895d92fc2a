"""Where cells stand in the notebook file, so that errors name the place where an editor finds them."""

import re

import msgspec

from ...protocol.notebook import CellError
from ..notebook_files.load import NotebookFile

_FRAME = re.compile(r'(?<=File ")<cell (?P<cell>.+?)>", line (?P<line>\d+)')


class FileLines:
    """The lines of the cells of one notebook file. The cells of an `.ipynb` have none."""

    def __init__(self, notebook: NotebookFile | None = None) -> None:
        self.update(notebook)

    def update(self, notebook: NotebookFile | None) -> None:
        """Take the lines of `notebook`, which was read again."""
        self._path = notebook.path if notebook else ""
        self._first_lines = notebook.first_lines if notebook else {}

    def of(self, cell: str, line: int) -> str:
        """Return `path:line` for a line of a cell, counted from 1; empty if it is not known."""
        first = self._first_lines.get(cell)
        return f"{self._path}:{first + line - 1}" if first and line else ""

    def in_file(self, cell: str, error: CellError) -> CellError:
        """Return the error of `cell`, with lines of the file in its texts in place of lines of cells."""
        place = self.of(cell, error.line)
        message = error.message
        if place and error.kind == "SyntaxError" and message.endswith(ending := f" (line {error.line})"):
            message = f"{message.removesuffix(ending)} ({place})"
        return msgspec.structs.replace(
            error, message=message, traceback=_FRAME.sub(self._frame, error.traceback)
        )

    def _frame(self, match: re.Match[str]) -> str:
        path, _, line = self.of(match["cell"], int(match["line"])).rpartition(":")
        return f'{path}", line {line}' if path else match[0]
