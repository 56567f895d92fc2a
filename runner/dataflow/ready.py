"""Kahn's algorithm, one cell at a time: which cells may have their turn.

A cell may when all that has to come before it is done; among those that may, the first one listed does.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush


class ReadyCells:
    """The cells of a list that have not had their turn."""

    def __init__(self, cells: Sequence[str], before: Callable[[str], Iterable[str]]) -> None:
        self._cells = cells
        self._rank = {cell: rank for rank, cell in enumerate(cells)}
        self._after: dict[str, list[str]] = {}
        # How many of the cells that have to come before each cell are not done.
        self._waits: dict[str, int] = {}
        for cell in cells:
            earlier = {other for other in before(cell) if other in self._rank and other != cell}
            self._waits[cell] = len(earlier)
            for other in earlier:
                self._after.setdefault(other, []).append(cell)
        self._ready = [rank for rank, cell in enumerate(cells) if not self._waits[cell]]
        heapify(self._ready)

    def __len__(self) -> int:
        """Return how many cells are left, ready or not."""
        return len(self._waits)

    def pop(self) -> str | None:
        """Take out the next cell that may have its turn; None if each has to wait for another one."""
        if not self._ready:
            return None
        cell = self._cells[heappop(self._ready)]
        del self._waits[cell]
        return cell

    def done(self, cell: str) -> None:
        """Let those that had to wait for `cell` have their turn."""
        for later in self._after.get(cell, ()):
            self._waits[later] -= 1
            if not self._waits[later]:
                heappush(self._ready, self._rank[later])

    def drop(self) -> list[str]:
        """Take out all that is left and return it, in the order of the list."""
        left = sorted(self._waits, key=self._rank.__getitem__)
        self._waits.clear()
        self._after.clear()
        self._ready.clear()
        return left
