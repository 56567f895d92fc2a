"""docs/protocol.md shows every message, and a real kernel receives and sends its examples."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import zmq
from cellwire.protocol import messages
from cellwire.protocol.connection import Connection, Settings
from cellwire.protocol.events import Event
from cellwire.protocol.mime_types import ERROR_MIME, PROGRESS_MIME, Progress
from cellwire.protocol.notebook import CellError
from support.document_frontend import Frontend
from support.waiting import PATIENCE

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text()
TYPES = {
    "Request": messages.Request,
    "Reply": messages.Reply,
    "Event": Event,
    "Batch": messages.Batch,
    "Snapshot": messages.Snapshot,
    "Settings": Settings,
    "Connection": Connection,
    "CellError": CellError,
    "Progress": Progress,
}
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", TEXT, re.M | re.S)
#: What differs from kernel to kernel, or from run to run.
VARYING = {
    *("at", "duration", "epoch", "first_seq", "limits", "memory", "pid", "ring_bytes", "ring_events", "run"),
    *("seq", "started", "traceback", "unacknowledged", "version", "chars", "elapsed", "rate"),
}


def shown(kind: str) -> list[Any]:
    return [json.loads(example) for of, example in EXAMPLES if of == kind]


def comparable(kind: str, message: Any) -> Any:
    """Return a message with its values that vary replaced."""
    return fixed(msgspec.to_builtins(msgspec.convert(message, TYPES[kind])))


def fixed(value: Any) -> Any:
    if isinstance(value, list):
        return [fixed(one) for one in value]
    if not isinstance(value, dict):
        return value
    varying = {*VARYING, "id"} if value.get("type") in ("InputRequested", "InputClosed") else VARYING
    return {
        key: "..." if key in varying and one not in (None, "") else fixed(one) for key, one in value.items()
    }


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_an_example_is_a_message_and_has_only_its_keys(kind, example):
    decoded = msgspec.json.decode(example, type=TYPES[kind])
    for key in msgspec.json.decode(example).keys() - {"type"}:
        assert hasattr(decoded, key), key


@pytest.mark.parametrize("kind", ["Request", "Reply", "Event"])
def test_every_message_of_a_kind_has_an_example(kind):
    restored = set(re.findall(r'"type": "(\w+Restored)"', TEXT))
    names = {getattr(member, "__origin__", member).__name__ for member in get_args(TYPES[kind])}
    assert names - restored == {example["type"] for example in shown(kind)}


def test_every_error_code_is_named():
    assert not [code for code in get_args(messages.ErrorCode) if f"`{code}`" not in TEXT]


#: A comm as a widget opens it.
COMM = """\
import comm
channel = comm.create_comm(
    comm_id="c0ffee",
    target_name="jupyter.widget",
    data={"state": {"value": 3}},
    metadata={"version": "2.1.0"},
)
"""


class Story:
    """One kernel that receives every request of the document; its answers are compared afterwards."""

    def __init__(self) -> None:
        self.requests = {request.get("id", ""): request for request in shown("Request")}
        self.left = dict(self.requests)
        self.context: Any = zmq.Context()
        command = [sys.executable, "-P", "-m", "cellwire.kernel"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        self.context.destroy(0)
        self.process.communicate(timeout=PATIENCE)

    def take(self, id: str) -> Any:
        return self.left.pop(id)

    def play(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        (settings,) = shown("Settings")
        limits = {**settings["limits"], "console_chars": 100}
        self.process.stdin.write(json.dumps({**settings, "limits": limits}).encode() + b"\n")
        self.process.stdin.flush()
        self.connection = json.loads(self.process.stdout.readline())
        frontend = self.frontend = Frontend(self.context, self.connection["endpoint"])
        hello = self.take("h1")
        frontend.request(hello)
        frontend.until(lambda: frontend.snapshots)
        self.run("r1")
        frontend.request(self.take("p1"))
        frontend.request(self.take("p2"))
        self.other = Frontend(self.context, self.connection["endpoint"])
        self.other.request({"type": "Ping", "id": "early ping"})
        self.other.request({"type": "RunStale", "id": "early run"})
        self.other.send(hello)
        self.other.until(lambda: self.other.snapshots)
        self.run("r3")
        self.run("r2")
        sync = [{"id": "n", "source": ""}, {"id": "a", "source": "x = 2"}]
        frontend.run({"type": "SyncCells", "id": "sync", "cells": sync})
        for introspection in ("p3", "p4", "p5"):
            frontend.request(self.take(introspection))
        self.make_outputs()
        frontend.run_cells(a="x = 1 / 0")
        self.ask_for_input("i5")
        self.ask_for_input("i2")
        frontend.request(self.take("i1"))
        frontend.run_cells(w=COMM)
        frontend.request(self.take("i6"))
        self.run("r5")
        frontend.run_cells(d="x + 1")
        for change in ("r6", "r4"):
            self.run(change)
        frontend.request(self.take("r7"))
        frontend.run_cells(k="import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")
        frontend.event("RunnerDied")
        before = len(frontend.events)
        frontend.request(self.take("i3"))
        frontend.event("RunnerStarted", before)
        frontend.send(self.take(""))
        frontend.request(self.take("i4"))
        frontend.event("KernelClosing")

    def run(self, id: str) -> None:
        self.frontend.run(self.take(id))

    def make_outputs(self) -> None:
        source = (
            "import cellwire as cw\n"
            "handle = cw.output.append('one')\n"
            "handle.replace('two')\n"
            "print('half\\r')\n"
            "handle.remove()\n"
            "cw.output.clear()\n"
            "cw.output.clear_console()\n"
            "with cw.progress_bar(4, title='Fetch', subtitle='page 3', show_eta=False) as bar:\n"
            "    bar.update(3)\n"
            "print('x' * 1000)\n"
        )
        self.frontend.run_cells(o=source)

    def ask_for_input(self, answer: str) -> None:
        before = len(self.frontend.events)
        cell = {"id": "q", "source": "input('Go on? ')"}
        self.frontend.request({"type": "RunCells", "id": f"asking for {answer}", "cells": [cell]})
        asked = self.frontend.event("InputRequested", before)["id"]
        self.frontend.request({**self.take(answer), "input": asked})
        self.frontend.event("RunFinished", before)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    story = Story()
    try:
        story.play()
        yield story
    finally:
        story.close()


def test_every_request_of_the_document_is_answered(story):
    assert not story.left
    assert {*story.requests} - {""} <= {*story.frontend.replies}


def test_a_kernel_answers_with_the_replies_of_the_document(story):
    for example in shown("Reply"):
        answer = story.frontend.replies[example["id"]]
        assert comparable("Reply", answer) == comparable("Reply", example)


def test_before_hello_a_ping_is_answered_and_nothing_else(story):
    assert story.other.replies["early ping"]["type"] == "Pong"
    assert story.other.replies["early run"]["code"] == "not_greeted"


def test_the_order_of_a_list_is_notebook_order_and_cells_that_are_left_out_stay(story):
    orders = [event["order"] for event in story.frontend.events if event.get("order")]
    assert orders == [["b", "a"], ["b", "n", "a"]]


def test_a_kernel_emits_the_events_of_the_document(story):
    emitted = [comparable("Event", event) for event in story.frontend.events]
    for example in shown("Event"):
        assert comparable("Event", example) in emitted


def test_a_kernel_sends_the_batch_of_the_document(story):
    (batch,) = shown("Batch")
    emitted = [comparable("Event", event) for event in story.frontend.events]
    example = [comparable("Event", event) for event in batch["events"]]
    assert example in [emitted[i : i + len(example)] for i in range(len(emitted))]


def test_a_kernel_sends_the_snapshot_of_the_document(story):
    (example,) = shown("Snapshot")
    assert comparable("Snapshot", story.other.snapshots[0]) == comparable("Snapshot", example)


def test_a_kernel_is_reached_as_the_document_says(story):
    (example,) = shown("Connection")
    for key in ("endpoint", "file"):
        assert Path(story.connection[key]).name == Path(example[key]).name
    assert story.connection.keys() == example.keys()


@pytest.mark.parametrize(("kind", "mime"), [("CellError", ERROR_MIME), ("Progress", PROGRESS_MIME)])
def test_items_of_cellwire_hold_what_the_document_says(story, kind, mime):
    (example,) = shown(kind)
    items = [event["item"]["data"] for event in story.frontend.events if isinstance(event.get("item"), dict)]
    held = [item[mime] for item in items if mime in item]
    assert fixed(example) in [fixed(one) for one in held]
    assert mime in TEXT
