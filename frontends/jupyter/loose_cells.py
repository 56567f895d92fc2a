"""The cells of requests that belong to no notebook: their ids, and how long they are kept.

A cell is kept for some requests after its own, since its threads may still write. One that has shown an
output under a display id is kept much longer, since any later request may update that output.
"""

from collections import deque
from itertools import count

#: How many of both kinds are kept at least. Several are deleted at once: the next request waits for that.
_KEPT, _KEPT_WITH_DISPLAYS = 16, 240
_AT_ONCE = 16
#: The id of a loose cell begins with this, which no notebook's ids do.
SIGN = "~"


class LooseCells:
    """The loose cells of one kernel."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._plain: deque[str] = deque()
        self._with_displays: deque[str] = deque()

    def new(self) -> str:
        """Return the id of a new cell."""
        return f"{SIGN}{next(self._numbers)}"

    def keep(self, cell: str, *, displays: bool) -> list[str]:
        """Keep a cell whose request was answered, and return the cells to delete for it.

        `displays` says whether it has shown something under a display id.
        """
        kept, least = (self._with_displays, _KEPT_WITH_DISPLAYS) if displays else (self._plain, _KEPT)
        kept.append(cell)
        if len(kept) < least + _AT_ONCE:
            return []
        return [kept.popleft() for _ in range(_AT_ONCE)]
