"""From where readers have names, before a change and after it."""

from collections.abc import Iterable, Iterator

from .cell_names import made
from .graph import Graph


class Bindings:
    """Who has some names from where, before a change, to be compared with what is so after it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._before: dict[tuple[str, str], list[str]] = {}

    def note(self, name: str, readers: Iterable[str]) -> None:
        """Remember from where `readers` have `name`, unless that is known."""
        for reader in readers:
            if (reader, name) not in self._before:
                self._before[reader, name] = self._graph.reach(reader, name)

    def note_cell(self, cell: str) -> None:
        """Remember from where `cell` has its names, and all readers those that it makes."""
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
        """Return the readers that have a name from elsewhere than before."""
        for (reader, name), makers in self._before.items():
            if reader in self._graph and self._graph.reach(reader, name) != makers:
                yield reader
