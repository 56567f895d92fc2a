"""Names that functions read, wherever the functions are called.

A function looks a global name up when it is called. A cell that gets a function from another cell, directly,
in an object or as part of a value, may call it. So it depends on the names that the function reads, as they
are at the cell's own place in the notebook. A cell that binds such a name itself depends on the version above
it if it may call the function before. That matters only for names that several cells make, or that a cell
above all makers reads; every other name has one version for all cells. The cells that carry such reads are
found by following the edges from the cells whose functions read such a name. This is done once after each
change of the graph, when it is first needed.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Protocol

from .cell_names import Names, made

_NOTHING: Mapping[str, str] = {}


class Edges(Protocol):
    """What `CarriedReads` needs of the graph; `Graph` explains these methods."""

    def function_readers(self, name: str) -> Iterable[str]: ...
    def static_children(self, cell: str) -> set[str]: ...
    def names_of(self, cell: str) -> Names: ...
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
        # A name, a cell that may call functions which read it, and where it has these from, if that is known.
        todo: list[tuple[str, str, str | None]] = [
            (name, cell, cell) for name in self.names for cell in graph.function_readers(name)
        ]
        while todo:
            name, cell, source = todo.pop()
            names = carried.setdefault(cell, set())
            if name not in names:
                names.add(name)
                if cell not in static:
                    static[cell] = graph.static_children(cell)
                todo += [(name, child, cell) for child in static[cell]]
                todo += [(name, child, None) for child in children.get(cell, ())]
            known = bindings.setdefault(cell, {})
            if name in known or source == cell or not self._may_find(cell, name, source):
                continue
            maker = graph.binding(cell, name)
            if maker is not None and maker != cell:
                known[name] = maker
                for each in graph.reach(cell, name):
                    children.setdefault(each, set()).add(cell)
                    todo += [(other, cell, None) for other in carried.get(each, ())]
        bindings = {cell: makers for cell, makers in bindings.items() if makers}
        self._bindings, self._children = bindings, children
        return bindings

    def _may_find(self, cell: str, name: str, source: str | None) -> bool:
        """Return whether a function of `source`, or of a cell that is not known, may find another's `name`.

        It does not if `cell` reads the name itself, or binds it before it first reads what `source` makes.
        """
        names = self._graph.names_of(cell)
        if name in names.immediate or name in names.deferred:
            return False
        if name not in names.defs:
            return True
        if name in names.rereads or name in names.late_rereads:
            return False
        bound = names.bound_in.get(name)
        if bound is None or source is None:
            return True
        return any(
            source in self._graph.reach(cell, read)
            for read in made(self._graph.names_of(source))
            if names.read_in.get(read, bound + 1) <= bound
            or read in names.deferred
            or read in names.late_rereads
        )
