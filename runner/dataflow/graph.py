"""Which cell depends on which: pure data, no kernel in sight.

Nothing is stored but two indexes, name to definers and name to readers, and the notebook's order. Edges
follow from them when somebody asks, so there is no second truth to keep up to date, and the cost of a
change is the number of names in the cell that changed. No query looks at cells that it does not return
or follow; `steps` counts what was looked at.

A name may have several definers. Each reader then follows one of them: the one it was bound to with
`bind`, or else the nearest above it, or else the first. A cell that reads its own name before defining
it is such a reader too. Whether several definers are an error is for the caller to say.
"""

from collections.abc import Collection, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Protocol

from .order import NotebookOrder

__all__ = ["Graph", "Names"]


class Names(Protocol):
    """What the graph has to know about a cell; an `Analysis` is one."""

    @property
    def defs(self) -> Collection[str]: ...
    @property
    def refs(self) -> Collection[str]: ...
    @property
    def rereads(self) -> Collection[str]: ...
    @property
    def deleted(self) -> Collection[str]: ...


class Graph:
    """Cells and the names between them."""

    def __init__(self) -> None:
        self.order = NotebookOrder()
        #: Links between a cell and a name that were looked at so far.
        self.steps = 0
        self._cells: dict[str, Names] = {}
        self._definers: dict[str, set[str]] = {}
        self._readers: dict[str, set[str]] = {}
        self._rereaders: dict[str, set[str]] = {}
        # Names with several definers.
        self._shared: set[str] = set()
        self._bindings: dict[str, dict[str, str]] = {}

    def __contains__(self, cell: str) -> bool:
        return cell in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    # Changes

    def set_cell(self, cell: str, names: Names) -> None:
        """Add `cell`, at the end if the order does not have it, or give it other names."""
        bindings = self._bindings.get(cell)
        if cell in self._cells:
            self.remove_cell(cell)
        if cell not in self.order:
            self.order.append(cell)
        if bindings:
            self._bindings[cell] = bindings
        self._cells[cell] = names
        for index, used in self._indexes(names):
            for name in used:
                self.steps += 1
                index.setdefault(name, set()).add(cell)
        for name in names.defs:
            if len(self._definers[name]) > 1:
                self._shared.add(name)

    def remove_cell(self, cell: str) -> None:
        """Take `cell` out; it keeps its place in the order.

        Raises: KeyError if it is not in the graph.
        """
        names = self._cells.pop(cell)
        self._bindings.pop(cell, None)
        for index, used in self._indexes(names):
            for name in used:
                self.steps += 1
                cells = index[name]
                cells.remove(cell)
                if not cells:
                    del index[name]
        for name in names.defs:
            if len(self._definers.get(name, ())) < 2:
                self._shared.discard(name)

    def bind(self, reader: str, name: str, definer: str) -> None:
        """Let `reader` follow this definer of `name` for as long as it defines it."""
        self._bindings.setdefault(reader, {})[name] = definer

    # Names

    def definers(self, name: str) -> set[str]:
        """Return the cells that define `name`."""
        return set(self._definers.get(name, ()))

    def readers(self, name: str) -> set[str]:
        """Return the cells that read `name` from another cell, or would if one defined it."""
        readers = set(self._readers.get(name, ()))
        if name in self._shared:
            readers.update(self._rereaders.get(name, ()))
        return readers

    def definer_for(self, reader: str, name: str) -> str | None:
        """Return the cell that `reader` has `name` from; None if there is none, or it is `reader` itself."""
        definers = self._definers.get(name)
        if definers is None:
            return None
        bound = self._bindings.get(reader, {}).get(name)
        if bound is not None and bound in definers:
            return bound if bound != reader else None
        if len(definers) == 1:
            (only,) = definers
            return only if only != reader else None
        place = self.order.place
        others = sorted(definers - {reader}, key=place)
        self.steps += len(others)
        above = [other for other in others if place(other) < place(reader)]
        return above[-1] if above else others[0]

    # Edges

    def parents(self, cell: str) -> set[str]:
        """Return the cells that `cell` reads names of."""
        names = self._cells[cell]
        self.steps += len(names.refs) + len(names.rereads)
        found = {self.definer_for(cell, name) for used in (names.refs, names.rereads) for name in used}
        return {parent for parent in found if parent is not None}

    def children(self, cell: str) -> set[str]:
        """Return the cells that read names of `cell`."""
        children: set[str] = set()
        for name in self._cells[cell].defs:
            readers = self.readers(name)
            self.steps += len(readers)
            if name in self._shared:
                readers = {reader for reader in readers if self.definer_for(reader, name) == cell}
            children |= readers
        children.discard(cell)
        return children

    def predecessors(self, cell: str) -> set[str]:
        """Return the cells that have to come before `cell`: its parents and those it would disturb.

        A cell that deletes a name disturbs the other readers of it. A cell that defines a name anew
        disturbs the definers above it and whoever follows those.
        """
        names = self._cells[cell]
        found = self.parents(cell)
        for name in names.deleted:
            readers = self.readers(name)
            self.steps += len(readers)
            found.update(reader for reader in readers if name not in self._cells[reader].deleted)
        for name in self._shared.intersection(names.defs):
            place = self.order.place
            above = {other for other in self._definers[name] if place(other) < place(cell)}
            readers = self.readers(name)
            self.steps += len(readers)
            found |= above
            found.update(reader for reader in readers if self.definer_for(reader, name) in above)
        found.discard(cell)
        return found

    # Order

    def topological(self, cells: Iterable[str]) -> list[str]:
        """Return `cells` so that each stands behind its predecessors among them, else in notebook order.

        Where that cannot be, only parents count; on a cycle, only the notebook's order.
        """
        left = set(cells)
        order: list[str] = []
        for before in (self.predecessors, self.parents):
            order += self._sorted(left, {cell: before(cell) & left for cell in left})
            left.difference_update(order)
            if not left:
                return order
        return order + sorted(left, key=self.order.place)

    def _sorted(self, cells: Iterable[str], before: dict[str, set[str]]) -> list[str]:
        """Sort `cells` by Kahn's algorithm; those that a cycle holds up are left out."""
        place = self.order.place
        waits = {cell: len(before[cell]) for cell in cells}
        after: dict[str, list[str]] = {}
        for cell, earlier in before.items():
            for other in earlier:
                after.setdefault(other, []).append(cell)
        ready = [(place(cell), cell) for cell, count in waits.items() if not count]
        heapify(ready)
        order: list[str] = []
        while ready:
            _, cell = heappop(ready)
            order.append(cell)
            for later in after.get(cell, ()):
                waits[later] -= 1
                if not waits[later]:
                    heappush(ready, (place(later), later))
        return order

    def _indexes(self, names: Names) -> tuple[tuple[dict[str, set[str]], Collection[str]], ...]:
        return (
            (self._definers, names.defs),
            (self._readers, names.refs),
            (self._rereaders, names.rereads),
        )
