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

from .graph import Graph
from .ready import ReadyCells


class Sequence:
    """The order of the cells of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

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
        deferred = set(self._deferred(cell).values()) - found
        return found.union(maker for maker in deferred if not self._comes_after(maker, cell))

    def hidden(self, cell: str) -> list[str]:
        """Return the names that functions may read while `cell` runs, and whose makers come after it."""
        graph = self._graph
        if not graph.upward:
            return []
        followed = self._deferred(cell)
        return [
            name
            for name, maker in graph.deferred_bindings(cell).items()
            if name not in followed or self._comes_after(maker, cell)
        ]

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

    def _comes_after(self, cell: str, other: str) -> bool:
        """Return whether `cell` has to come after `other`, by reads of any kind that may be followed."""
        seen: set[str] = set()
        todo = [cell]
        while todo:
            here = todo.pop()
            if here == other:
                return True
            if here not in seen:
                seen.add(here)
                todo += self._graph.immediate_parents(here)
                todo += self._deferred(here).values()
        return False
