"""Which cells' names are bound differently after a change."""

from collections.abc import Iterable, Iterator

from .cell_names import made
from .graph import Graph


class Bindings:
    """Some bindings of names before a change, to compare with those after it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._before: dict[tuple[str, str], list[str]] = {}

    def note(self, name: str, readers: Iterable[str]) -> None:
        """Remember where `readers` get `name` from, unless that is already known."""
        for reader in readers:
            if (reader, name) not in self._before:
                self._before[reader, name] = self._graph.reach(reader, name)

    def note_cell(self, cell: str) -> None:
        """Remember where `cell` gets its names from, and where readers get the names that it makes from."""
        names = self._graph.names_of(cell)
        for reads in (names.immediate, names.deferred, names.rereads, names.late_rereads):
            for name in reads:
                self.note(name, [cell])
        for name in self._graph.carried(cell):
            self.note(name, [cell])
        for name in made(names):
            self.note(name, self._graph.readers(name))
            self.note(name, self._graph.carriers(name))

    def changed(self) -> Iterator[str]:
        """Return the readers that get a name from another cell than before."""
        for (reader, name), makers in self._before.items():
            if reader in self._graph and self._graph.reach(reader, name) != makers:
                yield reader
