"""In which order cells come: a topological order of their reads, with ties in notebook order.

Immediate reads decide. A deferred read is followed where it contradicts nothing: its function may be
called by any cell that has it, so what it reads should be there. It is not followed

* where that would close a circle with other reads, as between functions that call each other;
* to a cell below, in a notebook whose cells may redefine names: such a notebook is meant to run from
  top to bottom, as Python would. A cell that an immediate read binds to a cell below is an exception,
  since it stands at no place of its own then, and takes along what the functions there read.

What is not followed is not seen either: while a cell runs, it does not find a name whose maker comes after
it, whether or not that has run before. So a cell shows the same in a fresh kernel and after any history.
"""

from collections.abc import Collection

from .cycles import cycles_near
from .graph import Graph
from .ready import ReadyCells


class Sequence:
    """The order of the cells of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        # For each cell on a circle of reads of any kind the number of the circle, at a version of the graph.
        self._circles: dict[str, int] = {}
        self._version = -1

    def topological(self, cells: Collection[str]) -> list[str]:
        """Return `cells` so that each stands behind its precedents among them, else in notebook order.

        Where cells are on a cycle, notebook order decides.
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
        """Return the cells that `cell` depends on and that come before it."""
        graph = self._graph
        if graph.redefine == "live" or not graph.upward:
            return graph.parents(cell)
        found = graph.immediate_parents(cell)
        deferred = graph.passed_parents(cell).union(self._deferred(cell).values()) - found
        return found.union(maker for maker in deferred if not self._on_one_circle(maker, cell))

    def hidden(self, cell: str) -> list[str]:
        """Return the names that functions may read while `cell` runs, and whose makers come after it."""
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
        """Return what is hidden from each cell from which something is."""
        if not self._graph.upward:
            return {}
        found = {cell: sorted(self.hidden(cell)) for cell in self._graph.callers()}
        return {cell: names for cell, names in found.items() if names}

    def versions(self, cell: str, name: str, read: bool) -> list[str]:
        """Return the makers of the versions of `name` that `cell` may find, the one it should find last.

        If its code may `read` the name, it finds none but those it depends on and that come before it.
        """
        graph = self._graph
        if not read:
            return graph.makers_above(cell, name)
        nearest, *others = graph.reach(cell, name) or [""]
        if others and graph.upward:
            others = [maker for maker in others if not self._on_one_circle(maker, cell)]
        return [*reversed(others), nearest]

    def _deferred(self, cell: str) -> dict[str, str]:
        """Return the deferred bindings of `cell` that are followed unless they close a circle."""
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
        """Return whether each of the two would have to come before the other if all reads were followed."""
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
