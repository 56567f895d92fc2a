"""`cellwire run --watch`: what runs when the file is saved, and what it lives through."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import PATIENCE, wait_until


class Watching:
    """A command that watches a file, and what it has written since it was last asked."""

    def __init__(self, path: Path, *options: str) -> None:
        self._path = path
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cellwire", "run", "--watch", path.name, *options],
            cwd=path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self._text = ""

    def until(self, pattern: str = r"waiting for nb\.(py|ipynb)\n") -> str:
        """Return what the command writes up to `pattern`."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self._text)):
            ready = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"{pattern!r} is not in {self._text!r}"
            self._text += data.decode()
        text, self._text = self._text[: match.end()], self._text[match.end() :]
        return text

    def save(self, text: str) -> str:
        """Write the file in place, and return what follows."""
        self._path.write_text(text)
        return self.until()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


Watch = Callable[..., Watching]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    started: list[Watching] = []

    def start(text: str, *options: str, name: str = "nb.py") -> Watching:
        (tmp_path / name).write_text(text)
        started.append(Watching(tmp_path / name, *options))
        return started[-1]

    yield start
    for watching in started:
        watching.process.kill()
        watching.process.wait()
        assert watching.process.stdout is not None
        watching.process.stdout.close()


def cells(text: str) -> list[str]:
    """Return the names of the cells that ran."""
    return re.findall(r"^\[(.+)\]$", text, re.M)


def test_what_changed_and_what_depends_on_it_runs_in_the_same_kernel(watch: Watch) -> None:
    text = (
        "# %% x\nx = 1\n# %% pid\nimport os; print(os.getpid())\n# %% show\nprint('x is', x, os.getpid())\n"
    )
    watching = watch(text)
    first = watching.until()
    assert cells(first) == ["x", "pid", "show"]
    changed = watching.save(text.replace("x = 1", "x = 2"))
    assert cells(changed) == ["x", "show"]
    [pid] = set(re.findall(r"x is \d (\d+)", first + changed))
    assert f"x is 2 {pid}\n" in changed
    assert re.search(r"^2 cells ran in \d\.\d\d s; waiting for nb\.py$", changed, re.M)
    assert watching.stop() == 130


def test_new_deleted_and_moved_cells_are_taken_over(watch: Watch) -> None:
    watching = watch("# %%\nx = 1\n# %%\nx = 2\n# %% show\nprint(x)\n# %% other\n'other'\n")
    assert "[show]\n2\n" in watching.until()
    # The cell of the first definition moves below the second.
    moved = watching.save("# %%\nx = 2\n# %%\nx = 1\n# %% show\nprint(x)\n# %% other\n'other'\n")
    assert (cells(moved)[-1:], "[show]\n1\n" in moved) == (["show"], True)
    deleted = watching.save("# %%\nx = 2\n# %% show\nprint(x)\n# %% other\n'other'\n")
    assert (cells(deleted)[-1:], "[show]\n2\n" in deleted) == (["show"], True)
    added = watching.save("# %% new\nprint('new')\n# %%\nx = 2\n# %% show\nprint(x)\n# %% other\n'other'\n")
    assert cells(added) == ["new"]


def test_it_lives_through_syntax_errors_and_says_what_is_wrong_and_where(watch: Watch) -> None:
    watching = watch("# %% a\nx = 1\n# %% b\nprint(x)\n")
    watching.until()
    broken = watching.save("# %% a\nx = (\n# %% b\nprint(x)\n")
    assert "cell 'a' failed at nb.py:2:\n  File \"nb.py\", line 2\n    x = (\n" in broken
    assert "; failed: a, b; waiting" in broken
    repaired = watching.save("# %% a\nx = 3\n# %% b\nprint(x)\n")
    assert "[b]\n3\n" in repaired
    assert "failed" not in repaired


def test_a_file_that_cannot_be_read_changes_nothing(watch: Watch, tmp_path: Path) -> None:
    watching = watch("# %% a\nx = 1\n")
    watching.until()
    (tmp_path / "nb.py").unlink()
    assert "nb.py: No such file or directory; nothing was run\n" in watching.until("nothing was run\n")
    assert cells(watching.save("# %% a\nx = 1\n# %% b\nx\n")) == ["b"]
    (tmp_path / "nb.py").write_text("def (")
    assert "nb.py: line 1: " in watching.until("nothing was run\n")
    assert cells(watching.save("# %% a\nx = 1\n# %% b\nx + 1\n")) == ["b"]


