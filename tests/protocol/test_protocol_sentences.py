"""What docs/protocol.md says in words, tried on a kernel by a frontend that knows nothing else."""

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.document_frontend import Frontend
from support.waiting import PATIENCE

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "protocol.md").read_text().split())


def said(sentence: str) -> None:
    """Fail unless the document still says this."""
    assert sentence in TEXT, f"the document says something else than: {sentence}"


class Kernel:
    """A kernel started as the document says, and frontends of it."""

    def __init__(self, context: Any, settings: dict[str, Any]) -> None:
        self._context = context
        # Kept, so that their sockets are closed with the context.
        self._frontends: list[Frontend] = []
        command = [sys.executable, "-P", "-m", "cellwire.kernel"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        self.process.stdin.flush()
        self.connection: dict[str, Any] = json.loads(self.process.stdout.readline())

    def connect(self) -> Frontend:
        self._frontends.append(Frontend(self._context, self.connection["endpoint"]))
        return self._frontends[-1]

    def attach(self, epoch: str = "", seq: int = 0) -> Frontend:
        """Return a frontend that has said hello, with its welcome."""
        frontend = self.connect()
        frontend.request({"type": "Hello", "id": "hello", "epoch": epoch, "seq": seq})
        if not epoch:
            frontend.until(lambda: frontend.snapshots and frontend.snapshots[-1].get("last"))
        return frontend


@pytest.fixture
def start() -> Iterator[Callable[..., Kernel]]:
    context: Any = zmq.Context()
    kernels: list[Kernel] = []

    def make(**settings: Any) -> Kernel:
        kernels.append(Kernel(context, settings))
        return kernels[-1]

    yield make
    context.destroy(0)
    for kernel in kernels:
        kernel.process.communicate(timeout=PATIENCE)


@pytest.fixture
def kernel(start: Callable[..., Kernel]) -> Kernel:
    return start()


@pytest.fixture
def frontend(kernel: Kernel) -> Frontend:
    return kernel.attach()


def of_kind(frontend: Frontend, kind: str) -> list[Any]:
    return [event for event in frontend.events if event["type"] == kind]


def state_of(kernel: Kernel) -> dict[str, Any]:
    """Return the cells as a new frontend gets them."""
    fresh = kernel.attach()
    events = [event for part in fresh.snapshots for event in part["events"]]
    return {event["cell"]["id"]: event["cell"] for event in events if event["type"] == "CellRestored"}


def run_all(frontend: Frontend, id: str, *cells: tuple[str, str], **fields: Any) -> None:
    listed = [{"id": cell, "source": source, **fields} for cell, source in cells]
    frontend.run({"type": "RunCells", "id": id, "cells": listed})


def test_the_kernel_ends_when_its_standard_input_is_closed(kernel: Kernel):
    said("keep that pipe open: when it closes, the kernel ends")
    kernel.process.communicate(timeout=PATIENCE)
    assert kernel.process.returncode == 0
    assert not Path(kernel.connection["file"]).exists()


def test_the_connection_file_has_the_same_content_mode_and_lock(start: Callable[..., Kernel], tmp_path: Path):
    said("The connection file, mode 0600, has the same content")
    said("The kernel holds a lock (`flock`) on the file as long as it lives.")
    named = tmp_path / "mine.json"
    kernel = start(connection_file=str(named))
    assert kernel.connection["file"] == str(named)
    own = Path(kernel.connection["endpoint"].removeprefix("ipc://")).with_name("connection.json")
    for file in (named, own):
        assert json.loads(file.read_text()) == kernel.connection
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with file.open() as opened, pytest.raises(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_without_a_listed_key_the_kernel_does_not_answer(start: Callable[..., Kernel]):
    said("Without a listed key the kernel does not answer.")
    said("`127.0.0.1` with a port that the system chooses.")
    kernel = start(transport="tcp")
    assert kernel.connection["endpoint"].startswith("tcp://127.0.0.1:")
    assert {"server_key", "client", "watcher"} <= kernel.connection.keys()
    stranger = kernel.connect()
    stranger.send({"type": "Ping", "id": "p"})
    assert not stranger.poll(0.5)


def test_a_repeated_request_gets_its_answer_again_and_is_carried_out_once(frontend: Frontend):
    said("the kernel does not carry it out twice; it repeats its answer.")
    request = {"type": "RunCells", "id": "twice", "cells": [{"id": "a", "source": "print('once')"}]}
    frontend.run(request)
    first = frontend.replies.pop("twice")
    assert frontend.request(request) == first
    frontend.request({"type": "Ping", "id": "after"})
    assert len(of_kind(frontend, "RunAccepted")) == 1


def test_a_snapshot_after_the_acceptance_of_a_run_lists_it_until_its_end(kernel: Kernel, frontend: Frontend):
    said("a snapshot at or after that `seq` which does not list the run is after its end")
    source = "import time\ntime.sleep(1000)"
    queued = frontend.request({"type": "RunCells", "id": "r", "cells": [{"id": "a", "source": source}]})
    [part] = kernel.attach().snapshots
    assert part["seq"] >= queued["seq"]
    assert [run["run"] for run in part["events"][0]["runs"]] == [queued["run"]]
    frontend.request({"type": "Interrupt", "id": "i"})
    frontend.event("RunFinished")
    [part] = kernel.attach().snapshots
    assert "runs" not in part["events"][0]


def test_new_cells_stand_where_the_document_says(frontend: Frontend):
    said("a new cell stands directly after the cell before it in the list")
    said("the first of the list directly before the next one")
    said("all of them at the end if no listed cell exists yet")
    steps = [["a", "b", "c"], ["a", "n"], ["m", "c"], ["x", "y"], ["c", "a"]]
    orders: list[list[str]] = []
    for number, ids in enumerate(steps):
        cells = [{"id": id, "source": f"{id} = 1"} for id in ids]
        frontend.run({"type": "SyncCells", "id": f"s{number}", "cells": cells})
        orders.append(order_after(frontend.events))
    assert orders == [
        ["a", "b", "c"],
        ["a", "n", "b", "c"],
        ["a", "n", "b", "m", "c"],
        ["a", "n", "b", "m", "c", "x", "y"],
        ["c", "a", "n", "b", "m", "x", "y"],
    ]


def order_after(events: list[Any]) -> list[str]:
    order: list[str] = []
    for event in events:
        if event["type"] == "GraphChanged":
            order = [*order, *(cell["id"] for cell in event.get("cells", []) if cell["id"] not in order)]
            order = event.get("order") or order
    return order


def test_names_of_cells_that_are_deleted_and_kept_belong_to_no_cell(kernel: Kernel, frontend: Frontend):
    said("They belong to no cell then, and their readers become stale and do not run.")
    run_all(frontend, "r", ("a", "x = 1"), ("b", "x + 1"))
    frontend.run({"type": "DeleteCells", "id": "d", "cells": ["a"], "keep": True})
    assert state_of(kernel)["b"]["stale"]
    variables = frontend.request({"type": "Variables", "id": "v"})["variables"]
    assert [(one["name"], one.get("cell", "")) for one in variables] == [("x", "")]
    assert len(of_kind(frontend, "CellStarted")) == 2


def test_a_loose_cell_is_no_part_of_the_graph(frontend: Frontend):
    said("what it binds belongs to no cell, it follows none, and none follows it.")
    run_all(frontend, "r", ("a", "x = 1"))
    run_all(frontend, "l", ("loose", "y = x + 1\nx = 5"), loose=True)
    run_all(frontend, "again", ("a", "x = 2"))
    assert [event["cell"] for event in of_kind(frontend, "CellStarted")] == ["a", "loose", "a"]


def test_input_that_is_refused_raises_and_input_that_has_ended_is_the_end(kernel: Kernel, frontend: Frontend):
    said("The code that waits for this input gets an exception: the frontend cannot ask its user.")
    said('`input()` then raises `EOFError`, and `sys.stdin.readline()` returns `""`.')
    answers = {
        "input()": {"type": "RefuseInput"},
        "input() ": {"type": "ProvideInput", "text": "", "ended": True},
        "import sys; sys.stdin.readline()": {"type": "ProvideInput", "text": "", "ended": True},
    }
    for number, (source, answer) in enumerate(answers.items()):
        before = len(frontend.events)
        cell = {"id": f"c{number}", "source": source}
        frontend.request({"type": "RunCells", "id": f"r{number}", "cells": [cell]})
        asked = frontend.event("InputRequested", before)["id"]
        frontend.request({**answer, "id": f"a{number}", "input": asked})
        frontend.event("RunFinished", before)
    cells = state_of(kernel)
    assert cells["c0"]["error"]["kind"] not in ("EOFError", "")
    assert cells["c1"]["error"]["kind"] == "EOFError"
    assert cells["c2"]["status"] == "ok"
    items = [event["item"]["data"]["text/plain"] for event in of_kind(frontend, "OutputAppended")]
    assert items[-1] == "''"


def test_positions_count_code_points(frontend: Frontend):
    said("Positions in text (cursors, console lengths) count code points, neither bytes nor UTF-16 units.")
    run_all(frontend, "r", ("a", "x = 1"))
    code = "'🎉'; x.bit_c"
    reply = frontend.request({"type": "Complete", "id": "c", "code": code, "cursor": len(code)})
    assert (reply["start"], reply["end"]) == (len(code) - len("bit_c"), len(code))
    run_all(frontend, "e", ("b", "'🎉', 1 / 0"))
    error = of_kind(frontend, "CellFinished")[-1]["error"]
    assert error["column"] == "'🎉', 1 / 0".index("1") + 1


def test_a_console_that_is_trimmed_says_how_many_characters_are_gone(start: Callable[..., Kernel]):
    said("The oldest characters (code points) of the console are gone.")
    kernel = start(limits={"console_chars": 100})
    frontend = kernel.attach()
    run_all(frontend, "r", ("a", "print('🎉' * 150, end='')"))
    gone = sum(event["chars"] for event in of_kind(frontend, "ConsoleTrimmed"))
    written = "".join(event["text"] for event in of_kind(frontend, "ConsoleWritten"))
    assert gone > 0
    assert len(written) - gone <= 100
    said("`console_dropped` counts the characters that were dropped before")
    parts = [event for part in kernel.attach().snapshots for event in part["events"]]
    [restored] = [event for event in parts if event["type"] == "CellRestored"]
    assert restored["console_dropped"] == gone


def test_events_have_numbers_without_gaps_and_go_on_from_the_state_that_is_held(
    kernel: Kernel, frontend: Frontend
):
    said("They have numbers, `seq`, without gaps.")
    run_all(frontend, "r", ("a", "x = 1"))
    welcome = frontend.replies["hello"]
    held = frontend.snapshots[-1]["seq"]
    again = kernel.attach(welcome["epoch"], held)
    again.until(lambda: len(again.events) == len(frontend.events))
    assert again.snapshots == []
    assert again.events == frontend.events
    seq = frontend.request({"type": "Ping", "id": "p"})["seq"]
    assert seq == held + len(frontend.events)


def test_large_events_travel_in_frames_of_their_own(frontend: Frontend):
    said("A message can have more frames after the first: each is one more event, after those in `events`.")
    run_all(frontend, "r", ("a", "'y' * 100_000"))
    assert any(len(frames) > 1 for frames in frontend.messages)
    assert [event["type"] for event in frontend.events][-1] == "RunFinished"


def test_a_frontend_of_another_version_is_refused(kernel: Kernel):
    said("a kernel refuses a `Hello` of another version with `invalid`.")
    reply = kernel.connect().request({"type": "Hello", "id": "h", "protocol": 2})
    assert (reply["type"], reply["code"]) == ("Error", "invalid")


def test_a_frontend_that_acknowledges_nothing_is_dropped_and_may_come_back(start: Callable[..., Kernel]):
    said("A frontend that acknowledges nothing for `limits.stuck_seconds` with a full window is dropped,")
    said("is dropped, and may say `Hello` again.")
    kernel = start(limits={"window_bytes": 10_000, "stuck_seconds": 0.3, "drain_seconds": 0.1})
    frontend = kernel.attach()
    source = "import cellwire as cw\nfor i in range(300):\n    cw.output.append('z' * 1000)"
    frontend.request({"type": "RunCells", "id": "r", "cells": [{"id": "a", "source": source}]})
    notice = frontend.until(lambda: frontend.replies.get(""))
    assert (notice["type"], notice["code"]) == ("Error", "busy")
    assert frontend.request({"type": "Hello", "id": "again"})["type"] == "Welcome"


def test_runs_that_a_state_setter_caused_have_negative_numbers(frontend: Frontend):
    said("positive if a frontend asked for it, negative if a state setter caused it.")
    setter = "import cellwire as cw\nget, set_ = cw.state(0)"
    run_all(frontend, "r", ("s", setter), ("g", "get()"), ("t", "set_(1)"))
    frontend.until(lambda: [e for e in of_kind(frontend, "RunFinished") if e["run"] < 0])
    assert {event["run"] > 0 for event in of_kind(frontend, "CellStarted")} == {True, False}
    assert all(event["run"] > 0 for event in of_kind(frontend, "RunAccepted"))


def test_cells_still_queued_at_the_end_of_a_run_are_cancelled_and_stale_and_keep_their_outputs(
    kernel: Kernel, frontend: Frontend
):
    said("Cells of the run that are still `queued` become `cancelled` and stale, and keep their outputs.")
    run_all(frontend, "r", ("a", "x = 1"), ("b", "x"))
    cells = [{"id": "a", "source": "import time; x = 2; time.sleep(1000)"}, {"id": "b", "source": "x"}]
    before = len(frontend.events)
    frontend.request({"type": "RunCells", "id": "again", "cells": cells})
    frontend.event("CellStarted", before)
    process = of_kind(frontend, "RunnerStarted")
    pid = process[0]["pid"] if process else frontend.snapshots[-1]["events"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    frontend.event("RunnerDied", before)
    frontend.event("RunFinished", before)
    b = state_of(kernel)["b"]
    assert (b["status"], b["stale"]) == ("cancelled", True)
    assert [event["cell"] for event in of_kind(frontend, "OutputAppended")] == ["b"]


def test_the_kernel_answers_a_ping_whatever_user_code_does(frontend: Frontend):
    said("The kernel itself answers the first two within about a millisecond, whatever user code does")
    source = "while True: pass"
    frontend.request({"type": "RunCells", "id": "r", "cells": [{"id": "a", "source": source}]})
    frontend.event("CellStarted")
    for number in range(50):
        assert frontend.request({"type": "Ping", "id": f"p{number}"})["type"] == "Pong"
    # How long that takes is measured by `make bench`.
    assert not of_kind(frontend, "RunFinished")
    frontend.request({"type": "Interrupt", "id": "i"})
    frontend.event("RunFinished")


def test_a_key_that_is_left_out_has_its_default_and_unknown_keys_are_ignored(frontend: Frontend):
    said("a key that is left out has its default. Ignore keys that you do not know.")
    reply = frontend.request({"type": "Ping", "id": "p", "since_version_9": True})
    assert reply["type"] == "Pong"
