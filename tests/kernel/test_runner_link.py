"""The kernel's end of the link, against a socket."""

import array
import os
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from cellwire.kernel.loop import Loop
from cellwire.kernel.runner_link import RunnerLink
from cellwire.protocol import events as e
from cellwire.protocol import link
from cellwire.protocol.messages import Complete

encode = msgspec.msgpack.encode


class Ends:
    """Both ends of a link, and what has come in."""

    def __init__(self) -> None:
        self.loop = Loop()
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self.ours = ours
        self.received: list[tuple[Any, bytes]] = []
        self.ended: list[str] = []
        self.link = RunnerLink(
            self.loop, ours, receive=lambda *frame: self.received.append(frame), ended=self.ended.append
        )

    @property
    def events(self) -> list[Any]:
        return [event for event, _ in self.received]

    def write(self, *frames: Any) -> None:
        self.theirs.sendall(b"".join(link.frame(encode(frame)) for frame in frames))

    def turn(self, until: Any) -> None:
        """Go round the loop until a condition holds."""
        self.loop._running = True

        def look() -> float:
            if until():
                self.loop.stop()
            return 0.01

        self.loop.run(look)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.link.finish()
    made.ours.close()
    made.theirs.close()
    made.loop.close()


def test_events_come_with_the_bytes_they_came_in(ends):
    event = e.RunPlanned(1, ["a"])
    ends.write(event)
    assert ends.link.read()
    assert ends.received == [(event, encode(event))]
    assert not ends.link.read()


def test_a_frame_may_come_in_any_number_of_pieces(ends):
    data = link.frame(encode(e.ConsoleWritten("", 0, "stdout", "x" * 1000)))
    for index in range(0, len(data), 7):
        ends.theirs.sendall(data[index : index + 7])
        ends.link.read()
    assert len(ends.events) == 1


def test_a_large_frame_is_taken_in_few_reads(ends):
    ends.theirs.setblocking(False)
    data = memoryview(link.frame(encode(e.ConsoleWritten("", 0, "stdout", "x" * (8 << 20)))))
    reads = 0
    while data or not ends.events:
        try:
            data = data[ends.theirs.send(data) :] if data else data
        except BlockingIOError:
            pass
        reads += ends.link.read()
    assert reads < 200


def test_what_does_not_decode_is_counted_and_costs_nothing_else(ends, capfd):
    ends.theirs.sendall(link.frame(b"\xc1") + link.frame(encode({"type": "CellRestored"})) + link.frame(b""))
    ends.write(e.RunFinished(1))
    ends.link.read()
    assert ends.events == [e.RunFinished(1)]
    assert ends.link.malformed == 3
    assert "does not decode" in capfd.readouterr().err


def test_a_fault_in_handling_one_frame_does_not_lose_the_others(ends, capfd):
    taken: list[Any] = []

    def take(event: Any, encoded: bytes) -> None:
        taken.append(event)
        if len(taken) == 1:
            raise ValueError("a fault")

    ends.link._receive = take
    ends.write(e.RunFinished(1), e.RunFinished(2))
    ends.link.read()
    assert taken == [e.RunFinished(1), e.RunFinished(2)]
    assert "a fault" in capfd.readouterr().err


def test_descriptors_come_in_the_order_of_their_frames(ends):
    pipes = [os.pipe() for _ in range(3)]
    for number, (reading, _) in enumerate(pipes):
        frame = link.frame(encode(link.PipeOpened("a", 1, "stdout", number)))
        rights = array.array("i", [reading])
        ends.theirs.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        os.close(reading)
    for _ in range(3):
        ends.link.read()
    assert [event.pipe for event in ends.events] == [0, 1, 2]
    for _, writing in pipes:
        descriptor = ends.link.take_descriptor()
        assert not os.get_inheritable(descriptor)
        os.write(writing, b"%d" % writing)
        assert os.read(descriptor, 100) == b"%d" % writing
        os.close(descriptor)
        os.close(writing)
    assert ends.link.take_descriptor() is None


def test_writing_never_waits_for_the_runner(ends):
    instructions = [Complete(str(number), "x" * 100_000) for number in range(50)]
    for instruction in instructions:
        ends.link.send(instruction)
    assert ends.link.backlog > 1_000_000
    reader = link.FrameReader()
    taken: list[Any] = []
    ends.theirs.setblocking(False)

    def all_there() -> bool:
        try:
            for frame in reader.feed(ends.theirs.recv(1 << 20)):
                taken.append(msgspec.msgpack.decode(frame, type=link.Control))
        except BlockingIOError:
            pass
        return len(taken) == 50

    ends.turn(all_there)
    assert taken == instructions
    assert ends.link.backlog == 0


def test_the_end_of_the_link_is_reported_once_everything_is_read(ends):
    ends.write(e.RunFinished(1))
    ends.theirs.close()
    ends.turn(lambda: ends.ended)
    assert ends.events == [e.RunFinished(1)]


def test_an_impossible_length_ends_the_link(ends):
    ends.theirs.sendall(b"\xff\xff\xff\xff")
    ends.link.read()
    assert "claims" in ends.ended[0]


def test_writing_to_a_runner_that_is_gone_is_not_a_fault(ends):
    ends.theirs.close()
    for number in range(10):
        ends.link.send(link.Probe(number))
    assert ends.link.backlog == 0
