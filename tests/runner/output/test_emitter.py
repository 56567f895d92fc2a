"""Every thread's events in one order, and nothing lost by what interrupts an emission."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from cellwire.protocol import link
from cellwire.protocol.events import Event, OutputsCleared, RunAccepted
from cellwire.runner.output.emitter import CallbackSink, Emitter, LinkSink
from cellwire.runner.output.sinks import EventWithDescriptor
from support.interruption import interruption

_decode = msgspec.msgpack.Decoder(Event | link.Report).decode


class Ends:
    """An emitter on a socket pair and what the other end receives."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.emitter = Emitter(LinkSink(self.ours))
        self._reader = link.FrameReader()

    def received(self) -> list[Any]:
        """Return what has arrived so far."""
        frames: list[Any] = []
        while True:
            try:
                data = self.theirs.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            if not data:
                return frames
            frames.extend(map(_decode, self._reader.feed(data)))


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    with ends.ours, ends.theirs:
        yield ends


def runs(events: list[Any]) -> list[int]:
    return [event.run for event in events]


def test_an_event_is_in_the_socket_when_emit_returns(ends: Ends) -> None:
    for run in range(100):
        ends.emitter.emit(RunAccepted(run))
        assert ends.received() == [RunAccepted(run)]


def test_an_event_emitted_in_the_middle_of_an_emission_follows_it() -> None:
    received: list[int] = []

    def receive(event: Any) -> None:
        received.append(event.run)
        if event.run in (1, 2):
            emitter.emit(RunAccepted(event.run * 10))
            emitter.emit_step(lambda: [RunAccepted(event.run * 10 + 1), RunAccepted(event.run * 10 + 2)])
            assert received[-1] == event.run

    emitter = Emitter(CallbackSink(receive))
    emitter.emit(RunAccepted(1))
    emitter.emit_step(lambda: RunAccepted(2))
    assert received == [1, 10, 11, 12, 2, 20, 21, 22]


def test_the_events_of_a_step_are_sent_together() -> None:
    received: list[Any] = []
    emitter = Emitter(CallbackSink(received.append))
    emitter.emit_step(lambda: None)
    emitter.emit_step(list)
    emitter.emit_step(lambda: [RunAccepted(1), RunAccepted(2)])
    assert received == [RunAccepted(1), RunAccepted(2)]


def test_a_step_refuses_by_returning_an_exception() -> None:
    received: list[Any] = []
    emitter = Emitter(CallbackSink(received.append))
    with pytest.raises(IndexError, match="no such place"):
        emitter.emit_step(lambda: IndexError("no such place"))
    emitter.emit(RunAccepted(1))
    assert received == [RunAccepted(1)]


def test_an_unexpected_exception_does_not_delay_deferred_events() -> None:
    received: list[int] = []

    def receive(event: Any) -> None:
        received.append(event.run)
        if event.run == 1:
            emitter.emit(RunAccepted(2))
            raise KeyboardInterrupt

    emitter = Emitter(CallbackSink(receive))
    with pytest.raises(KeyboardInterrupt):
        emitter.emit(RunAccepted(1))
    assert received == [1, 2]
    emitter.emit(RunAccepted(3))
    assert received == [1, 2, 3]


def test_an_interrupted_step_is_sent_at_its_place_and_once() -> None:
    received: list[int] = []
    calls: list[int] = []
    emitter = Emitter(CallbackSink(lambda event: received.append(event.run)))

    def step() -> RunAccepted:
        calls.append(1)
        if len(calls) == 1:
            emitter.emit(RunAccepted(2))
            raise KeyboardInterrupt
        return RunAccepted(1)

    with pytest.raises(KeyboardInterrupt):
        emitter.emit_step(step)
    # Once more than it was interrupted, to see that it does not raise by itself.
    assert (received, len(calls)) == ([1, 2], 3)


