"""Bindings, edges and costs of the graph of cells."""

from collections.abc import Callable
from typing import Any

import pytest
from cellwire.runner.analysis.analysis import Analysis, analyze
from cellwire.runner.dataflow.cycles import cycles_near
from cellwire.runner.dataflow.graph import Graph
from cellwire.runner.dataflow.sequence import Sequence


def reach(edges: Callable[[str], set[str]], start: str) -> set[str]:
    """Return the cells that `edges` leads to from `start`, over however many others."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = edges(todo.pop()) - found
        found |= new
        todo += new
    return found


def bindings(graph: Graph, name: str) -> dict[str, str | None]:
    return {reader: graph.binding(reader, name) for reader in graph.order}


# Names with one definer


def test_a_cell_depends_on_those_that_define_what_it_reads(graph_of):
    graph = graph_of(a="x = y = 1", b="z = x", c="x + y + z + w", d="len")
    assert graph.parents("c") == {"a", "b"}
    assert graph.children("a") == {"b", "c"}
    assert graph.parents("d") == graph.children("d") == set()
    assert graph.definers("x") == graph.makers("x") == ["a"]
    assert graph.readers("x") == ["b", "c"]
    assert (graph.definers("w"), graph.readers("w")) == ([], ["c"])
    assert (graph.shared, graph.upward) == (set(), set())


def test_a_name_without_a_definer_above_is_read_from_the_nearest_one_below(graph_of):
    graph = graph_of(a="x", b="def f(): return x", c="x = 1", d="x = 2")
    assert bindings(graph, "x") == {"a": "c", "b": "c", "c": None, "d": "c"}
    assert graph.readers_of("c", "x") == ["a", "b"]
    assert graph.readers_of("d", "x") == []
    assert graph.upward == {"x"}
    graph.set_cell("new", analyze("x = 0"))
    graph.move(["new", "a"])
    assert (graph.children("c"), graph.children("new"), graph.upward) == (set(), {"a", "b"}, set())


def test_a_builtin_is_read_from_a_cell_above_and_never_from_one_below(graph_of):
    graph = graph_of(a="len", b="def len(x): ...", c="len")
    assert (graph.parents("a"), graph.parents("c"), graph.children("b")) == (set(), {"b"}, {"c"})
    assert graph.upward == set()


def test_a_cell_does_not_depend_on_itself(graph_of):
    graph = graph_of(a="x = x + 1", b="n += 1\ndef f(): return n")
    for cell in "ab":
        assert graph.parents(cell) == graph.children(cell) == graph.immediate_parents(cell) == set()
    assert graph.readers("x") == []


def test_changing_and_removing_a_cell_changes_its_edges_alone(graph_of):
    graph = graph_of(a="x = 1", b="y = x", c="x + y")
    graph.set_cell("b", analyze("y = 1"))
    assert (graph.parents("b"), graph.parents("c")) == (set(), {"a", "b"})
    graph.remove_cell("a")
    assert "a" not in graph
    assert (set(graph), len(graph)) == ({"b", "c"}, 2)
    assert graph.parents("c") == {"b"}
    assert list(graph.order) == ["a", "b", "c"]
    with pytest.raises(KeyError):
        graph.remove_cell("a")
    graph.set_cell("a", analyze("x = 2"))
    assert graph.parents("c") == {"a", "b"}
    assert graph.upward == set()


def test_a_cell_that_moves_reads_from_another_and_is_read_by_others(graph_of):
    graph = graph_of("allow", a="x = 1", r="x", b="x = 2", s="x")
    assert graph.move(["b", "r"])
    assert (graph.children("a"), graph.children("b")) == (set(), {"r", "s"})
    assert graph.move(["s", "a"])
    assert (graph.parents("s"), graph.upward) == ({"a"}, {"x"})
    assert not graph.move(["s", "a"])


def test_immediate_edges_are_those_of_reads_while_the_cell_runs(graph_of):
    graph = graph_of(a="x = y = z = 1", b="x\ndef f(): return y", c="lambda: z")
    assert graph.children("a") == {"b", "c"}
    assert graph.immediate_children("a") == {"b"}
    assert (graph.immediate_parents("b"), graph.immediate_parents("c")) == ({"a"}, set())
    assert graph.deferred_bindings("b") == {"y": "a"}
    assert graph.deferred_bindings("c") == {"z": "a"}


# Names with several makers


def test_a_reader_is_bound_to_the_nearest_maker_above_it(graph_of):
    graph = graph_of("allow", r="x", a="x = 1", b="x = 2", s="x", c="x = 3", t="x")
    assert [graph.binding(reader, "x") for reader in "rst"] == ["a", "b", "c"]
    assert (graph.children("a"), graph.children("b"), graph.children("c")) == ({"r"}, {"s"}, {"t"})
    graph.set_cell("c", analyze("y = 1"))
    assert graph.parents("t") == {"b"}
    graph.remove_cell("b")
    assert (graph.children("a"), graph.shared) == ({"r", "s", "t"}, set())


def test_a_name_that_a_cell_reads_before_its_own_definition_comes_from_above_only(graph_of):
    graph = graph_of("allow", a="df = df.load()", b="df = df.dropna()", c="df", d="df = df.head()", e="df")
    assert [sorted(graph.parents(cell)) for cell in "abcde"] == [[], ["a"], ["b"], ["b"], ["d"]]
    assert reach(graph.children, "a") == set("bcde")
    assert graph.immediate_parents("d") == {"b"}
    assert graph.readers("df") == ["c", "e", "a", "b", "d"]


def test_a_function_that_exists_before_its_cell_binds_the_name_reads_that_of_the_cell_above(graph_of):
    graph = graph_of("allow", a="x = 1", b="def f(): return x\nf()\nx = 2", c="x = 3\ndef g(): return x")
    assert (graph.parents("b"), graph.immediate_parents("b")) == ({"a"}, set())
    assert graph.deferred_bindings("b") == {"x": "a"}
    assert graph.parents("c") == set()


def test_a_cell_that_deletes_a_name_reads_it_and_makes_a_version_of_it(graph_of):
    graph = graph_of(a="x = 1", b="x", d="del x", e="x", f="x")
    assert graph.makers("x") == ["a", "d"]
    assert graph.definers("x") == ["a"]
    assert (graph.children("a"), graph.children("d")) == ({"b", "d"}, {"e", "f"})
    assert graph.shared == {"x"}


def test_a_cell_that_deletes_a_name_above_its_definer_takes_it_from_there(graph_of):
    graph = graph_of(d="del x", r="x", a="x = 1", s="x")
    assert bindings(graph, "x") == {"d": "a", "r": "d", "a": "d", "s": "a"}
    assert graph.children("a") == {"d", "s"}
    assert graph.children("d") == {"r"}


def test_a_version_is_needed_while_a_cell_reads_it_or_it_is_the_last(graph_of):
    graph = graph_of("allow", a="x = y = 1", r="x", b="x = y = 2", c="x = 3")
    assert [graph.is_needed(cell, "x") for cell in "abc"] == [True, False, True]
    assert [graph.is_needed(cell, "y") for cell in "abc"] == [False, True, False]
    assert not graph.is_needed("r", "x")
    graph.set_cell("f", analyze("def f(): return x"))
    assert [graph.is_needed(cell, "x") for cell in "abc"] == [True, True, True]


def test_a_version_is_needed_if_all_makers_below_may_leave_it_as_it_is(graph_of):
    graph = graph_of("allow", a="x = 1", b="x = 2", c="if z: x = 3", d="for x in z: pass", e="z = []")
    assert [graph.is_needed(cell, "x") for cell in "abcd"] == [False, True, True, True]
    graph.set_cell("e", analyze("x = 4"))
    assert [graph.is_needed(cell, "x") for cell in "abcde"] == [False, False, False, False, True]


# Without an order of cells


def test_where_order_means_nothing_a_name_is_read_from_its_only_definer(graph_of):
    graph = graph_of("live", r="x, y", a="x = 1", b="y = 1", c="y = 2", d="del x")
    assert (graph.parents("r"), graph.parents("d")) == ({"a"}, {"a"})
    assert graph.children("a") == {"r", "d"}
    assert graph.children("b") == graph.children("c") == set()
    assert graph.upward == set()


def test_where_order_means_nothing_no_cell_depends_on_one_that_deletes_a_name(graph_of):
    graph = graph_of("live", a="x = 1", d="del x", r="x")
    assert (graph.parents("r"), graph.children("d"), graph.children("a")) == ({"a"}, set(), {"d", "r"})


def test_a_name_with_several_definers_is_contested_if_it_is_read(graph_of):
    graph = graph_of("live", a="x = y = z = n = 1", b="x = y = 2", r="x, z", c="n += 1")
    assert [name for name in "xyzn" if graph.is_contested(name)] == ["x", "n"]
    graph.remove_cell("r")
    assert not graph.is_contested("x")


# Cycles


def test_cells_on_a_cycle_are_found(graph_of):
    def cycles() -> list[list[str]]:
        groups = cycles_near(graph, graph.immediate_children)
        return [sorted(group, key=graph.order.place) for group in groups]

    graph = graph_of(a="x = y", b="y = z", c="z = x", d="x", e="w = 1", f="v = w, u", g="u = v")
    assert cycles() == [["a", "b", "c"], ["f", "g"]]
    graph.set_cell("b", analyze("y = 1"))
    assert cycles() == [["f", "g"]]
    graph.set_cell("g", analyze("def u(): return v"))
    assert cycles() == []


# Costs


def names(defs: str, refs: str, functions: str = "") -> Analysis:
    """Return the names of a cell: what it defines, what it reads, and what its functions read."""
    read, later = frozenset(refs.split()), frozenset(functions.split())
    return Analysis(
        frozenset(defs.split()), read | later, immediate=read, deferred=later - read, function_reads=later
    )


def wide(cells: int, imports_at_the_end: bool = False) -> Graph:
    graph = Graph()
    if imports_at_the_end:
        for number in range(cells):
            graph.order.append(f"c{number}")
    graph.set_cell("imports", names("np", ""))
    for number in range(cells):
        graph.set_cell(f"c{number}", names(f"x{number}", f"np x{number - 1}"))
    return graph


def cost(graph: Graph, step: Any) -> int:
    before = graph.steps
    step(graph)
    return graph.steps - before


def edit_leaf(graph: Graph) -> None:
    leaf = f"c{len(graph) - 2}"
    graph.set_cell(leaf, names("leaf", "np x5"))
    assert reach(graph.children, leaf) == set()
    assert Sequence(graph).topological([leaf]) == [leaf]
    assert graph.parents(leaf) == {"imports", "c5"}


def insert_above(graph: Graph) -> None:
    graph.move(["c3", "new", "c4"])
    graph.set_cell("new", names("new", "np"))
    assert Sequence(graph).topological(["c4", "new", "c3"]) == ["c3", "new", "c4"]


def move_down(graph: Graph) -> None:
    graph.move(["c5", "c4"])
    assert graph.parents("c4") == {"imports", "c3"}
    assert Sequence(graph).topological(["c4", "c5"]) == ["c4", "c5"]


def edit_functions(graph: Graph) -> None:
    graph.set_cell("c7", names("x7", "", "np x2"))
    assert graph.children("c7") == {"c8"}
    assert Sequence(graph).hidden("c8") == []


@pytest.mark.parametrize("imports_at_the_end", [False, True])
@pytest.mark.parametrize("step", [edit_leaf, insert_above, move_down])
def test_an_edit_costs_the_same_in_a_notebook_of_any_size(step: Any, imports_at_the_end: bool) -> None:
    small, large = (cost(wide(size, imports_at_the_end), step) for size in (10, 10_000))
    assert small == large < 60


def test_an_edit_of_a_function_costs_the_same_in_a_notebook_of_any_size() -> None:
    small, large = (cost(wide(size), edit_functions) for size in (10, 10_000))
    assert small == large < 40


def test_an_edit_costs_the_same_however_often_an_unrelated_name_is_redefined() -> None:
    costs: list[int] = []
    for size in (10, 1_000):
        graph = Graph("allow")
        for number in range(size):
            graph.set_cell(f"df{number}", Analysis(frozenset({"df"}), rereads=frozenset({"df"})))
            graph.set_cell(f"plot{number}", names("", "df"))
        graph.set_cell("a", names("x", ""))
        graph.set_cell("b", names("y", "x"))
        costs.append(cost(graph, lambda graph: graph.set_cell("a", names("x", "df"))))
        costs[-1] += cost(graph, lambda graph: graph.children("a"))
        costs[-1] += cost(graph, lambda graph: graph.children("df5"))
    assert costs[0] == costs[1] < 20


def test_a_change_costs_what_it_affects() -> None:
    graph = wide(1_000)
    affected = [f"c{number}" for number in range(900, 1_000)]
    assert reach(graph.children, "c900") == set(affected[1:])
    assert cost(graph, lambda graph: reach(graph.children, "c900")) <= 2 * len(affected)
    backwards = wide(1_000, imports_at_the_end=True)
    assert cost(backwards, lambda graph: Sequence(graph).topological(affected)) <= 3 * len(affected)
