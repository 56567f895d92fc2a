"""In which order cells come, and what is hidden from those that come too early."""

import pytest
from cellwire.runner.analysis.analysis import analyze
from cellwire.runner.dataflow.sequence import Sequence

BOTH = pytest.mark.parametrize("redefine", ["error", "allow"])


@BOTH
def test_the_order_is_topological_and_else_that_of_the_notebook(graph_of, redefine):
    graph = graph_of(redefine, a="c0 = b0", b="b0 = 1", c="c0", d="1", e="b0")
    sequence = Sequence(graph)
    assert sequence.topological("edcba") == ["b", "a", "c", "d", "e"]
    assert sequence.topological("ca") == ["a", "c"]
    graph.move("edcba")
    assert sequence.topological("abcde") == ["d", "b", "e", "a", "c"]
    graph.set_cell("d", analyze("2"))
    assert sequence.topological("abcde") == ["d", "b", "e", "a", "c"]


@BOTH
def test_a_notebook_that_works_from_top_to_bottom_has_that_order(graph_of, redefine):
    graph = graph_of(redefine, a="x = 1", b="def f(): return x", c="del x", d="f()", e="x = 2", f="f(), x")
    sequence = Sequence(graph)
    assert sequence.topological("fedcba") == list("abcdef")
    assert sequence.all_hidden() == {}


def test_cells_on_a_cycle_and_behind_it_come_in_notebook_order_after_the_others(graph_of):
    graph = graph_of(a="x = y", b="y = z", c="z = x", d="x", e="w = 1", f="v = w")
    sequence = Sequence(graph)
    assert sequence.topological("fedcba") == ["e", "f", "a", "b", "c", "d"]
    graph.set_cell("b", analyze("y = 1"))
    assert sequence.topological("dcba") == ["b", "a", "c", "d"]


@BOTH
def test_deleting_a_name_does_not_order_a_cell_behind_the_other_readers_of_it(graph_of, redefine):
    graph = graph_of(redefine, a="del x", b="x", c="y = x", d="x = 1", e="y")
    sequence = Sequence(graph)
    assert graph.parents("b") == graph.parents("c") == {"a"}
    assert sequence.topological("abcde") == ["d", "a", "b", "c", "e"]
    graph.move(["d", "b", "c", "a"])
    assert sequence.precedents("a") == {"d"}
    assert sequence.topological("abcde") == ["d", "b", "c", "a", "e"]


def test_two_cells_that_delete_a_name_follow_each_other(graph_of):
    graph = graph_of(c="x = 1", a="del x", b="del x", d="x")
    assert Sequence(graph).topological("abcd") == ["c", "a", "b", "d"]
    assert graph.parents("b") == {"a"}


# Functions that call each other


MUTUAL = {"a": "def f(n): return n and g(n - 1)", "b": "def g(n): return n and f(n - 1)", "c": "f(3)"}


def test_functions_of_two_cells_may_call_each_other_and_order_neither(graph_of):
    sequence = Sequence(graph_of(**MUTUAL))
    assert [sequence.precedents(cell) for cell in "abc"] == [set(), set(), {"a", "b"}]
    assert sequence.topological("cba") == ["a", "b", "c"]
    assert sequence.all_hidden() == {"a": ["g"], "b": ["f"]}


def test_in_a_notebook_that_redefines_names_functions_read_what_is_above_first(graph_of):
    sequence = Sequence(graph_of("allow", **MUTUAL))
    assert [sequence.precedents(cell) for cell in "abc"] == [set(), {"a"}, {"a", "b"}]
    assert sequence.topological("cba") == ["a", "b", "c"]
    assert sequence.all_hidden() == {"a": ["g"]}


@BOTH
def test_a_caller_above_functions_that_call_each_other_comes_after_both(graph_of, redefine):
    graph = graph_of(redefine, c=MUTUAL["c"], a=MUTUAL["a"], b=MUTUAL["b"])
    sequence = Sequence(graph)
    assert sequence.precedents("c") == {"a", "b"}
    assert sequence.topological("abc") == ["a", "b", "c"]
    assert sequence.hidden("c") == []


