"""Arbitrary bytes from frontends or on the link never crash the kernel; a readable id gets one answer."""

import os
import random
import socket
from collections import Counter
from contextlib import suppress

import anyio
import msgspec
import pytest
import zmq
from cellwire.kernel.loop import Loop
from cellwire.kernel.runner_link import RunnerLink
from cellwire.protocol import KernelClient, Limits, connect, launch_kernel, link
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.notebook import Item
from support.processes import gone
from support.replicas import truth
from support.waiting import until

pytestmark = pytest.mark.anyio

#: Frames of each test; two hundred thousand in the soak.
FRAMES = int(os.environ.get("CELLWIRE_FRAMES", 20_000))
#: Frames sent before their answers are read.
AT_ONCE = 250
MEGABYTE = 1024 * 1024

encode = msgspec.msgpack.encode

REQUESTS = [
    m.Hello("id"),
    m.RunCells("id", [m.Cell("cell", "1"), m.Cell("other", "2")]),
    m.RunStale("id"),
    m.SyncCells("id", [m.Cell("cell", "1")]),
    m.DeleteCells("id", ["cell"]),
    m.ConfigureCells("id", ["cell"], True),
    m.SetMode("id", "lazy"),
    m.Interrupt("id"),
    m.ProvideInput("id", "1", "text"),
    m.Acknowledge(10),
    m.Ping("id"),
    m.Statistics("id"),
]
#: Sent rarely, since the runner takes milliseconds to answer.
INTROSPECTIONS = [m.Complete("id", "pri", 3), m.Inspect("id", "print", 3), m.Variables("id")]
ODD = [None, True, -1, 1 << 63, 0.5, "", "x", "ü" * 300, b"", b"\xff", [], {}, [[[]]], {"id": {}}, {1: 2}]


def mutated(draw: random.Random, id: str) -> bytes:
    """Return a request with this id, perhaps damaged."""
    plain = msgspec.to_builtins(draw.choice(INTROSPECTIONS if draw.randrange(50) == 0 else REQUESTS))
    plain["id"] = id
    for _ in range(draw.randrange(3)):
        key = draw.choice([*plain, "unknown"])
        action = draw.randrange(4)
        if action == 0:
            plain.pop(key, None)
        elif action == 1:
            plain[key] = draw.choice(ODD)
        elif action == 2 and isinstance(plain.get(key), list):
            plain[key] = [*plain[key], draw.choice(ODD)]
        else:
            plain[draw.choice(["type", "more"])] = draw.choice([*ODD, "RunCells", "Nonsense"])
    frame = bytearray(encode(plain))
    kind = draw.randrange(8)
    if kind == 0 and frame:
        for _ in range(draw.randrange(1, 5)):
            frame[draw.randrange(len(frame))] = draw.randrange(256)
    elif kind == 1:
        del frame[draw.randrange(len(frame)) :]
    elif kind == 2:
        frame += draw.randbytes(draw.randrange(10))
    elif kind == 3 and draw.randrange(4) == 0:
        frame[:] = draw.randbytes(draw.randrange(200))
    elif kind == 4 and draw.randrange(4) == 0:
        frame[:] = b"\x81\xa4type" + b"\x91" * draw.choice([10, 1000, 100_000])
    elif kind == 5 and draw.randrange(4) == 0:
        # Claims to hold four billion elements or bytes.
        frame[:] = draw.choice([b"\xdf", b"\xdd", b"\xdb", b"\xc6"]) + b"\xff" * 4 + bytes(frame)
    return bytes(frame)


def readable_id(frame: bytes) -> str | None:
    """Return the id in a frame that is a map with text keys; None if there is none."""
    with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        content = msgspec.msgpack.decode(frame)
        if (
            isinstance(content, dict)
            and {*map(type, content)} == {str}
            and isinstance(content.get("id"), str)
        ):
            return content["id"] or None
    return None


