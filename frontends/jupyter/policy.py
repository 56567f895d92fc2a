"""Which stale cells run by themselves, in which order, and why others wait. No messages, no sockets.

A cell follows a change if the change made it stale. A cell that is stale because the runner died or the user
interrupted it does not: what a user has stopped is not started again. A cell runs when all cells that it
depends on are up to date and have succeeded. A name is *contested* if several cells define it and another
one reads it. Its value then depends on which cell ran last, as in any ordinary notebook, so no cell that
reads or defines it runs by itself.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from ...protocol import events as e
from ...protocol.notebook import CellState, Notebook

INTERRUPTED = "interrupted"
FROZEN = "frozen"
_ENDED_BADLY = frozenset({"error", "interrupted", "cancelled", "stopped"})


class Following:
    """Decides which stale cells follow a change, and why others do not."""

    def __init__(self) -> None:
        #: Those that follow.
        self.candidates: set[str] = set()
        self._interrupted: set[str] = set()
        # The names that deleted cells defined, each with how to call the cell.
        self._left: dict[str, str] = {}

    def take(self, event: Any, notebook: Notebook) -> None:
        """Handle an event of the kernel."""
        match event:
            case e.CellsMarked(cells=cells, stale=True):
                self.candidates.update(cells)
            case e.CellsMarked(cells=cells):
                self._forget(cells)
            case e.CellStarted() | e.CellSkipped():
                self._forget([event.cell])
            case e.CellFinished(cell=cell, status="interrupted"):
                self.interrupt()
                self._interrupted.add(cell)
            case e.RunFinished(status="interrupted"):
                # Its cells that had not begun are stale.
                self.interrupt()
            case e.CellsDeleted(cells=cells):
                self._forget(cells)
            case e.GraphChanged(cells=declared):
                for cell in declared:
                    for name in cell.defs:
                        self._left.pop(name, None)
            case e.RunnerDied():
                self._forget(notebook.cells)
            case _:
                pass

    def interrupt(self) -> None:
        """Do not run the cells that would have followed: the user has stopped them."""
        self._interrupted |= self.candidates
        self.candidates.clear()

    def execute(self, cell: str, notebook: Notebook) -> None:
        """Let the cells that depend on `cell` follow, since the user executes it."""
        below = [each for each in descendants(notebook, cell) if notebook.cells[each].stale]
        self._forget([cell, *below])
        self.candidates.update(below)

    def delete(self, cells: Iterable[str], notebook: Notebook, call: Callable[[str], str]) -> None:
        """Note what `cells`, which are about to be deleted, define; `call` returns how to call a cell."""
        for id in cells:
            if id in notebook.cells:
                self._left.update(dict.fromkeys(notebook.cells[id].defs, call(id)))

    def waiting(
        self,
        notebook: Notebook,
        ours: Collection[str],
        frozen: Collection[str],
        call: Callable[[str], str],
    ) -> tuple[list[str], dict[str, str]]:
        """Return the cells to run, in order, and why others of `ours` are stale.

        `ours` are the cells that a connected page draws; `frozen` cells never run by themselves.
        """
        contested = contested_names(notebook)
        definers = {name: cell.id for cell in notebook.cells.values() for name in cell.defs}
        ready: list[str] = []
        reasons: dict[str, str] = {}
        for id in notebook.order:
            cell = notebook.cells[id]
            if not cell.stale or id not in ours:
                continue
            if id in self._interrupted:
                # The error of the cell that was executing already says so.
                if cell.status != "interrupted":
                    reasons[id] = INTERRUPTED
            elif id in self.candidates:
                reason = FROZEN if id in frozen else self._obstacle(notebook, cell, contested, definers, call)
                if reason:
                    reasons[id] = reason
                else:
                    ready.append(id)
        return ready, reasons

    def _obstacle(
        self,
        notebook: Notebook,
        cell: CellState,
        contested: Collection[str],
        definers: dict[str, str],
        call: Callable[[str], str],
    ) -> str:
        """Return why `cell` does not run by itself, or an empty text if it does."""
        if cell.stale_reason == "disabled":
            return "disabled" if cell.disabled else f"{call(cell.stale_because[0])} is disabled"
        touched = sorted({*cell.defs, *cell.refs, *cell.rereads}.intersection(contested))
        if touched:
            return f"several cells define {', '.join(touched)}"
        left = [name for name in cell.refs if name in self._left and name not in definers]
        if left:
            return f"{self._left[left[0]]}, which defined {left[0]}, was deleted"
        parents = {definers[name] for name in cell.refs if name in definers} - {cell.id}
        unready = [id for id in notebook.order if id in parents and not _is_well(notebook.cells[id])]
        return f"waits for {call(unready[0])}" if unready else ""

    def _forget(self, cells: Iterable[str]) -> None:
        cells = set(cells)
        self.candidates -= cells
        self._interrupted -= cells


def contested_names(notebook: Notebook) -> set[str]:
    """Return the names that several cells define and at least one cell reads."""
    definers: dict[str, int] = {}
    read: set[str] = set()
    for cell in notebook.cells.values():
        for name in cell.defs:
            definers[name] = definers.get(name, 0) + 1
        read.update(cell.refs, cell.rereads)
    return {name for name, number in definers.items() if number > 1 and name in read}


def descendants(notebook: Notebook, cell: str) -> list[str]:
    """Return the cells that depend on `cell`, in notebook order."""
    readers: dict[str, list[str]] = {}
    for other in notebook.cells.values():
        for name in (*other.refs, *other.rereads):
            readers.setdefault(name, []).append(other.id)
    found: set[str] = set()
    todo = [cell]
    while todo:
        state = notebook.cells.get(todo.pop())
        for name in state.defs if state is not None else ():
            new = [reader for reader in readers.get(name, ()) if reader not in found]
            found.update(new)
            todo += new
    found.discard(cell)
    return [id for id in notebook.order if id in found]


def _is_well(cell: CellState) -> bool:
    return not cell.stale and cell.status not in _ENDED_BADLY
