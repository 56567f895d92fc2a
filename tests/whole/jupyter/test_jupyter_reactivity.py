"""What runs by itself under a Jupyter frontend, and what the page shows of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cellwire.frontends.jupyter.reactivity import FOLLOWING, IN_DOUBT
from support.jupyter import Jupyter, attach, idle, started
from support.page import Page, opened
from support.waiting import PATIENCE, wait_until


@pytest.fixture
def page() -> Iterator[Page]:
    with started() as jupyter, opened(jupyter) as page:
        yield page


def test_what_depends_on_an_edited_cell_is_redrawn_in_place(page: Page):
    assert page.run_all(a="x = 1", b="x + 1", c="print(x)") == ["a", "b", "c"]
    assert page.run("a", "x = 5") == ["a", "b", "c"]
    assert page.shows("b") == ["6"]
    assert page.shows("c") == ["5\n"]


def test_run_all_executes_each_cell_once(page: Page):
    cells = {"a": "x = 1", "b": "y = x", "c": "y + 1"}
    assert page.run_all(**cells) == ["a", "b", "c"]
    assert page.run_all() == ["a", "b", "c"]


def test_cells_that_are_executed_one_after_the_other_as_vs_code_does_end_up_right(page: Page):
    """VS Code sends the next cell of Run All when the reply to the last one is there, with its URI."""
    uri = "vscode-notebook-cell:/home/ada/book.ipynb#W{}sZmlsZQ%3D%3D".format
    cells = {uri(0): "x = 1", uri(1): "y = x + 1", uri(2): "x + y"}
    for cell, source in cells.items():
        page.jupyter.reply(page.send(cell, source, stop_on_error=False))
    page.rest()
    page.sources[uri(0)] = "x = 10"
    for cell in cells:
        page.jupyter.reply(page.send(cell, stop_on_error=False))
    ran = page.rest()
    assert set(ran) == set(cells)
    assert page.shows(uri(2)) == ["21"]
    assert not any(cell.stale for cell in page.native.notebook.cells.values())


def test_an_error_in_what_follows_is_shown_and_what_depends_on_it_waits(page: Page):
    page.run_all(a="x = 1", b="y = 1 / x\ny", c="y + 1")
    assert page.run("a", "x = 0") == ["a", "b"]
    assert page.shows("b") == ["ZeroDivisionError"]
    assert page.shows("c") == ["2.0", "↻ stale: waits for cell [2]"]
    assert page.run("a", "x = 2") == ["a", "b", "c"]
    assert page.shows("c") == ["1.5"]


def test_a_request_during_a_cascade_waits_for_one_cell_at_most(page: Page, tmp_path: Path):
    go = tmp_path / "go"
    wait = f"import os, time\nwhile x == 2 and not os.path.exists({str(go)!r}): time.sleep(0.01)\ny = x"
    page.run_all(a="x = 1", b=wait, c="x + y")
    page.jupyter.reply(page.send("a", "x = 2"))
    wait_until(lambda: page.native.ping() and page.native.notebook.cells["b"].status == "running")
    asked = page.send("d", "'asked for'")
    page.jupyter.ask("kernel_info_request", channel="control")
    go.touch()
    page.jupyter.reply(asked)
    assert page.rest() == ["a", "b", "d", "c"]


def test_an_interrupted_cascade_is_not_taken_up_again(page: Page):
    page.run_all(a="x = 1", b="y = x\nwhile x == 2: pass", c="y + 1")
    page.jupyter.reply(page.send("a", "x = 2"))
    wait_until(lambda: page.native.ping() and page.native.notebook.cells["b"].status == "running")
    page.jupyter.ask("interrupt_request", channel="control")
    assert page.rest() == ["a", "b"]
    assert page.shows("b") == ["KeyboardInterrupt"]
    assert page.shows("c") == ["2", "↻ stale: interrupted"]
    assert page.run("d", "'something else'") == ["d"]
    assert page.run("a", "x = 3") == ["a", "b", "c"]
    assert page.shows("c") == ["4"]


def test_a_definition_that_becomes_a_deletion_is_missed_by_its_readers(page: Page):
    page.run_all(a="x = 1", b="x + 1")
    assert page.run("a", "del x") == ["a", "b"]
    assert page.shows("b") == ["NameError"]
    assert page.run("a", "x = 2") == ["a", "b"]
    assert page.shows("b") == ["3"]


def test_a_contested_name_runs_nothing_by_itself(page: Page):
    page.run_all(a="df = [1]", b="df = [*df, 2]", c="len(df)")
    assert page.run("a") == ["a"]
    assert page.shows("c") == ["2", "↻ stale: several cells define df"]
    assert page.run_all() == ["a", "b", "c"]
    assert page.shows("c") == ["2"]


def test_a_loop_variable_is_not_contested(page: Page):
    page.run_all(n="n = 2", a="for i in range(n): pass\n'a', n", b="for i in range(n): pass\n'b', n")
    assert page.run("n", "n = 3") == ["n", "a", "b"]
    assert page.shows("b") == ["('b', 3)"]


def test_mutual_recursion_in_two_cells_comes_to_rest(page: Page):
    even = "def even(n): return n == 0 or odd(n - 1)"
    odd = "def odd(n): return n != 0 and even(n - 1)"
    page.run_all(a=even, b=odd, c="even(10)")
    ran = page.run("a", even + "  # edited")
    assert ran.count("a") == 1
    assert page.shows("c")[0] == "True"


def test_a_cell_that_was_cut_and_pasted_loses_nothing(page: Page):
    page.run_all(a="x = 1", b="x + 1")
    page.delete("a")
    assert page.run("d", "1") == ["d"]
    assert page.shows("b") == ["2", "↻ stale: cell [1], which defined x, was deleted"]
    assert page.run("a", "x = 4") == ["a", "b"]
    assert page.shows("b") == ["5"]


def test_after_a_crash_only_what_is_needed_runs(page: Page):
    page.run_all(a="x = 1", b="y = x", c="y + 1", d="'other'")
    page.jupyter.reply(page.send("k", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
    page.rest()
    assert page.run("c") == ["a", "b", "c"]
    assert page.shows("c") == ["2"]
    assert page.shows("d") == ["'other'"]


def test_a_frozen_cell_says_so_and_runs_when_it_is_executed(page: Page):
    page.run("a", "x = 1")
    page.run("b", "x + 1", tags=["cellwire-frozen"])
    assert page.run("a", "x = 2") == ["a"]
    assert page.shows("b") == ["2", "↻ stale: frozen"]
    assert page.run("b", tags=["cellwire-frozen"]) == ["b"]
    assert page.shows("b") == ["3"]


def test_a_badge_is_never_all_that_a_cell_shows(page: Page):
    page.run_all(a="df = [1]", b="df = [*df, 2]", c="n = len(df)")
    page.run("a")
    assert page.native.notebook.cells["c"].stale
    assert page.shows("c") == []


def test_an_anonymous_run_makes_nothing_stale(page: Page):
    page.run_all(a="x = 1", b="x + 1")
    page.jupyter.run("x = 10")
    assert page.rest() == []
    assert page.shows("b") == ["2"]


@contextmanager
def another(page: Page) -> Iterator[Page]:
    """Open one more page on the kernel of this one."""
    jupyter = attach(page.jupyter.manager)
    # As long as a page is new the kernel waits for the end of the page that it may replace.
    time.sleep(IN_DOUBT)
    try:
        with opened(jupyter) as other:
            yield other
    finally:
        jupyter.client.stop_channels()


def test_a_console_of_lab_beside_the_notebook_makes_nothing_stale_and_its_names_are_there(page: Page):
    page.run_all(a="x = 1", b="x + 1")
    with another(page) as console:
        request = {"code": "x = 10", "silent": False, "store_history": True, "allow_stdin": True}
        metadata = {"trusted": True, "cellId": "1304a9ce-15d6-418f-ab96-7f58c90e13ac"}
        console.jupyter.ran(console.jupyter.send("shell", "execute_request", request, **metadata))
    assert page.rest() == []
    assert page.shows("b") == ["2"]
    assert page.run("b") == ["b"]
    assert page.shows("b") == ["11"]
    assert page.run("a", "x = 5") == ["a", "b"]


def test_a_reloaded_page_is_told_what_it_will_not_see(page: Page):
    page.run_all(a="x = 1", b="x + 1", c="x + 2")
    page.jupyter.client.stop_channels()
    with another(page) as again:
        assert again.run("a", "x = 2") == ["a"]
        [note] = again.shows("a")
        assert note.startswith("↻ 2 cells that depend on this ran before this page was loaded")
        assert again.run("b", "x + 1") == ["b"]
        assert again.run("a", "x = 3") == ["a", "b"]
        assert again.shows("b") == ["4"]


def test_a_reloaded_page_is_told_even_if_the_connection_of_the_old_one_ends_late(page: Page):
    page.run_all(a="x = 1", b="x + 1")
    client = page.jupyter.manager.blocking_client()
    client.start_channels()
    try:
        while client.get_iopub_msg(timeout=PATIENCE)["msg_type"] != "iopub_welcome":
            pass
        again = Page(Jupyter(page.jupyter.manager, client), page.native)
        again.jupyter.reply(again.send("a", "x = 2"))
        time.sleep(2 * FOLLOWING)
        page.jupyter.client.stop_channels()
        wait_until(lambda: len(again.shows("a")) == 1)
        assert again.shows("a")[0].startswith("↻ 1 cell that depends on this ran before")
        assert again.rest() == ["a"]
    finally:
        client.stop_channels()


def test_a_reloaded_page_is_told_once_of_cells_that_would_follow_a_slider(page: Page):
    page.run_all(w="import ipywidgets\nslider = ipywidgets.IntSlider(3)", r="slider.value", o="'other'")
    page.jupyter.client.stop_channels()
    with another(page) as again:
        [model] = [comm.id for comm in again.native.notebook.comms if comm.cell == "w"][-1:]
        again.move(model, value=4)
        assert again.rest() == []
        assert again.run("o", "'other'") == ["o"]
        shown, note = again.shows("o")
        assert shown == "'other'"
        assert note.startswith("↻ 1 cell that depends on what has changed ran before this page was loaded")
        assert again.run("o") == ["o"]
        assert again.shows("o") == ["'other'"]
        assert again.run("r", "slider.value") == ["r"]
        again.move(model, value=5)
        assert again.rest() == ["r"]
        assert again.shows("r") == ["5"]


def test_two_pages_see_their_cells_follow_what_the_other_one_executes(page: Page):
    page.run_all(a="x = 1", b="y = x + 1\ny")
    with another(page) as other:
        assert other.run("c", "y * 10") == ["c"]
        assert other.run("a", "x = 5") == ["a", "b", "c"]
        assert page.shows("b") == ["6"]
        assert (other.shows("a"), other.shows("c")) == ([], ["60"])
        page.rest()
        assert page.run("d", "'asks last'") == ["d"]
        assert page.run("a", "x = 'a'") == ["a", "b"]
        assert page.shows("b") == ["TypeError"]
        assert other.shows("c") == ["60", "↻ stale: waits for cell [2]"]


def test_the_lazy_kernel_runs_nothing_by_itself_and_says_what_is_stale():
    with started(kernel_name="cellwire-lazy") as jupyter, opened(jupyter) as page:
        page.run_all(a="x = 1", b="x + 1")
        assert page.run("a", "x = 2") == ["a"]
        assert page.shows("b") == ["2", "↻ stale: run it to bring it up to date"]
        assert page.run("b") == ["b"]
        assert page.shows("b") == ["3"]


def test_a_state_is_followed(page: Page):
    page.run_all(a="import cellwire as cw\nget, set_ = cw.state(1)", b="get() + 1", c="'set'")
    assert page.run("c", "set_(5)") == ["c", "b"]
    assert page.shows("b") == ["6"]


def test_fifty_moves_of_a_slider_run_a_slower_dependent_once_more_for_the_last(page: Page, tmp_path: Path):
    go = tmp_path / "go"
    slow = f"import os, time\nwhile slider.value and not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    page.run_all(
        w="import ipywidgets\nslider = ipywidgets.IntSlider(0, 0, 100)",
        state="import cellwire as cw\nget, set_ = cw.state(0)",
        slow=f"{slow}set_(slider.value * 10)\nslider.value",
        reads="get()",
    )
    [*_, model] = [comm.id for comm in page.native.notebook.comms if comm.cell == "w"]
    page.send_move(model, value=1)
    wait_until(lambda: page.native.ping() and page.native.notebook.cells["slow"].status == "running")
    for value in range(2, 52):
        last = page.send_move(model, value=value)
    page.jupyter.ask("kernel_info_request", channel="control")
    go.touch()
    page.jupyter.until(last, idle)
    ran = page.rest()
    assert ran.count("slow") == 2
    assert (page.shows("slow"), page.shows("reads")) == (["51"], ["510"])
