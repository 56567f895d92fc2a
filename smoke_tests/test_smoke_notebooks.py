"""The notebooks of this folder, each run through a real kernel process as a person would run it."""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from cellwire.frontends.notebook_files.load import load
from cellwire.protocol import launch_kernel
from cellwire.protocol.client.kernel_client import KernelClient
from cellwire.protocol.events import RunFinished
from cellwire.protocol.mime_types import PROGRESS_MIME
from cellwire.protocol.notebook import CellState
from support.waiting import TIME_LIMIT

NOTEBOOKS = Path(__file__).parent / "notebooks"

Check = Callable[[KernelClient, RunFinished], Awaitable[None]]


def run(name: str, check: Check) -> None:
    """Run a notebook in a kernel of its own and let `check` look at the replica."""

    async def main() -> None:
        notebook = load(NOTEBOOKS / name)
        with anyio.fail_after(TIME_LIMIT):
            async with launch_kernel(python=sys.executable, cwd=NOTEBOOKS) as kernel:
                if notebook.disabled:
                    await kernel.sync(notebook.cells)
                    await kernel.configure(notebook.disabled, disabled=True)
                finished = await kernel.run(notebook.cells)
                assert kernel.notebook.order == [cell.id for cell in notebook.cells]
                await check(kernel, finished)

    anyio.run(main)


def texts(cell: CellState) -> list[str]:
    return [item.data["text/plain"] for item in cell.outputs]


def test_imperative_output() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert (finished.status, finished.failed) == ("ok", [])
        shown = {id: texts(cell) for id, cell in kernel.notebook.cells.items()}
        assert shown == {
            "imports": [],
            "append": ["'one'", "'two'", "'three'", "'the last value is the next item'"],
            "replace": ["'step 5 of 5'"],
            "handles": ["'first'", "'second, replaced through its handle'"],
            "clear": ["'what came after the clearing'"],
            "replace-at-index": [
                "'zero'",
                "'one, replaced at its index'",
                "'two, appended since the index is the length'",
            ],
            "beyond-the-end": [shown["beyond-the-end"][0]],
            "replace-with-nothing": [],
            "partial-results": ["'before the stop'", "'stopped on purpose'"],
        }
        assert shown["beyond-the-end"][0].startswith(("'IndexError", '"IndexError'))
        assert kernel.notebook.cells["partial-results"].status == "stopped"

    run("imperative_output.py", check)


def test_threads_append_and_replace() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        cells = kernel.notebook.cells
        appended = texts(cells["three-threads-append"])
        assert len(appended) == 15
        for letter in "abc":
            assert [text for text in appended if letter in text] == [f"'{letter}{n}'" for n in range(5)]
        assert sorted(texts(cells["three-threads-replace-their-own-items"])) == [
            f"'{letter}: 10 of 10'" for letter in "abc"
        ]
        [last] = texts(cells["three-threads-replace-everything"])
        assert last in {"'a9'", "'b9'", "'c9'"}
        assert texts(cells["the-next-cell"]) == ["'only this'"]

    run("threads_output.py", check)


def test_a_progress_bar_is_moved_by_several_threads() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        [item] = kernel.notebook.cells["moved-by-four-threads"].outputs
        progress = item.data[PROGRESS_MIME]
        assert (progress["current"], progress["total"], progress["title"]) == (80, 80, "Fetched")
        assert "80/80" in item.data["text/plain"]
        own = kernel.notebook.cells["one-for-each-thread"].outputs
        assert {i.data[PROGRESS_MIME]["title"]: i.data[PROGRESS_MIME]["current"] for i in own[:-1]} == {
            "red": 20,
            "blue": 40,
        }
        assert own[-1].data["text/plain"] == "'both done'"

    run("progress_threads.py", check)


def test_a_state_is_set_from_a_thread_until_its_cell_runs_again() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        # The run ends after the runs that it caused: both rounds are over or have begun.
        assert texts(kernel.notebook.cells["next-round"]) == ["'round 2'"]
        assert texts(kernel.notebook.cells["watcher"]) == ["'the count is positive'"]
        await value(kernel, "stopped_rounds == [1]")
        # The second round goes on counting between runs, until the cell is run again.
        before = int(await value(kernel, "get_count() > 0 and get_count()"))
        await value(kernel, f"get_count() > {before}")
        await kernel.run({"counter": kernel.notebook.cells["counter"].source})
        await value(kernel, "stopped_rounds == [1, 2]")
        await kernel.delete(["counter"])
        await value(kernel, "stopped_rounds == [1, 2, 2]")

    run("state_from_thread.py", check)


async def value(kernel: KernelClient, expression: str) -> str:
    """Return the value of `expression` as soon as it is true."""
    while True:
        # It reads state, so unless it is deleted it runs again whenever the state changes.
        await kernel.run({"question": expression})
        text = texts(kernel.notebook.cells["question"])[-1]
        await kernel.delete(["question"])
        if text not in ("False", "0"):
            return text


