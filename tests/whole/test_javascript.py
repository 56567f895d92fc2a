"""The JavaScript package: the same state as in Python, and a client for Node.js that survives and reports."""

import base64
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
from cellwire.protocol import blocking
from cellwire.protocol import events as e
from cellwire.protocol.notebook import Notebook
from cellwire.protocol.reducer import apply
from hypothesis import given, settings
from support.histories import declared, histories
from support.machines import missing
from support.processes import is_alive
from support.relay import Relay
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "javascript"
PROGRAMS = Path(__file__).parent / "javascript"
CORPUS = ROOT / "tests" / "protocol" / "corpus" / "protocol-1.txt"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The package with what it needs, installed once under the build folder, and programs of the tests."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("Node.js is not installed", "nodejs npm")
    folder = ROOT / "build" / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = (SOURCES / "package.json").read_text()
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_text() != manifest:
        (folder / "package.json").write_text(manifest)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=100)
        installed.write_text(manifest)
    for source in (
        *SOURCES.glob("*.mjs"),
        *SOURCES.glob("*.d.ts"),
        *(Path(__file__).parent / "javascript").iterdir(),
    ):
        shutil.copy(source, folder)
    return folder


def node(folder: Path, *arguments: str, stdin: str = "") -> list[str]:
    """Run a program of the folder and return the lines that it writes."""
    command = ["node", *arguments]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def scenario(folder: Path, name: str, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in node(folder, "scenarios.mjs", name, *arguments)]


# The state


def stored_events() -> list[Any]:
    """Return the events of the corpus, in their order."""
    lines = map(str.split, CORPUS.read_text().splitlines())
    return [
        msgspec.msgpack.decode(bytes.fromhex(body), type=e.Event) for of, _, body in lines if of == "Event"
    ]


def drawn_histories() -> list[list[Any]]:
    drawn: list[list[Any]] = []

    @settings(max_examples=300, database=None)
    @given(histories)
    def collect(history: list[Any]) -> None:
        drawn.append(history)

    collect()
    return drawn


def state_after(history: list[Any]) -> Any:
    notebook = Notebook()
    for event in deepcopy(history):
        apply(notebook, event)
    state = json.loads(msgspec.json.encode(notebook))
    return {**state, "cells": [list(pair) for pair in state["cells"].items()]}


def test_the_same_events_lead_to_the_same_state_as_in_python(folder: Path):
    stored = stored_events()
    cell = next(event.cell for event in stored if isinstance(event, e.CellStarted))
    start = [
        declared(cell, "other"),
        e.CellStarted(cell, 7, 1.5),
        e.ConsoleWritten(cell, 7, "stdout", "naïve 🎉\n"),
    ]
    every = [stored, *([*start, event] for event in stored), [*start, *stored], *drawn_histories()]
    # A character of more than 16 bits is one character.
    every.append([*start, *(e.ConsoleTrimmed(cell, 7, 7) for _ in range(2))])
    encode = msgspec.msgpack.encode
    lines = [json.dumps([base64.b64encode(encode(event)).decode() for event in history]) for history in every]
    states = [json.loads(line) for line in node(folder, "reduce.mjs", stdin="\n".join(lines) + "\n")]
    assert len(states) == len(every) > 300
    for history, state in zip(every, states, strict=True):
        assert state == state_after(history), history


def test_a_browser_can_load_the_state_without_anything_else():
    source = (SOURCES / "notebook.mjs").read_text()
    assert not re.search(
        r"^\s*(import|export .* from)\b|\bimport\(|\brequire\(|\bprocess\b|\bBuffer\b", source, re.M
    )


# The types


