import builtins
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest
from cellwire.protocol.events import InputClosed, InputRequested
from cellwire.runner.attribution.debugger import install_debugger
from cellwire.runner.attribution.input import Inputs, InputUnavailable, install_input
from support.waiting import PATIENCE


class Frontend:
    """Answers each request in a thread of its own, as the host does."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._asked: SimpleQueue[InputRequested] = SimpleQueue()

    def receive(self, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, InputRequested):
            self._asked.put(event)

    def next_request(self) -> InputRequested:
        return self._asked.get(timeout=PATIENCE)

    def answer(self, inputs: Inputs, *texts: str | None) -> threading.Thread:
        def reply() -> None:
            for text in texts:
                assert inputs.answer(self.next_request().id, text)

        thread = threading.Thread(target=reply)
        thread.start()
        return thread


@pytest.fixture
def frontend() -> Frontend:
    return Frontend()


@pytest.fixture
def inputs(frontend: Frontend) -> Inputs:
    return Inputs(frontend.receive)


@pytest.fixture
def installed(frontend: Frontend, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    import bdb
    import getpass
    import pdb

    monkeypatch.setattr(builtins, "input", builtins.input)
    monkeypatch.setattr(sys, "stdin", sys.stdin)
    monkeypatch.setattr(getpass, "getpass", getpass.getpass)
    monkeypatch.setattr(pdb.Pdb, "__init__", pdb.Pdb.__init__)
    monkeypatch.setattr(bdb.Bdb, "trace_dispatch", bdb.Bdb.trace_dispatch)
    install_debugger()
    return install_input(frontend.receive)


@pytest.mark.usefixtures("cell")
def test_a_request_names_its_cell_and_is_closed_when_answered(frontend: Frontend, inputs: Inputs) -> None:
    thread = frontend.answer(inputs, "Ada\n")
    assert inputs.ask("name? ", password=True) == "Ada"
    thread.join(PATIENCE)
    asked, closed = frontend.events
    assert asked == InputRequested(asked.id, "a", "name? ", True)
    assert closed == InputClosed(asked.id)


def test_only_the_first_answer_counts(frontend: Frontend, inputs: Inputs) -> None:
    accepted: list[bool] = []

    def reply() -> None:
        request = frontend.next_request()
        accepted.extend([inputs.answer(request.id, "first"), inputs.answer(request.id, "second")])

    thread = threading.Thread(target=reply)
    thread.start()
    assert inputs.ask() == "first"
    thread.join(PATIENCE)
    assert accepted == [True, False]
    assert inputs.answer("no such request", "") is False


def test_requests_of_several_threads_are_answered_in_any_order(frontend: Frontend, inputs: Inputs) -> None:
    answers: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name=name: answers.update({name: inputs.ask(name)})) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    requests = [frontend.next_request() for _ in threads]
    for request in reversed(requests):
        inputs.answer(request.id, request.prompt.upper())
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == {"a": "A", "b": "B", "c": "C"}
    assert len({request.id for request in requests}) == 3


def test_asking_without_a_frontend_is_an_error_that_says_so(inputs: Inputs, frontend: Frontend) -> None:
    thread = threading.Thread(target=lambda: inputs.refuse(frontend.next_request().id))
    thread.start()
    with pytest.raises(EOFError, match="needs an attached frontend"):
        inputs.ask()
    thread.join(PATIENCE)
    asked, closed = frontend.events
    assert closed == InputClosed(asked.id)
    inputs.refuse(asked.id)
    assert inputs.answer(asked.id, "too late") is False


def test_where_the_input_of_the_frontend_has_ended_user_code_reads_the_end(
    installed: Inputs, frontend: Frontend
) -> None:
    thread = frontend.answer(installed, "one", None, None)
    assert list(sys.stdin) == ["one\n"]
    with pytest.raises(EOFError, match=r"^EOF when reading a line$"):
        input()
    thread.join(PATIENCE)


def test_a_thread_stops_asking_when_its_run_is_over(
    make_cell: Callable[[str], Any], inputs: Inputs, frontend: Frontend
) -> None:
    raised: list[BaseException] = []
    cell = make_cell("a")

    def ask() -> None:
        with cell:
            try:
                inputs.ask()
            except InputUnavailable as error:
                raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    request = frontend.next_request()
    cell.execution.end()
    thread.join(PATIENCE)
    assert "is over" in str(raised[0])
    assert frontend.events[-1] == InputClosed(request.id)
    assert inputs.answer(request.id, "too late") is False


def test_an_interrupt_ends_the_wait_and_closes_the_request() -> None:
    program = """
        import os, signal
        from cellwire.protocol.events import InputClosed, InputRequested
        from cellwire.runner.attribution.input import Inputs
        import threading
        events = []
        def receive(event):
            events.append(event)
            if isinstance(event, InputRequested):
                threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        inputs = Inputs(receive)
        try:
            inputs.ask()
        except KeyboardInterrupt:
            assert [type(event) for event in events] == [InputRequested, InputClosed]
            print("interrupted")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "interrupted\n"


def test_a_forked_child_cannot_ask(inputs: Inputs) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            inputs.ask()
        except InputUnavailable as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        assert "child process" in pipe.read()
    os.waitpid(pid, 0)


def test_input_and_getpass_ask(installed: Inputs, frontend: Frontend) -> None:
    from getpass import getpass

    thread = frontend.answer(installed, "Ada", "secret", "plain")
    assert input("name? ") == "Ada"
    assert getpass() == "secret"
    assert getpass("Code: ", stream=None) == "plain"
    thread.join(PATIENCE)
    asked = [event for event in frontend.events if isinstance(event, InputRequested)]
    assert [(event.prompt, event.password) for event in asked] == [
        ("name? ", False),
        ("Password: ", True),
        ("Code: ", True),
    ]


def test_standard_input_gives_a_line_for_each_answer(installed: Inputs, frontend: Frontend) -> None:
    thread = frontend.answer(installed, "one", "", "three")
    assert sys.stdin.readline() == "one\n"
    assert sys.stdin.readline() == "\n"
    assert next(iter(sys.stdin)) == "three\n"
    thread.join(PATIENCE)
    assert not sys.stdin.isatty()


def test_standard_input_is_read_up_to_the_end_that_a_frontend_gives(
    installed: Inputs, frontend: Frontend
) -> None:
    thread = frontend.answer(installed, "one", "two", None)
    assert sys.stdin.read() == "one\ntwo\n"
    thread.join(PATIENCE)


def test_the_debugger_asks_for_its_commands(
    installed: Inputs, frontend: Frontend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pdb

    handler = signal.getsignal(signal.SIGINT)
    thread = frontend.answer(installed, "p 6 * 7", "continue")
    pdb.Pdb().set_trace()
    seen = "after the breakpoint"
    thread.join(PATIENCE)
    assert seen
    assert signal.getsignal(signal.SIGINT) is handler
    assert "42\n" in capsys.readouterr().out
    assert {event.prompt for event in frontend.events if isinstance(event, InputRequested)} == {"(Pdb) "}
