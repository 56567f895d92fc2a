"""Delivery: several frontends at one kernel process, whatever their pace."""

import os
import select

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol import link
from cellwire.protocol import messages as m
from cellwire.protocol.limits import Limits

#: Appends, console lines, replacements and removals from the runner, in bursts.
BUSY = """
def burst(number):
    first = number * 10
    events = [e.OutputAppended(cell, run, Item(first + i, {'text/plain': 'x' * (i * 7)})) for i in range(10)]
    events += [e.OutputReplaced(cell, run, Item(first + 1, {'text/plain': 'again'}))]
    events += [e.OutputRemoved(cell, run, first + 2)]
    return b"".join(link.frame(encode(event)) for event in events)
for number in range(COUNT):
    runner.connection.sendall(burst(number))
    if number % 10 == 0:
        write(f"line {number}\\n")
"""


def canonical(notebook) -> bytes:
    return msgspec.msgpack.encode(notebook, order="deterministic")


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_all_replicas_are_equal_however_late_they_join_or_slow_they_are(launch, attach, transport):
    kernel = launch(transport=transport, limits=Limits(ring_bytes=200_000, window_bytes=50_000))
    steady, slow = attach(kernel), attach(kernel)
    slow.acknowledging = False
    steady.run(BUSY.replace("COUNT", "2000"))
    joining = []
    for seen in (2000, 6000, 10_000):
        steady.until(lambda: len(steady.events) >= seen)  # noqa: B023
        joining.append(attach(kernel))
        joining[0].take_what_is_there()
    # One sends Hello again on the same connection, with the state that it holds.
    assert isinstance(joining[0].greet_again(), m.Welcome)
    steady.settle()
    slow.acknowledging = True
    slow.send(m.Acknowledge(slow.received))
    for frontend in (steady, slow, *joining):
        frontend.apply_pending()
    copies = {canonical(frontend.notebook) for frontend in (steady, slow, *joining)}
    assert len(copies) == 1
    assert len(steady.notebook.cells["a"].outputs) == 18_000


def test_a_frontend_that_comes_back_is_sent_what_it_has_missed_and_no_more(launch, attach):
    kernel = launch()
    steady, leaving = attach(kernel), attach(kernel)
    steady.finish(steady.run("1"))
    leaving.until(lambda: leaving.of(e.RunFinished))
    epoch, seq = leaving.welcome.epoch, leaving.seq
    leaving.close()
    steady.finish(steady.run("write('meanwhile')", "b"))
    back = attach(kernel, hello=False)
    back.seq = seq
    assert isinstance(back.ask(m.Hello, m.PROTOCOL, "back", epoch, seq), m.Welcome)
    back.until(lambda: back.of(e.RunFinished))
    assert back.snapshots == 0
    assert [type(event) for event in back.events][:2] == [e.RunAccepted, e.GraphChanged]


def test_pings_are_answered_while_the_runner_emits_and_a_large_state_is_sent(launch, attach, tmp_path):
    kernel = launch()
    steady = attach(kernel)
    figures = (
        "for i in range(100): emit(e.OutputAppended(cell, run, Item(i, {'image/png': os.urandom(100_000)})))"
    )
    steady.finish(steady.run(figures, "figures"))

    over = tmp_path / "over"
    run = steady.run(
        f"while not os.path.exists({str(over)!r}): emit(e.ConsoleWritten(cell, run, 'stdout', '.'))"
    )
    steady.until(lambda: steady.of(e.ConsoleWritten))
    joining = attach(kernel, hello=False)
    joining.acknowledging = False
    joining.ask(m.Hello)
    joining.until(lambda: joining.snapshots)
    first = joining.ask(m.Ping).seq
    joining.until_reply(m.Ping, lambda pong: pong.seq > first + 100)
    assert joining.seq == -1, "in the middle of the state"
    # Signal 1: pings were answered while the runner emits and a part of the state is still to be sent.
    over.touch()
    joining.acknowledging = True
    joining.send(m.Acknowledge(joining.received))
    joining.finish(run)
    assert len(joining.notebook.cells["figures"].outputs) == 100


