"""Which cells a request runs, which it leaves stale and why, and which it cancels because of another one."""

import pytest
from cellwire.protocol import events as e

STOP = "from cellwire import stop\nstop(True)\nx = 1"


def why(book):
    """Return the cells that are stale, each with the reason and what that is about."""
    return {
        id: (cell.stale_reason, cell.stale_because) for id, cell in book.replica.cells.items() if cell.stale
    }


# What is needed, and no more


def test_running_a_cell_does_not_run_what_hangs_on_its_stale_ancestors_beside_it(book):
    book.sync({"a": "x = 1", "beside": "x", "b": "y = x", "below": "y", "far": "1"})
    book.run(["b"])
    assert book.ran == ["a", "b", "below"]
    assert book.stale == ["beside", "far"]
    assert book.statuses["beside"] == "idle"


def test_a_new_cell_runs_its_stale_ancestors_and_not_the_rest_of_the_notebook(book):
    book.sync({f"c{number}": f"x{number} = x{number - 1}" if number else "x0 = 0" for number in range(9)})
    book.run({"new": "x3"})
    assert book.ran == ["c0", "c1", "c2", "c3", "new"]
    assert book.stale == ["c4", "c5", "c6", "c7", "c8"]


def test_an_edit_in_a_notebook_that_never_ran_does_not_run_the_notebook(book):
    book.sync({"a": "x = 1", "b": "x", "c": "y = x", "d": "1"})
    book.run({"d": "2"})
    assert book.ran == ["d"]


def test_what_was_stale_below_a_requested_cell_runs(book):
    book.sync({"a": "x = 1", "b": "x"})
    book.run(["a"])
    assert (book.ran, book.stale) == (["a", "b"], [])


def test_deleting_a_cell_that_never_ran_runs_nothing(book):
    book.sync({"a": "x = 1", "b": "x", "c": "1"})
    book.delete("a")
    assert (book.ran, book.stale) == ([], ["b", "c"])
    assert book.statuses == {"b": "idle", "c": "idle"}


def test_deleting_a_cell_runs_its_readers_that_are_not_stale_and_leaves_the_others(book):
    book.run({"a": "x = 1", "b": "x"})
    book.sync({"c": "x"})
    book.delete("a")
    assert (book.ran, book.stale) == (["b"], ["c"])


def test_an_ancestor_that_is_not_stale_does_not_run(book):
    book.run({"a": "x = 1", "b": "y = x", "c": "y"})
    book.run(["c"])
    assert book.ran == ["c"]


def test_a_cell_that_was_emptied_and_not_run_is_stale_if_it_has_anything_to_show(book):
    book.run({"a": "1", "b": "1 / 0"})
    book.sync({"a": "", "b": "# nothing", "c": ""})
    assert book.stale == ["a", "b"]
    book.run_stale()
    assert (book.texts("a"), book.statuses["b"], book.stale) == ([], "ok", [])


# Disabled cells


def test_what_depends_on_a_disabled_cell_is_stale_and_names_it(book):
    book.run({"a": "x = 1", "b": "y = x", "c": "y"})
    book.disable("a")
    assert why(book) == {}
    book.run({"a": "x = 2"})
    assert book.ran == []
    assert why(book) == {"a": ("", []), "b": ("disabled", ["a"]), "c": ("disabled", ["a"])}
    assert book.emitted(e.CellsMarked, reason="disabled", because=["a"])
    book.enable("a")
    assert (book.ran, why(book)) == (["a", "b", "c"], {})


def test_of_several_disabled_cells_the_first_is_named(book):
    book.sync({"a": "x = 1", "b": "y = 1", "c": "x, y"})
    book.disable("b", "a")
    book.run(["c"])
    assert (book.ran, why(book)["c"]) == ([], ("disabled", ["a"]))
    book.enable("a")
    assert why(book)["c"] == ("disabled", ["b"])


def test_in_lazy_mode_enabling_a_cell_takes_back_the_reason(book):
    book.run({"a": "x = 1", "b": "x"})
    book.disable("a")
    book.run({"a": "x = 2"})
    book.mode("lazy")
    book.enable("a")
    assert (book.ran, why(book)) == ([], {"a": ("", []), "b": ("", [])})


# Outcomes of cells that ran before


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("1 / 0\nx = 1", "error", "not run because cell 'a' failed (ZeroDivisionError)"),
        (STOP, "stopped", "not run because cell 'a' stopped"),
    ],
)
def test_a_cell_below_one_that_did_not_end_well_is_cancelled_whichever_run_that_was(
    book, source, status, message
):
    book.run({"a": source, "b": "y = x", "c": "y"})
    for request in (["c"], {"c": "y + 1"}, {"new": "y"}, ["b", "c"]):
        book.run(request)
        assert book.ran == []
        assert book.statuses["a"] == status
        for cell in ("b", "c"):
            assert (book[cell].status, book[cell].error.message) == ("cancelled", message)
            assert book[cell].error.cells == ["a"]
    book.run({"a": "x = 1"})
    assert book.ran == ["a", "b", "c", "new"]
    assert set(book.statuses.values()) == {"ok"}


def test_a_closed_gate_stays_closed_after_edits_elsewhere(book):
    book.run({"gate": STOP, "other": "y = 1", "b": "x, y"})
    book.run({"other": "y = 2"})
    assert book.ran == ["other"]
    assert (book.statuses["b"], book["b"].error.cells) == ("cancelled", ["gate"])
    book.run_stale()
    assert book.ran == []


def test_of_several_causes_the_first_in_notebook_order_is_named(book):
    book.run({"a": "1 / 0\nx = 1", "b": "1 / 0\ny = 1", "c": "z = y", "d": "x, z", "e": "z, x"})
    assert [book[cell].error.cells for cell in "cde"] == [["b"], ["a"], ["a"]]
    book.run({"a": "x = 1"})
    assert [book[cell].error.cells for cell in "cde"] == [["b"], ["b"], ["b"]]


def test_a_state_that_changes_does_not_run_a_cell_below_a_failed_one(book):
    book.run(
        {
            "s": "from cellwire import state\nget, set_ = state(0)",
            "a": "1 / 0\nx = 1",
            "r": "x, get()",
            "q": "get()",
        }
    )
    book.run({"w": "set_(1)"})
    assert book.ran == ["w", "q"]
    assert book["r"].error.cells == ["a"]


def test_a_cell_below_an_interrupted_one_runs_when_that_has_run(book):
    book.engine.hooks.pre_execution.append(
        lambda execution: execution.cell == "a" and execution.run == 1 and book.engine.interrupt()
    )
    book.run({"a": "x = 1", "b": "x"})
    assert book.statuses == {"a": "interrupted", "b": "cancelled"}
    book.run(["b"])
    assert (book.ran, book.texts("b")) == (["a", "b"], ["1"])


def test_a_cell_whose_functions_read_from_a_failed_cell_that_comes_after_it_runs(make_book):
    book = make_book(redefine="allow")
    book.run({"f": "def f(): return x\n5", "a": "1 / 0\nx = 1"})
    assert book.statuses == {"f": "ok", "a": "error"}
    book.run(["f"])
    assert (book.ran, book.texts("f")) == (["f"], ["5"])