def test_console_text_of_threads_stays_with_its_cell() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        cells = kernel.notebook.cells
        lines = cells["plain-threads-print"].console.text("stdout").splitlines()
        assert len(lines) == 6
        for name in ("left", "right"):
            assert [line for line in lines if name in line] == [f"{name} {n}" for n in range(3)]
        redirected = cells["redirected"]
        assert "".join(texts(redirected)).splitlines() == [
            "from the cell",
            "from a threading thread",
            "from a cellwire thread",
        ]
        assert redirected.console.text() == "on the console again\n"
        inside = cells["redirected-inside-of-threads"]
        assert "".join(texts(inside)).splitlines() == [
            "plain prints to the output area",
            "own prints to the output area",
        ]
        assert inside.console.text("stdout") == "plain prints to the console\nown prints to the console\n"
        assert texts(cells["captured"]) == [repr(("caught\n", "caught as well\n"))]
        assert cells["captured"].console.text() == ""
        both = cells["both-streams"].console
        assert (both.text("stdout"), both.text("stderr")) == ("to standard output\n", "to standard error\n")

    run("console_threads.py", check)


def test_status_widgets() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        cells = kernel.notebook.cells

        def state(id: str) -> dict[str, Any]:
            return cells[id].outputs[0].data[PROGRESS_MIME]

        assert (state("over-an-iterable")["title"], state("over-an-iterable")["current"]) == (
            "All squares",
            20,
        )
        assert texts(cells["over-an-iterable"])[1] == "2470"
        assert (state("with-a-total")["current"], state("with-a-total")["subtitle"]) == (5, "write")
        assert state("a-generator-with-a-known-total")["current"] == 10
        assert (state("a-spinner")["title"], state("a-spinner")["subtitle"]) == ("Thinking", "nearly there")
        assert texts(cells["removed-when-it-is-done"]) == ["'nothing is left of it'"]
        assert state("while-awaiting")["current"] == 10

    run("status_widgets.py", check)


def test_a_data_notebook_reads_a_file_and_draws_a_figure() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")

    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert (finished.status, finished.failed) == ("ok", [])
        cells = kernel.notebook.cells
        [table] = cells["read"].outputs
        assert "919.35" in table.data["text/plain"]
        assert "<table" in table.data["text/html"]
        [text] = cells["the-dam"].outputs
        assert "**1072**" in text.data["text/markdown"]
        [figure] = cells["figure"].outputs
        image = figure.data["image/png"]
        assert isinstance(image, bytes)
        assert image.startswith(b"\x89PNG")
        # A change upstream reaches the figure and nothing else.
        unrelated = cells["decades"].run
        again = await kernel.run({"the-dam": cells["the-dam"].source.replace("1902", "1950")})
        assert again.status == "ok"
        cells = kernel.notebook.cells
        assert cells["figure"].outputs[0].data["image/png"] != image
        assert cells["decades"].run == unrelated

    run("nile.py", check)


def test_a_jupyter_notebook() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert finished.status == "ok"
        shown = {id: texts(cell) for id, cell in kernel.notebook.cells.items()}
        assert shown == {
            "text": ["12"],
            "count": ["[('the', 3)]"],
            "later": ["['AND', 'BROWN', 'CAT']"],
            "printed": [],
        }
        assert kernel.notebook.cells["printed"].console.text().splitlines()[0] == "and   1"

    run("words.ipynb", check)


def test_a_marimo_notebook() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert (finished.status, finished.failed) == ("ok", [])
        cells = kernel.notebook.cells
        assert texts(cells["cell-3"]) == ["'25 primes, the largest is 97'"]
        assert cells["never"].disabled
        assert cells["never"].error is None

    run("primes_marimo.py", check)


def test_notebooks_inside_a_notebook() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        assert (finished.status, finished.failed) == ("ok", [])
        cells = kernel.notebook.cells
        assert texts(cells["primes"]) == ["'15 primes, the largest is 47'"]
        assert texts(cells["largest"]) == ["'the largest prime below 50 is 47'"]
        assert texts(cells["words"]) == ["[('a', 3)]", "['A', 'IS', 'ROSE']"]
        assert cells["words"].console.text().splitlines()[0] == "a     3"
        assert texts(cells["counts"]) == ["[('a', 3), ('rose', 3)]"]
        assert texts(cells["again"]) == texts(cells["words"])
        # Another limit runs what reads it, in there and out here, and the other part not at all.
        unrelated = cells["words"].run
        await kernel.run({"limit": "limit = 10"})
        cells = kernel.notebook.cells
        assert texts(cells["primes"]) == ["'4 primes, the largest is 7'"]
        assert texts(cells["largest"]) == ["'the largest prime below 10 is 7'"]
        assert cells["words"].run == unrelated

    run("embedding.py", check)


FILES = sorted(path.name for path in NOTEBOOKS.iterdir() if path.suffix in (".py", ".ipynb"))


def test_cells_on_a_cluster() -> None:
    async def check(kernel: KernelClient, finished: RunFinished) -> None:
        cells = kernel.notebook.cells
        assert (finished.status, finished.failed) == ("ok", [])
        assert texts(cells["both"]) == ["4203"]
        assert cells["low"].console.text() == "counting below 20,000\n"
        variables = {variable.name: variable for variable in await kernel.variables()}
        assert variables["low"].cell == "low"
        assert variables["low"].value.startswith("2262 (")
        assert variables["both"].value == "4203"
        await kernel.delete(list(cells))

    run("cluster.py", check)


@pytest.mark.parametrize("name", FILES)
def test_every_notebook_runs_on_the_command_line(name: str) -> None:
    notebook = load(NOTEBOOKS / name)
    command = [sys.executable, "-m", "cellwire", "run", str(NOTEBOOKS / name), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[-1]["type"], events[-1].get("status", "ok")) == ("RunFinished", "ok")
    ran = {event["cell"] for event in events if event["type"] == "CellFinished"}
    assert ran == {cell.id for cell in notebook.cells} - set(notebook.disabled)
