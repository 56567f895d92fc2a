"""Which cells are disabled, and which do not run because of that."""

from collections.abc import Iterable, Set

from .program import Program


class Disabled:
    """The disabled cells of a notebook."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._cells: set[str] = set()
        # These and what depends on them; None where that has to be found out again.
        self._blocked: Set[str] | None = frozenset()

    def change(self, cells: Iterable[str], disabled: bool) -> list[str]:
        """Disable or enable `cells` and return those for which that is a change."""
        changed = [cell for cell in dict.fromkeys(cells) if (cell in self._cells) != disabled]
        self._cells.symmetric_difference_update(changed)
        self.graph_changed()
        return changed

    def graph_changed(self, deleted: Iterable[str] = ()) -> None:
        """Take note that other cells may depend on the disabled ones than before."""
        self._cells.difference_update(deleted)
        self._blocked = None if self._cells else frozenset()

    def blocked(self) -> Set[str]:
        """Return the cells that do not run: the disabled ones and what depends on them.

        Costs what there is to return, once after each change; nothing where no cell is disabled.
        """
        if self._blocked is None:
            found: set[str] = set()
            todo = list(self._cells)
            while todo:
                cell = todo.pop()
                if cell not in found and self._program.works(cell):
                    found.add(cell)
                    todo += self._program.graph.children(cell)
            self._blocked = found
        return self._blocked
