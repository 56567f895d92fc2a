"""Which cells are disabled, and which do not run because another one is."""

from collections.abc import Collection, Iterable

from .program import Program


class Disabled:
    """The disabled cells of a notebook."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._cells: set[str] = set()
        # The disabled cells and those that depend on them, each with a disabled cell that is the cause; None
        # if that has to be found again.
        self._inactive: dict[str, str] | None = {}

    def change(self, cells: Iterable[str], disabled: bool) -> list[str]:
        """Disable or enable `cells`, and return those that were not so already."""
        changed = [cell for cell in dict.fromkeys(cells) if (cell in self._cells) != disabled]
        self._cells.symmetric_difference_update(changed)
        self.graph_changed()
        return changed

    def graph_changed(self, deleted: Iterable[str] = ()) -> None:
        """Forget which cells depend on the disabled ones, since the graph has changed."""
        self._cells.difference_update(deleted)
        self._inactive = None if self._cells else {}

    def inactive(self) -> Collection[str]:
        """Return the cells that do not run: the disabled ones and what depends on them.

        Its cost is the size of the result, once after each change; nothing if no cell is disabled.
        """
        return self._found() if self._inactive is None else self._inactive

    def cause(self, cell: str) -> str | None:
        """Return a disabled cell that `cell`, which does not run, depends on."""
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
