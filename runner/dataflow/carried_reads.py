"""Names that functions read, wherever the functions are called.

A function looks a global name up when it is called. A cell that gets a function from another cell, directly,
in an object or as part of a value, may call it. So it depends on the names that the function reads, as they
are at the cell's own place in the notebook. That matters only for names that several cells make, or that a
cell above all makers reads; every other name has one version for all cells. The cells that carry such reads
are found by following the edges from the cells whose functions read such a name. This is done once after each
change of the graph, when it is first needed.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Protocol

_NOTHING: Mapping[str, str] = {}


class Edges(Protocol):
    """What `CarriedReads` needs of the graph; `Graph` explains these methods."""

    def function_readers(self, name: str) -> Iterable[str]: ...
    def static_children(self, cell: str) -> set[str]: ...
    def uses(self, cell: str, name: str) -> bool: ...
    def binding(self, reader: str, name: str) -> str | None: ...
    def reach(self, reader: str, name: str) -> list[str]: ...


class CarriedReads:
    """What the cells of a graph depend on through functions from other cells."""

    def __init__(self, graph: Edges) -> None:
        self._graph = graph
        #: Names whose version depends on where a function that reads them is called.
        self.names: set[str] = set()
        # For each cell, the maker of each name that it carries, and the reverse; None if not known.
        self._bindings: dict[str, dict[str, str]] | None = None
        self._children: dict[str, set[str]] = {}

    def forget(self) -> None:
        """Forget what was found, since the graph has changed."""
        self._bindings = None

    def bindings(self, cell: str) -> Mapping[str, str]:
        """Return the names that `cell` depends on only through functions, and the maker of each."""
        return self._found().get(cell, _NOTHING) if self.names else _NOTHING

    def children(self, cell: str) -> Set[str]:
        """Return the cells that depend on `cell` only through functions."""
        return self._children.get(cell, frozenset()) if self.names and self._found() else frozenset()

    def carriers(self, name: str) -> list[str]:
        """Return the cells that depend on `name` only through functions."""
        if name not in self.names:
            return []
        return [cell for cell, makers in self._found().items() if name in makers]

    def all_carriers(self) -> Collection[str]:
        """Return the cells that depend on a name only through functions."""
        return self._found().keys() if self.names else ()

    def _found(self) -> dict[str, dict[str, str]]:
        if self._bindings is not None:
            return self._bindings
        graph = self._graph
        bindings: dict[str, dict[str, str]] = {}
        children: dict[str, set[str]] = {}
        carried: dict[str, set[str]] = {}
        static: dict[str, set[str]] = {}
        todo = [(name, cell) for name in self.names for cell in graph.function_readers(name)]
        while todo:
            name, cell = todo.pop()
            names = carried.setdefault(cell, set())
            if name in names:
                continue
            names.add(name)
            if cell not in static:
                static[cell] = graph.static_children(cell)
            todo += [(name, child) for child in (*static[cell], *children.get(cell, ()))]
            maker = self._binding(cell, name)
            if maker is not None and maker != cell:
                bindings.setdefault(cell, {})[name] = maker
                for source in graph.reach(cell, name):
                    children.setdefault(source, set()).add(cell)
                    todo += [(other, cell) for other in carried.get(source, ())]
        self._bindings, self._children = bindings, children
        return bindings

    def _binding(self, cell: str, name: str) -> str | None:
        """Return the cell that `cell` gets `name` from; None if its own source already binds it there."""
        return None if self._graph.uses(cell, name) else self._graph.binding(cell, name)
