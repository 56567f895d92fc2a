"""`sys.stdout` and `sys.stderr` of a runner, and the cell that text on descriptors 1 and 2 belongs to.

Each of the two descriptors is one pipe to the kernel, for all text of this process, whatever writes it.
Markers in it (`protocol.markers`) say which cell the text after them belongs to. `Console.enter` writes
one when a cell starts: from there on the text of C code belongs to that cell. Text of another cell's
thread, task or callback comes through `sys.stdout`; it is written with a marker of its own before it and
one that leads back after it, in one write. A write is in the kernel's pipe when it returns; if the pipe
is full it waits, and so do other writers.

Text has its place among the items and the text of the other stream: if the link or the other pipe has
taken anything since the last text in this pipe, a marker `after` comes first.

The streams write to duplicates of the descriptors, so user code that points 1 or 2 elsewhere for a
while redirects only C code and child processes. In the child of a fork, text goes to 1 and 2 unmarked.

`install_console(nonce, link) -> Console` replaces the two streams; the host calls it once.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any, Protocol, cast

from ...protocol.markers import Marker, MarkerKind, encode_marker
from ...protocol.notebook import Stream
from ..output.emitter import Emitter
from ..output.sinks import PipeSink, Sink
from .context import Execution, current_execution
from .printing import install_printing
from .streams import DESCRIPTORS, ConsoleStream

#: As it is before user code can replace it.
_write = os.write
#: Text and the run it belongs to. An event that is only bytes is a marker.
_Text = tuple[Execution | None, bytes]


class _Placed(bytes):
    """A marker that has a place among items as text has."""


class Console:
    """The two pipes of this process, beside its `link` to the kernel."""

    def __init__(self, nonce: bytes, link: Emitter) -> None:
        self._nonce = nonce
        turns = count(1)
        self._sinks = {stream: _MarkedSink(fd, nonce, link, turns) for stream, fd in DESCRIPTORS.items()}
        self._emitters = {stream: Emitter(sink) for stream, sink in self._sinks.items()}
        self._sinks["stdout"].other = self._emitters["stderr"]
        self._sinks["stderr"].other = self._emitters["stdout"]
        self.streams: dict[Stream, ConsoleStream] = {
            stream: ConsoleStream(stream, self._emitters[stream]) for stream in DESCRIPTORS
        }

    def enter(self, execution: Execution | None) -> None:
        """Attribute what C code writes from here on to `execution`."""
        if execution is not None:
            execution = execution.visible
        marker = _marker(self._nonce, "cell", execution)
        for stream, emitter in self._emitters.items():
            emitter.emit_step(partial(self._sinks[stream].enter, execution, marker))

    def mark(self, stream: Stream, kind: MarkerKind, execution: Execution | None, pipe: int = 0) -> None:
        """Write a marker of any kind but `cell` at this place of the stream."""
        self._emitters[stream].emit(_marker(self._nonce, kind, execution, pipe))

    def clear(self, execution: Execution | None) -> None:
        """Remove what `execution` wrote to either stream."""
        for emitter in self._emitters.values():
            emitter.emit(_Placed(_marker(self._nonce, "clear", execution)))


def _marker(nonce: bytes, kind: MarkerKind, execution: Execution | None, pipe: int = 0) -> bytes:
    """Return an encoded marker about `execution`."""
    if execution is not None:
        execution = execution.visible
    cell, run = ("", 0) if execution is None else (execution.cell, execution.run)
    return encode_marker(nonce, Marker(kind, cell, run, pipe))


class _MarkedSink(PipeSink):
    """Writes text between the markers it needs, and other markers as they are."""

    def __init__(self, fd: int, nonce: bytes, link: Emitter, turns: Iterator[int]) -> None:
        super().__init__(os.dup(fd))
        self._number = fd
        self._nonce = nonce
        self._link = link
        #: The emitter of the other stream.
        self.other: Emitter = link
        self._turns = turns
        # How much the link and the other pipe had taken, and the other pipe alone, when text was last written
        # here; and when it was last encoded, which may happen several times before it is written.
        self._seen = self._encoded = 0
        self._seen_other = self._encoded_other = 0
        #: The run that text without a marker of its own belongs to. Only steps of the emitter change it.
        self.owner: Execution | None = None

    def enter(self, execution: Execution | None, marker: bytes) -> bytes:
        self.owner = execution
        return marker

    def encode(self, *events: Any) -> bytes:
        kind: type = type(cast(object, events[0])) if events else bytes
        if kind is bytes:
            self._encoded, self._encoded_other = self._seen, self._seen_other
            return b"".join(events)
        if kind is _Placed:
            data: bytes = events[0]
        else:
            execution, data = cast(_Text, events[0])
            if execution is not self.owner:
                before = _marker(self._nonce, "cell", execution)
                data = before + data + _marker(self._nonce, "cell", self.owner)
        self._encoded = self._link.written + self.other.written
        return data if self._encoded == self._seen else self._place() + data

    def write_iterator(self, segment: bytes, start: int) -> Iterator[int]:
        # From here on the segment will be written, whatever a signal handler raises.
        self._seen = self._encoded
        self._seen_other = self._encoded_other
        return map(_write, (self._fd,), (memoryview(segment)[start:] if start else segment,))

    def _place(self) -> bytes:
        """Return the marker that places text after what the link and the other pipe have taken."""
        link, self._encoded_other = self._link.written, self.other.written
        turn = 0 if self._encoded_other == self._seen_other else next(self._turns)
        # Either may have grown since `_encoded` was read; then the next text has a marker too.
        return encode_marker(self._nonce, Marker("after", link=link, turn=turn))

    def after_fork(self) -> Sink:
        os.close(self._fd)
        return _UnmarkedSink(self._number)


class _UnmarkedSink(PipeSink):
    """Writes text without markers."""

    def encode(self, *events: Any) -> bytes:
        return b"".join([cast(_Text, event)[1] for event in events if type(event) is tuple])


class _Clearing(Protocol):
    def clear(self, execution: Execution | None) -> None: ...


_console: _Clearing | None = None


def use(console: _Clearing) -> None:
    """Let `clear_console` ask `console`."""
    global _console
    _console = console


def install_console(nonce: bytes, link: Emitter) -> Console:
    """Replace `sys.stdout` and `sys.stderr` by a new console's streams, and return the console.

    `link` is the emitter of the items that text is placed among.
    The interpreter's own streams lose their buffer, so text written to them keeps its order too.
    """
    console = Console(nonce, link)
    use(console)
    for own in (sys.__stdout__, sys.__stderr__):
        if own is not None:
            own.reconfigure(write_through=True)  # pyright: ignore[reportAttributeAccessIssue]
    sys.stdout, sys.stderr = console.streams["stdout"], console.streams["stderr"]
    install_printing()
    return console


def clear_console() -> None:
    """Remove what the calling cell wrote to either stream; does nothing without a console."""
    execution = current_execution.get()
    if execution is not None and execution.embedding is not None:
        execution.embedding.clear_text(execution.cell)
    elif _console is not None:
        _console.clear(execution)
