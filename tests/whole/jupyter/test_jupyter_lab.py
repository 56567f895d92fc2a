"""JupyterLab as it is installed, in a real browser: what a user does by keyboard and mouse, and what the page
then shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys
from support.lab import Lab, opened
from support.waiting import wait_until


@pytest.fixture(scope="module")
def lab(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one browser for all tests."""
    with opened(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def test_what_depends_on_an_edited_cell_is_redrawn_in_place(lab: Lab) -> None:
    book = lab.open(
        "edited",
        "x = 1",
        "y = 10 // x\nprint('before')\ndisplay(y)\nprint('after')\ny + 1",
        "print('y is', y)",
        "z = 1",
    )
    book.command("notebook:run-all-cells")
    book.shows(1, "before", "10", "after", "11")
    book.shows(2, "y is 10")
    book.run(0, "x = 5")
    book.shows(1, "before", "2", "after", "3")
    book.shows(2, "y is 2")
    book.numbered("5", "2", "3", "4")

    book.run(0, "x = 0")
    book.has(1, "ZeroDivisionError")
    book.shows(2, "y is 2", "↻ stale: waits for cell [2]")
    book.run(0, "x = 2")
    book.shows(1, "before", "5", "after", "6")
    book.shows(2, "y is 5")

    # Both define `x`, so what reads it does not run by itself; a cell that shows nothing has no badge.
    book.run(3, "x = 10")
    book.has(1, "↻ stale: several cells define x")
    book.idle()
    saved = book.save()
    assert [len(cell.outputs) for cell in saved] == [0, 5, 2, 0]
    assert "several cells define x" in saved[1].outputs[-1].data["text/plain"]
    assert [cell.execution_count for cell in saved] == [7, 2, 3, 8]


def test_a_cell_is_interrupted_and_a_crash_is_survived(lab: Lab) -> None:
    book = lab.open(
        "crash",
        "x = 1",
        "y = x + 1\nprint('y is', y)",
        "import time\nprint('begun')\nwhile True: time.sleep(0.01)",
        "import os, signal\nfor n in range(20): print('line', n)\nos.kill(os.getpid(), signal.SIGSEGV)",
        "y * 10",
    )
    book.run(0)
    book.run(1)
    book.shows(1, "y is 2")
    book.run(2)
    book.shows(2, "begun")
    book.numbered("1", "2", "*", "", "")
    book.interrupt()
    book.has(2, "begun (?s:.*)while True: (?s:.*)KeyboardInterrupt:$")
    assert "interrupts.py" not in book.shown[2][1]
    book.idle()

    book.run(3)
    book.has(3, r"line 18 line 19 RunnerDied: .* SIGSEGV")
    book.shows(1, "y is 2")
    book.idle()
    book.run(4)
    book.shows(4, "20")
    book.shows(1, "y is 2")
    book.numbered("1", "2", "3", "4", "5")

    book.keys(Keys.ESCAPE)
    book.keys("0", "0")
    book.click(".jp-Dialog button.jp-mod-accept")
    wait_until(lambda: not book.driver.find_elements("css selector", ".jp-Dialog"))
    book.idle()
    book.run(4)
    book.has(4, "NameError: name 'y' is not defined")
    book.idle()
    book.run(0)
    book.run(1)
    book.run(4)
    book.shows(4, "20")
    book.numbered("2", "3", "3", "4", "4")


def test_a_reloaded_page_keeps_what_it_shows_and_is_told_what_it_will_not_see(lab: Lab) -> None:
    book = lab.open("reloaded", "x = 1", "x + 1")
    book.command("notebook:run-all-cells")
    book.shows(1, "2")
    book.save()
    book.reload()
    book.shows(1, "2")
    book.run(0, "x = 2")
    book.has(0, "^↻ 1 cell that depends on this ran before this page was loaded")
    book.shows(1, "2")
    book.run(1)
    book.shows(1, "3")
    book.run(0, "x = 3")
    book.shows(1, "4")


def test_cells_follow_a_slider_and_widgets_show_what_is_written_into_them(lab: Lab) -> None:
    book = lab.open(
        "widgets",
        "import ipywidgets as w\nslider = w.IntSlider(value=3, max=50)\nslider",
        "print('value', slider.value)",
        "@w.interact(n=(0, 10))\ndef double(n=4): print('double', 2 * n)",
        "out = w.Output()\nout",
        "import threading\n\ndef work():\n    with out:\n        print('from a thread')\n"
        "        display('displayed')\n        print('last')\n\n"
        "thread = threading.Thread(target=work)\nthread.start()",
    )
    book.command("notebook:run-all-cells")
    book.shows(1, "value 3")
    book.has(2, "double 8")
    book.has(3, "from a thread 'displayed' last")
    book.idle()

    book.slide(0, Keys.ARROW_RIGHT, lambda value: book.shown[1] == [f"value {value}"])
    ActionChains(book.driver).drag_and_drop_by_offset(book.find(".noUi-handle"), 400, 0).perform()
    book.shows(1, "value 50")
    book.slide(1, Keys.ARROW_LEFT, lambda value: f"double {2 * int(value)}" in "\n".join(book.shown[2]))
    book.numbered("1", "2", "3", "4", "5")

    book.save()
    book.reload()
    book.run(1)
    book.slide(0, Keys.ARROW_LEFT, lambda value: book.shown[1] == [f"value {value}"])
    # What is shown inside a widget goes to the page that moved it.
    book.slide(1, Keys.ARROW_LEFT, lambda value: f"double {2 * int(value)}" in "\n".join(book.shown[2]))


def test_a_cell_stops_at_a_breakpoint_and_goes_on(lab: Lab) -> None:
    book = lab.open("debugged", "def f(n):\n    m = n + 1\n    return m", "f(20)")
    book.run(0)
    book.numbered("1", "")
    book.click(".jp-DebuggerBugButton[aria-disabled=false]")
    book.click(".jp-CodeCell .cm-breakpoint-gutter .cm-gutterElement", 2)
    book.find(".jp-DebuggerBreakpoint")
    book.run(1)
    book.reads(".jp-DebuggerVariables", "n 20")
    book.reads(".jp-DebuggerCallstackFrame", "f .*:2", "<module> .*:1")
    book.click("[title^='Next']")
    book.reads(".jp-DebuggerVariables", "m 21 n 20")
    book.click("[title^='Continue']")
    book.shows(1, "21")
    book.numbered("1", "2")
