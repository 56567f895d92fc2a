"""The graph and the order of cells, compared with what the rules say, for any cells and changes of them."""

import builtins
from collections.abc import Iterable
from typing import Any

import pytest
from cellwire.protocol.notebook import Redefine
from cellwire.runner.analysis.analysis import Analysis
from cellwire.runner.dataflow.graph import Graph
from cellwire.runner.dataflow.sequence import Sequence
from hypothesis import given, settings
from hypothesis import strategies as st

CELLS = "abcdef"
NAMES = ["u", "v", "w", "len"]


class Model:
    """What the rules say about `cells`, in notebook order, each by a search through all of them."""

    def __init__(self, cells: dict[str, Analysis], redefine: Redefine) -> None:
        self.cells = cells
        self.live = redefine == "live"
        self.place = {cell: index for index, cell in enumerate(cells)}
        self.static = {cell: self._sources(cell, self._static_reads(cell)) for cell in cells}
        self.carried = self._carried()
        self.hard = {
            cell: self._sources(cell, names.immediate | names.rereads) for cell, names in cells.items()
        }
        self.deferred = {cell: self._deferred(cell) for cell in cells}
        self._redefine = redefine
        self.before = self._before()

    # Names

    def makers(self, name: str) -> list[str]:
        made = (
            (cell, names.defs if self.live else names.defs | names.deleted) for cell, names in self.items()
        )
        return [cell for cell, names in made if name in names]

    def items(self) -> Iterable[tuple[str, Analysis]]:
        return self.cells.items()

    def binding(self, reader: str, name: str) -> str | None:
        makers = self.makers(name)
        if self.live:
            return makers[0] if len(makers) == 1 and makers != [reader] else None
        above = [maker for maker in makers if self.place[maker] < self.place[reader]]
        if above:
            return above[-1]
        if hasattr(builtins, name) or name in self.cells[reader].defs:
            return None
        return next((m for m in makers if m != reader and name in self.cells[m].defs), None)

    def readers_of(self, cell: str, name: str) -> set[str]:
        return {
            each
            for each in self.cells
            if name in self._static_reads(each) and self._is_from(each, name, cell)
        }

    def is_shared(self, name: str) -> bool:
        """Return whether several cells make `name`, or one hides a builtin by it."""
        makers = self.makers(name)
        return len(makers) > 1 or (hasattr(builtins, name) and bool(makers) and not self.live)

    def floats(self, name: str) -> bool:
        """Return whether the version of `name` that a function finds depends on where it is called."""
        if self.live or not any(name in names.function_reads for names in self.cells.values()):
            return False
        return self.is_shared(name) or self.reads_upwards(name)

    def reads_upwards(self, name: str) -> bool:
        """Return whether a cell reads `name` with no maker above it, and another one makes it."""
        makers = [self.place[maker] for maker in self.makers(name)]
        readers = [self.place[c] for c, names in self.items() if name in names.immediate | names.deferred]
        return bool(makers and readers) and not hasattr(builtins, name) and min(readers) <= min(makers)

    # Edges

    def parents(self, cell: str) -> set[str]:
        return self.static[cell] | set(self.carried[cell].values())

    def _is_from(self, reader: str, name: str, cell: str) -> bool:
        return reader != cell and self.binding(reader, name) == cell

    def _static_reads(self, cell: str) -> frozenset[str]:
        names = self.cells[cell]
        return names.immediate | names.deferred | names.rereads | names.late_rereads

    def _sources(self, cell: str, read: Iterable[str]) -> set[str]:
        return {maker for name in read if (maker := self.binding(cell, name)) is not None}

    def _carried(self) -> dict[str, dict[str, str]]:
        """Return the names that each cell depends on only through functions, with their makers."""
        parents = {cell: set(found) for cell, found in self.static.items()}
        known = {
            cell: {name for name in names.function_reads if self.floats(name)} for cell, names in self.items()
        }
        carried: dict[str, dict[str, str]] = {cell: {} for cell in self.cells}
        before: Any = None
        while before != (before := repr((known, parents))):
            for cell, names in self.items():
                for parent in parents[cell]:
                    known[cell] |= known[parent]
                own = names.immediate | names.deferred | names.rereads | names.late_rereads
                # Nothing is known of when these cells bind a name, so they may call a function before.
                for name in set().union(*(known[parent] for parent in parents[cell])) - own:
                    maker = self.binding(cell, name)
                    if maker is not None and maker != cell:
                        carried[cell][name] = maker
                        parents[cell].add(maker)
        return carried

    # Order

    def ordered(self, cells: Iterable[str]) -> list[str]:
        left = sorted(cells, key=self.place.__getitem__)
        found: list[str] = []
        while free := [cell for cell in left if not self.before[cell] & set(left)]:
            found.append(free[0])
            left.remove(free[0])
        return found + left

    def hidden(self, cell: str) -> set[str]:
        return {name for name, maker in self.deferred[cell].items() if maker not in self.before[cell]}

    def _deferred(self, cell: str) -> dict[str, str]:
        names = self.cells[cell]
        found = dict(self.carried[cell])
        for name in names.deferred | names.late_rereads:
            maker = self.binding(cell, name)
            if maker is not None:
                found[name] = maker
        return found

    def _before(self) -> dict[str, set[str]]:
        if self.live:
            return {cell: self.parents(cell) for cell in self.cells}
        wanted = {cell: self.hard[cell] | self._followed(cell) for cell in self.cells}
        reached = {cell: self._reached(cell, wanted) for cell in self.cells}
        return {
            cell: {other for other in wanted[cell] if other in self.hard[cell] or cell not in reached[other]}
            for cell in self.cells
        }

    def _followed(self, cell: str) -> set[str]:
        """Return the makers of what functions read that come first unless that closes a circle."""
        place = self.place
        makers = set(self.deferred[cell].values())
        if self._redefine == "error" or any(place[parent] > place[cell] for parent in self.hard[cell]):
            return makers
        return {maker for maker in makers if place[maker] < place[cell]}

    def _reached(self, cell: str, edges: dict[str, set[str]]) -> set[str]:
        found: set[str] = set()
        todo = [*edges[cell]]
        while todo:
            here = todo.pop()
            if here not in found:
                found.add(here)
                todo += edges[here]
        return found


