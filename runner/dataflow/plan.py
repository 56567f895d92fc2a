"""What a request means for a notebook: which cells run, in which order, and which become stale.

Pure: everything is read from the program, the notebook and the change that came before. Only cells connected
with what was requested or changed are visited. That rests on one invariant: a cell that depends on a stale
cell is itself stale. So a search upwards stops at cells that are not stale, and a search downwards at those
that already are.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from ...protocol.notebook import Notebook
from .program import Change, Program


class Plan(msgspec.Struct):
    """What one run does. Preparation hooks may read it."""

    run: int
    #: The cells to run, in order.
    cells: list[str] = []
    #: Cells that become stale and were not stale before.
    stale: list[str] = []


class Planner(NamedTuple):
    """Makes plans from the state of the notebook."""

    program: Program
    notebook: Notebook
    #: Returns the cells that do not run because they or cells that they depend on are disabled.
    inactive: Callable[[], Collection[str]]
    #: Versions that were dropped, by name and maker; the maker has to run again if a cell needs one.
    dropped: Collection[tuple[str, str]]
    #: Returns the maker of the version of a name that the notebook's end should have, if it was dropped.
    lost_at_end: Callable[[str], str | None]

    def run(self, run: int, requested: Iterable[str], change: Change | None = None) -> Plan:
        """Plan a run of `requested` cells, and of cells that `change` has healed or bound to another cell."""
        change = change or Change()
        wanted = [cell for cell in requested if self.program.works(cell)]
        cells = self.notebook.cells
        # A cell that was already stale shows nothing that the change could have made wrong.
        affected = [cell for cell in change.rebound if not cells[cell].stale]
        affected += change.healed
        lost = self._lost_at_end(change)
        if self.notebook.mode == "autorun":
            return self._plan(run, [*self._downstream([*wanted, *affected], change), *lost])
        following = [follower for cell in wanted for follower in self._followers(cell, change)]
        outdated = self._outdated([*affected, *following, *lost], change)
        return self._plan(run, wanted, outdated)

    def no_run(self, run: int, change: Change) -> Plan:
        """Plan to mark what `change` makes stale, and to run nothing."""
        cells = self.notebook.cells
        changed = [cell.id for cell in change.declared if self._has_code(cell.id) or cells[cell.id].run]
        outdated = self._outdated(
            [*changed, *change.rebound, *change.healed, *self._lost_at_end(change)], change
        )
        return self._plan(run, (), outdated)

    def run_readers(self, run: int, readers: Mapping[str, Collection[str]]) -> Plan:
        """Plan a run of `readers` of states and what depends on them.

        Each comes with the cells that set a state which only its functions read: these cells called such a
        function themselves, and do not run again for that. It comes with none if it reads a state itself.
        """
        found: dict[str, None] = {}
        for reader, setters in readers.items():
            for setter in setters or ("",):
                found.update(self._downstream([reader], Change(), setter))
        if self.notebook.mode == "autorun":
            return self._plan(run, found)
        return self._plan(run, (), found)

    def stale_below(self, cells: Iterable[str]) -> list[str]:
        """Return the stale ones of `cells` and of what depends on them."""
        found: dict[str, None] = {}
        todo = list(cells)
        while todo:
            cell = todo.pop()
            if cell not in found and self.notebook.cells[cell].stale and self.program.works(cell):
                found[cell] = None
                todo += self.program.graph.children(cell)
        return list(found)

    def _downstream(self, roots: Iterable[str], change: Change, caller: str = "") -> dict[str, None]:
        """Return `roots` and what has to follow them; for reads in functions, `caller` does not follow."""
        found: dict[str, None] = {}
        todo = list(roots)
        functions = self._with_functions_of(todo) if caller else ()
        while todo:
            cell = todo.pop()
            if cell not in found and self.program.works(cell):
                found[cell] = None
                followers = self._followers(cell, change)
                todo += [each for each in followers if each != caller] if cell in functions else followers
        return found

    def _with_functions_of(self, cells: Iterable[str]) -> set[str]:
        """Return `cells`, and those that depend on them only by reads in functions."""
        graph = self.program.graph
        found: set[str] = set()
        todo = [cell for cell in cells if cell in graph]
        while todo:
            cell = todo.pop()
            if cell not in found:
                found.add(cell)
                todo += graph.static_children(cell) - graph.immediate_children(cell)
        return found

    def _outdated(self, roots: Iterable[str], change: Change) -> dict[str, None]:
        """Return those of `roots` that are not stale, and what depends on them."""
        found: dict[str, None] = {}
        todo = list(roots)
        while todo:
            cell = todo.pop()
            if cell not in found and self.program.works(cell) and not self.notebook.cells[cell].stale:
                found[cell] = None
                todo += self._followers(cell, change)
        return found

    def _plan(self, run: int, wanted: Iterable[str], outdated: Collection[str] = ()) -> Plan:
        """Return the plan that runs `wanted` and the ancestors that they need; `outdated` cells are stale."""
        states = self.notebook.cells
        inactive = self.inactive()
        stale = dict.fromkeys(outdated)
        cells: dict[str, None] = {}
        todo = list(wanted)
        while todo:
            cell = todo.pop()
            if cell in cells:
                continue
            if cell in inactive:
                stale[cell] = None
                continue
            cells[cell] = None
            analysis = self.program.compiled[cell].analysis
            if analysis.refs or analysis.rereads or analysis.late_rereads:
                parents = self.program.graph.parents(cell)
                todo += [parent for parent in parents if self._has_to_run(parent, stale)]
            if self.dropped:
                todo += self._without_version(cell)
        if self.program.redefine == "live":
            stale.update(self._readers_of_contested(cells))
        order = self.program.sequence.topological(cells) if len(cells) > 1 else list(cells)
        return Plan(run, order, [cell for cell in stale if cell not in cells and not states[cell].stale])

    def _readers_of_contested(self, cells: Iterable[str]) -> dict[str, None]:
        """Return the cells that become stale and do not run, because `cells` set contested names."""
        graph = self.program.graph
        names = {name for cell in cells for name in graph.names_of(cell).defs if graph.is_contested(name)}
        return self._outdated([reader for name in names for reader in graph.readers(name)], Change())

    def _has_to_run(self, cell: str, outdated: Collection[str]) -> bool:
        return self.program.works(cell) and (cell in outdated or self.notebook.cells[cell].stale)

    def _without_version(self, reader: str) -> list[str]:
        """Return the cells that succeeded, but whose version of a name that `reader` needs was dropped."""
        graph = self.program.graph
        makers = {(name, maker) for name in graph.reads(reader) for maker in graph.reach(reader, name)}
        return [
            maker for name, maker in makers if (name, maker) in self.dropped and self.program.works(maker)
        ]

    def _lost_at_end(self, change: Change) -> list[str]:
        """Return the cells whose version, which was dropped, `change` has made that of the notebook's end.

        Those that did not end well are left out: they have to run again, or to be repaired, anyway.
        """
        if not self.dropped or change.kept or self.program.redefine == "live":
            return []
        states = self.notebook.cells
        makers = [maker for name in sorted(change.names) if (maker := self.lost_at_end(name)) is not None]
        return [cell for cell in makers if states[cell].status == "ok" and not states[cell].stale]

    def _has_code(self, cell: str) -> bool:
        code = self.program.compiled.get(cell)
        return code is None or code.body is not None or code.value is not None

    def _followers(self, cell: str, change: Change) -> Iterable[str]:
        """Return the cells that have to run after `cell` has run."""
        graph = self.program.graph
        state = self.notebook.cells[cell]
        code = self.program.compiled[cell]
        if code.analysis.import_only and state.status == "ok" and not state.stale:
            # Unchanged imports give the same values.
            names = change.imported.get(cell, frozenset())
            known = [name for name in names if name in code.analysis.defs]
            return {reader for name in known for reader in graph.readers_of(cell, name)}
        return graph.children(cell)
