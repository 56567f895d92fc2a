"""The notebook's sources as one program: compiled cells, their graph, and what is structurally wrong.

Declaring or deleting cells returns a `Change` that says what it means for the others; nothing is run and
no status is looked at. A cell with a fault is out of the program: it defines nothing and does not run.

* A source that does not compile claims no names.
* Names are claimed. A cell conflicts with whoever claimed one of its names before it or together with
  it, so a cell that was valid stays valid, and is healed when those claims are gone.
* Cells on a cycle stay in the graph, since only their edges tell when the cycle is repaired.

The cost of a change is the cost of what it touches: no call looks at all cells.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ...protocol.events import CellDeclared
from ...protocol.messages import Cell
from ...protocol.notebook import CellError, Redefine
from ..analysis.analysis import AnalysisError
from ..analysis.compiler import CompiledCell, compile_cell
from . import structural_errors as texts
from .cycles import cycle_through, cycles_near
from .graph import Graph


class Change(msgspec.Struct):
    """What declaring or deleting cells has changed."""

    #: Cells that are new or have a new source.
    declared: list[CellDeclared] = []
    #: The whole order, where it is not the old one with the new cells at the end.
    order: list[str] | None = None
    deleted: list[str] = []
    #: Readers of names that have another definer, or none.
    rebound: set[str] = set()
    #: Cells whose fault is new or another one.
    broken: dict[str, CellError] = {}
    healed: list[str] = []
    #: Import-only cells that were so before: the names that are imported from elsewhere than before.
    imported: dict[str, frozenset[str]] = {}


class Program:
    """The sources of a notebook and what follows from them."""

    def __init__(self, redefine: Redefine = "error") -> None:
        self.redefine: Redefine = redefine
        #: Cells that compile.
        self.compiled: dict[str, CompiledCell] = {}
        #: Cells that are structurally wrong.
        self.faults: dict[str, CellError] = {}
        #: Cells that compile and claim no name of another cell.
        self.graph = Graph()
        self._sources: dict[str, str] = {}
        self.revisions: dict[str, int] = {}
        # For each name the cells whose source defines it, and the number of the change that made it so.
        self._claims: dict[str, dict[str, int]] = {}
        self._deleters: dict[str, set[str]] = {}
        self._last_definers: dict[str, str] = {}
        # The cells that depend on each other, for each cell that is on a cycle.
        self._knots: dict[str, frozenset[str]] = {}
        self._changes = 0

    def __contains__(self, cell: str) -> bool:
        return cell in self._sources

    def works(self, cell: str) -> bool:
        """Return whether `cell` is a cell without a fault."""
        return cell in self.graph and cell not in self.faults

    def claimants(self, name: str) -> list[str]:
        """Return the cells whose source defines `name`, those with a fault included, oldest claim first."""
        return sorted(self._claims.get(name, ()), key=self._claims.get(name, {}).__getitem__)

    def deleters(self, name: str) -> set[str]:
        """Return the cells whose source deletes `name`."""
        return self._deleters.get(name, set())

    def last_definer(self, name: str) -> str | None:
        """Return the cell that defined `name`, which no cell does any more; None if none ever did."""
        return self._last_definers.get(name)

    def declare(self, cells: Sequence[Cell]) -> Change:
        """Take over new sources and, from the sequence of `cells`, their order."""
        change = Change()
        wanted = {cell.id: cell.source for cell in cells}
        self._place(list(wanted), change)
        changed = [cell for cell, source in wanted.items() if self._sources.get(cell) != source]
        if changed:
            touched: set[str] = set()
            before = {cell: self.compiled.get(cell) for cell in changed}
            invalid: dict[str, CellError] = {}
            self._changes += 1
            for cell in changed:
                self._replace(cell, wanted[cell], touched, invalid)
            self._link(changed, touched, invalid, change)
            for cell in changed:
                change.declared.append(self._declaration(cell))
                self._compare_imports(cell, before[cell], change)
        return change

    def delete(self, cells: Iterable[str]) -> Change:
        """Remove cells; those that are not there are left out of the change."""
        change = Change()
        change.deleted = [cell for cell in dict.fromkeys(cells) if cell in self._sources]
        touched: set[str] = set()
        self._changes += 1
        for cell in change.deleted:
            self._unclaim(cell, touched)
            del self._sources[cell], self.revisions[cell]
            self.faults.pop(cell, None)
        if change.deleted:
            self._link(change.deleted, touched, {}, change)
        for cell in change.deleted:
            self.graph.order.remove(cell)
        return change

    def bind(self, reader: str, owners: Mapping[str, str]) -> None:
        """Let `reader` follow the cells that its names are from at this moment: `owners` of names."""
        analysis = self.compiled[reader].analysis
        for name in analysis.refs | analysis.rereads:
            owner = owners.get(name)
            # What it reads of its own is from its last run, before which it followed another cell.
            if owner is not None and owner != reader:
                self.graph.bind(reader, name, owner)

    def _place(self, listed: list[str], change: Change) -> None:
        """Give new cells their place in the order."""
        order = self.graph.order
        if len(listed) == 1 and listed[0] in order:
            return
        new = [cell for cell in listed if cell not in order]
        old = [cell for cell in listed if cell in order]
        in_place = old == sorted(old, key=order.place)
        size = len(order)
        if order.merge(listed) and not (in_place and order.index(new[0]) == size):
            change.order = list(order)

    def _replace(self, cell: str, source: str, touched: set[str], invalid: dict[str, CellError]) -> None:
        """Compile `cell` anew and renew its claims; note the names that this may concern."""
        old = self._unclaim(cell, touched, keep_claims=True)
        self._sources[cell] = source
        self.revisions[cell] = self.revisions.get(cell, 0) + 1
        defs: frozenset[str] = frozenset()
        try:
            compiled = compile_cell(source, cell)
        except AnalysisError as error:
            invalid[cell] = texts.invalid_source(error)
        else:
            self.compiled[cell] = compiled
            defs = compiled.analysis.defs
            for name in compiled.analysis.deleted:
                self._deleters.setdefault(name, set()).add(cell)
        for name in old - defs:
            self._drop_claim(cell, name)
        for name in defs:
            self._claims.setdefault(name, {}).setdefault(cell, self._changes)
            self._last_definers.pop(name, None)
        touched |= defs

    def _unclaim(self, cell: str, touched: set[str], keep_claims: bool = False) -> frozenset[str]:
        """Forget what `cell` was compiled to and return the names it defined."""
        compiled = self.compiled.pop(cell, None)
        if compiled is None:
            return frozenset()
        for name in compiled.analysis.deleted:
            self._deleters[name].discard(cell)
        defs = compiled.analysis.defs
        touched |= defs
        if not keep_claims:
            for name in defs:
                self._drop_claim(cell, name)
        return defs

    def _drop_claim(self, cell: str, name: str) -> None:
        claims = self._claims[name]
        del claims[cell]
        if not claims:
            del self._claims[name]
            self._last_definers[name] = cell

    def _link(
        self, changed: Sequence[str], touched: set[str], invalid: dict[str, CellError], change: Change
    ) -> None:
        """Bring graph and faults up to date after `changed` cells and `touched` names; fill in `change`."""
        graph = self.graph
        before = {name: self._followed(name) for name in touched}
        old_faults = self.faults
        # What may have another fault than before: the changed cells, other claimants of their names,
        # and the cells of every cycle that one of them was on.
        concerned = dict.fromkeys(changed)
        for name in touched:
            concerned.update(dict.fromkeys(self._claims.get(name, ())))
        faults: dict[str, CellError] = dict(invalid)
        was_changed = set(changed)
        relinked: list[str] = []
        for cell in concerned:
            compiled = self.compiled.get(cell)
            conflicts = self._conflicts(cell) if compiled else {}
            if conflicts:
                faults[cell] = texts.multiple_definitions(conflicts)
            inside = cell in graph
            if compiled is not None and not conflicts:
                if not inside or cell in was_changed:
                    graph.set_cell(cell, compiled.analysis)
                    relinked.append(cell)
            elif inside:
                graph.remove_cell(cell)
                relinked.append(cell)
        self._find_cycles(relinked, concerned, faults)
        for cell in concerned:
            old = old_faults.get(cell)
            new = faults.get(cell) or (old if cell in self._knots else None)
            if new is not None:
                self.faults[cell] = new
                if new != old:
                    change.broken[cell] = new
            elif old is not None:
                del self.faults[cell]
                change.healed.append(cell)
        for name, followed in before.items():
            change.rebound.update(self._strayed(name, followed))
        for cell in change.broken:
            if cell in graph:
                for name in self.compiled[cell].analysis.defs:
                    change.rebound.update(graph.readers(name))
        change.rebound.difference_update(change.deleted)

    def _followed(self, name: str) -> frozenset[str] | dict[str, str | None]:
        """Return who defines `name`; where several may, whom each of its readers follows."""
        graph = self.graph
        if self.redefine == "error":
            return frozenset(graph.definers(name))
        return {reader: graph.definer_for(reader, name) for reader in graph.readers(name)}

    def _strayed(self, name: str, before: frozenset[str] | dict[str, str | None]) -> Iterable[str]:
        """Return the readers of `name` that follow another cell than `before`."""
        after = self._followed(name)
        if after == before:
            return ()
        if isinstance(before, dict) and isinstance(after, dict):
            return [reader for reader, definer in after.items() if before.get(reader) != definer]
        return self.graph.readers(name)

    def _conflicts(self, cell: str) -> dict[str, list[str]]:
        """Return the names of `cell` that other cells claimed before it or together with it."""
        if self.redefine == "allow":
            return {}
        conflicts: dict[str, list[str]] = {}
        for name in self.compiled[cell].analysis.defs:
            claims = self._claims[name]
            if len(claims) > 1:
                since = claims[cell]
                others = [other for other, when in claims.items() if other != cell and when <= since]
                if others:
                    conflicts[name] = others
        return conflicts

    def _find_cycles(
        self, relinked: list[str], concerned: dict[str, None], faults: dict[str, CellError]
    ) -> None:
        """Add the cells of new cycles, and of old ones that may be repaired, to `concerned` and `faults`."""
        # Only a cell that was relinked closes a cycle, or repairs the one that it is on.
        suspects = dict.fromkeys(relinked)
        for cell in relinked:
            for other in self._knots.get(cell, ()):
                self._knots.pop(other)
                suspects.setdefault(other)
                if other in self._sources:
                    concerned.setdefault(other)
        graph = self.graph
        inside = [c for c in suspects if c in graph and graph.parents(c) and graph.children(c)]
        for knot in cycles_near(inside, graph.children):
            members = frozenset(knot)
            for cell in knot:
                path = cycle_through(cell, members, graph.children)
                pairs = zip(path, [*path[1:], path[0]], strict=True)
                faults[cell] = texts.cycle([(here, self._carried(here, there)) for here, there in pairs])
                self._knots[cell] = members
                concerned.setdefault(cell)

    def _carried(self, parent: str, child: str) -> str:
        """Return a name that `child` reads from `parent`."""
        return min(self.compiled[parent].analysis.defs & self.compiled[child].analysis.refs)

    def _declaration(self, cell: str) -> CellDeclared:
        compiled = self.compiled.get(cell)
        defs = sorted(compiled.analysis.defs) if compiled else []
        refs = sorted(compiled.analysis.refs) if compiled else []
        return CellDeclared(cell, self._sources[cell], self.revisions[cell], defs, refs)

    def _compare_imports(self, cell: str, before: CompiledCell | None, change: Change) -> None:
        after = self.compiled.get(cell)
        if (
            before is None
            or after is None
            or not (before.analysis.import_only and after.analysis.import_only)
        ):
            return
        change.imported[cell] = frozenset(
            name for name, _ in before.analysis.imports ^ after.analysis.imports
        )
