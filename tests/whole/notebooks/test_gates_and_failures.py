"""What cells do below others that failed, stopped or are disabled: the same, however it came about."""

import pytest
from cellwire.protocol.blocking import launch_kernel
from support.book import Book


def test_a_cell_behind_two_gates_waits_for_both(strict: Book) -> None:
    strict.run(
        cw="import cellwire as cw",
        one="first_open = False",
        two="second_open = False",
        first="cw.stop(not first_open)\nleft = 1",
        second="cw.stop(not second_open)\nright = 2",
        total="left + right",
    )
    assert strict.status("total") == "cancelled"
    strict.run(one="first_open = True")
    assert (strict.status("first"), strict.status("total")) == ("ok", "cancelled")
    assert strict.error("total").cells == ["second"]
    strict.run(two="second_open = True")
    assert (strict.status("total"), strict.shows("total")) == ("ok", "3")
    strict.run(one="first_open = False")
    assert (strict.status("total"), strict.shows("total")) == ("cancelled", "")


@pytest.mark.parametrize("ending", ["1 / 0", "cw.stop(True)"])
def test_what_depends_on_a_failed_cell_is_cancelled_in_every_run_until_it_is_repaired(
    strict: Book, ending: str
) -> None:
    strict.run(
        cw="import cellwire as cw", fails=f"x = 1\n{ending}", other="y = 10", reader="print('ran', x + y)"
    )
    assert (strict.status("reader"), strict.shows("reader")) == ("cancelled", "")
    strict.run(other="y = 20")
    assert (strict.status("reader"), strict.shows("reader")) == ("cancelled", "")
    strict.run("reader")
    assert (strict.status("reader"), strict.error("reader").cells) == ("cancelled", ["fails"])
    strict.run(fails="x = 1")
    assert strict.shows("reader") == "ran 21\n"


def test_with_several_failed_cells_the_first_in_the_notebook_is_named(strict: Book) -> None:
    strict.run(z="a = 1 / 0", y="b = 1 / 0", x="c = 1 / 0", reader="c, b, a")
    assert strict.error("reader").cells == ["z"]


def test_a_state_runs_no_cell_below_one_that_failed(strict: Book) -> None:
    strict.run(
        setup="import cellwire as cw\nget, set_ = cw.state(0)",
        fails="x = 0\nset_(1)\nraise ValueError",
        reader="x, get()",
    )
    assert (strict.status("reader"), strict.shows("reader")) == ("cancelled", "")


def test_a_disabled_cell_below_a_failure_is_stale_and_clean_when_that_is_repaired(strict: Book) -> None:
    strict.run(above="x = 1", below="y = x + 1\ny")
    strict.client.configure("below", disabled=True)
    strict.run(above="x = 1 / 0")
    strict.run(above="x = 2")
    assert (strict["below"].error, strict["below"].stale) == (None, True)
    strict.client.configure("below", disabled=False)
    assert (strict.status("below"), strict.shows("below"), strict["below"].stale) == ("ok", "3", False)


def test_what_waits_for_a_disabled_cell_says_so_and_is_free_when_that_is_deleted(strict: Book) -> None:
    strict.run(off="z = 1", below="z + 1", further="2")
    strict.client.configure("off", disabled=True)
    strict.run(off="z = 5")
    assert strict.stale == ["off", "below"]
    assert (strict["below"].stale_reason, strict["below"].stale_because) == ("disabled", ["off"])
    assert strict["off"].stale_reason == ""
    strict.client.delete(["off"])
    assert (strict.kind("below"), strict["below"].stale, strict["below"].stale_reason) == (
        "NameError",
        False,
        "",
    )
    strict.run(anew="z = 7")
    assert (strict.status("below"), strict.shows("below")) == ("ok", "8")


def test_a_new_runner_says_which_cells_wait_for_a_disabled_one(strict: Book) -> None:
    strict.run(off="z = 1", below="z + 1", other="2")
    strict.client.configure("off", disabled=True)
    strict.client.restart_runner()
    strict.run(last="3")
    assert strict.stale == ["off", "below", "other"]
    assert [strict[cell].stale_reason for cell in strict.stale] == ["", "disabled", ""]
    assert strict["below"].stale_because == ["off"]


def test_enabling_a_cell_runs_it_and_what_is_stale_below_it_alone(strict: Book) -> None:
    strict.run(off="z = 1", below="z", other="'other'")
    strict.client.configure("off", disabled=True)
    strict.run(off="z = 2")
    before = strict["other"].run
    strict.client.configure("off", disabled=False)
    assert (strict.shows("below"), strict["other"].run, strict.stale) == ("2", before, [])


def test_in_lazy_mode_a_cell_runs_with_what_it_needs_and_the_rest_stays_stale(strict: Book) -> None:
    strict.run(x="x = 1", y="y = x + 1", z="z = x + 10", w="y + z")
    strict.client.set_mode("lazy")
    strict.sync(x="x = 100")
    assert strict.stale == ["x", "y", "z", "w"]
    strict.run("z")
    assert strict.stale == ["y", "w"]
    strict.run("w")
    assert (strict.stale, strict.shows("w")) == ([], "211")
    strict.sync(x="x = 0")
    strict.client.run_stale()
    assert (strict.stale, strict.shows("w")) == ([], "11")


def test_in_autorun_mode_what_depends_on_a_stale_parent_beside_stays_stale(strict: Book) -> None:
    strict.sync(imports="import os", wanted="os.sep", beside="os.getpid()")
    strict.run("wanted")
    assert (strict.status("wanted"), strict.stale) == ("ok", ["beside"])


def test_after_the_process_of_the_cells_was_replaced_all_of_them_are_stale() -> None:
    with launch_kernel() as client:
        book = Book(client)
        book.run(x="x = 1", read="x")
        client.restart_runner()
        client.set_mode("autorun")  # carried out by the new process
        assert book.stale == ["x", "read"]
        book.run("read")
        assert (book.stale, book.shows("read")) == ([], "1")