@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit, KeyboardInterrupt, MemoryError])
def test_what_a_step_always_raises_reaches_its_caller_and_holds_up_no_other_event(
    failure: type[BaseException],
) -> None:
    received: list[int] = []
    emitter = Emitter(CallbackSink(lambda event: received.append(event.run)))

    def step() -> None:
        raise failure

    emitter.defer(RunAccepted(0))
    with pytest.raises(failure):
        emitter.emit_step(step)
    emitter.emit(RunAccepted(1))
    emitter.defer_step(step)
    emitter.emit(RunAccepted(2))
    assert received == [0, 1, 2]


def test_a_step_of_another_thread_that_always_raises_does_so_in_that_thread() -> None:
    raised: list[str] = []
    received: list[int] = []
    inside, leave = threading.Event(), threading.Event()

    def receive(event: Any) -> None:
        received.append(event.run)
        # Signal 1: this thread is in the middle of its emission.
        inside.set()
        # Signal 2: the other has handed over its step.
        assert leave.wait(10)

    def emit() -> None:
        try:
            emitter.emit_step(lambda: 1 / 0)
        except ZeroDivisionError as error:
            raised.append(str(error))

    emitter = Emitter(CallbackSink(receive))
    threads = [threading.Thread(target=emitter.emit, args=(RunAccepted(0),)), threading.Thread(target=emit)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    while not emitter._deferred:
        pass
    emitter.defer(RunAccepted(1))
    leave.set()
    for thread in threads:
        thread.join(10)
    assert (received, raised) == ([0, 1], ["division by zero"])


def test_a_deferred_event_that_cannot_be_encoded_is_dropped() -> None:
    received: list[int] = []

    class Sink(CallbackSink):
        def encode(self, *events: Any) -> Any:
            if any(event.run == 1 for event in events):
                raise MemoryError
            return super().encode(*events)

    emitter = Emitter(Sink(lambda event: received.append(event.run)))
    for run in range(3):
        emitter.defer(RunAccepted(run))
    with pytest.raises(MemoryError):
        emitter.flush()
    emitter.emit(RunAccepted(3))
    assert received == [0, 2, 3]


def test_a_thread_that_is_emitting_sends_the_events_of_the_others_too() -> None:
    received: list[int] = []
    inside, leave = threading.Event(), threading.Event()

    def receive(event: Any) -> None:
        received.append(event.run)
        if event.run == 0:
            # Signal 1: the first thread is in the middle of its emission.
            inside.set()
            # Signal 2: the others have handed over their events.
            assert leave.wait(10)

    emitter = Emitter(CallbackSink(receive))
    threads = [threading.Thread(target=emitter.emit, args=(RunAccepted(0),))]
    threads[0].start()
    assert inside.wait(10)
    for run in (1, 2):
        threads.append(threading.Thread(target=emitter.emit, args=(RunAccepted(run),)))
        threads[-1].start()
    while len(emitter._deferred) < 2:
        assert received == [0]
    leave.set()
    for thread in threads:
        thread.join(10)
    assert received[0] == 0
    assert sorted(received) == [0, 1, 2]


def test_a_refusal_is_raised_in_the_thread_that_emitted_the_step() -> None:
    refused: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def receive(_event: Any) -> None:
        inside.set()
        assert leave.wait(10)

    def refuse() -> None:
        try:
            emitter.emit_step(lambda: IndexError("mine"))
        except IndexError as error:
            refused.append(str(error))

    emitter = Emitter(CallbackSink(receive))
    threads = [threading.Thread(target=emitter.emit, args=(RunAccepted(0),)), threading.Thread(target=refuse)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    while not emitter._deferred:
        pass
    leave.set()
    for thread in threads:
        thread.join(10)
    assert refused == ["mine"]


@pytest.mark.parametrize("blocking", [True, False])
def test_frames_of_any_size_arrive_whole_although_the_reader_is_slow(ends: Ends, blocking: bool) -> None:
    ends.ours.setblocking(blocking)
    sizes = [1, 100, 5_000_000, 1, 700_000]
    received: list[Any] = []

    def read() -> None:
        reader = link.FrameReader()
        while len(received) < 4 * len(sizes):
            received.extend(map(_decode, reader.feed(ends.theirs.recv(30_000))))

    def write(name: str) -> None:
        for run, size in enumerate(sizes):
            ends.emitter.emit(OutputsCleared(name * size, run))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    for name in "abcd":
        own = [event for event in received if event.cell[0] == name]
        assert [len(event.cell) for event in own] == sizes
        assert runs(own) == list(range(len(sizes)))


def test_a_descriptor_arrives_with_the_first_byte_of_its_frame_and_is_closed_here(
    ends: Ends,
) -> None:
    reading, writing = os.pipe()
    opened = link.PipeOpened("a", 1, "stdout", 7)

    def receive(_event: Any) -> None:
        ends.emitter.emit(RunAccepted(1))
        ends.emitter.emit(EventWithDescriptor(opened, reading))
        ends.emitter.emit(RunAccepted(2))

    ends.emitter.emit_step(lambda: receive(None))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    first = link.frame(msgspec.msgpack.encode(RunAccepted(1)))
    data, descriptors, _, _ = socket.recv_fds(ends.theirs, len(first), 4)
    assert (data, descriptors) == (first, [])
    data, descriptors, _, _ = socket.recv_fds(ends.theirs, 1, 4)
    assert len(descriptors) == 1
    rest = ends.theirs.recv(1 << 16)
    assert [*map(_decode, link.FrameReader().feed(data + rest))] == [opened, RunAccepted(2)]
    os.write(writing, b"through")
    assert os.read(descriptors[0], 100) == b"through"
    os.close(writing)
    os.close(descriptors[0])


def test_emitting_to_a_kernel_that_is_gone_returns(ends: Ends) -> None:
    ends.theirs.close()
    for _ in range(3):
        ends.emitter.emit(RunAccepted(1))


@pytest.mark.parametrize("error", [TimeoutError, BlockingIOError("mine"), BrokenPipeError("mine")])
def test_an_operating_system_error_of_a_signal_handler_is_not_taken_for_one_of_the_sink(
    ends: Ends, error: Any
) -> None:
    def step() -> None:
        raise error

    with pytest.raises(OSError):
        ends.emitter.emit_step(step)


def test_text_that_is_not_unicode_is_escaped(ends: Ends) -> None:
    ends.emitter.emit(OutputsCleared("\ud800", 1))
    assert ends.received() == [OutputsCleared("\\ud800", 1)]


def test_the_emitter_keeps_nothing_that_was_sent(ends: Ends) -> None:
    sent = 0

    def emitted(emit: Callable[[], None]) -> None:
        nonlocal sent
        emit()
        sent += 1

    for _ in range(50):
        emitted(lambda: ends.emitter.emit(RunAccepted(1)))
        emitted(lambda: ends.emitter.emit_step(lambda: RunAccepted(1)))
    assert len(ends.received()) == sent
    assert not ends.emitter._deferred
    assert ends.emitter._batch is None
    single = ends.emitter._single
    assert (single.steps, single.encoded, single.segments) == ([], [], None)


def test_the_number_of_written_bytes_counts_whole_events_and_each_once(ends: Ends) -> None:
    emitter = ends.emitter
    for count in (1, 3):
        emitter.defer(RunAccepted(1))
        for run in range(count):
            emitter.emit(RunAccepted(run))
        size = emitter.written
        assert size == len(ends.theirs.recv(1 << 20))
        emitter.written = 0


@pytest.mark.parametrize("steps", [0, 3])
def test_a_signal_handler_that_raises_does_not_change_the_number_of_written_bytes(
    ends: Ends, steps: int
) -> None:
    """The emission of an event, and of steps before it, is interrupted at each place, until none is left."""
    at, interrupted, size = 0, True, 0
    while interrupted:
        at += 1
        for _ in range(steps):
            ends.emitter.defer_step(lambda: RunAccepted(0))
        with interruption(at, "emitter.py", "sinks.py") as raised:
            ends.emitter.emit(RunAccepted(at))
        interrupted = bool(raised)
        ends.emitter.emit(RunAccepted(-at))
        size += len(ends.theirs.recv(1 << 20))
        assert ends.emitter.written == size
    assert at > 5
