"""The order of cells in the notebook, with a place for each cell that can be compared without counting.

A place is a number between those of the neighbours. Inserting a cell, comparing two cells and finding one
therefore cost nothing that grows with the notebook, except for moving pointers in a list. If no number is
left between two places, all places get new numbers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class NotebookOrder:
    """The ids of cells in notebook order."""

    def __init__(self, cells: Iterable[str] = ()) -> None:
        self._cells = list(dict.fromkeys(cells))
        self._places: dict[str, float] = {}
        self._number()

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, cell: str) -> bool:
        return cell in self._places

    def place(self, cell: str) -> float:
        """Return the place of `cell`: a number that is greater for later cells.

        Raises: KeyError if it is not in the order.
        """
        return self._places[cell]

    def index(self, cell: str) -> int:
        """Return how many cells are before `cell`.

        Raises: KeyError if it is not in the order.
        """
        return bisect_left(self._cells, self._places[cell], key=self._places.__getitem__)

    def append(self, cell: str) -> None:
        """Put `cell`, which is not in the order, at the end."""
        self._places[cell] = self._places[self._cells[-1]] + 1.0 if self._cells else 0.0
        self._cells.append(cell)

    def insert(self, index: int, cell: str) -> None:
        """Put `cell`, which is not in the order, before the cell at `index`."""
        if index >= len(self._cells):
            self.append(cell)
            return
        after = self._places[self._cells[index]]
        before = self._places[self._cells[index - 1]] if index else after - 2.0
        place = (before + after) / 2
        self._cells.insert(index, cell)
        self._places[cell] = place
        if not before < place < after:
            self._number()

    def remove(self, cell: str) -> None:
        """Take `cell` out of the order.

        Raises: KeyError if it is not in the order.
        """
        del self._cells[self.index(cell)]
        del self._places[cell]

    def merge(self, listed: Iterable[str]) -> bool:
        """Take over an order of some cells, old or new; return whether that changed anything.

        Old cells keep their place as far as the list allows; otherwise as few as possible move. A cell that
        is new or moves goes right after its predecessor in the list, or right before its successor if it
        has no predecessor; at the end if the list has no old cell.
        """
        cells = list(dict.fromkeys(listed))
        staying = self._longest_run([cell for cell in cells if cell in self._places])
        if len(staying) == len(cells):
            return False
        moving = [cell for cell in cells if cell not in staying]
        for cell in moving:
            if cell in self._places:
                self.remove(cell)
        first = next((cell for cell in cells if cell in staying), None)
        index = len(self._cells) if first is None else self.index(first)
        for cell in cells:
            if cell in staying:
                index = self.index(cell) + 1
            else:
                self.insert(index, cell)
                index += 1
        return True

    def moving(self, listed: Iterable[str]) -> list[str]:
        """Return the cells in the order that `merge` would move."""
        old = [cell for cell in dict.fromkeys(listed) if cell in self._places]
        staying = self._longest_run(old)
        return [cell for cell in old if cell not in staying]

    def _number(self) -> None:
        self._places = {cell: float(index) for index, cell in enumerate(self._cells)}

    def _longest_run(self, cells: list[str]) -> set[str]:
        """Return a largest subset of `cells` that is in the same sequence in the order and in the list."""
        # Patience sorting: `tops[n]` ends a run of n + 1 cells, the earliest such end seen so far.
        tops: list[float] = []
        ends: list[str] = []
        before: dict[str, str | None] = {}
        for cell in cells:
            place = self._places[cell]
            length = bisect_right(tops, place)
            before[cell] = ends[length - 1] if length else None
            tops[length : length + 1] = [place]
            ends[length : length + 1] = [cell]
        run: set[str] = set()
        last = ends[-1] if ends else None
        while last is not None:
            run.add(last)
            last = before[last]
        return run
