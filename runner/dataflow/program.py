"""The notebook's sources as one program: compiled cells, their graph, and what is structurally wrong.

Declaring or deleting cells returns a `Change`, which says what it means for other cells. Nothing runs here,
and statuses are not considered. A cell with a structural error is not part of the program: it defines nothing
and does not run.

* A source that does not compile defines nothing.
* Where a name may have only one definer, a cell conflicts with cells that defined one of its names before it
  or at the same time. So a valid cell stays valid, and the others are healed when it is gone.
* Cells on a cycle of immediate reads stay in the graph, since only their edges show when it is repaired.

The cost of a change is the cost of what it affects: no call visits all cells.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...protocol.events import CellDeclared
from ...protocol.messages import Cell
from ...protocol.notebook import CellError, Redefine
from ..analysis.analysis import Analysis, AnalysisError
from ..analysis.compiler import CompiledCell, compile_cell
from ..analysis.language import PYTHON, Language
from . import structural_errors as texts
from .bindings import Bindings
from .cell_names import Names, made, made_otherwise
from .cycles import cycle_through, cycles_near
from .definers import Definers
from .graph import Graph
from .placement import Placement
from .sequence import Sequence as CellSequence


class Change(msgspec.Struct):
    """What declaring or deleting cells changed."""

    #: Cells that are new or have a new source.
    declared: list[CellDeclared] = []
    #: The whole order; None if it is the old one with the new cells at the end.
    order: list[str] | None = None
    deleted: list[str] = []
    #: Whether the definitions of the deleted cells stay.
    kept: bool = False
    #: Readers that now get a name from another cell, or from none.
    rebound: set[str] = set()
    #: Cells whose structural error is new or has changed.
    broken: dict[str, CellError] = {}
    healed: list[str] = []
    #: Import-only cells, each with the names that it did not import from the same place before.
    imported: dict[str, frozenset[str]] = {}
    #: Names whose makers or readers have changed.
    names: set[str] = set()


class Program:
    """The sources of a notebook, and what follows from them."""

    def __init__(self, redefine: Redefine = "error", language: Language = PYTHON) -> None:
        self.redefine: Redefine = redefine
        #: The language of the cells; may be replaced while there are none.
        self.language: Language = language
        #: Cells that compile.
        self.compiled: dict[str, CompiledCell] = {}
        #: Cells with a structural error.
        self.errors: dict[str, CellError] = {}
        #: Cells that compile and do not conflict with others.
        self.graph = Graph(redefine)
        self.sequence = CellSequence(self.graph)
        #: What frontends submitted with cells for hooks.
        self.about: dict[str, dict[str, Any]] = {}
        self._sources: dict[str, str] = {}
        self._loose: set[str] = set()
        self.placement = Placement()
        self.revisions: dict[str, int] = {}
        #: Whose sources define each name, even where they cannot run.
        self.definers = Definers()
        # For each cell on a cycle, the cells of that cycle.
        self._cycles: dict[str, frozenset[str]] = {}
        # For each cell, the names that its functions read and must not find, see `Sequence.hidden`.
        self._hidden: dict[str, list[str]] = {}

    def __contains__(self, cell: str) -> bool:
        return cell in self._sources

    def works(self, cell: str) -> bool:
        """Return whether `cell` exists and has no structural error."""
        return cell in self.graph and cell not in self.errors

    def declare(self, cells: Sequence[Cell]) -> Change:
        """Take over new sources and, from the sequence of `cells`, their order."""
        change = Change()
        wanted = {cell.id: cell for cell in cells}
        for cell in cells:
            if cell.about:
                self.about[cell.id] = cell.about
        bindings = Bindings(self.graph)
        self._place(list(wanted), bindings, change)
        sources, loose, on = self._sources, self._loose, self.placement.on
        changed = [
            id
            for id, cell in wanted.items()
            if id not in sources
            or sources[id] != cell.source
            or (id in loose) != cell.loose
            or ((on or cell.on) and on.get(id, "") != cell.on)
        ]
        if not changed and change.order is None:
            return change
        before = {cell: self.compiled.get(cell) for cell in changed}
        invalid: dict[str, CellError] = {}
        self.definers.changes += 1
        names: set[str] = set()
        for cell in changed:
            names |= self._replace(wanted[cell], invalid)
        self._relink(changed, names, invalid, bindings, change)
        for cell in changed:
            change.declared.append(self.declaration(cell))
            self._compare_imports(cell, before[cell], change)
        return change

    def delete(self, cells: Iterable[str], keep: bool = False) -> Change:
        """Remove cells; the change does not contain unknown ones."""
        change = Change(kept=keep)
        change.deleted = [cell for cell in dict.fromkeys(cells) if cell in self._sources]
        names: set[str] = set()
        self.definers.changes += 1
        for cell in change.deleted:
            names |= self._take(cell, None)
            del self._sources[cell], self.revisions[cell]
            self._loose.discard(cell)
            self.about.pop(cell, None)
            self.placement.set(cell, "")
            self.errors.pop(cell, None)
        self._relink(change.deleted, names, {}, Bindings(self.graph), change)
        for cell in change.deleted:
            self.graph.order.remove(cell)
        return change

    def correct(self, cell: str, defs: frozenset[str]) -> Change:
        """Make `cell` define `defs`, since its run showed what it binds."""
        change = Change()
        compiled = self.compiled[cell]
        names = compiled.analysis.defs ^ defs
        if not names:
            return change
        self.definers.changes += 1
        self._take(cell, compiled.defining(defs))
        self._relink([cell], set(names), {}, Bindings(self.graph), change)
        change.declared.append(self.declaration(cell))
        return change

    def recompile(self) -> Change:
        """Compile all cells again, since the language changed; those with the same code as before stay."""
        change = Change()
        invalid: dict[str, CellError] = {}
        changed: list[str] = []
        names: set[str] = set()
        self.definers.changes += 1
        for cell in self._sources:
            old, new = self.compiled.get(cell), None
            try:
                new = self._compile(cell)
            except AnalysisError as error:
                invalid[cell] = texts.invalid_source(error)
            if (old and new and (old.body, old.value) == (new.body, new.value)) or (not old and not new):
                continue
            changed.append(cell)
            names |= self._take(cell, new)
        if changed:
            errors = {cell: error for cell, error in invalid.items() if cell in changed}
            self._relink(changed, names, errors, Bindings(self.graph), change)
            change.declared = [self.declaration(cell) for cell in changed]
        return change

    def declaration(self, cell: str) -> CellDeclared:
        """Return what frontends show of the source of `cell`."""
        compiled = self.compiled.get(cell)
        defs = sorted(compiled.analysis.defs) if compiled else []
        refs = sorted(compiled.analysis.refs) if compiled else []
        reread = compiled.analysis.rereads | compiled.analysis.late_rereads if compiled else ()
        names = defs, refs, sorted(reread) if reread else []
        on, loose = self.placement.on.get(cell, ""), cell in self._loose
        return CellDeclared(cell, self._sources[cell], self.revisions[cell], *names, loose, on)

    # Sources

    def _place(self, listed: list[str], bindings: Bindings, change: Change) -> None:
        """Put new cells into the order, and move those that are listed in another order."""
        order = self.graph.order
        if len(listed) == 1 and listed[0] in order:
            return
        new = [cell for cell in listed if cell not in order]
        moving = order.moving(listed)
        for cell in moving:
            if cell in self.graph:
                bindings.note_cell(cell)
                change.names |= made(self.graph.names_of(cell))
        size = len(order)
        if self.graph.move(listed) and not (not moving and new and order.index(new[0]) == size):
            change.order = list(order)

    def _replace(self, new: Cell, invalid: dict[str, CellError]) -> set[str]:
        """Compile a cell again and return the names that it makes only before or after that."""
        cell = new.id
        self._sources[cell] = new.source
        self.placement.set(cell, new.on)
        self.revisions[cell] = self.revisions.get(cell, 0) + 1
        if new.loose:
            self._loose.add(cell)
        elif cell in self._loose:
            self._loose.remove(cell)
        try:
            compiled = self._compile(cell)
        except AnalysisError as error:
            invalid[cell] = texts.invalid_source(error)
            compiled = None
        return self._take(cell, compiled)

    def _compile(self, cell: str) -> CompiledCell:
        """Return the code of `cell`.

        Raises: AnalysisError if there is none.
        """
        compiled = compile_cell(self._sources[cell], cell, language=self.language)
        if cell in self._loose:
            nameless = Analysis(is_async=compiled.analysis.is_async)
            return msgspec.structs.replace(compiled, analysis=nameless)
        return compiled

    def _take(self, cell: str, compiled: CompiledCell | None) -> set[str]:
        """Give `cell` this code, or none, and return the names that it makes only before or after that."""
        old = self.compiled.pop(cell, None)
        before = old.analysis if old else Analysis()
        compiled = self.placement.enter(cell, compiled)
        after = compiled.analysis if compiled else Analysis()
        if compiled:
            self.compiled[cell] = compiled
        self.definers.replace(cell, before.defs, after.defs)
        return made_otherwise(before, after)

    def _compare_imports(self, cell: str, before: CompiledCell | None, change: Change) -> None:
        after = self.compiled.get(cell)
        if after and after.analysis.import_only:
            known = before.analysis.imports if before and before.analysis.import_only else frozenset[Any]()
            change.imported[cell] = frozenset(name for name, _ in known ^ after.analysis.imports)

    # Graph and errors

    def _relink(
        self,
        changed: Sequence[str],
        names: set[str],
        invalid: dict[str, CellError],
        bindings: Bindings,
        change: Change,
    ) -> None:
        """Update graph and errors for `changed` cells, which make other `names`, and complete `change`."""
        graph = self.graph
        # Cells whose error may change: the changed cells, other definers of their names, and the cells of
        # every cycle that one of these was on.
        recheck = dict.fromkeys(changed)
        for name in names:
            recheck.update(dict.fromkeys(self.definers.all(name)))
        errors: dict[str, CellError] = dict(invalid)
        was_changed = set(changed)
        relinked: list[str] = []
        entering: dict[str, Analysis] = {}
        for cell in recheck:
            compiled = self.compiled.get(cell)
            conflicts = self._conflicts(cell) if compiled else {}
            if conflicts:
                errors[cell] = texts.multiple_definitions(conflicts)
            inside = cell in graph
            if compiled is not None and not conflicts:
                if not inside or cell in was_changed:
                    entering[cell] = compiled.analysis
                    relinked.append(cell)
            elif inside:
                relinked.append(cell)
        nothing = Analysis()
        known: dict[str, Names] = {
            cell: graph.names_of(cell) if cell in graph else nothing for cell in relinked
        }
        for cell in relinked:
            left = made(known[cell]) & made_otherwise(known[cell], entering.get(cell, nothing))
            for name in left:
                bindings.note(name, graph.readers_of(cell, name))
                bindings.note(name, graph.carriers(name))
            change.names.update(left, known[cell].immediate, known[cell].deferred)
        for cell in relinked:
            if cell not in entering:
                graph.remove_cell(cell)
                continue
            graph.set_cell(cell, entering[cell])
            gained = made(entering[cell]) & made_otherwise(known[cell], entering[cell])
            for name in gained:
                change.rebound.update(graph.readers_of(cell, name))
                carriers = graph.carriers(name)
                change.rebound.update(each for each in carriers if cell in graph.reach(each, name))
            change.names |= gained
        change.rebound.update(bindings.changed())
        self._find_cycles({**dict.fromkeys(relinked), **dict.fromkeys(change.rebound)}, recheck, errors)
        for cell in recheck:
            old = self.errors.get(cell)
            new = errors.get(cell) or (old if cell in self._cycles else None)
            if new is not None:
                self.errors[cell] = new
                if new != old:
                    change.broken[cell] = new
            elif old is not None:
                del self.errors[cell]
                change.healed.append(cell)
        for cell in change.broken:
            if cell in graph:
                change.rebound.update(graph.children(cell))
        before, self._hidden = self._hidden, self.sequence.all_hidden()
        if before or self._hidden:
            both = before.keys() | self._hidden.keys()
            change.rebound.update(cell for cell in both if before.get(cell) != self._hidden.get(cell))
        change.rebound.difference_update(change.deleted)

    def _conflicts(self, cell: str) -> dict[str, list[str]]:
        """Return the names of `cell` that other cells defined before it or at the same time."""
        if self.redefine != "error":
            return {}
        conflicts: dict[str, list[str]] = {}
        imports = self.compiled[cell].analysis.imports
        for name in self.compiled[cell].analysis.defs:
            others = self.definers.rivals(cell, name)
            if others and (name, f"from __future__ import {name}") not in imports:
                conflicts[name] = others
        return conflicts

    def _find_cycles(
        self, suspects: dict[str, None], recheck: dict[str, None], errors: dict[str, CellError]
    ) -> None:
        """Add the cells of new cycles, and of old ones that may be repaired, to `recheck` and `errors`.

        Only cells of `suspects`, whose edges have changed, can close a cycle or repair theirs.
        """
        graph = self.graph
        live = self.redefine == "live"
        if not graph.upward and not self._cycles and not live:
            return
        for cell in tuple(suspects):
            for other in self._cycles.get(cell, ()):
                self._cycles.pop(other)
                graph.tied.pop(other, None)
                suspects.setdefault(other)
                if other in self._sources:
                    recheck.setdefault(other)
        children = graph.all_children if live else graph.immediate_children
        inside = [cell for cell in suspects if cell in graph]
        for cycle in cycles_near(inside, children):
            members = frozenset(cycle)
            path: list[str] = []
            names: list[str] = []
            for cell in cycle:
                self._cycles[cell] = members
                if live:
                    graph.tied[cell] = members
                    continue
                if cell not in path:
                    path = cycle_through(cell, members, children)
                    following = [*path[1:], path[0]]
                    names = list(map(self._shared_name, path, following))
                start = path.index(cell)
                steps = [*zip(path, names, strict=True)]
                errors[cell] = texts.cycle([*steps[start:], *steps[:start]])
                recheck.setdefault(cell)

    def _shared_name(self, parent: str, child: str) -> str:
        """Return a name that `child` reads from `parent` while it runs."""
        names = self.graph.names_of(child)
        read = {*names.immediate, *names.rereads}
        common = made(self.graph.names_of(parent)) & read
        return min(name for name in common if parent in self.graph.reach(child, name))
