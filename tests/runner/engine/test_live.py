"""Names have one value, whichever cell set it last, where the order of cells is not known."""

import pytest


@pytest.fixture
def book(make_book):
    return make_book(redefine="live")


def why(book):
    """Return the cells that are stale, each with the reason and the names that it is about."""
    return {
        id: (cell.stale_reason, cell.stale_because) for id, cell in book.replica.cells.items() if cell.stale
    }


def test_a_name_with_one_definer_is_followed_wherever_the_cells_stand(book):
    book.run({"r": "x + 1", "a": "x = 1"})
    assert (book.ran, book.texts("r")) == (["a", "r"], ["2"])
    book.run({"a": "x = 2"})
    assert (book.ran, book.texts("r")) == (["a", "r"], ["3"])


def test_a_cell_finds_the_value_that_was_set_last(book):
    book.run({"a": "x = 1", "r": "x", "b": "x = 2"})
    book.run(["r"])
    assert (book.ran, book.texts("r")) == (["r"], ["2"])
    book.run(["a"])
    book.run(["r"])
    assert (book.texts("r"), book.globals["x"]) == (["1"], 1)


def test_a_cell_that_reads_and_sets_a_name_goes_on_from_its_value(book):
    book.run({"a": "n = 1", "b": "n += 1"})
    book.run(["b"])
    book.run(["b"])
    assert book.globals["n"] == 4


def test_a_definer_that_runs_again_keeps_the_value_that_another_has_set(book):
    book.run({"a": "x = 1", "b": "x = 2"})
    book.run({"a": "y = 1"})
    assert (book.globals["x"], book.globals["y"]) == (2, 1)


def test_a_name_that_only_one_cell_rereads_is_not_contested(book):
    book.run({"a": "x = 1", "b": "x"})
    book.run({"c": "n = 1\nn += 1"})
    assert (book.ran, why(book)) == (["c"], {})


def test_a_contested_name_runs_nothing_by_itself(book):
    book.run({"a": "x = 1", "r": "x", "b": "x = 2", "n": "y = 1", "s": "y"})
    book.run({"b": "x = 3"})
    assert book.ran == ["b"]
    book.run({"n": "y = 2"})
    assert book.ran == ["n", "s"]


def test_readers_of_a_contested_name_become_stale_and_say_which_name_it_is(book):
    book.run({"a": "x = 1", "r": "x", "b": "x = 2", "n": "n = 1", "m": "n += 1"})
    book.run(["a", "r"])
    book.run({"b": "x = 3"})
    assert (book.ran, why(book)) == (["b"], {"r": ("contested", ["x"])})
    book.run(["r"])
    assert (book.texts("r"), why(book)) == (["3"], {})
    book.run(["n"])
    assert (book.ran, why(book)) == (["n"], {"m": ("contested", ["n"])})


def test_readers_of_a_name_become_stale_when_it_becomes_contested(book):
    book.run({"a": "x = 1", "r": "x"})
    book.run({"b": "x = 2"})
    assert (book.ran, why(book)) == (["b"], {"r": ("contested", ["x"])})


def test_a_name_that_is_contested_no_more_is_followed_again(book):
    book.run({"a": "x = 1", "r": "x"})
    book.run({"b": "x = 2"})
    book.delete("b")
    book.run(["r"])
    assert (book.texts("r"), book.stale) == (["1"], [])
    book.run({"a": "x = 4"})
    assert (book.ran, book.texts("r")) == (["a", "r"], ["4"])


def test_functions_read_the_value_that_was_set_last(book):
    book.run({"f": "def f(): return x", "a": "x = 1", "b": "x = 2", "c": "f()"})
    book.run(["a"])
    book.run(["c"])
    assert book.texts("c") == ["1"]


def test_a_cell_that_deletes_a_name_takes_it_from_all(book):
    book.run({"a": "x = 1", "d": "del x"})
    assert "x" not in book.globals
    book.run({"r": "x"})
    assert book["r"].error.kind == "NameError"


def test_a_cycle_is_no_fault_and_its_cells_do_not_follow_each_other(book):
    book.run({"a": "x = 1", "b": "y = x"})
    finished = book.run({"a": "x = y + 1"})
    assert (finished.status, book.ran, book.globals["x"]) == ("ok", ["a"], 2)
    book.run(["b"])
    assert (book.ran, book.globals["y"]) == (["b"], 2)
    book.run(["a"])
    assert (book.ran, book.globals["x"]) == (["a"], 3)
    assert book.stale == []


def test_what_reads_from_a_cycle_follows_its_cells(book):
    book.run({"a": "x = 1", "b": "y = x", "r": "x, y"})
    book.run({"a": "x = y + 1"})
    assert book.ran == ["a", "r"]
    assert book.texts("r") == ["(2, 1)"]


def test_cells_that_were_on_a_cycle_follow_each_other_again(book):
    book.run({"a": "x = 1", "b": "y = x"})
    book.run({"a": "x = y"})
    book.run({"a": "x = 5"})
    assert (book.ran, book.globals["y"]) == (["a", "b"], 5)


def test_no_order_of_cells_changes_anything(book):
    book.run({"a": "x = 1", "b": "x", "c": "y = 2"})
    book.sync({"b": "x", "c": "y = 2", "a": "x = 1"})
    assert book.stale == []
    book.run(["a"])
    assert book.ran == ["a", "b"]
