"""What frontends request, against a kernel process with a stand-in for its runner."""

import os
import random

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.limits import Limits

encode = msgspec.msgpack.encode


@pytest.fixture
def kernel(launch):
    return launch()


@pytest.fixture
def frontend(kernel, attach):
    return attach(kernel)


def test_hello_is_welcomed_with_the_state_and_the_limits(frontend):
    assert isinstance(frontend.welcome, m.Welcome)
    assert frontend.welcome.role == "control"
    assert frontend.welcome.protocol == m.PROTOCOL
    assert frontend.welcome.limits == Limits()
    frontend.until(lambda: frontend.snapshots == 1)


def test_a_run_is_accepted_at_once_and_its_end_is_an_event(frontend):
    run = frontend.run("write('hello')")
    assert run == 1
    assert frontend.finish(run).status == "ok"
    assert frontend.notebook.cells["a"].console.text() == "hello"
    assert frontend.notebook.idle


def test_runs_are_executed_one_after_the_other(frontend):
    runs = [frontend.run(f"write('{number}')", f"cell {number}") for number in range(20)]
    frontend.finish(runs[-1])
    assert [event.run for event in frontend.of(e.RunFinished)] == runs
    assert [event.run for event in frontend.of(e.CellStarted)] == runs


def test_a_request_repeated_with_the_same_id_is_handled_once(frontend):
    request = m.RunCells("the-id", [m.Cell("a", "write('once')")])
    frontend.send(request)
    first = frontend.reply_to("the-id")
    frontend.finish(first.run)
    frontend.send(request)
    assert frontend.reply_to("the-id") == first
    frontend.finish(frontend.run("1", "b"))
    assert frontend.notebook.cells["a"].console.text() == "once"
    assert len(frontend.of(e.RunAccepted)) == 2


def test_an_id_that_another_request_had_is_refused(frontend):
    frontend.send(m.RunCells("the-id", [m.Cell("a", "1")]))
    frontend.reply_to("the-id")
    frontend.send(m.Interrupt("the-id"))
    assert frontend.reply_to("the-id").code == "invalid"


def test_a_refused_request_may_be_tried_again_with_the_same_id(kernel, attach):
    frontend = attach(kernel, hello=False)
    request = m.RunCells("the-id", [m.Cell("a", "1")])
    frontend.send(request)
    assert frontend.reply_to("the-id").code == "not_greeted"
    assert isinstance(frontend.ask(m.Hello), m.Welcome)
    frontend.send(request)
    assert isinstance(frontend.reply_to("the-id"), m.RunQueued)


def test_an_unknown_cell_is_refused_and_named(frontend):
    for request in (m.DeleteCells("1", ["ghost"]), m.ConfigureCells("2", ["ghost"], True)):
        frontend.send(request)
        error = frontend.reply_to(request.id)
        assert error.code == "unknown_cell"
        assert "ghost" in error.message


def test_a_cell_is_known_as_soon_as_the_run_that_submits_it_is_accepted(frontend, tmp_path):
    os.mkfifo(tmp_path / "gate")
    with open(tmp_path / "gate", "r+b", buffering=0) as gate:
        first = frontend.run(f"open({str(tmp_path / 'gate')!r}).readline()", "slow")
        frontend.ask(m.RunCells, [m.Cell("later", "1")])
        queued = frontend.ask(m.DeleteCells, ["later"])
        assert isinstance(queued, m.RunQueued)
        assert frontend.finished(first) is None
        # Signal 1: the run that deletes the cell has been accepted while the first one is in progress.
        gate.write(b"go on\n")
        frontend.finish(queued.run)
    assert "later" not in frontend.notebook.cells


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([m.Cell("")], "a cell id must not be empty"),
        ([m.Cell("x" * 2000)], f"the id of the cell {'x' * 256!r}… has 2000 characters"),
        ([m.Cell("a"), m.Cell("b"), m.Cell("b")], "cell 'b' is given twice"),
    ],
    ids=["empty", "long", "twice"],
)
def test_impossible_cell_ids_are_refused(frontend, cells, message):
    for kind in (m.RunCells, m.SyncCells):
        error = frontend.ask(kind, cells)
        assert (error.code, error.message) == ("invalid", message)
        assert error.hint