def is_acknowledgement(frame: bytes) -> bool:
    with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return isinstance(msgspec.msgpack.decode(frame, type=m.Request), m.Acknowledge)
    return False


@pytest.mark.parametrize("seed", range(2))
async def test_every_frame_with_an_id_gets_exactly_one_answer_and_none_does_harm(seed, bare):
    draw, prefix = random.Random(seed), f"seed {seed} number "
    async with launch_kernel(limits=Limits(ring_bytes=MEGABYTE)) as kernel:
        await kernel.run({"a": "x = 1"})
        stranger = bare(kernel.connection)
        await stranger.greet()
        before = 0
        for first in range(0, FRAMES // 2, AT_ONCE):
            expected: set[str] = set()
            due = 1
            for number in range(first, first + AT_ONCE):
                frame = mutated(draw, f"{prefix}{number} {draw.getrandbits(64):x}")
                stranger.send(frame)
                if not is_acknowledgement(frame):
                    due += 1
                    if id := readable_id(frame):
                        expected.add(id)
            expected.add(stranger.post(m.Ping))
            # A frame without a readable id is answered too, perhaps with an empty id.
            answers: Counter[str] = Counter()
            while answers.total() < due:
                message = await stranger.reply(acknowledging=True)
                answers[message.id] += 1
                # Random damage must not reach a fault in the kernel.
                if isinstance(message, m.Error) and message.code == "internal":
                    pytest.fail(f"a fault of the kernel's own: {message}")
            assert expected <= set(answers)
            # Damaged ids may collide, so only intact ones are counted.
            assert {count for id, count in answers.items() if id.startswith(prefix)} == {1}
            if not before:
                before = (await kernel.statistics()).memory
        assert (await kernel.statistics()).memory < before + 16 * MEGABYTE
        assert (await kernel.statistics()).malformed > FRAMES // 20
        await kernel.set_mode("autorun")
        await kernel.configure(["a"], disabled=False)
        finished = await kernel.run({"a": "x = 7\nx"})
        assert finished.status == "ok"
        assert kernel.notebook.runner.generation == 1
        seq, state = await truth(kernel)
        assert (kernel.seq, encode(kernel.notebook)) == (seq, state)


async def test_empty_messages_and_messages_of_several_frames_are_malformed(kernel: KernelClient, bare):
    stranger = bare(kernel.connection)
    await stranger.greet()
    for frames in ([b""], [b"", b""], [encode(m.Ping("1")), encode(m.Ping("2"))], [b"x"] * 1000):
        stranger.send(*frames)
        answer = await stranger.reply(acknowledging=True)
        assert (type(answer), answer.code) == (m.Error, "malformed")
    assert isinstance(await stranger.ask(m.Ping), m.Pong)


async def test_a_repeated_request_is_answered_again_and_carried_out_once(kernel: KernelClient, bare):
    stranger = bare(kernel.connection)
    await stranger.greet()
    request = encode(m.RunCells("once", [m.Cell("a", "print('ran')")]))
    for _ in range(10):
        stranger.send(request)
    answers = [await stranger.reply("once") for _ in range(10)]
    assert len(set(answers)) == 1
    await kernel.wait_idle()
    assert kernel.notebook.cells["a"].console.text() == "ran\n"
    assert kernel.notebook.cells["a"].run == answers[0].run
    # Another request with this id is refused, from any frontend.
    other = bare(kernel.connection)
    await other.greet()
    other.send(encode(m.RunCells("once", [m.Cell("b", "1")])))
    assert (await other.reply("once")).code == "invalid"


async def test_a_request_that_is_too_large_is_refused_and_the_kernel_goes_on(bare):
    async with launch_kernel(limits=Limits(request_bytes=MEGABYTE)) as kernel:
        stranger = bare(kernel.connection)
        await stranger.greet()
        stranger.send(encode(m.RunCells("1", [m.Cell("a", "#" * MEGABYTE)])))
        assert (await stranger.reply("1")).code == "too_large"
        monitor = stranger.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        stranger.send(encode(m.RunCells("2", [m.Cell("a", "#" * 8 * MEGABYTE)])))
        assert await anyio.to_thread.run_sync(lambda: monitor.poll(20_000))
        stranger.socket.disable_monitor()
        monitor.close()
        assert (await kernel.run({"a": "1"})).status == "ok"
        async with connect(kernel.connection_file) as other:
            assert other.notebook.cells["a"].source == "1"


# The link

EVENTS = [
    e.RunPlanned(1, ["a", "b"]),
    e.CellStarted("a", 1, 0.5),
    e.OutputAppended("a", 1, Item(0, {"text/plain": "x"}, {"k": "v"})),
    e.OutputReplaced("a", 1, Item(0, {"text/plain": "y"})),
    e.OutputRemoved("a", 1, 0),
    e.ConsoleWritten("a", 1, "stdout", "text"),
    e.CellFinished("a", 1, "error", 0.1, None),
    e.GraphChanged([e.CellDeclared("a", "x", 1, ["x"], ["y"])], ["a"]),
    e.RunFinished(1, "error", ["a"], "why"),
    link.Alive(1),
    link.PipeOpened("a", 1, "stdout", 1),
    m.Completions("1", [m.Completion("x")]),
    m.VariableList("1"),
    m.Error("1", "internal", "x"),
]


def test_the_link_survives_any_bytes_and_counts_the_frames_it_cannot_decode(capfd):
    draw = random.Random(1)
    loop = Loop()
    kernels, runners = socket.socketpair()
    kernels.setblocking(False)
    received, ended = [], []
    reader = RunnerLink(loop, kernels, receive=lambda frame, _: received.append(frame), ended=ended.append)
    sent = good = 0
    with kernels, runners:
        while sent < FRAMES:
            pieces = []
            for _ in range(100):
                body = bytearray(encode(draw.choice(EVENTS)))
                if draw.randrange(3):
                    for _ in range(draw.randrange(1, 6)):
                        body[draw.randrange(len(body))] = draw.randrange(256)
                else:
                    good += 1
                pieces.append(link.frame(bytes(body)))
            sent += 100
            data = b"".join(pieces)
            cut = draw.randrange(len(data))
            for piece in (data[:cut], data[cut:]):
                runners.sendall(piece)
                while reader.read():
                    pass
        assert not ended
        assert len(received) + reader.malformed == sent
        assert reader.malformed > 0
        assert len(received) >= good
        runners.sendall(b"\xff" * 8)
        reader.read()
        assert len(ended) == 1
    loop.close()


FIND_LINK = """
import os, socket, stat
def find_link():
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found = socket.socket(fileno=os.dup(fd))
                if found.getpeername() == "" and found.family == socket.AF_UNIX and fd < 8:
                    return found
        except OSError:
            pass
"""


async def test_user_code_that_writes_nonsense_to_the_link_ends_only_its_own_runner(kernel: KernelClient):
    await kernel.run({"find": FIND_LINK})
    junk = """
import random
link = find_link()
for i in range(2000):
    body = random.Random(i).randbytes(i % 50)
    link.sendall(len(body).to_bytes(4, "big") + body)
"""
    assert (await kernel.run({"a": junk, "b": "6 * 7"})).status == "ok"
    assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == "42"
    assert (await kernel.statistics()).malformed > 1500
    runner = kernel.notebook.runner.pid
    await kernel.run({"a": "link = find_link()\nlink.sendall(b'\\xff' * 100)\nimport time\ntime.sleep(1000)"})
    await until(kernel, lambda notebook: notebook.runner.condition == "dead")
    assert "claims" in kernel.notebook.runner.reason
    await gone(runner)
    await kernel.restart_runner()
    assert (await kernel.run({"b": "6 * 7"})).status == "ok"
