"""Messages that make no sense, and clients that behave badly: they harm themselves, and nothing is lost."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, cast

import pytest
import zmq
from support.jupyter import Jupyter, attach, idle, started


class Stranger:
    """A client that has the key and sends what it likes, on sockets of its own."""

    def __init__(self, kernel: Jupyter, identity: bytes = b"") -> None:
        self.kernel, self.session = kernel, kernel.client.session
        self._context = zmq.Context()
        self._identity = identity
        self._sockets: dict[str, zmq.Socket[bytes]] = {}

    def socket(self, channel: str) -> "zmq.Socket[bytes]":
        if channel not in self._sockets:
            self._sockets[channel] = socket = self._context.socket(zmq.DEALER)
            socket.linger = 0
            if self._identity:
                socket.identity = self._identity
            socket.connect(self.kernel.manager._make_url(channel))
        return self._sockets[channel]

    def send(
        self, channel: str, kind: object, content: Any = None, metadata: Any = None, **header: Any
    ) -> str:
        """Send a signed message and return its id; parts that are bytes are sent as they are."""
        id = self.session.msg_id
        whole = {"msg_id": id, "session": "stranger", "msg_type": kind, **header}
        parts = [_encoded(part) for part in (whole, {}, metadata or {}, {} if content is None else content)]
        self.socket(channel).send_multipart([b"<IDS|MSG>", self.session.sign(parts), *parts])
        return id

    def ask(self, kind: str, content: Any = None, metadata: Any = None, channel: str = "shell") -> Any:
        """Send a request and return the content of the reply."""
        id = self.send(channel, kind, content, metadata)
        while True:
            assert self.socket(channel).poll(40_000), "no reply"
            frames = self.socket(channel).recv_multipart()
            _, header, parent, _, reply = frames[frames.index(b"<IDS|MSG>") + 1 :][:5]
            if json.loads(parent).get("msg_id") == id:
                assert json.loads(header)["msg_type"] == kind.replace("_request", "_reply")
                return json.loads(reply)

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close()
        self._context.term()


def _encoded(part: Any) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


@pytest.fixture
def stranger(kernel: Jupyter) -> Iterator[Stranger]:
    """A stranger; afterwards the names of the notebook are what they were."""
    kernel.run("kept = 41", cell="kept")
    ran = kernel.run("kept + 1", cell="reader")
    stranger = Stranger(kernel)
    yield stranger
    stranger.close()
    assert kernel.run("kept + 1", cell="reader").result == ran.result == "42"


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"<IDS|MSG>"],
        [b"<IDS|MSG>"] * 7,
        [b"\xff"] * 50,
        [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"],
    ],
)
def test_frames_that_are_no_message_are_dropped(stranger: Stranger, frames: list[bytes]) -> None:
    for channel in ("shell", "control", "stdin"):
        stranger.socket(channel).send_multipart(frames)
        assert stranger.ask("kernel_info_request", channel="control")["status"] == "ok"


@pytest.mark.parametrize("kind", ["execute_reply", "status", "nothing", "", 5, None, ["execute_request"]])
def test_what_is_no_request_is_not_answered(stranger: Stranger, kind: object) -> None:
    for channel in ("shell", "control", "stdin"):
        id = stranger.send(channel, kind)
        [*_, last] = stranger.kernel.until(id, idle)
        assert idle(last)


@pytest.mark.parametrize(
    ("content", "metadata"),
    [
        ({"code": 5}, {}),
        ({"code": None}, {}),
        ({}, {"cellId": "without code"}),
    ],
)
def test_a_request_to_execute_what_is_no_text_fails(stranger: Stranger, content: Any, metadata: Any) -> None:
    reply = stranger.ask("execute_request", {**content, "stop_on_error": False}, metadata)
    assert (reply["status"], reply["evalue"]) == ("error", "the code of an execute_request is a text")


@pytest.mark.parametrize(
    ("content", "metadata"),
    [
        (b'{"code": "6 * 7", "more": "\\ud800"}', {}),
        ({"user_expressions": {"a": 5, "b": None, "c": ["x"], "d": "\0"}}, {}),
        ({"user_expressions": [1]}, {}),
        ({}, {"number": 10**30, "cellId": "number"}),
        ({}, {"cellId": 5}),
        ({}, {"cellId": "c" * 100_000}),
        ({}, {"cellId": "a\0b\n'<"}),
        ({}, {"cellId": "tags", "tags": [1, {}, None]}),
        ({}, {"cellId": "deletes", "deletedCells": [1, None, {}, [], "absent"]}),
        ({}, {"cellId": "~own-1"}),
        ({}, {"cellId": "~1"}),
    ],
)
def test_what_makes_no_sense_beside_the_code_does_not_keep_it_from_running(
    stranger: Stranger, content: Any, metadata: Any
) -> None:
    content = content if isinstance(content, bytes) else {"code": "print(6 * 7)", **content}
    id = stranger.send("shell", "execute_request", content, metadata)
    shown = [m["content"] for m in stranger.kernel.until(id, idle) if "status" not in m["msg_type"]]
    assert any("42" in (each.get("text") or str(each.get("data"))) for each in shown)


@pytest.mark.parametrize("date", ["9999-12-31T23:59:59-14:00", "", "never", 5, None])
def test_a_date_that_makes_no_sense_is_no_reason_to_abort(stranger: Stranger, date: object) -> None:
    stranger.kernel.run("1 / 0")
    id = stranger.send("shell", "execute_request", {"code": "'ran'"}, date=date)
    kinds = [message["msg_type"] for message in stranger.kernel.until(id, idle)]
    assert "execute_result" in kinds


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("complete_request", {"code": "ke", "cursor_pos": 10**30}),
        ("complete_request", {"code": "ke", "cursor_pos": -5}),
        ("inspect_request", {"code": "kept", "cursor_pos": 2, "detail_level": 10**30}),
        ("history_request", {"hist_access_type": "tail", "n": 10**30}),
        ("history_request", {"hist_access_type": "range", "session": -(10**30), "start": 10**30}),
        ("history_request", b'{"hist_access_type": "search", "pattern": "\\u0000[[[*\\ud800"}'),
        ("is_complete_request", {"code": "(" * 100_000}),
        ("comm_info_request", {"target_name": ["x"]}),
    ],
)
def test_a_number_or_text_out_of_bounds_is_answered(stranger: Stranger, kind: str, content: Any) -> None:
    assert stranger.ask(kind, content)


@pytest.mark.parametrize(
    "content",
    [
        {"command": 5, "arguments": [1]},
        {"command": "dumpCell", "arguments": {"code": 5}},
        {"command": "source", "arguments": {"source": {"path": "/etc/\0"}}},
        {"command": "inspectVariables", "arguments": "x"},
        {"command": ["dumpCell"]},
        {"command": "modules", "arguments": {"startModule": "x"}},
        {"command": "richInspectVariables", "arguments": {}},
        b'{"command": "dumpCell", "arguments": {"code": "\\ud800"}}',
    ],
)
def test_a_request_of_a_debugger_that_makes_no_sense_is_answered(stranger: Stranger, content: Any) -> None:
    assert stranger.ask("debug_request", content, channel="control")


def test_a_comm_that_is_not_there_takes_any_message(stranger: Stranger) -> None:
    for kind, content in (
        ("comm_open", {"comm_id": 5, "target_name": [1], "data": [1]}),
        ("comm_msg", {"comm_id": None, "data": None}),
        ("comm_msg", {"comm_id": "absent", "data": {"number": 10**30}}),
        ("comm_close", {}),
    ):
        stranger.kernel.until(stranger.send("shell", kind, content), idle)
    assert stranger.ask("comm_info_request")["comms"] == {}


def test_a_large_message_is_carried_out(stranger: Stranger) -> None:
    source = f"large = {'a' * 5_000_000!r}\nprint(len(large))"
    assert stranger.ask("execute_request", {"code": source})["status"] == "ok"


def test_what_publishers_listeners_send_is_no_message(stranger: Stranger) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.XSUB)
    socket.linger = 0
    socket.connect(stranger.kernel.manager._make_url("iopub"))
    try:
        for frames in ([b"\x01\xff"], [b"junk"], [b""], [b"\x01", b"more"]):
            socket.send_multipart(frames)
        assert socket.poll(40_000)
        assert b"iopub_welcome" in socket.recv_multipart()[3]
    finally:
        socket.close()
        context.term()


def test_of_two_clients_with_one_name_the_second_is_answered(kernel: Jupyter, stranger: Stranger) -> None:
    first, second = Stranger(kernel, b"name"), Stranger(kernel, b"name")
    try:
        assert first.ask("execute_request", {"code": "1"})["status"] == "ok"
        second.socket("shell")
        assert second.ask("execute_request", {"code": "2"})["status"] == "ok"
        assert second.ask("kernel_info_request")["status"] == "ok"
    finally:
        first.close()
        second.close()


def test_a_client_that_is_gone_when_a_cell_asks_leaves_it_to_be_interrupted(
    kernel: Jupyter, stranger: Stranger
) -> None:
    gone = Stranger(kernel, b"gone")
    running = gone.send("shell", "execute_request", {"code": "input('anyone? ')", "allow_stdin": True})
    gone.socket("stdin")
    kernel.until(running, lambda message: message["msg_type"] == "execute_input")
    gone.close()
    stranger.ask("kernel_info_request")
    kernel.ask("interrupt_request", channel="control")
    [error] = [m["content"] for m in kernel.until(running, idle) if m["msg_type"] == "error"]
    assert error["ename"] == "KeyboardInterrupt"


def test_an_answer_counts_once_and_for_the_question_that_it_names(kernel: Jupyter) -> None:
    def answer(client: Jupyter, text: str, asked: Any) -> None:
        session = client.client.session
        client.client.stdin_channel.send(session.msg("input_reply", {"value": text}, parent=asked))

    other = attach(kernel.manager)
    try:
        running = kernel.execute("[input('first'), input('second')]")
        first = kernel.client.get_stdin_msg(timeout=40)
        # Another client's answer to nothing it was asked.
        answer(other, "theirs", {})
        other.ask("kernel_info_request")
        for text in ("one", "again"):
            answer(kernel, text, first)
        second = kernel.client.get_stdin_msg(timeout=40)
        answer(kernel, "late", first)
        answer(kernel, "two", second)
        assert kernel.ran(running).result == "['one', 'two']"
    finally:
        other.client.stop_channels()


def test_an_interrupt_leaves_a_completion_alone(kernel: Jupyter) -> None:
    kernel.run(
        "import threading\nasked, go = threading.Event(), threading.Event()\n"
        "class Slow:\n    def __dir__(self): asked.set(); go.wait(); return ['slowly']\nslow = Slow()"
    )
    completing = kernel.send("shell", "complete_request", {"code": "slow.", "cursor_pos": 5})
    assert kernel.run("asked.wait()").result == "True"
    kernel.ask("interrupt_request", channel="control")
    kernel.client.shell_channel.send(kernel.client.session.msg("execute_request", {"code": "go.set()"}))
    assert "slowly" in kernel.reply(completing)["matches"]


def test_a_shutdown_that_comes_twice_while_a_cell_runs_is_answered_twice() -> None:
    with started() as kernel:
        running = kernel.execute("print('in', flush=True)\nwhile True: pass")
        kernel.until(running, lambda message: message["msg_type"] == "stream")
        asked = [
            kernel.send("control", "shutdown_request", {"restart": restart}) for restart in (True, False)
        ]
        for id in asked:
            assert kernel.reply(id, "control")["status"] == "ok"
        provisioner: Any = kernel.manager.provisioner
        assert cast("subprocess.Popen[bytes]", provisioner.process).wait() == 0


def test_a_restart_while_a_cell_runs_begins_anew() -> None:
    with started() as kernel:
        for now in (False, True):
            kernel.run("left = 1")
            running = kernel.execute("print('in', flush=True)\nwhile True: pass")
            kernel.until(running, lambda message: message["msg_type"] == "stream")
            kernel.manager.restart_kernel(now=now)
            kernel.client.wait_for_ready(timeout=40)
            assert kernel.run("'left' in globals()").result == "False"
