"""The debugger of Jupyter's frontends, in a real kernel."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from support.jupyter import Jupyter, Message, started

CODE = """def add(first, second):
    total = first + second
    return total

print(add(2, 3))"""


class Debugger:
    """A client that debugs."""

    def __init__(self, kernel: Jupyter) -> None:
        self.kernel = kernel
        self._numbers = count(1)

    def ask(self, command: str, **arguments: Any) -> Message:
        """Send a request, and return the reply, whose `body` is filled in."""
        content = {"type": "request", "seq": next(self._numbers), "command": command, "arguments": arguments}
        return self.kernel.ask("debug_request", content, channel="control")

    def begin(self) -> None:
        options = {"pathFormat": "path", "linesStartAt1": True, "columnsStartAt1": True}
        assert self.ask("initialize", clientID="test", adapterID="", **options)["success"]
        assert self.ask("attach")["success"]

    def break_at(self, source: str, *lines: int) -> None:
        path = self.ask("dumpCell", code=source)["body"]["sourcePath"]
        points = [{"line": line} for line in lines]
        reply = self.ask("setBreakpoints", breakpoints=points, source={"path": path}, sourceModified=False)
        assert [point["verified"] for point in reply["body"]["breakpoints"]] == [True] * len(lines)
        self.ask("configurationDone")

    def stopped(self, id: str) -> dict[str, Any]:
        """Return the innermost frame, once the cell of a request has stopped."""
        self.kernel.until(id, lambda message: message["content"].get("event") == "stopped")
        return self.ask("stackTrace", threadId=1)["body"]["stackFrames"][0]

    def variables(self, frame: dict[str, Any]) -> dict[str, str]:
        scopes = self.ask("scopes", frameId=frame["id"])["body"]["scopes"]
        reply = self.ask("variables", variablesReference=scopes[0]["variablesReference"])
        return {variable["name"]: variable["value"] for variable in reply["body"]["variables"]}


@pytest.fixture
def debugger() -> Iterator[Debugger]:
    with started() as kernel:
        yield Debugger(kernel)


def test_a_cell_stops_at_a_breakpoint_and_goes_on_by_steps(debugger: Debugger) -> None:
    debugger.begin()
    debugger.break_at(CODE, 2)
    for cell in ("a", None, "a"):
        running = debugger.kernel.execute(CODE, cell=cell)
        frame = debugger.stopped(running)
        assert (frame["name"], frame["line"]) == ("add", 2)
        assert frame["source"]["path"] == debugger.ask("dumpCell", code=CODE)["body"]["sourcePath"]
        frames = debugger.ask("stackTrace", threadId=1)["body"]["stackFrames"]
        assert [each["name"] for each in frames] == ["add", "<module>"]
        assert debugger.variables(frame) == {"first": "2", "second": "3"}
        debugger.ask("next", threadId=1)
        frame = debugger.stopped(running)
        assert (frame["line"], debugger.variables(frame)["total"]) == (3, "5")
        evaluated = debugger.ask("evaluate", expression="total * 2", frameId=frame["id"], context="repl")
        assert evaluated["body"]["result"] == "10"
        debugger.ask("continue", threadId=1)
        assert debugger.kernel.ran(running).text() == "5\n"


def test_a_function_of_a_cell_that_ran_before_the_debugger_stops_as_well(debugger: Debugger) -> None:
    debugger.kernel.run(CODE, cell="before")
    debugger.begin()
    debugger.break_at(CODE, 3)
    running = debugger.kernel.execute("add(10, 20)")
    frame = debugger.stopped(running)
    assert debugger.variables(frame)["total"] == "30"
    debugger.ask("continue", threadId=1)
    assert debugger.kernel.ran(running).result == "30"


def test_the_kernel_answers_at_a_breakpoint(debugger: Debugger) -> None:
    debugger.begin()
    debugger.break_at(CODE, 2)
    running = debugger.kernel.execute(CODE)
    debugger.stopped(running)
    reply = debugger.kernel.ask("complete_request", {"code": "ad", "cursor_pos": 2})
    assert "add" in reply["matches"]
    info = debugger.ask("debugInfo")["body"]
    assert info["isStarted"]
    assert info["stoppedThreads"] == [1]
    debugger.ask("continue", threadId=1)
    assert debugger.kernel.ran(running).reply["status"] == "ok"
    assert debugger.ask("debugInfo")["body"]["stoppedThreads"] == []


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_interrupt_at_a_breakpoint_ends_the_cell_and_the_next_one_is_debugged(
    debugger: Debugger, steps: int
) -> None:
    debugger.begin()
    debugger.break_at(CODE, 2)
    for _ in range(2):
        running = debugger.kernel.execute(CODE)
        debugger.stopped(running)
        for _ in range(steps):
            debugger.ask("next", threadId=1)
            debugger.stopped(running)
        debugger.kernel.ask("interrupt_request", channel="control")
        ran = debugger.kernel.ran(running)
        assert (ran.reply.get("ename"), ran.text()) == ("KeyboardInterrupt", "")
        assert debugger.kernel.run("1 + 1").result == "2"
    running = debugger.kernel.execute(CODE)
    assert debugger.stopped(running)["line"] == 2
    debugger.ask("continue", threadId=1)
    assert debugger.kernel.ran(running).text() == "5\n"


def test_an_interrupt_in_the_middle_of_a_step_ends_the_cell(debugger: Debugger) -> None:
    source = "import time\nfor i in range(9):\n    x = i\n    print('on', flush=True); time.sleep(1000)"
    debugger.begin()
    debugger.break_at(source, 3)
    for _ in range(2):
        running = debugger.kernel.execute(source)
        debugger.stopped(running)
        debugger.ask("next", threadId=1)
        debugger.stopped(running)
        debugger.ask("next", threadId=1)
        debugger.kernel.until(running, lambda message: message["msg_type"] == "stream")
        debugger.kernel.ask("interrupt_request", channel="control")
        assert debugger.kernel.ran(running).reply["ename"] == "KeyboardInterrupt"
        assert debugger.kernel.run("1 + 1").result == "2"


def test_an_interrupt_right_after_going_on_ends_the_cell(debugger: Debugger) -> None:
    source = "for i in range(10**9):\n    x = i"
    debugger.begin()
    debugger.break_at(source, 2)
    for command in ("next", "continue", "stepIn", "stepOut") * 2:
        running = debugger.kernel.execute(source)
        debugger.stopped(running)
        debugger.kernel.send(
            "control",
            "debug_request",
            {"type": "request", "seq": 99, "command": command, "arguments": {"threadId": 1}},
        )
        debugger.kernel.ask("interrupt_request", channel="control")
        assert debugger.kernel.ran(running).reply["ename"] == "KeyboardInterrupt"
    assert debugger.kernel.run("1 + 1").result == "2"


def test_an_interrupt_ends_what_is_evaluated_at_a_breakpoint_as_well(debugger: Debugger) -> None:
    debugger.begin()
    debugger.break_at(CODE, 2)
    running = debugger.kernel.execute(CODE)
    frame = debugger.stopped(running)
    arguments = {"expression": "print('on', flush=True) or [0 for _ in iter(int, 1)]", "frameId": frame["id"]}
    evaluation = debugger.kernel.send(
        "control",
        "debug_request",
        {"type": "request", "seq": 99, "command": "evaluate", "arguments": {**arguments, "context": "repl"}},
    )
    debugger.kernel.until(running, lambda message: message["msg_type"] == "stream")
    debugger.kernel.ask("interrupt_request", channel="control")
    assert debugger.kernel.ran(running).reply["ename"] == "KeyboardInterrupt"
    debugger.kernel.until(evaluation, lambda m: m["content"].get("execution_state") == "idle")
    assert debugger.kernel.run("1 + 1").result == "2"


def test_going_on_where_nothing_has_stopped_is_refused(debugger: Debugger) -> None:
    debugger.begin()
    assert not debugger.ask("continue", threadId=1)["success"]
    assert debugger.ask("threads")["success"]


def test_requests_of_a_debugger_are_carried_out_one_after_the_other(debugger: Debugger) -> None:
    debugger.begin()
    debugger.break_at(CODE, 2)
    running = debugger.kernel.execute(CODE)
    debugger.stopped(running)
    frame = debugger.ask("stackTrace", threadId=1)["body"]["stackFrames"][0]
    debugger.kernel.until(running, lambda m: m["content"].get("execution_state") == "busy")
    asked = [
        debugger.kernel.send(
            "control",
            "debug_request",
            {
                "type": "request",
                "seq": 100 + number,
                "command": "evaluate",
                "arguments": {"expression": f"first * {number}", "frameId": frame["id"]},
            },
        )
        for number in range(4)
    ]
    results = [debugger.kernel.reply(id, "control")["body"]["result"] for id in asked]
    assert results == ["0", "2", "4", "6"]
    # That the cell still runs is said once, after the last.
    debugger.kernel.until(running, lambda m: m["content"].get("execution_state") == "busy")
    states = [
        (message["parent_header"]["msg_id"], message["content"]["execution_state"])
        for message in debugger.kernel.published
        if message["msg_type"] == "status" and message["parent_header"]["msg_id"] in asked
    ]
    assert states == [(id, state) for id in asked for state in ("busy", "idle")]
    debugger.ask("continue", threadId=1)
    assert debugger.kernel.ran(running).reply["status"] == "ok"


def test_the_debugger_may_leave_and_come_again(debugger: Debugger) -> None:
    for _ in range(2):
        debugger.begin()
        debugger.break_at(CODE, 2)
        running = debugger.kernel.execute(CODE)
        debugger.stopped(running)
        assert debugger.ask("disconnect", restart=False, terminateDebuggee=True)["success"]
        # What was stopped goes on.
        assert debugger.kernel.ran(running).text() == "5\n"
        assert not debugger.ask("debugInfo")["body"]["isStarted"]
        assert debugger.kernel.run(CODE).text() == "5\n"


def test_variables_are_shown_without_a_breakpoint(debugger: Debugger) -> None:
    debugger.kernel.run("word = 'text'\n_hidden = 1", cell="a")
    variables = debugger.ask("inspectVariables")["body"]["variables"]
    assert [(v["name"], v["type"], v["value"]) for v in variables] == [("word", "str", "'text'")]
    rich = debugger.ask("richInspectVariables", variableName="word")
    assert rich["body"]["data"] == {"text/plain": "'text'"}
    assert not debugger.ask("richInspectVariables", variableName="absent")["success"]
    modules = debugger.ask("modules")["body"]
    assert "json" in [module["name"] for module in modules["modules"]]
    assert (
        debugger.kernel.run("sorted(name for name in globals() if name in ('json', 'names'))").result == "[]"
    )


def test_a_new_runner_is_debugged_as_well(debugger: Debugger) -> None:
    debugger.begin()
    ran = debugger.kernel.run("import os\nos._exit(1)")
    assert ran.reply["status"] == "error"
    assert not debugger.ask("debugInfo")["body"]["isStarted"]
    debugger.begin()
    debugger.break_at(CODE, 2)
    running = debugger.kernel.execute(CODE)
    debugger.stopped(running)
    debugger.ask("continue", threadId=1)
    assert debugger.kernel.ran(running).text() == "5\n"


@pytest.mark.parametrize("command", ["stackTrace", "attach", "setBreakpoints", "dumpCell", "no such command"])
def test_a_request_without_a_debugger_or_without_sense_fails(debugger: Debugger, command: str) -> None:
    reply = debugger.ask(command, source={})
    assert not reply["success"]
    assert reply["message"]
