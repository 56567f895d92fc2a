"""Names that several cells define: ordinary notebooks go from top to bottom, as Python would run them."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellwire.protocol import Limits
from cellwire.protocol.blocking import launch_kernel
from cellwire.protocol.messages import Cell
from support.book import Book
from support.waiting import PATIENCE


def as_python_shows(sources: list[str]) -> list[str]:
    """Return what each source prints, or the name of what it raises, run one after the other in one scope."""
    scope: dict[str, object] = {"__name__": "__main__"}
    shown: list[str] = []
    for source in sources:
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            try:
                exec(source, scope)
            except Exception as error:
                written.write(type(error).__name__)
        shown.append(written.getvalue())
    return shown


def as_notebook_shows(book: Book, count: int) -> list[str]:
    """The same of a notebook that has run, whose errors are items too."""
    return [
        book[f"c{n}"].console.text("stdout") + ((book.kind(f"c{n}") or "") if book.failed else "")
        for n in range(count)
    ]


NOTEBOOKS = {
    "names again and again": [
        "seen = []",
        "x = 1",
        "seen.append(('third', x))",
        "x = 2",
        "seen.append(('fifth', x))",
        "def show():\n    return later",
        "later = x * 10",
        "seen.append(('eighth', show()))",
        "x = x + 1",
        "seen.append(('tenth', x))",
        "del x",
        "try:\n    x\nexcept NameError:\n    seen.append('no x')",
        "for x in range(3):\n    pass",
        "seen.append(x)",
        "print(seen)",
    ],
    "functions that call each other": [
        "def even(n):\n    return n == 0 or odd(n - 1)",
        "def odd(n):\n    return n > 0 and even(n - 1)",
        "print(even(10))",
    ],
    "deleted and defined again": [
        "x = [1]",
        "del x",
        "try:\n    print(x)\nexcept NameError:\n    print('gone')",
        "x = 2",
        "print(x)",
    ],
    "a deleted name is missing": ["x = 1", "del x", "print(x)", "x = 2", "print(x)"],
    "a builtin that a later cell hides": ["print(len({1, 2}))", "len = {1, 2}.__len__", "print(len())"],
    "a definer that fails, and no reader": ["x = 1", "x = int('no')", "print('below')"],
    "a function is called with the versions of its place": [
        "def f():\n    return n",
        "n = 1",
        "print(f())",
        "n = n + 1",
        "print(f())",
        "n += 1\nprint(f())",
    ],
    "a function is called before its name is bound": [
        "def f():\n    return n",
        "n, no = 1, []",
        "print(f())\nn = 2",
        "for n in no:\n    pass\nprint(f())",
        "if no:\n    n = 3\nprint(f())",
        "n = 4\nprint(f())",
    ],
    "names that are bound in one branch": [
        "yes, x = True, 1",
        "if not yes:\n    x = 2",
        "print(x)",
        "match [x, 3]:\n    case [x, y, *z]:\n        pass\n    case y:\n        pass",
        "print(x, y, z)",
        "try:\n    x = int('no')\nexcept ValueError as error:\n    y = str(error)[:7]",
        "print(x, y, [w for v in (1, 2) if (w := v)], w)",
    ],
    "loops and comprehensions": [
        "for i in range(3):\n    print(i)",
        "print(i, [i for i in 'ab'])",
        "for i in range(2):\n    print(i)",
        "print(i)",
    ],
    "an import again": ["import math as m", "print(m.pi)", "import cmath as m", "print(m.sqrt(-1))"],
}


@pytest.mark.parametrize("title", NOTEBOOKS)
def test_a_notebook_shows_what_python_shows_from_top_to_bottom(allowing: Book, title: str) -> None:
    sources = NOTEBOOKS[title]
    allowing.run_list(sources)
    assert as_notebook_shows(allowing, len(sources)) == as_python_shows(sources)


@pytest.mark.parametrize("title", NOTEBOOKS)
def test_it_shows_the_same_whichever_cell_is_run_again(allowing: Book, title: str) -> None:
    sources = NOTEBOOKS[title]
    if title == "names again and again":
        sources = [source.replace("seen.append", "print") for source in sources[1:-1]]
    allowing.run_list(sources)
    expected = as_python_shows(sources)
    for number in (len(sources) - 1, 0, *range(len(sources))):
        allowing.run(f"c{number}")
        assert as_notebook_shows(allowing, len(sources)) == expected, number


@pytest.mark.parametrize("value", ["'first'", "['first']"], ids=["light", "not light"])
def test_what_is_asked_between_runs_is_answered_for_the_end_of_the_notebook(
    allowing: Book, value: str
) -> None:
    allowing.run_list([f"unread = {value}", "unread = ['second']"])
    allowing.client.delete(["c1"])
    client = allowing.client
    assert [(each.name, each.cell, each.value) for each in client.variables()] == [("unread", "c0", value)]
    assert [item.text for item in client.complete("unre").items] == ["unread"]
    assert value in client.inspect("unread").data["text/plain"]


@pytest.mark.parametrize("fails", ["df = 2\nraise ValueError", "df = int('no')"], ids=["after", "before"])
def test_what_reads_a_name_of_a_failed_cell_is_cancelled_although_python_would_go_on(
    allowing: Book, fails: str
) -> None:
    """What it would show depends on how far the failed cell got."""
    allowing.run_list(["df = 1", fails, "print(df)", "df = 3", "print(df)"])
    assert [allowing.status(f"c{n}") for n in range(5)] == ["ok", "error", "cancelled", "ok", "ok"]
    assert allowing.error("c2").cells == ["c1"]
    allowing.run(c1="df = 2")
    assert (allowing.shows("c2"), allowing.shows("c4")) == ("2\n", "3\n")


def test_a_cell_that_does_not_compile_defines_nothing_and_the_older_version_is_read(allowing: Book) -> None:
    allowing.run_list(["a = 1", "a = = 2", "print(a)"])
    assert (allowing.kind("c1"), allowing.shows("c2")) == ("SyntaxError", "1\n")
    allowing.run(c1="a = 2")
    assert allowing.shows("c2") == "2\n"


def test_a_function_above_that_reads_a_name_which_a_later_cell_makes_from_its_own_is_no_fault(
    allowing: Book,
) -> None:
    allowing.run(a="x = 1\ndef show():\n    return y", b="y = 0\nx += 1", c="'independent'", d="show(), x")
    assert (allowing.failed, allowing.shows("d")) == ({}, "(0, 2)")
    allowing.run(e="1 + 1")
    assert allowing.shows("e") == "2"


def test_an_edit_of_one_version_runs_its_readers_alone(allowing: Book) -> None:
    allowing.run(a="x = 1", read_a="x", b="x = 2", read_b="x")
    before = allowing["read_b"].run
    allowing.run(a="x = 10")
    assert (allowing.shows("read_a"), allowing["read_b"].run) == ("10", before)


def test_between_runs_names_are_those_of_the_end_of_the_notebook(allowing: Book) -> None:
    allowing.run(a="x = 1", b="x", c="x = 2", d="gone = 1", e="del gone")
    allowing.run("b")
    assert [(one.name, one.cell, one.value) for one in allowing.client.variables()] == [("x", "c", "2")]


def test_a_version_that_was_dropped_is_made_again_when_a_reader_needs_it() -> None:
    with launch_kernel(redefine="allow", limits=Limits(versions=1)) as client:
        book = Book(client)
        book.run(a="x = 1\nprint('made')", read_a="x", b="x = 2", read_b="x", c="x = 3", read_c="x")
        first = book["a"].run
        book.run(read_a="x + 0")
        assert [book.shows(cell) for cell in ("read_a", "read_b", "read_c")] == ["1", "2", "3"]
        assert book["a"].run > first


def test_with_one_definer_a_name_means_the_same_at_any_place(strict: Book) -> None:
    cells = ["use()", "def use():\n    return value", "value = base + 1", "base = 1"]
    strict.run_list(cells)
    assert (strict.failed, strict.shows("c0")) == ({}, "2")
    strict.run(*(Cell(f"c{n}", cells[n]) for n in (3, 1, 0, 2)))
    assert (strict.failed, strict.shows("c0")) == ({}, "2")


@pytest.fixture(scope="module")
def live_book() -> Iterator[Book]:
    with launch_kernel(redefine="live") as client:
        yield Book(client)


def test_where_the_order_is_not_known_readers_of_a_contested_name_are_stale_and_say_why(
    live_book: Book,
) -> None:
    live_book.run(a="x = 1", reader="x")
    live_book.run(b="x = 2")
    assert (live_book.shows("reader"), live_book.stale) == ("1", ["reader"])
    assert (live_book["reader"].stale_reason, live_book["reader"].stale_because) == ("contested", ["x"])
    live_book.run("reader")
    assert (live_book.shows("reader"), live_book.stale) == ("2", [])
    live_book.run(a="x = 3")
    assert live_book.stale == ["reader"]


def test_the_command_runs_an_ordinary_jupyter_notebook(tmp_path: Path) -> None:
    sources = [
        "import pandas as pd",
        "df = pd.DataFrame({'a': [1, 2, None]})",
        "df = df.dropna()\nprint(len(df))",
        "for i in range(2):\n    print(i)",
        "for i in range(1):\n    print(i)",
        "from math import *",
        "print(sqrt(16.0), len(df))",
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]}))
    command = [sys.executable, "-m", "cellwire", "run", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.split("\n") if line and line[0] != "["] == [
        "2",
        "0",
        "1",
        "0",
        "4.0 2",
    ]
