"""In which order planned cells get their turn when some of them overlap.

A cell may start when everything in the plan that has to come before it is finished; among those that
may, the first in the plan's order does. Without overlap that is the plan's order itself.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush


class ReadyCells:
    """The cells of a plan that have not had their turn."""

    def __init__(self, order: Sequence[str], predecessors: Callable[[str], Iterable[str]]) -> None:
        self._order = order
        self._place = {cell: place for place, cell in enumerate(order)}
        self._successors: dict[str, list[str]] = {}
        # How many of the cells that have to come before each cell are not finished.
        self._waits: dict[str, int] = {}
        for place, cell in enumerate(order):
            earlier = {other for other in predecessors(cell) if self._place.get(other, place) < place}
            self._waits[cell] = len(earlier)
            for other in earlier:
                self._successors.setdefault(other, []).append(cell)
        self._ready = [self._place[cell] for cell in order if not self._waits[cell]]
        heapify(self._ready)

    def __len__(self) -> int:
        """Return how many cells are left, ready or not."""
        return len(self._waits)

    def next(self) -> str | None:
        """Take out the next cell that may start; None if each has to wait for one that runs."""
        if not self._ready:
            return None
        cell = self._order[heappop(self._ready)]
        del self._waits[cell]
        return cell

    def finished(self, cell: str) -> None:
        """Let those that had to wait for `cell` have their turn."""
        for later in self._successors.get(cell, ()):
            self._waits[later] -= 1
            if not self._waits[later]:
                heappush(self._ready, self._place[later])

    def drop(self) -> list[str]:
        """Take out all that is left and return it, in order."""
        left = sorted(self._waits, key=self._place.__getitem__)
        self._waits.clear()
        self._successors.clear()
        self._ready.clear()
        return left