some_names = st.frozensets(st.sampled_from(NAMES), max_size=2)


@st.composite
def analyses(draw: st.DrawFn) -> Analysis:
    defs, now, later = draw(some_names), draw(some_names), draw(some_names)
    late = draw(st.frozensets(st.sampled_from(sorted(later & defs)))) if later & defs else frozenset[str]()
    refs = (now | later) - defs
    return Analysis(
        defs,
        refs,
        rereads=now & defs,
        deleted=draw(st.frozensets(st.sampled_from(sorted(refs)))) if refs else refs,
        immediate=now - defs,
        deferred=later - now - defs,
        function_reads=later,
        late_rereads=late,
    )


cells = st.sampled_from(CELLS)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), cells, analyses()),
        st.tuples(st.just("set"), cells, analyses()),
        st.tuples(st.just("remove"), cells),
        st.tuples(st.just("move"), st.lists(cells, unique=True)),
    ),
    min_size=1,
    max_size=15,
)


def check(graph: Graph, sequence: Sequence, known: dict[str, Analysis], redefine: Redefine) -> None:
    model = Model({cell: known[cell] for cell in graph.order if cell in known}, redefine)
    assert set(graph) == model.cells.keys()
    for name in NAMES:
        assert graph.makers(name) == model.makers(name)
        assert graph.definers(name) == [cell for cell, names in model.items() if name in names.defs]
        assert (name in graph.shared) == model.is_shared(name)
        assert (name in graph.upward) == (not model.live and model.reads_upwards(name))
        for cell in model.cells:
            assert graph.binding(cell, name) == model.binding(cell, name)
            if cell in model.makers(name):
                readers = graph.readers_of(cell, name)
                assert len(readers) == len(set(readers))
                expected = model.readers_of(cell, name)
                if model.live:
                    expected -= {each for each in expected if name in known[each].defs}
                assert set(readers) == expected
    for cell in model.cells:
        assert graph.bound_parents(cell) == model.static[cell]
        assert graph.immediate_parents(cell) == model.hard[cell]
        assert dict.fromkeys(graph.carried(cell)) == dict.fromkeys(model.carried[cell])
        assert graph.deferred_bindings(cell) == model.deferred[cell]
        assert graph.parents(cell) == model.parents(cell)
        assert graph.children(cell) == {each for each in model.cells if cell in model.parents(each)}
        assert graph.immediate_children(cell) == {each for each in model.cells if cell in model.hard[each]}
        assert sequence.precedents(cell) == model.before[cell]
        assert set(sequence.hidden(cell)) == (set() if model.live else model.hidden(cell))
    hidden = {} if model.live else {cell: sorted(model.hidden(cell)) for cell in model.cells}
    assert sequence.all_hidden() == {cell: names for cell, names in hidden.items() if names}
    assert sequence.topological(list(model.cells)[::-1]) == model.ordered(model.cells)
    assert sequence.topological(list(model.cells)[::2]) == model.ordered(list(model.cells)[::2])


@pytest.mark.parametrize("redefine", ["error", "allow", "live"])
@settings(max_examples=200)
@given(changes=changes)
def test_after_any_changes_the_graph_is_what_the_rules_say(redefine: Redefine, changes: list[Any]) -> None:
    graph = Graph(redefine)
    sequence = Sequence(graph)
    known: dict[str, Analysis] = {}
    for change, *details in changes:
        if change == "set":
            cell, names = details
            graph.set_cell(cell, names)
            known[cell] = names
        elif change == "remove" and details[0] in known:
            graph.remove_cell(details[0])
            del known[details[0]]
        elif change == "move":
            graph.move(details[0])
        check(graph, sequence, known, redefine)
