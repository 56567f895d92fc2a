"""Edges, orders and costs of the graph of cells."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from cellwire.runner.analysis.analysis import Analysis, analyze
from cellwire.runner.dataflow.cycles import cycles_near
from cellwire.runner.dataflow.graph import Graph
from hypothesis import given, settings
from hypothesis import strategies as st


def graph_of(**sources: str) -> Graph:
    graph = Graph()
    for cell, source in sources.items():
        graph.set_cell(cell, analyze(source))
    return graph


def reach(edges: Callable[[str], set[str]], start: str) -> set[str]:
    """Return the cells that `edges` leads to from `start`, over however many others."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = edges(todo.pop()) - found
        found |= new
        todo += new
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Return the cells of each cycle, in the order of the notebook."""
    return [sorted(group, key=graph.order.place) for group in cycles_near(graph, graph.children)]


def test_a_cell_depends_on_those_that_define_what_it_reads() -> None:
    graph = graph_of(a="x = y = 1", b="z = x", c="x + y + z + w", d="len")
    assert graph.parents("c") == {"a", "b"}
    assert graph.children("a") == {"b", "c"}
    assert graph.parents("d") == graph.children("d") == set()
    assert reach(graph.parents, "c") == {"a", "b"}
    assert reach(graph.children, "a") == {"b", "c"}
    assert graph.definers("x") == {"a"}
    assert graph.readers("x") == {"b", "c"}
    assert (graph.definers("w"), graph.readers("w")) == (set(), {"c"})


def test_builtins_are_names_like_others() -> None:
    graph = graph_of(a="len(s)", b="def len(x): ...")
    assert graph.parents("a") == {"b"}


def test_a_cell_is_no_parent_of_its_own() -> None:
    graph = graph_of(a="x = x + 1", b="n += 1")
    assert graph.parents("a") == graph.children("a") == graph.predecessors("b") == set()
    assert graph.readers("x") == set()


def test_changing_and_removing_a_cell_changes_its_edges_alone() -> None:
    graph = graph_of(a="x = 1", b="y = x", c="x + y")
    graph.set_cell("b", analyze("y = 1"))
    assert (graph.parents("b"), graph.parents("c")) == (set(), {"a", "b"})
    graph.remove_cell("a")
    assert "a" not in graph
    assert set(graph) == {"b", "c"}
    assert graph.parents("c") == {"b"}
    assert list(graph.order) == ["a", "b", "c"]
    with pytest.raises(KeyError):
        graph.remove_cell("a")
    graph.set_cell("a", analyze("x = 2"))
    assert graph.topological(["c", "b", "a"]) == ["a", "b", "c"]


def test_the_order_is_topological_and_else_that_of_the_notebook() -> None:
    graph = graph_of(a="c0 = b0", b="b0 = 1", c="c0", d="1", e="b0")
    assert graph.topological("edcba") == ["b", "a", "c", "d", "e"]
    assert graph.topological("ca") == ["a", "c"]
    graph.order.merge("edcba")
    assert graph.topological("abcde") == ["d", "b", "e", "a", "c"]
    graph.set_cell("d", analyze("2"))
    assert graph.topological("abcde") == ["d", "b", "e", "a", "c"]


def test_a_cell_that_deletes_a_name_comes_after_all_other_readers_of_it() -> None:
    graph = graph_of(a="del x", b="x", c="y = x", d="x = 1", e="y")
    assert graph.topological("abcde") == ["d", "b", "c", "a", "e"]
    assert graph.predecessors("a") == {"b", "c", "d"}
    assert graph.parents("a") == {"d"}
    assert graph.children("b") == set()


def test_two_cells_that_delete_the_same_name_do_not_wait_for_each_other() -> None:
    graph = graph_of(a="del x", b="del x", c="x = 1", d="x")
    assert graph.topological("abcd") == ["c", "d", "a", "b"]


def test_a_cell_that_deletes_what_its_own_reader_reads_still_comes_before_that() -> None:
    graph = graph_of(a="x = 1", b="del x\ny = 1", c="x + y")
    assert graph.topological("cba") == ["a", "b", "c"]


def test_cells_on_a_cycle_are_found_and_everything_gets_an_order_all_the_same() -> None:
    graph = graph_of(a="x = y", b="y = z", c="z = x", d="x", e="w = 1", f="v = w, u", g="u = v")
    assert cycles(graph) == [["a", "b", "c"], ["f", "g"]]
    assert graph.topological("gfedcba") == ["e", "a", "b", "c", "d", "f", "g"]
    graph.set_cell("b", analyze("y = 1"))
    assert cycles(graph) == [["f", "g"]]
    assert graph.topological("abcd") == ["b", "a", "c", "d"]


# Names with several definers


def test_a_cell_reads_its_own_name_from_others_for_as_long_as_there_are_others() -> None:
    graph = graph_of(a="x = y = 1", b="x = x + 1", c="y = y + 1", d="x = 4")
    assert (graph.readers("x"), graph.readers("y")) == ({"b"}, {"c"})
    graph.set_cell("a", analyze("y = 1"))
    assert (graph.readers("x"), graph.readers("y")) == ({"b"}, {"c"})
    assert (graph.parents("b"), graph.children("d")) == ({"d"}, {"b"})
    graph.remove_cell("d")
    graph.remove_cell("a")
    assert (graph.definers("x"), graph.definers("y")) == ({"b"}, {"c"})
    assert (graph.readers("x"), graph.readers("y")) == (set(), set())


def test_a_reader_follows_the_definer_it_is_bound_to_or_the_nearest_above_it() -> None:
    graph = graph_of(r="x", a="x = 1", b="x = 2", s="x", c="x = 3", t="x")
    assert [graph.definer_for(reader, "x") for reader in "rst"] == ["a", "b", "c"]
    assert (graph.children("a"), graph.children("b"), graph.children("c")) == ({"r"}, {"s"}, {"t"})
    graph.bind("t", "x", "a")
    assert (graph.children("a"), graph.children("c"), graph.parents("t")) == ({"r", "t"}, set(), {"a"})
    graph.set_cell("t", analyze("x + 1"))
    assert graph.parents("t") == {"a"}
    graph.set_cell("a", analyze("y = 1"))
    assert graph.parents("t") == {"c"}
    graph.remove_cell("t")
    graph.set_cell("a", analyze("x = 1"))
    graph.set_cell("t", analyze("x"))
    assert graph.parents("t") == {"c"}


def test_a_name_that_a_cell_rereads_comes_from_the_definer_above() -> None:
    graph = graph_of(a="df = load()", b="df = df.dropna()", c="df", d="df = df.head()", e="df")
    assert [sorted(graph.parents(cell)) for cell in "abcde"] == [[], ["a"], ["b"], ["b"], ["d"]]
    assert reach(graph.children, "a") == set("bcde")
    graph.bind("b", "df", "b")
    assert (graph.parents("b"), graph.definer_for("b", "df")) == (set(), None)


def test_a_new_definition_comes_after_the_readers_of_those_above_it() -> None:
    graph = graph_of(a="x = 1", r="y = x, z", b="x = 2", c="z = 1", s="x")
    assert graph.topological("arbcs") == ["a", "c", "r", "b", "s"]
    # Where that is a contradiction, what is read counts: `r` needs `c`, which needs `b`.
    graph.set_cell("c", analyze("z = x"))
    assert graph.topological("arbcs") == ["a", "b", "c", "r", "s"]


# Costs


def wide(cells: int) -> Graph:
    graph = Graph()
    graph.set_cell("imports", analyze("import numpy as np"))
    for number in range(cells):
        graph.set_cell(f"c{number}", Analysis(frozenset({f"x{number}"}), frozenset({"np", f"x{number - 1}"})))
    return graph


def cost(graph: Graph, step: Any) -> int:
    before = graph.steps
    step(graph)
    return graph.steps - before


def edit_leaf(graph: Graph) -> None:
    leaf = f"c{len(graph) - 2}"
    graph.set_cell(leaf, Analysis(frozenset({"leaf"}), frozenset({"np", "x5"})))
    assert reach(graph.children, leaf) == set()
    assert graph.topological([leaf]) == [leaf]
    assert graph.parents(leaf) == {"imports", "c5"}


def insert_above(graph: Graph) -> None:
    graph.order.merge(["c3", "new", "c4"])
    graph.set_cell("new", Analysis(frozenset({"new"}), frozenset({"np"})))
    assert graph.topological(["c4", "new", "c3"]) == ["c3", "new", "c4"]


@pytest.mark.parametrize("step", [edit_leaf, insert_above])
def test_an_edit_costs_the_same_in_a_notebook_of_any_size(step: Any) -> None:
    small, large = cost(wide(10), step), cost(wide(10_000), step)
    assert small == large < 40


def test_a_change_costs_what_it_affects() -> None:
    graph = wide(1_000)
    affected = [f"c{number}" for number in range(900, 1_000)]
    assert reach(graph.children, "c900") == set(affected[1:])
    assert cost(graph, lambda graph: reach(graph.children, "c900")) <= 2 * len(affected)
    assert cost(graph, lambda graph: graph.topological(affected)) <= 3 * len(affected)


# Against the definitions, for any graph

WORDS = st.frozensets(st.sampled_from("uvwxyz"), max_size=3)
CELLS = "abcdefgh"


@st.composite
def names(draw: st.DrawFn) -> Analysis:
    defs, read = draw(WORDS), draw(WORDS)
    refs = read - defs
    deleted = draw(st.sampled_from([frozenset[str](), refs]))
    return Analysis(defs, refs, read & defs, deleted)


CHANGES = st.lists(st.tuples(st.sampled_from(CELLS), st.none() | names()), max_size=25)


@settings(max_examples=200, deadline=None)
@given(CHANGES, st.permutations(CELLS))
def test_after_any_changes_the_graph_is_what_the_definitions_say(
    changes: list[tuple[str, Analysis | None]], order: list[str]
) -> None:
    graph = Graph()
    cells: dict[str, Analysis] = {}
    for cell, analysis in changes:
        if analysis is not None:
            graph.set_cell(cell, analysis)
            cells[cell] = analysis
        elif cell in graph:
            graph.remove_cell(cell)
            del cells[cell]
    graph.order.merge(order)

    fresh = Graph()
    fresh.order.merge(order)
    for cell, analysis in cells.items():
        fresh.set_cell(cell, analysis)
    edges = {(parent, child) for child in cells for parent in graph.parents(child)}
    for same in (graph, fresh):
        assert edges == {(parent, child) for parent in cells for child in same.children(parent)}

    definers = {
        name: [cell for cell in order if cell in cells and name in cells[cell].defs] for name in "uvwxyz"
    }
    for name, several in definers.items():
        assert graph.definers(name) == set(several)
        readers = {cell for cell, analysis in cells.items() if name in analysis.refs}
        if len(several) > 1:
            readers |= {cell for cell, analysis in cells.items() if name in analysis.rereads}
        assert graph.readers(name) == readers
    for parent, child in edges:
        assert cells[parent].defs & (cells[child].refs | cells[child].rereads)
    for child, analysis in cells.items():
        for name in analysis.refs:
            assert (graph.definer_for(child, name) is not None) == bool(definers[name])

    found = graph.topological(cells)
    place = {cell: index for index, cell in enumerate(found)}
    assert sorted(found) == sorted(cells)
    groups = {cell: group for group in map(tuple, cycles(graph)) for cell in group}
    if not groups:
        assert all(place[parent] < place[child] for parent, child in edges)
        before = {cell: graph.predecessors(cell) for cell in cells}
        if all(place[other] < place[cell] for cell in cells for other in before[cell]):
            # Among those that could have come next, the first in the notebook did.
            for first, second in pairwise(found):
                assert order.index(first) < order.index(second) or first in before[second]
    for cell in cells:
        assert (cell in groups) == (cell in reach(graph.children, cell))
