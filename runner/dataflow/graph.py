"""Which cell depends on which: pure data, independent of the kernel.

The graph stores which cells make (define or delete) each name and which read it, both in notebook order.
Edges are derived from that on demand, so there is nothing else to keep up to date, and the cost of a change
is the number of names in the changed cell. `steps` counts the cells visited.

A read is bound to the nearest maker above its cell. If there is none, and the name is not a builtin, it is
bound to the nearest definer below, unless the read is weak. A cell that may read its own name before it
defines it (a reread) is bound only to the nearest maker above. A cell depends on all cells that its reads are
bound to. The order of cells follows the bindings of immediate reads, and those of deferred reads where they
contradict no others (see `sequence.py`).

With `redefine="live"` the order of cells has no meaning: a name with one definer is read from there, and a
name with several definers is bound to none of them.
"""

import builtins
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator

from ...protocol.notebook import Redefine
from .carried_reads import CarriedReads
from .cell_names import Names
from .order import NotebookOrder

#: Names that exist without any cell: the builtins, and those of every module.
_BUILTINS = frozenset((*vars(builtins), "__builtins__", "__file__"))


class Graph:
    """Cells and the names between them."""

    def __init__(self, redefine: Redefine = "error") -> None:
        self.redefine = redefine
        self.order = NotebookOrder()
        #: How many cells have been visited so far.
        self.steps = 0
        #: Grows with each change.
        self.version = 0
        #: Names that several cells make, or that hide a builtin: a reader's place decides which is meant.
        self.shared: set[str] = set()
        #: Shared names that some cell defines only under a condition.
        self.passing: set[str] = set()
        #: Names that a cell reads without a maker above it. If there are none, all edges lead downwards.
        self.upward: set[str] = set()
        #: Cells that depend on each other where that is not an error; they do not run again for each other.
        self.tied: dict[str, frozenset[str]] = {}
        self._cells: dict[str, Names] = {}
        # For each name, the cells in notebook order.
        self._makers: dict[str, list[str]] = {}
        self._maybe_makers: dict[str, list[str]] = {}
        self._readers: dict[str, list[str]] = {}
        self._rereaders: dict[str, list[str]] = {}
        self._function_readers: dict[str, list[str]] = {}
        # Names of weak reads.
        self._weak: set[str] = set()
        self._carried = CarriedReads(self)

    def __contains__(self, cell: str) -> bool:
        return cell in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    # Changes

    def set_cell(self, cell: str, names: Names) -> None:
        """Add `cell`, at the end if it is not in the order, or replace its names."""
        if cell in self._cells:
            self.remove_cell(cell)
        if cell not in self.order:
            self.order.append(cell)
        self._cells[cell] = names
        self._enter(cell)

    def remove_cell(self, cell: str) -> None:
        """Take `cell` out; it keeps its place in the order.

        Raises: KeyError if it is not in the graph.
        """
        self._leave(cell)
        del self._cells[cell]

    def move(self, listed: Iterable[str]) -> bool:
        """Take over an order of some cells by `NotebookOrder.merge`; return whether anything changed."""
        listed = list(listed)
        moving = [cell for cell in self.order.moving(listed) if cell in self._cells]
        for cell in moving:
            self._leave(cell)
        changed = self.order.merge(listed)
        for cell in moving:
            self._enter(cell)
        return changed

    def _enter(self, cell: str) -> None:
        place = self.order.place
        for index, used in self._indexes(self._cells[cell]):
            for name in used:
                self.steps += 1
                cells = index.setdefault(name, [])
                if cells and place(cell) < place(cells[-1]):
                    insort(cells, cell, key=place)
                else:
                    cells.append(cell)
        self._note(self._cells[cell])
        if self._cells[cell].weak:
            self._weak.update(self._cells[cell].weak)

    def _leave(self, cell: str) -> None:
        for index, used in self._indexes(self._cells[cell]):
            for name in used:
                self.steps += 1
                cells = index[name]
                del cells[self._above(cells, cell)]
                if not cells:
                    del index[name]
        self._note(self._cells[cell])

    def _note(self, names: Names) -> None:
        """Update what is known about the names of a cell that was added, removed or moved."""
        self.version += 1
        self._carried.forget()
        for name in {*names.defs, *names.deleted, *names.immediate, *names.deferred, *names.function_reads}:
            makers, readers = self._makers.get(name, ()), self._readers.get(name, ())
            hides = name in _BUILTINS and bool(makers) and self.redefine != "live"
            _put(self.shared, name, len(makers) > 1 or hides)
            _put(self.passing, name, name in self.shared and name in self._maybe_makers)
            _put(self.upward, name, self.redefine != "live" and self._is_upward(name, makers, readers))
            floats = name in self._function_readers and (name in self.shared or name in self.upward)
            _put(self._carried.names, name, floats and self.redefine != "live")

    def _is_upward(self, name: str, makers: Collection[str], readers: Collection[str]) -> bool:
        if not makers or not readers or name in _BUILTINS:
            return False
        place = self.order.place
        return place(next(iter(readers))) <= place(next(iter(makers)))

    # Names

    def definers(self, name: str) -> list[str]:
        """Return the cells that define `name`, in notebook order."""
        return [cell for cell in self._makers.get(name, ()) if name in self._cells[cell].defs]

    def makers(self, name: str) -> list[str]:
        """Return the cells that define or delete `name`, in notebook order."""
        return list(self._makers.get(name, ()))

    def readers(self, name: str) -> list[str]:
        """Return the cells that read `name` from another cell, or would if one defined it."""
        readers = self._readers.get(name, [])
        return [*readers, *self._rereaders.get(name, ())] if name in self.shared else readers

    def function_readers(self, name: str) -> list[str]:
        """Return the cells whose functions read `name`, including its definers."""
        return self._function_readers.get(name, [])

    def is_contested(self, name: str) -> bool:
        """Return whether several cells define `name` and some cell reads it."""
        return name in self.shared and (name in self._readers or name in self._rereaders)

    def names_of(self, cell: str) -> Names:
        """Return what `cell` does with names.

        Raises: KeyError if it is not in the graph.
        """
        return self._cells[cell]

    def reads(self, cell: str) -> Iterator[str]:
        """Return the names that `cell` may read while it runs, also through functions; some of them twice."""
        names = self._cells[cell]
        for used in (names.immediate, names.deferred, names.rereads, names.late_rereads, self.carried(cell)):
            yield from used

    def makers_above(self, cell: str, name: str) -> list[str]:
        """Return the makers of `name` above `cell`; if only one cell makes it, that one."""
        makers = self._makers.get(name, [])
        return makers[: self._above(makers, cell)] if name in self.shared else makers

    def binding(self, reader: str, name: str) -> str | None:
        """Return the cell that `reader` gets `name` from: one that defines it, or deletes it above.

        None if there is no such cell, or it is `reader` itself.
        """
        makers = self._makers.get(name)
        if makers is None:
            return None
        if self.redefine == "live":
            return makers[0] if len(makers) == 1 and makers[0] != reader else None
        self.steps += 1
        index = self._above(makers, reader)
        if index:
            return makers[index - 1]
        names = self._cells[reader]
        if name in _BUILTINS or name in names.defs or name in names.weak:
            return None
        return next((cell for cell in makers if cell != reader and name in self._cells[cell].defs), None)

    def reach(self, reader: str, name: str) -> list[str]:
        """Return the cells that `reader` may get `name` from: several if the nearest may not define it."""
        nearest = self.binding(reader, name)
        if nearest is None:
            return []
        found = [nearest]
        if name in self._cells[nearest].maybe_defs and self.redefine != "live":
            makers = self._makers[name]
            index = self._above(makers, reader) - 1
            while index > 0 and name in self._cells[makers[index]].maybe_defs:
                index -= 1
                found.append(makers[index])
        return found

    def readers_of(self, cell: str, name: str) -> list[str]:
        """Return the cells that may get `name` from `cell`, which defines or deletes it."""
        if name not in self._readers and name not in self._rereaders:
            return []
        # What deletes a name makes no version of it where names have one value.
        makers = self._makers.get(name, [])
        readers = self._readers.get(name, [])
        if self.redefine == "live":
            return [reader for reader in readers if reader != cell] if makers == [cell] else []
        index = self._above(makers, cell)
        start = self._above(readers, cell) if index or name in _BUILTINS else 0
        end = len(readers)
        bound: list[str] = []
        for following in makers[index + 1 :]:
            end = self._above(readers, following)
            # A cell that deletes the name reads it, and one that defines it may read it first.
            names = self._cells[following]
            if name in names.deleted or name in names.rereads or name in names.late_rereads:
                bound.append(following)
            if name not in names.maybe_defs:
                break
            end = len(readers)
        if name not in self._cells[cell].defs:
            start = self._above(readers, cell)
        elif index and name not in _BUILTINS and not any(name in self._cells[m].defs for m in makers[:index]):
            # For the first definer: readers above all makers are bound to it, even one that deletes the name.
            bound += readers[: self._above(readers, makers[0])]
            bound.append(makers[0])
        bound += readers[start:end]
        self.steps += len(bound)
        if name in self._weak:
            weak = [each for each in bound if name in self._cells[each].weak]
            unbound = {each for each in weak if not self._above(makers, each)}
            bound = [each for each in bound if each not in unbound]
        return [reader for reader in dict.fromkeys(bound) if reader != cell]

    # Edges

    def parents(self, cell: str) -> set[str]:
        """Return the cells that `cell` depends on."""
        found = self.bound_parents(cell)
        if self.passing:
            found |= self.passed_parents(cell)
        if self._carried.names:
            found.update(self._carried.bindings(cell).values())
        return found - self.tied.get(cell, frozenset()) if self.tied else found

    def bound_parents(self, cell: str) -> set[str]:
        """Return the cells that the reads in the source of `cell` are bound to."""
        names = self._cells[cell]
        return self._nearest(cell, (names.immediate, names.deferred, names.rereads, names.late_rereads))

    def children(self, cell: str) -> set[str]:
        """Return the cells that depend on `cell`."""
        children = self.all_children(cell)
        return children - self.tied.get(cell, frozenset()) if self.tied else children

    def all_children(self, cell: str) -> set[str]:
        """Return the cells that depend on `cell`, including those that it depends on in turn."""
        children = self.static_children(cell)
        if self._carried.names:
            children.update(self._carried.children(cell))
        return children

    def immediate_parents(self, cell: str) -> set[str]:
        """Return the cells that the immediate reads of `cell` are bound to."""
        names = self._cells[cell]
        return self._nearest(cell, (names.immediate, names.rereads))

    def immediate_children(self, cell: str) -> set[str]:
        """Return the cells with an immediate read that is bound to `cell`."""
        children: set[str] = set()
        for name, readers in self._bound(cell):
            for reader in readers:
                names = self._cells[reader]
                if (name in names.immediate or name in names.rereads) and self.binding(reader, name) == cell:
                    children.add(reader)
        return children

    def passed_parents(self, cell: str) -> set[str]:
        """Return the cells that `cell` gets a name from only if nearer ones leave the name as it is."""
        if not self.passing:
            return set()
        return {maker for name in self.reads(cell) for maker in self.reach(cell, name)[1:]}

    def static_children(self, cell: str) -> set[str]:
        """Return the cells whose own sources read a name of `cell`."""
        return {reader for _, readers in self._bound(cell) for reader in readers}

    def deferred_bindings(self, cell: str) -> dict[str, str]:
        """Return the makers of names read by functions that `cell` may call, its own or those of others."""
        names = self._cells[cell]
        found = dict(self._carried.bindings(cell))
        for name in (*names.deferred, *names.late_rereads):
            maker = self.binding(cell, name)
            if maker is not None:
                found[name] = maker
        return found

    def carried(self, cell: str) -> Collection[str]:
        """Return the names read by functions that `cell` got from other cells, directly or not."""
        return self._carried.bindings(cell)

    def carriers(self, name: str) -> Collection[str]:
        """Return the cells that depend on `name` only through functions."""
        return self._carried.carriers(name)

    def callers(self) -> set[str]:
        """Return the cells with functions that read names, whether these are their own or others'."""
        own = {cell for cells in self._function_readers.values() for cell in cells}
        return own.union(self._carried.all_carriers())

    def is_needed(self, cell: str, name: str) -> bool:
        """Return whether the version of `name` that `cell` makes is read, or may be that of the end."""
        if cell not in self._cells or name not in (*self._cells[cell].defs, *self._cells[cell].deleted):
            return False
        makers, maybe = self._makers[name], self._maybe_makers.get(name, [])
        below = len(makers) - self._above(makers, cell) - 1
        passing = len(maybe) - self._above(maybe, cell) - (name in self._cells[cell].maybe_defs)
        return below == passing or name in self._carried.names or bool(self.readers_of(cell, name))

    def _nearest(self, cell: str, reads: Iterable[Collection[str]]) -> set[str]:
        found: set[str] = set()
        for names in reads:
            for name in names:
                maker = self.binding(cell, name)
                if maker is not None:
                    found.add(maker)
        return found

    def _bound(self, cell: str) -> Iterator[tuple[str, list[str]]]:
        names = self._cells[cell]
        for name in (*names.defs, *names.deleted):
            if name in self._readers or name in self._rereaders:
                yield name, self.readers_of(cell, name) if name in self._makers else []

    def _above(self, cells: list[str], cell: str) -> int:
        """Return how many of `cells`, which are in notebook order, are above `cell`."""
        return bisect_left(cells, self.order.place(cell), key=self.order.place)

    def _indexes(self, names: Names) -> Iterator[tuple[dict[str, list[str]], Collection[str]]]:
        yield self._makers, names.defs
        if names.deleted and self.redefine != "live":
            yield self._makers, names.deleted
        if names.maybe_defs:
            yield self._maybe_makers, names.maybe_defs
        yield self._readers, names.immediate
        if names.deferred:
            yield self._readers, names.deferred
        if names.rereads:
            yield self._rereaders, names.rereads
        if names.late_rereads:
            yield self._rereaders, [name for name in names.late_rereads if name not in names.rereads]
        if names.function_reads:
            yield self._function_readers, names.function_reads


def _put(names: set[str], name: str, inside: bool) -> None:
    if inside:
        names.add(name)
    else:
        names.discard(name)
