"""What a request means for a notebook: which cells run, in which order, and which become stale.

Pure: everything is read from the program, the notebook and the change that came before. Nothing that is
not connected with what was asked for or changed is looked at. That rests on one invariant: what
depends on a stale cell is stale itself, so a search stops at a cell that is not (upwards) or that
already is (downwards).
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from ...protocol.notebook import Notebook
from .program import Change, Program


class Plan(msgspec.Struct):
    """What one run does. Preparation hooks may look at it."""

    run: int
    #: The cells to run, in order.
    cells: list[str] = []
    #: Cells that become stale, and were not.
    stale: list[str] = []


class Planner(NamedTuple):
    """The state that plans are made from."""

    program: Program
    notebook: Notebook
    #: Returns the cells that do not run because they or cells that they depend on are disabled.
    blocked: Callable[[], Collection[str]]

    def run(self, run: int, requested: Iterable[str], change: Change | None = None) -> Plan:
        """Plan a run of `requested` cells, and of what `change` has healed or left without its definer."""
        change = change or Change()
        wanted = [cell for cell in requested if self.program.works(cell)]
        affected = [*change.rebound, *change.healed]
        if self.notebook.mode == "autorun":
            return self._ordered(run, *self._everything_downstream([*wanted, *affected], change))
        return self._ordered(run, *self._only_what_is_needed(wanted, affected, change))

    def no_run(self, run: int, change: Change) -> Plan:
        """Plan what `change` makes stale, running nothing."""
        changed = [cell.id for cell in change.declared]
        stale = self._outdated([*changed, *change.rebound, *change.healed], change)
        return self._ordered(run, (), stale)

    def stale_below(self, cells: Iterable[str]) -> list[str]:
        """Return the stale cells among `cells` and what depends on them."""
        found: dict[str, None] = {}
        todo = list(cells)
        while todo:
            cell = todo.pop()
            if cell not in found and self.notebook.cells[cell].stale:
                found[cell] = None
                todo += self._children(cell)
        return list(found)

    def _everything_downstream(
        self, roots: Iterable[str], change: Change
    ) -> tuple[dict[str, None], dict[str, None]]:
        """Return what runs and what is stale: `roots`, everything downstream, and stale ancestors of it."""
        blocked = self.blocked()
        cells: dict[str, None] = {}
        stale: dict[str, None] = {}
        todo = list(roots)
        while todo:
            cell = todo.pop()
            if cell in cells or cell in stale or not self.program.works(cell):
                continue
            if cell in blocked:
                stale[cell] = None
            else:
                cells[cell] = None
                todo += self._stale_parents(cell)
            todo += self._followers(cell, change)
        return cells, stale

    def _only_what_is_needed(
        self, requested: list[str], affected: list[str], change: Change
    ) -> tuple[dict[str, None], dict[str, None]]:
        """Return what runs, `requested` and its stale ancestors, and what is stale, the rest downstream."""
        following = [follower for cell in requested for follower in self._followers(cell, change)]
        outdated = self._outdated([*affected, *following], change)
        blocked = self.blocked()
        cells: dict[str, None] = {}
        todo = list(requested)
        while todo:
            cell = todo.pop()
            if cell in cells:
                continue
            if cell in blocked:
                outdated[cell] = None
            else:
                cells[cell] = None
                parents = self.program.graph.parents(cell)
                todo += [parent for parent in parents if parent in outdated]
                todo += self._stale_parents(cell)
        return cells, {cell: None for cell in outdated if cell not in cells}

    def _outdated(self, roots: list[str], change: Change) -> dict[str, None]:
        """Return those of `roots` that are not stale yet, and what depends on them."""
        found: dict[str, None] = {}
        todo = roots
        while todo:
            cell = todo.pop()
            if cell not in found and self.program.works(cell) and not self.notebook.cells[cell].stale:
                found[cell] = None
                todo += self._followers(cell, change)
        return found

    def _children(self, cell: str) -> Iterable[str]:
        return [child for child in self.program.graph.children(cell) if self.program.works(child)]

    def _stale_parents(self, cell: str) -> list[str]:
        program, cells = self.program, self.notebook.cells
        return [
            parent for parent in program.graph.parents(cell) if cells[parent].stale and program.works(parent)
        ]

    def _followers(self, cell: str, change: Change) -> Iterable[str]:
        """Return the cells that have to follow a run of `cell`."""
        names = change.imported.get(cell)
        state = self.notebook.cells[cell]
        if names is not None and state.status == "ok" and not state.stale:
            # Imports that are as before give what they gave before.
            return {reader for name in names for reader in self.program.graph.readers(name)}
        return self.program.graph.children(cell)

    def _ordered(self, run: int, cells: Collection[str], stale: Iterable[str]) -> Plan:
        states = self.notebook.cells
        order = self.program.graph.topological(cells) if len(cells) > 1 else list(cells)
        return Plan(run, order, [cell for cell in stale if not states[cell].stale])
