"""Functions that read names of other cells, wherever they are called."""

import pytest

BOTH = pytest.mark.parametrize("redefine", ["error", "allow"])
MUTUAL = {"a": "def f(n): return g(n - 1) if n else 'f'", "b": "def g(n): return f(n - 1) if n else 'g'"}


@BOTH
def test_functions_of_two_cells_call_each_other(make_book, redefine):
    book = make_book(redefine=redefine)
    book.run(MUTUAL | {"c": "f(3)", "d": "g(3)"})
    assert (book.texts("c"), book.texts("d")) == (["'g'"], ["'f'"])
    book.run({"a": MUTUAL["a"] + "\n"})
    assert (book.texts("c"), book.texts("d")) == (["'g'"], ["'f'"])


@BOTH
def test_helpers_and_their_imports_may_stand_at_the_end(make_book, redefine):
    book = make_book(redefine=redefine)
    book.run(
        {
            "use": "root(9)",
            "x": "y = root(16)\ny",
            "h": "def root(n): return math.sqrt(n)",
            "i": "import math",
        }
    )
    assert (book.texts("use"), book.texts("x")) == (["3.0"], ["4.0"])
    book.run({"h": "def root(n): return math.sqrt(n) + 1"})
    assert book.ran == ["h", "use", "x"]


def test_a_name_that_is_hidden_from_one_cell_is_there_for_the_next(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "def f(): return g()", "b": "def g(): return 1", "c": "g()", "d": "f()"})
    book.run(["a", "c"])
    assert book.ran == ["a", "c", "d"]
    assert (book.texts("c"), book.texts("d")) == (["1"], ["1"])


def test_a_name_that_is_hidden_from_a_cell_stays_so_while_that_waits(make_book):
    book = make_book(redefine="allow")
    book.run(
        {
            "s": "import asyncio",
            "a": "def f(): return g()\nfor _ in range(9): await asyncio.sleep(0)\nf()",
            "b": "def g(): return 1",
        }
    )
    first = book.statuses["a"]
    book.run(["a"])
    assert book.statuses["a"] == first == "error"
    assert book["a"].error.cells == ["b"]


def test_what_comes_first_anyway_is_not_hidden(book):
    book.run({"a": "def f(): return y\nx\nf()", "b": "x = 1\ny = 2\ndef g(): return f()"})
    assert book.ran == ["b", "a"]
    assert book.texts("a") == ["2"]


def test_a_cell_that_calls_a_function_before_it_binds_what_that_reads_depends_on_the_version_above(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "x = 1", "f": "def f(): return x", "b": "x = 2", "c": "y = f()\nx = 3\ny", "d": "f()"})
    book.run({"b": "x = 20"})
    assert book.ran == ["b", "c", "d"]
    assert (book.texts("c"), book.texts("d")) == (["20"], ["3"])
    book.run(["c"])
    assert book.texts("c") == ["20"]


def test_a_cell_that_has_bound_what_a_function_reads_before_it_calls_it_depends_on_no_other_version(
    make_book,
):
    book = make_book(redefine="allow")
    book.run({"a": "x = 1", "f": "def f(): return x", "b": "x = 2", "c": "x = 3\nf()"})
    book.run({"b": "x = 20"})
    assert (book.ran, book.texts("c")) == (["b"], ["3"])


def test_a_function_finds_the_version_above_in_a_cell_that_may_bind_the_name(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "x = 1", "f": "def f(): return x", "s": "c = 0", "c": "if c: x = 3\nf()", "d": "x"})
    assert (book.texts("c"), book.texts("d")) == (["1"], ["1"])
    book.run({"s": "c = 1"})
    assert (book.texts("c"), book.texts("d")) == (["3"], ["3"])