def test_an_editor_may_replace_the_file(watch: Watch, tmp_path: Path) -> None:
    watching = watch("# %% a\nprint(1)\n")
    watching.until()
    for number in (2, 3):
        other = tmp_path / "nb.py.new"
        other.write_text(f"# %% a\nprint({number})\n")
        os.replace(other, tmp_path / "nb.py")
        assert f"[a]\n{number}\n" in watching.until()


SLOW = """\
# %% slow
import os, time
open('slow', 'w')
while not os.path.exists('go'):
    time.sleep(0.01)
'ended'
"""


def test_a_running_cell_that_changes_is_interrupted(watch: Watch, tmp_path: Path) -> None:
    watching = watch("# %% loop\nopen('begun', 'w')\nwhile True: pass\n# %% next\nprint('next')\n")
    wait_until((tmp_path / "begun").exists)
    text = watching.save("# %% loop\n1\n# %% next\nprint('next')\n")
    assert "[loop]\ninterrupted" in text
    assert "[loop]\n1\n\n[next]\nnext\n2 cells ran" in text


def test_a_running_cell_that_stays_ends_first(watch: Watch, tmp_path: Path) -> None:
    watching = watch(SLOW)
    wait_until((tmp_path / "slow").exists)
    (tmp_path / "nb.py").write_text(SLOW + "# %% more\nprint('more')\n")
    (tmp_path / "go").touch()
    text = watching.until(r"more\n[^\n]*waiting for nb\.py\n")
    assert text.startswith("[slow]\n'ended'\n")
    assert text.count("[slow]") == 1


def test_what_is_stale_is_shown(watch: Watch) -> None:
    text = "import marimo\napp = marimo.App()\n\n@app.cell{}\ndef load():\n    x = 1\n    return (x,)\n\n"
    text += "@app.cell\ndef use(x):\n    print(x)\n    return\n"
    watching = watch(text.format("(disabled=True)"))
    assert "0 cells ran in" in (first := watching.until())
    assert "; stale: load, use; waiting" in first
    assert cells(watching.save(text.format(""))) == ["load", "use"]


def test_the_result_is_kept_as_it_is_now(watch: Watch, tmp_path: Path) -> None:
    watching = watch("# %% a\nprint(1)\n", "-o", "out.ipynb", "-p", "x=5")
    assert "nb.py: 'x' is not a parameter" in watching.until("none\n")
    watching = watch("# %% a\nx = 1\nprint(x)\n", "-o", "out.ipynb", "-p", "x=5")
    watching.until()
    watching.save("# %% [markdown]\n# # Title\n# %% a\nx = 2\nprint(x, 'again')\n")
    title, cell = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert title["source"] == ["# Title"]
    assert (cell["source"], cell["outputs"][0]["text"]) == (["x = 5\n", "print(x, 'again')"], ["5 again\n"])


def test_a_notebook_of_jupyter_is_followed_while_it_is_saved_in_place(watch: Watch, tmp_path: Path) -> None:
    def notebook(*sources: str) -> str:
        made = [
            {"cell_type": "code", "id": source[0], "metadata": {}, "source": source} for source in sources
        ]
        return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})

    watching = watch(notebook("a = 1", "b = a\nprint(b)"), "--inplace", name="nb.ipynb")
    assert cells(watching.until()) == ["a", "b"]
    changed = watching.save(notebook("b = a + 1\nprint(b)", "a = 1"))
    assert "[b]\n2\n" in changed
    # What is written here is no change.
    again = watching.save(notebook("b = a + 2\nprint(b)", "a = 1"))
    assert cells(again) == ["b"]
    assert again.count("waiting") == 1
    assert json.loads((tmp_path / "nb.ipynb").read_text())["cells"][0]["outputs"][0]["text"] == ["3\n"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.py", "b.py"], "--watch takes one notebook"),
        (["-"], "--watch needs a file, not standard input"),
        (["a.py", "--timeout", "3"], "--watch and --timeout exclude each other: the run has no end"),
    ],
)
def test_what_makes_no_sense_with_it_is_refused(arguments: list[str], reason: str) -> None:
    command = [sys.executable, "-m", "cellwire", "run", "--watch", *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (2, f"cellwire: {reason}\n")
