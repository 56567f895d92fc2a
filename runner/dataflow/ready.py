"""Kahn's algorithm, one cell at a time: which cell is next.

A cell is ready when the cells that it waits for are done, or have begun if that is enough. Of several ready
cells the first one listed is next.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush


class ReadyCells:
    """The cells of a list that have not had their turn.

    `before` returns the cells that must be done before a cell, `begun` those that only must have begun. Ready
    cells in `first` come before other ready cells.
    """

    def __init__(
        self,
        cells: Sequence[str],
        before: Callable[[str], Iterable[str]],
        begun: Callable[[str], Iterable[str]] | None = None,
        first: Collection[str] = (),
    ) -> None:
        self._cells = cells
        size = len(cells) if first else 0
        # Below 0 for the cells in `first`; Python's negative indices find the same cell.
        self._rank = {cell: rank - size if cell in first else rank for rank, cell in enumerate(cells)}
        self._after: dict[str, list[str]] = {}
        self._after_begin: dict[str, list[str]] = {}
        # How many cells each still waits for.
        self._waits: dict[str, int] = {}
        for cell in cells:
            earlier = {other for other in before(cell) if other in self._rank and other != cell}
            self._waits[cell] = len(earlier)
            for other in earlier:
                self._after.setdefault(other, []).append(cell)
            for other in set(begun(cell)) - earlier if begun else ():
                self._waits[cell] += 1
                self._after_begin.setdefault(other, []).append(cell)
        self._ready = [self._rank[cell] for cell in cells if not self._waits[cell]]
        heapify(self._ready)

    def __len__(self) -> int:
        """Return how many cells are left, ready or not."""
        return len(self._waits)

    def pop(self) -> str | None:
        """Remove and return the next ready cell; None if all wait for others."""
        while self._ready:
            cell = self._cells[heappop(self._ready)]
            if cell in self._waits:
                del self._waits[cell]
                return cell
        return None

    def take(self, cell: str) -> None:
        """Remove `cell`, whether or not it is ready."""
        self._waits.pop(cell, None)

    def done(self, cell: str) -> None:
        """Note that `cell` is done."""
        if self._after_begin:
            self.begun(cell)
        self._release(self._after.get(cell, ()))

    def begun(self, cell: str) -> None:
        """Note that `cell` has begun."""
        self._release(self._after_begin.pop(cell, ()))

    def drop(self) -> list[str]:
        """Remove and return all cells that are left, in the order of the list."""
        left = [cell for cell in self._cells if cell in self._waits] if self._waits else []
        self._waits.clear()
        self._after.clear()
        self._after_begin.clear()
        self._ready.clear()
        return left

    def _release(self, cells: Iterable[str]) -> None:
        for later in cells:
            if later not in self._waits:
                continue
            self._waits[later] -= 1
            if not self._waits[later]:
                heappush(self._ready, self._rank[later])
