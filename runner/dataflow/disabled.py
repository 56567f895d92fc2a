"""Which cells are disabled, and which do not run because of that."""

from collections.abc import Collection, Iterable

from .program import Program


class Disabled:
    """The disabled cells of a notebook."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._cells: set[str] = set()
        # These and what depends on them, each with a disabled cell that is the cause; None where that has to
        # be found again.
        self._inactive: dict[str, str] | None = {}

    def change(self, cells: Iterable[str], disabled: bool) -> list[str]:
        """Disable or enable `cells` and return those for which that is a change."""
        changed = [cell for cell in dict.fromkeys(cells) if (cell in self._cells) != disabled]
        self._cells.symmetric_difference_update(changed)
        self.graph_changed()
        return changed

    def graph_changed(self, deleted: Iterable[str] = ()) -> None:
        """Find out again what depends on the disabled cells."""
        self._cells.difference_update(deleted)
        self._inactive = None if self._cells else {}

    def inactive(self) -> Collection[str]:
        """Return the cells that do not run: the disabled ones and what depends on them.

        Costs what there is to return, once after each change; nothing where no cell is disabled.
        """
        return self._found() if self._inactive is None else self._inactive

    def cause(self, cell: str) -> str | None:
        """Return the disabled cell because of which `cell`, which depends on it, does not run."""
        cause = self._found().get(cell)
        return None if cell in self._cells else cause

    def _found(self) -> dict[str, str]:
        if self._inactive is None:
            found: dict[str, str] = {}
            place = self._program.graph.order.place
            todo = [(cell, cell) for cell in sorted(self._cells, key=place, reverse=True)]
            while todo:
                cell, cause = todo.pop()
                if cell not in found and self._program.works(cell):
                    found[cell] = cause
                    todo += [(child, cause) for child in self._program.graph.children(cell)]
            self._inactive = found
        return self._inactive
