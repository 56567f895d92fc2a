"""What cells depend on through functions that they have from other cells."""

import pytest
from cellwire.runner.analysis.analysis import analyze

F = "def f(): return x"
#: The cells of a notebook, and the maker of each name that some of them carry.
CARRIED = {
    "nothing that the cell reads itself": (
        {"a": "x = 1", "f": F, "c": "f(), x", "e": "x = x + f()"},
        {"c": {}, "e": {}},
    ),
    "what functions of a carried name's maker read": (
        {
            "a": "x = y = 1",
            "f": "def f(): return x()",
            "b": "y = 2",
            "x": "def x(): return y",
            "c": "f()",
            "z": "y = 3",
            "d": "f()",
        },
        {"c": {"x": "x", "y": "b"}, "d": {"x": "x", "y": "z"}},
    ),
    "a name that is made below its first reader": (
        {"f": F, "c": "f()", "a": "x = 1", "d": "f()"},
        {"c": {"x": "a"}, "d": {"x": "a"}},
    ),
    "a name that the function's own cell makes": (
        {"a": f"x = 1\n{F}", "b": "f()", "c": "x = 2", "d": "f()"},
        {"b": {"x": "a"}, "d": {"x": "c"}},
    ),
}

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


def test_a_name_that_all_cells_have_from_one_maker_above_is_not_looked_after(graph_of):
    graph = graph_of("allow", a="x = 1", f="def f(): return x", c="f()")
    assert graph.carried("c") == {}
    assert graph.carriers("x") == []
    assert graph.parents("c") == {"f"}
    assert graph.callers() == {"f"}


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


@pytest.mark.parametrize(("sources", "carried"), CARRIED.values(), ids=CARRIED)
def test_a_cell_carries(graph_of, sources, carried):
    graph = graph_of("allow", **sources)
    assert {cell: graph.carried(cell) for cell in carried} == carried


def test_without_an_order_of_cells_nothing_is_carried(graph_of):
    graph = graph_of("live", a="x = 1", f=F, b="x = 2", c="f()")
    assert graph.carried("c") == {}