def test_three_cells_whose_functions_read_each_other_are_one_circle(graph_of):
    graph = graph_of(a="def f(): return g", b="def g(): return h", c="def h(): return f", d="h()")
    sequence = Sequence(graph)
    assert sequence.all_hidden() == {"a": ["g", "h"], "b": ["h"], "c": ["f", "g"]}
    assert sequence.precedents("d") == {"b", "c"}
    graph.move("bcda")
    assert sequence.precedents("d") == {"a", "c"}
    assert sequence.topological("abcd") == ["b", "c", "a", "d"]
    graph.move("abcd")
    graph.set_cell("c", analyze("def h(): return 1"))
    assert sequence.all_hidden() == {}
    assert sequence.topological("abcd") == ["c", "b", "a", "d"]


def test_what_is_above_by_an_immediate_read_is_not_hidden_by_a_circle_of_functions(graph_of):
    sequence = Sequence(graph_of(a="x\ndef f(): return y", b="x = y = 1\ndef g(): return f()"))
    assert sequence.precedents("a") == {"b"}
    assert sequence.all_hidden() == {"b": ["f"]}


# Helpers and imports at the end


AT_THE_END = {
    "use": "result = total([1, 2])",
    "other": "1",
    "helpers": "def total(values): return np.sum(values)",
    "imports": "import numpy as np",
}


def test_imports_that_helpers_at_the_end_read_come_first(graph_of):
    sequence = Sequence(graph_of(**AT_THE_END))
    assert sequence.topological(AT_THE_END) == ["other", "imports", "helpers", "use"]
    assert sequence.all_hidden() == {}


def test_a_cell_that_reads_a_helper_at_the_end_takes_along_what_that_reads(graph_of):
    sequence = Sequence(graph_of("allow", **AT_THE_END))
    assert sequence.topological(AT_THE_END) == ["other", "helpers", "imports", "use"]
    assert sequence.precedents("use") == {"helpers", "imports"}
    # Nothing calls the function before that, but if something did, it would find what it finds in Python.
    assert sequence.all_hidden() == {"helpers": ["np"]}


# What is not followed is hidden


def test_where_names_may_be_redefined_a_function_does_not_find_what_comes_after_its_caller(graph_of):
    graph = graph_of("allow", f="def f(): return x", c="f()", a="x = 1", d="f()")
    sequence = Sequence(graph)
    assert sequence.topological("dcaf") == ["f", "c", "a", "d"]
    assert sequence.all_hidden() == {"f": ["x"], "c": ["x"]}
    graph.move(["a", "c"])
    assert sequence.all_hidden() == {"f": ["x"]}


def test_where_names_have_one_definer_a_function_finds_what_is_below_its_caller(graph_of):
    sequence = Sequence(graph_of(f="def f(): return x", c="f()", a="x = 1"))
    assert sequence.topological("acf") == ["a", "f", "c"]
    assert sequence.all_hidden() == {}


def test_what_a_cell_deletes_is_not_hidden_but_absent(graph_of):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", d="del x", c="f()")
    sequence = Sequence(graph)
    assert sequence.all_hidden() == {}
    assert sequence.precedents("c") == {"f", "d"}


def test_a_builtin_is_never_hidden(graph_of):
    graph = graph_of("allow", f="def f(): return len(x)", c="f()", a="x = 1", b="def len(x): ...")
    assert Sequence(graph).all_hidden() == {"f": ["x"], "c": ["x"]}


def test_without_an_order_of_cells_nothing_is_hidden(graph_of):
    sequence = Sequence(graph_of("live", c="f()", f="def f(): return x", a="x = 1"))
    assert sequence.topological("acf") == ["a", "f", "c"]
    assert sequence.all_hidden() == {}
