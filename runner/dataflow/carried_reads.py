"""Names that functions read, wherever the functions are called.

A function reads a global name when it is called, and finds what the name stands for then. A cell that
has a function from elsewhere, directly, in an object or as part of a value, may call it. So it depends
on the names that the function reads, as they are at the cell's own place in the notebook. That matters
only for names that have several makers, or a reader above all of them; of all others every cell has the
same version. Which cells those are is found by following the edges from the cells whose functions read
such a name, once after each change of the graph and only if the answer is asked for.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Protocol

_NOTHING: Mapping[str, str] = {}


class Edges(Protocol):
    """What is asked of the graph, which is one and explains these."""

    def function_readers(self, name: str) -> Iterable[str]: ...
    def static_children(self, cell: str) -> set[str]: ...
    def uses(self, cell: str, name: str) -> bool: ...
    def binding(self, reader: str, name: str) -> str | None: ...
    def reach(self, reader: str, name: str) -> list[str]: ...


class CarriedReads:
    """What cells of a graph depend on through functions that they got from other cells."""

    def __init__(self, graph: Edges) -> None:
        self._graph = graph
        #: Names whose version depends on where a function that reads them is called.
        self.names: set[str] = set()
        # For each cell the maker of each name that it carries, and the reverse; None if not known.
        self._bindings: dict[str, dict[str, str]] | None = None
        self._children: dict[str, set[str]] = {}

    def forget(self) -> None:
        """Find everything again when it is next asked for: the graph has changed."""
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
        """Return where `cell` has `name` from; None if its own source says so already."""
        return None if self._graph.uses(cell, name) else self._graph.binding(cell, name)
