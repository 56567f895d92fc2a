"""Where an emitter's events go: a callback, the link to the kernel, or a descriptor.

A sink has no lock and no queue: the emitter calls it from one thread at a time, and keeps what is not
written yet. A sink writes through an iterator made in C, so that the emitter can make a system call and
record its result without a bytecode in between.
"""

import os
import select
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Protocol, Self

import msgspec

from ...protocol import link
from ...protocol.events import OutputAppended, OutputReplaced
from ...protocol.notebook import Item
from .encoding import encode

#: As it is before user code can replace it.
_write = os.write


class Sink(Protocol):
    """Encodes and writes what an emitter sends. The emitter calls every method under its lock."""

    def encode(self, *events: Any) -> Any:
        """Return `events`, in the order of the wire, in the form that is written; never raises.

        It is called again for the same events if a signal handler raises.
        """
        ...

    def join(self, entries: list[Any]) -> Sequence[Any]:
        """Return what is to be written for encoded `entries`, as segments with a length."""
        ...

    def write_iterator(self, segment: Any, start: int) -> Iterable[int]:
        """Return an iterator written in C that, consumed, writes from `start` and yields how much.

        Raises (when consumed): BlockingIOError if the descriptor is full and does not block.
        """
        ...

    def wait(self) -> None:
        """Wait until writing is possible again."""
        ...

    def after_fork(self) -> "Sink":
        """Return the sink to use instead of this one in the child of a fork."""
        ...


class EventWithDescriptor:
    """An event that takes a file descriptor along over the link; this process's copy is closed after that."""

    __slots__ = ("descriptor", "event")

    def __init__(self, event: Any, descriptor: int) -> None:
        self.event: Any = event
        self.descriptor: int = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class CallbackSink:
    """Calls `callback` with each event, at most once; output items are decoded copies.

    What `callback` raises reaches the caller that emits at that moment.
    """

    def __init__(self, callback: Callable[[Any], object]) -> None:
        self._callback = callback

    def encode(self, *events: Any) -> tuple[Any, ...]:
        return tuple(map(_as_received, events))

    def join(self, entries: list[Any]) -> Sequence[Any]:
        return entries

    def write_iterator(self, segment: Any, start: int) -> Iterator[int]:
        for event in segment[start:]:
            # Counted before the call: after an exception the event must not be delivered again.
            yield 1
            self._callback(event)

    def wait(self) -> None:
        raise NotImplementedError

    def after_fork(self) -> Sink:
        return self


class LinkSink:
    """Writes events, replies and reports as frames to `connection`, whose other end the kernel holds."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._send = connection.send

    def encode(self, *events: Any) -> bytes:
        if len(events) == 1:
            if type(events[0]) is EventWithDescriptor:
                return _FrameWithDescriptor(link.frame(encode(events[0].event)), events[0])
            return link.frame(encode(events[0]))
        return b"".join([link.frame(encode(event)) for event in events])

    def join(self, entries: list[Any]) -> Sequence[Any]:
        if len(entries) == 1:
            return entries
        if _FrameWithDescriptor not in map(type, entries):
            return (b"".join(entries),)
        # A descriptor must arrive with the first byte of its frame, so that frame is not joined to others.
        segments: list[bytes] = []
        for special, group in groupby(entries, _has_descriptor):
            frames = list(group)
            segments += frames if special else [b"".join(frames)]
        return segments

    def write_iterator(self, segment: Any, start: int) -> Iterator[int]:
        if start:
            return map(self._send, (memoryview(segment)[start:],))
        if type(segment) is _FrameWithDescriptor:
            rights = (
                socket.SOL_SOCKET,
                socket.SCM_RIGHTS,
                segment.source.descriptor.to_bytes(4, sys.byteorder),
            )
            return map(self._connection.sendmsg, ((segment,),), ((rights,),))
        return map(self._send, (segment,))

    def wait(self) -> None:
        _wait_writable(self._connection.fileno())

    def after_fork(self) -> Sink:
        """Close the child's copy, so that the link ends for the kernel when the runner ends."""
        self._connection.close()
        return _TextSink(1)


class _FrameWithDescriptor(bytes):
    """The frame of an event with a descriptor, which stays open as long as this object lives."""

    source: EventWithDescriptor

    def __new__(cls, frame: bytes, source: EventWithDescriptor) -> Self:
        self = super().__new__(cls, frame)
        self.source = source
        return self


def _has_descriptor(frame: bytes) -> bool:
    return type(frame) is _FrameWithDescriptor


class PipeSink:
    """Writes bytes to the descriptor `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def encode(self, *events: Any) -> bytes:
        return events[0] if len(events) == 1 else b"".join(events)

    def join(self, entries: list[bytes]) -> Sequence[bytes]:
        return entries if len(entries) == 1 else (b"".join(entries),)

    def write_iterator(self, segment: bytes, start: int) -> Iterator[int]:
        return map(_write, (self._fd,), (memoryview(segment)[start:] if start else segment,))

    def wait(self) -> None:
        _wait_writable(self._fd)

    def after_fork(self) -> Sink:
        return self


class _TextSink(PipeSink):
    """Writes the text of output items, for a process without a kernel."""

    def encode(self, *events: Any) -> bytes:
        return b"".join([_plain_text(e) for e in events if isinstance(e, (OutputAppended, OutputReplaced))])


def _plain_text(event: Any) -> bytes:
    text = _as_received(event).item.data.get("text/plain", "")
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def _as_received(event: Any) -> Any:
    """Return `event` as a frontend receives it: an encoded item becomes a decoded copy."""
    if isinstance(event, (OutputAppended, OutputReplaced)):
        return _output_decoder().decode(encode(event))
    return event


@cache
def _output_decoder() -> Any:
    # Made on first use: it takes milliseconds, and a runner does not need it.
    return msgspec.msgpack.Decoder(OutputAppended[Item] | OutputReplaced[Item])