def test_the_types_are_those_of_the_schema():
    spec = importlib.util.spec_from_file_location("make_types", SOURCES / "make_types.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = "run `python docs/javascript/make_types.py`"
    assert (SOURCES / "wire.d.ts").read_text() == module.types(), written


def test_the_compiler_knows_requests_events_and_state(folder: Path):
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"]
    node(folder, "node_modules/typescript/bin/tsc", *options, "use.ts")


def test_every_method_of_the_client_has_its_type():
    source = (SOURCES / "client.mjs").read_text()
    types = (SOURCES / "client.d.ts").read_text().partition("export class Kernel ")[2]
    members = re.findall(r"^  (?:static async |static |async |get )?(\w+)(?:\(| = \(| = async)", source, re.M)
    assert len(members) > 20
    assert [name for name in members if not re.search(rf"\b{name}\b", types) and name != "constructor"] == []


# The client


def test_the_example_prints_what_happens(folder: Path):
    assert node(folder, "example.mjs", sys.executable) == [
        *("a has finished", "b has finished", "'item'", "from b", "", "2"),
        *("a has finished", "error [ 'a' ] division by zero"),
    ]


def test_the_example_of_the_page_runs(folder: Path):
    [program, *_] = re.findall(r"^```js\n(.*?)^```", (SOURCES / "README.md").read_text(), re.M | re.S)
    (folder / "page.mjs").write_text(
        program.replace('"cellwire"', '"./client.mjs"').replace("python3", sys.executable)
    )
    *kinds, last = node(folder, "page.mjs")
    assert last == "ok 2"
    assert "RunFinished" in kinds


def test_everything_that_a_client_can_do(folder: Path):
    assert scenario(folder, "everything", sys.executable) == [
        ["ok", "c\n", "2"],
        ["a", "b"],
        ["2"],
        ["bit_count"],
        "len(obj, /)",
        "'yes'",
        [["a", "b", "d"], True, "lazy"],
        [True, "unknown_cell"],
        "interrupted",
        True,
        ["KernelEnded", "the kernel has shut down: a frontend requested it"],
    ]


def test_what_waits_is_rejected_when_the_kernel_is_killed(folder: Path):
    *waiting, closed, later = scenario(folder, "killed", sys.executable)
    assert closed == ["KernelEnded", False]
    assert len(waiting) == 3
    for name, message in [*waiting, later]:
        assert name == "KernelEnded"
        assert "was killed by SIGKILL" in message


def test_an_interpreter_that_is_missing_or_wrong_is_an_error(folder: Path, tmp_path: Path):
    [[name, message]] = scenario(folder, "missing", str(tmp_path / "python"))
    assert (name, "python cannot be started" in message) == ("KernelEnded", True)
    wrong = tmp_path / "wrong"
    wrong.write_text("#!/bin/sh\necho no cellwire here >&2; exit 3\n")
    wrong.chmod(0o755)
    [[name, message]] = scenario(folder, "missing", str(wrong))
    assert "ended with status 3 before it was ready" in message
    assert "no cellwire here" in message


def test_a_client_that_is_closed_leaves_no_kernel(folder: Path):
    [[name, message], pid] = scenario(folder, "closed", sys.executable)
    assert (name, message) == ("KernelEnded", "this client is closed")
    assert not is_alive(pid)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_client_goes_on_after_its_connection_was_lost_and_ends_with_the_kernel(
    folder: Path, tmp_path: Path, transport: Any
):
    with blocking.launch_kernel(transport=transport) as kernel:
        way = Relay(kernel.connection, tmp_path)
        command = ["node", "scenarios.mjs", "attached", str(way.file)]
        with subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == '"ok"\n'
            way.pause()
            assert process.stdout.readline() == '"disconnected"\n'
            process.stdin.write("go on\n")
            process.stdin.flush()
            way.go_on()
            assert process.stdout.readline() == '"connected"\n'
            assert process.stdout.readline() == '"42"\n'
            kernel.shutdown()
            assert process.stdout.read() == '"disconnected"\n'
        assert process.returncode == 0
        way.close()


def test_a_client_may_watch_with_a_key_of_its_own(folder: Path):
    with blocking.launch_kernel(transport="tcp") as kernel:
        kernel.run({"a": "1"})
        shown, [name, message] = scenario(folder, "watching", kernel.connection_file)
        assert (shown, name) == ("1", "RequestRefused")
        assert "forbidden" in message


def test_a_file_of_a_kernel_that_is_gone_is_an_error(folder: Path, tmp_path: Path):
    file = tmp_path / "old.json"
    with blocking.launch_kernel() as kernel:
        shutil.copy(kernel.connection_file, file)
    [[name, message]] = scenario(folder, "unreachable", str(file))
    assert (name, "no kernel answered" in message) == ("KernelEnded", True)


def test_a_page_moves_a_slider_and_shows_the_cell_that_follows(folder):
    command = ["node", "slider.mjs", sys.executable]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urlopen(url, timeout=PATIENCE) as page:
                assert "EventSource" in page.read().decode()
            with urlopen(f"{url}/notebook.mjs", timeout=PATIENCE) as module:
                assert "export function reduce" in module.read().decode()
            with urlopen(f"{url}/events", timeout=PATIENCE) as events:
                read = (json.loads(line[6:]) for line in events if line.startswith(b"data: "))
                assert next(shown for event in read if (shown := square(event))) == "9"
                assert next(e for e in read if e["type"] == "CommSent")["data"]["state"]["value"] == 3
                move(url, 12)
                assert next(shown for event in read if (shown := square(event))) == "144"
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda value: move(url, value), range(1, 50)))
                move(url, 50)
                # Each move runs the cell once at most, and the last one is not passed over.
                shown = list(takewhile(lambda each: each != "2500", filter(None, map(square, read))))
                assert len(shown) < 50
        finally:
            process.terminate()


def move(url: str, value: int) -> None:
    """Move the slider of the page."""
    with urlopen(Request(f"{url}/move", data=str(value).encode()), timeout=PATIENCE) as moved:
        assert moved.status == 200


def square(event: dict[str, Any]) -> str:
    """Return what an event shows in the cell that follows the slider; empty if it is not of it."""
    shows = event["type"] == "OutputAppended" and event["cell"] == "square"
    return event["item"]["data"]["text/plain"] if shows else ""
