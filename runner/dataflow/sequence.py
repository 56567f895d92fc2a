"""In which order cells come: a topological order of their reads, with ties in notebook order.

Immediate reads always count. A deferred read counts if it contradicts no other read: any cell that has the
function may call it, so what it reads should exist by then. It does not count

* if it would close a circle with other reads, as between functions that call each other;
* if it leads to a cell below, in a notebook whose cells may redefine names: such a notebook is meant to run
  from top to bottom, as Python would. A cell with an immediate read from below is an exception: it does not
  run at its own place anyway, and the deferred reads of the functions there count for it.

A read that does not count finds nothing: a running cell does not see a name whose maker comes after it in
this order, even if that maker has run before. So a cell shows the same in a fresh kernel and after any
history.
"""

from collections.abc import Collection

from .cycles import cycles_near
from .graph import Graph
from .ready import ReadyCells


class Sequence:
    """The order of the cells of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        # For each cell on a circle of reads of any kind, the number of the circle, at a graph version.
        self._circles: dict[str, int] = {}
        self._version = -1

    def topological(self, cells: Collection[str]) -> list[str]:
        """Return `cells` so that each comes after its precedents among them, otherwise in notebook order.

        Among cells on a cycle, notebook order decides.
        """
        graph = self._graph
        place = graph.order.place
        if not graph.upward and graph.redefine != "live":
            return sorted(cells, key=place)
        ready = ReadyCells(sorted(cells, key=place), self.precedents)
        order: list[str] = []
        while (cell := ready.pop()) is not None:
            order.append(cell)
            ready.done(cell)
        return order + ready.drop()

    def precedents(self, cell: str) -> set[str]:
        """Return the cells that `cell` depends on and that come before it in this order."""
        graph = self._graph
        if graph.redefine == "live" or not graph.upward:
            return graph.parents(cell)
        found = graph.immediate_parents(cell)
        deferred = graph.passed_parents(cell).union(self._deferred(cell).values()) - found
        return found.union(maker for maker in deferred if not self._on_one_circle(maker, cell))

    def hidden(self, cell: str) -> list[str]:
        """Return the names that functions may read while `cell` runs, but whose makers come after it."""
        graph = self._graph
        if not graph.upward:
            return []
        followed = self._deferred(cell)
        earlier = graph.immediate_parents(cell)
        return [
            name
            for name, maker in graph.deferred_bindings(cell).items()
            if maker not in earlier and (name not in followed or self._on_one_circle(maker, cell))
        ]

    def all_hidden(self) -> dict[str, list[str]]:
        """Return the hidden names of each cell that has some."""
        if not self._graph.upward:
            return {}
        found = {cell: sorted(self.hidden(cell)) for cell in self._graph.callers()}
        return {cell: names for cell, names in found.items() if names}

    def versions(self, cell: str, name: str, read: bool) -> list[str]:
        """Return the makers of the versions of `name` that `cell` may find, last the one it should find.

        If its code may `read` the name, these are only cells that it depends on and that come before it.
        """
        graph = self._graph
        if not read:
            return graph.makers_above(cell, name)
        nearest, *others = graph.reach(cell, name) or [""]
        if others and graph.upward:
            others = [maker for maker in others if not self._on_one_circle(maker, cell)]
        return [*reversed(others), nearest]

    def _deferred(self, cell: str) -> dict[str, str]:
        """Return the deferred bindings of `cell` that count unless they close a circle."""
        graph = self._graph
        bindings = graph.deferred_bindings(cell)
        if graph.redefine == "error" or not bindings:
            return bindings
        place = graph.order.place
        here = place(cell)
        if any(place(parent) > here for parent in graph.immediate_parents(cell)):
            return bindings
        return {name: maker for name, maker in bindings.items() if place(maker) < here}

    def _on_one_circle(self, cell: str, other: str) -> bool:
        """Return whether each of the two would have to come before the other if all reads counted."""
        graph = self._graph
        if self._version != graph.version:
            self._version = graph.version
            circles = cycles_near(graph, self._any_precedents)
            self._circles = {cell: number for number, circle in enumerate(circles) for cell in circle}
        return self._circles.get(cell, -1) == self._circles.get(other, -2)

    def _any_precedents(self, cell: str) -> set[str]:
        graph = self._graph
        found = graph.immediate_parents(cell)
        return found.union(graph.passed_parents(cell), self._deferred(cell).values())