def test_another_version_of_the_protocol_is_refused(kernel, attach):
    frontend = attach(kernel, hello=False)
    error = frontend.ask(m.Hello, m.PROTOCOL + 1)
    assert error.code == "invalid"
    assert str(m.PROTOCOL) in error.message


def test_before_hello_a_ping_is_answered_and_nothing_else(kernel, attach):
    frontend = attach(kernel, hello=False)
    assert isinstance(frontend.ask(m.Ping), m.Pong)
    for kind in (m.Statistics, m.RunStale, m.Interrupt, m.RestartRunner, m.Shutdown, m.Variables):
        assert frontend.ask(kind).code == "not_greeted"


def test_introspection_is_answered_by_the_runner_with_the_frontends_own_id(frontend):
    answer = frontend.ask(m.Complete, "x", 1)
    assert answer.items == [m.Completion("stand-in")]


def test_introspection_in_a_runner_that_dies_is_answered_with_an_error(frontend):
    run = frontend.run("while b'Complete' not in runner.control.recv(65536): pass\nos._exit(3)")
    frontend.until(lambda: frontend.of(e.CellStarted))
    id = frontend.post(m.Complete, "x", 1)
    assert frontend.reply_to(id).code == "runner_unavailable"
    assert frontend.finish(run).status == "error"


def test_the_first_answer_to_an_input_counts(kernel, frontend, attach):
    other = attach(kernel)
    run = frontend.run(
        "emit(e.InputRequested('q1', cell, 'name? '))\n"
        "answer = next(frame for frame in map(lambda f: msgspec.msgpack.decode(f, type=link.Control),"
        " iter(lambda: next(link.FrameReader().feed(runner.control.recv(65536))), None))"
        " if isinstance(frame, link.Answer))\n"
        "write(answer.text)"
    )
    other.until(lambda: other.notebook.inputs)
    assert isinstance(other.ask(m.ProvideInput, "q1", "Ada"), m.Done)
    assert frontend.ask(m.ProvideInput, "q1", "Bob").code == "unknown_input"
    frontend.finish(run)
    assert frontend.notebook.cells["a"].console.text() == "Ada"
    assert frontend.notebook.inputs == []


def test_statistics_describe_the_kernel_and_its_frontends(kernel, frontend, attach):
    other = attach(kernel)
    frontend.finish(frontend.run("1"))
    counters = frontend.ask(m.Statistics)
    assert counters.pid == kernel.process.pid
    assert counters.epoch == kernel.connection.epoch
    assert counters.memory > 1 << 20
    assert counters.ring_events == counters.seq
    assert len(counters.sessions) == 2
    other.close()
    # The kernel finds frontends that left by sending to them, which ZeroMQ accepts until it has noticed.
    frontend.until_reply(m.Statistics, lambda reply: len(reply.sessions) == 1)


def test_interrupt_stops_what_runs_and_drops_what_waits_and_nothing_after_it(frontend):
    running = frontend.run("while True: pass")
    frontend.until(lambda: frontend.of(e.CellStarted))
    waiting = frontend.run("write('never')", "b")
    assert isinstance(frontend.ask(m.Interrupt), m.Done)
    later = frontend.run("write('later')", "c")
    assert frontend.finish(running).status == "interrupted"
    assert frontend.finish(waiting).status == "dropped"
    assert "interrupted" in frontend.finish(waiting).reason
    assert frontend.finish(later).status == "ok"
    assert "b" not in frontend.notebook.cells