def test_a_stuck_frontend_costs_the_others_nothing_is_dropped_and_can_come_back(launch, attach):
    kernel = launch(limits=Limits(window_bytes=20_000, stuck_seconds=0.5))
    steady, stuck = attach(kernel), attach(kernel)
    stuck.acknowledging = False
    steady.run(BUSY.replace("COUNT", "1000"))
    steady.settle()
    counters = steady.until_reply(m.Statistics, lambda reply: reply.stuck == 1)
    assert len(counters.sessions) == 1
    stuck.until(lambda: "" in stuck.replies)
    notice = stuck.replies.pop("")
    assert notice.code == "busy"
    assert "Hello" in notice.hint
    assert stuck.ask(m.RunStale).code == "not_greeted"
    stuck.acknowledging = True
    assert isinstance(stuck.greet_again(), m.Welcome)
    stuck.apply_pending()
    assert canonical(stuck.notebook) == canonical(steady.notebook)


def test_memory_is_bounded_while_a_frontend_reads_nothing(launch, attach):
    kernel = launch(limits=Limits(ring_bytes=1 << 20, window_bytes=1 << 18))
    steady, stuck = attach(kernel), attach(kernel)
    stuck.acknowledging = False
    source = "for _ in range(100): write('x' * 60_000); mark(markers.Marker('clear', cell, run))"
    steady.run(source)
    steady.settle()
    before = steady.ask(m.Statistics).memory
    for _ in range(5):
        steady.run(source)
        steady.settle()
        steady.events.clear()
    after = steady.ask(m.Statistics)
    assert after.ring_bytes <= 1 << 20
    assert after.memory < before + (4 << 20)


def test_a_frontend_that_reads_no_replies_is_dropped(launch, attach):
    kernel = launch(limits=Limits(request_bytes=1000))
    steady, flooding = attach(kernel), attach(kernel)
    flooding.socket.rcvhwm = 1
    for _ in range(200):
        for number in range(500):
            flooding.send(m.Statistics(str(number)))
        if steady.ask(m.Statistics).stuck:
            break
    else:
        raise AssertionError("100,000 replies were kept")
    assert steady.finish(steady.run("1")).status == "ok"


def test_coming_and_going_leaves_nothing_behind(launch, attach):
    kernel = launch()
    steady = attach(kernel)
    for _ in range(30):
        attach(kernel).close()
    counters = steady.until_reply(m.Statistics, lambda reply: len(reply.sessions) == 1)
    assert counters.stuck == 0


def test_an_input_request_is_refused_while_no_frontend_is_attached(launch, attach, tmp_path):
    kernel = launch()
    frontend = attach(kernel)
    refused = tmp_path / "refused"
    os.mkfifo(refused)
    frontend.run(
        "import select\n"
        "emit(e.InputRequested('early', cell, ''))\n"
        "for number in range(100_000):\n"
        "    emit(e.InputRequested(str(number), cell, ''))\n"
        "    if select.select([runner.control], [], [], 0.001)[0]: break\n"
        "frame = next(link.FrameReader().feed(runner.control.recv(65536)))\n"
        f"open({str(refused)!r}, 'wb').write(frame)\n"
    )
    frontend.until(lambda: frontend.notebook.inputs)
    frontend.close()
    fd = os.open(refused, os.O_RDONLY | os.O_NONBLOCK)
    select.select([fd], [], [])
    refusal = msgspec.msgpack.decode(os.read(fd, 1000), type=link.Control)
    os.close(fd)
    assert isinstance(refusal, link.NoFrontend)
    late = attach(kernel)
    late.until(lambda: "a" in late.notebook.cells and late.notebook.idle)
    pending = {pending.id for pending in late.notebook.inputs}
    assert {"early", refusal.input} <= pending, "requests stay open for frontends that come later"
