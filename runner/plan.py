"""What a request means for a notebook: which cells run, in which order, and which become stale.

Pure: everything is read from the program, the notebook and the change that came before. Nothing that is
not connected with what was asked for or changed is looked at. That rests on one invariant: what
depends on a stale cell is stale itself, so a search stops at a cell that is not (upwards) or that
already is (downwards).
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from ..protocol.notebook import Notebook
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
        affected = [*change.rebound, *change.healed]
        if self.notebook.mode == "autorun":
            return self._ordered(run, *self._everything_downstream([*requested, *affected], change))
        cells, stale = self._only_what_they_need(requested)
        self._mark_downstream(cells, affected, stale, change)
        return self._ordered(run, cells, stale)

    def no_run(self, run: int, change: Change) -> Plan:
        """Plan what `change` makes stale, running nothing."""
        stale: dict[str, None] = {}
        changed = [cell.id for cell in change.declared]
        self._mark_downstream((), [*changed, *change.rebound, *change.healed], stale, change)
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
            if cell in cells or cell in stale or not self._runs(cell):
                continue
            if cell in blocked:
                stale[cell] = None
            else:
                cells[cell] = None
                todo += self._stale_parents(cell)
            todo += self._followers(cell, change)
        return cells, stale

    def _only_what_they_need(self, requested: Iterable[str]) -> tuple[dict[str, None], dict[str, None]]:
        """Return what runs and what is stale: `requested` and its stale ancestors."""
        blocked = self.blocked()
        cells: dict[str, None] = {}
        stale: dict[str, None] = {}
        todo = list(requested)
        while todo:
            cell = todo.pop()
            if cell in cells or cell in stale or not self._runs(cell):
                continue
            if cell in blocked:
                stale[cell] = None
            else:
                cells[cell] = None
                todo += self._stale_parents(cell)
        return cells, stale

    def _mark_downstream(
        self, cells: Collection[str], roots: Iterable[str], stale: dict[str, None], change: Change
    ) -> None:
        """Add to `stale` the `roots` and whatever depends on them, on `cells` or on `stale`."""
        todo = [root for root in roots if root not in cells]
        for cell in (*cells, *stale):
            todo += self._followers(cell, change)
        seen = set(stale).union(cells)
        while todo:
            cell = todo.pop()
            if cell in seen or not self._runs(cell):
                continue
            seen.add(cell)
            if not self.notebook.cells[cell].stale:
                stale[cell] = None
                todo += self._followers(cell, change)

    def _runs(self, cell: str) -> bool:
        return cell in self.program.graph and cell not in self.program.faults

    def _children(self, cell: str) -> Iterable[str]:
        return [child for child in self.program.graph.children(cell) if self._runs(child)]

    def _stale_parents(self, cell: str) -> list[str]:
        cells = self.notebook.cells
        return [parent for parent in self.program.graph.parents(cell) if cells[parent].stale]

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