def test_too_many_waiting_runs_are_refused(launch, attach):
    frontend = attach(launch(limits=Limits(queued_runs=3)))
    frontend.run("while True: pass")
    for _ in range(2):
        frontend.run("1")
    assert frontend.ask(m.RunStale).code == "busy"
    frontend.ask(m.Interrupt)


def test_a_request_a_little_too_large_is_answered_and_a_far_too_large_one_ends_the_connection(launch, attach):
    kernel = launch(limits=Limits(request_bytes=10_000))
    frontend = attach(kernel)
    assert frontend.ask(m.RunCells, [m.Cell("a", "#" * 10_001)]).code == "too_large"
    frontend.post(m.RunCells, [m.Cell("a", "#" * 1_000_000)])
    other = attach(kernel)
    assert isinstance(other.ask(m.Ping), m.Pong)


# Malformed input

IDS = [f"id-{number}" for number in range(3)]
VALID = [
    encode(request)
    for request in (
        m.Hello("id-0"),
        m.Ping("id-1"),
        m.Complete("id-2", "abc", 2),
        m.ProvideInput("id-0", "q", "t"),
        m.ConfigureCells("id-1", ["a"], True),
        m.Acknowledge(12),
    )
]


@pytest.mark.parametrize(
    ("frame", "id", "code"),
    [
        (encode({"type": "Ping", "id": "x", "extra": 1}), "x", None),
        (encode({"type": "Dance", "id": "x"}), "x", "unknown_request"),
        (encode({"id": "x"}), "x", "unknown_request"),
        (encode({"type": "Ping"}), "", "malformed"),
        (encode({"type": "Ping", "id": 7}), "", "malformed"),
        (encode({"type": "Complete", "id": "x", "cursor": "far"}), "x", "malformed"),
        (encode({"type": "RunCells", "id": "x", "cells": [{"source": "1"}]}), "x", "malformed"),
        (encode(["Ping", "x"]), "", "malformed"),
        (b"", "", "malformed"),
        (b"\xc1", "", "malformed"),
        (b"\x91" * 100_000, "", "malformed"),
        (b"\x81\xa2id\xdb\xff\xff\xff\xff", "", "malformed"),
        (encode({"type": "Ping", "id": "x" * 1000}), "x" * 1000, "invalid"),
    ],
)
def test_what_does_not_decode_is_answered_where_an_id_can_be_read(frontend, frame, id, code):
    frontend.socket.send(frame)
    reply = frontend.reply_to(id)
    assert getattr(reply, "code", None) == code
    assert isinstance(frontend.ask(m.Ping), m.Pong)


def test_messages_of_several_frames_are_malformed(frontend):
    frontend.socket.send_multipart([b"", encode(m.Ping("x"))])
    assert frontend.reply_to("").code == "malformed"


def test_mutated_frames_cost_nothing_but_their_answers(kernel, attach):
    draw = random.Random(5)
    frontend = attach(kernel)
    frontend.ask(m.Ping)

    def send(count: int) -> None:
        for _ in range(count):
            frame = bytearray(draw.choice(VALID))
            for _ in range(draw.randrange(1, 4)):
                place = draw.randrange(len(frame))
                match draw.randrange(3):
                    case 0:
                        frame[place] = draw.randrange(256)
                    case 1:
                        del frame[place:]
                        frame += b"\0"
                    case _:
                        frame[place:place] = draw.randbytes(draw.randrange(1, 5))
            frontend.socket.send(frame)
        # The reply to the ping comes last; all others are discarded.
        assert isinstance(frontend.ask(m.Ping), m.Pong)
        frontend.replies.clear()
        frontend.events.clear()

    for _ in range(10):
        send(400)
    before = frontend.ask(m.Statistics)
    for _ in range(40):
        send(400)
    after = frontend.ask(m.Statistics)
    assert after.malformed > before.malformed + 5000
    assert after.memory < before.memory + (4 << 20)
    assert frontend.finish(frontend.run("1", "z")).status == "ok"
