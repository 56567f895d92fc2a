"""A request to execute, from its arrival to its reply: what it asks for, and what has come of it."""

from typing import Any

from ...protocol.notebook import CellError
from ...protocol.placement import place_of
from .connection_file import Channel
from .loose_cells import SIGN
from .views import View
from .wire import Message

#: Characters of the id of a notebook's cell; what has more is no notebook's.
_LONGEST_ID = 1024


class ExecuteRequest:
    """One request."""

    def __init__(self, channel: Channel, message: Message) -> None:
        content = message.content
        self.channel: Channel = channel
        self.message = message
        code = content.get("code")
        self.code = code if isinstance(code, str) else ""
        self.readable = isinstance(code, str)
        self.silent = bool(content.get("silent"))
        self.stored = bool(content.get("store_history", True)) and not self.silent
        self.stop_on_error = bool(content.get("stop_on_error", True))
        expressions = content.get("user_expressions")
        self.expressions: dict[str, Any] = expressions if isinstance(expressions, dict) else {}
        #: The cell of the notebook; empty for a loose one.
        self.cell_id = "" if self.silent else _cell_of(message)
        if len(self.cell_id) > _LONGEST_ID or self.cell_id.startswith(SIGN):
            self.cell_id = ""
        #: The variable that says where that cell runs; empty for the runner itself.
        self.on = place_of(message.metadata) if self.cell_id else ""
        #: Where it is drawn, once it is begun.
        self.view: View | None = None
        #: The cell that the kernel runs for it.
        self.cell = ""
        self.count = 0
        self.started = ""
        #: The number of the run that it waits for.
        self.run = 0
        self.error: CellError | None = None
        #: The content of the reply, once it is known.
        self.outcome: dict[str, Any] | None = None
        self.payload: list[dict[str, Any]] = []
        #: Whether its cell has shown something under a display id.
        self.displays = False
        self.results: dict[str, Any] = {}
        #: The loose cells of its expressions, each with the name of the expression.
        self.asked: dict[str, str] = {}


def _cell_of(message: Message) -> str:
    """Return the cell of a notebook that a request executes; empty if it is of none.

    Lab's console gives its cells ids too, but only its notebooks say which cells were deleted. VS Code's
    cells have a URI.
    """
    cell = message.metadata.get("cellId")
    if isinstance(cell, str) and ("deletedCells" in message.metadata or ":" in cell):
        return cell
    return ""
