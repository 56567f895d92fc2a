"""What cells depend on through functions that they have from other cells."""

import pytest
from cellwire.runner.analysis.analysis import analyze

BOTH = pytest.mark.parametrize("redefine", ["error", "allow"])


@BOTH
def test_a_cell_that_calls_a_function_depends_on_what_that_reads_at_its_own_place(graph_of, redefine):
    graph = graph_of(redefine, a="x = 1", f="def f(): return x", c="f()", b="del x", d="f()")
    assert [graph.carried(cell) for cell in "afcbd"] == [{}, {}, {"x": "a"}, {}, {"x": "b"}]
    assert graph.parents("d") == {"f", "b"}
    assert graph.children("b") == {"d"}
    assert graph.children("a") == {"f", "c", "b"}
    assert sorted(graph.carriers("x")) == ["c", "d"]


def test_a_function_is_carried_on_by_whatever_depends_on_it(graph_of):
    graph = graph_of(
        "allow",
        a="x = 1",
        f="def f(): return x",
        o="class O:\n  call = f\no = [O()]",
        b="x = 2",
        p="p = o",
        q="q = len(p)",
        r="1",
    )
    assert [graph.carried(cell) for cell in "opqr"] == [{"x": "a"}, {"x": "b"}, {"x": "b"}, {}]
    assert graph.bound_parents("q") == {"p"}
    assert graph.parents("q") == {"p", "b"}
    assert graph.children("b") == {"p", "q"}


def test_what_a_cell_reads_itself_it_does_not_carry(graph_of):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", c="f(), x", d="x = f()", e="x = x + f()")
    assert [graph.carried(cell) for cell in "ce"] == [{}, {}]


@pytest.mark.parametrize(
    ("source", "carries"),
    [
        ("x = f()", True),
        ("f()\nx = 2", True),
        ("if c: x = 2\nf()", True),
        ("for x in []: f()", True),
        ("x = c\nf()", False),
        ("x = 2\ny = [f() for _ in range(1)]\nx = 3", False),
        ("def g(): return f()\nx = g()", True),
        ("x, y = 2, f()", True),
        ("del c\nx = 2\nf()", False),
    ],
)
def test_a_cell_carries_a_name_that_it_binds_if_it_may_call_the_function_before(graph_of, source, carries):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", c="c = 1", b="x = 5", d=source)
    assert graph.carried("d") == ({"x": "b"} if carries else {})
    assert ("d" in graph.children("b")) == carries


def test_functions_of_the_maker_of_a_carried_name_are_carried_too(graph_of):
    graph = graph_of(
        "allow",
        a="x = y = 1",
        f="def f(): return x()",
        b="y = 2",
        x="def x(): return y",
        c="f()",
        z="y = 3",
        d="f()",
    )
    assert graph.carried("c") == {"x": "x", "y": "b"}
    assert graph.carried("d") == {"x": "x", "y": "z"}


def test_a_name_that_all_cells_have_from_one_maker_above_is_not_looked_after(graph_of):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", c="f()")
    assert graph.carried("c") == {}
    assert graph.carriers("x") == []
    assert graph.parents("c") == {"f"}
    assert graph.callers() == {"f"}


def test_a_name_below_its_first_reader_is_carried_to_the_callers(graph_of):
    graph = graph_of("allow", f="def f(): return x", c="f()", a="x = 1", d="f()")
    assert (graph.carried("c"), graph.carried("d")) == ({"x": "a"}, {"x": "a"})
    assert graph.callers() == {"f", "c", "d"}


def test_what_is_carried_follows_changes_and_moves(graph_of):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", c="f()", b="x = 2")
    assert graph.carried("c") == {"x": "a"}
    graph.move(["b", "c"])
    assert graph.carried("c") == {"x": "b"}
    graph.set_cell("f", analyze("def f(): return 1"))
    assert graph.carried("c") == {}
    graph.set_cell("f", analyze("def f(): return x"))
    graph.remove_cell("a")
    graph.remove_cell("b")
    assert graph.carried("c") == {}


def test_a_cell_whose_own_function_reads_its_own_name_carries_it_to_others(graph_of):
    graph = graph_of("allow", a="x = 1\ndef f(): return x", b="f()", c="x = 2", d="f()")
    assert graph.carried("b") == {"x": "a"}
    assert graph.carried("d") == {"x": "c"}


def test_without_an_order_of_cells_nothing_is_carried(graph_of):
    graph = graph_of("live", a="x = 1", f="def f(): return x", b="x = 2", c="f()")
    assert graph.carried("c") == {}
