"""The kernel's end of one of the two links to a runner.

Writing never blocks: what the socket does not take waits here until it does. Reads are bounded, so that
a runner that emits without pause cannot keep the kernel from its other work. The descriptors that come
with frames are kept in the order of their frames.
"""

import array
import os
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol import link
from ..protocol.errors import ProtocolError
from ..protocol.messages import Completions, Done, Error, Inspection, VariableList
from .diagnostics import report
from .loop import Loop
from .store import RunnerEvent, encode

#: Bytes of one read. The cost of a turn depends on the number of events in it, not on their size.
_READ = 32 * 1024
_READ_LARGE = 1024 * 1024
#: How many frames that do not decode are reported on standard error.
_REPORTED = 10
_DESCRIPTORS = socket.CMSG_SPACE(16 * array.array("i").itemsize)
_CLOEXEC = socket.MSG_CMSG_CLOEXEC if sys.platform == "linux" else 0

Answer = Completions | Inspection | VariableList | Done | Error

_decode = msgspec.msgpack.Decoder(RunnerEvent | link.Report | Answer).decode


class RunnerLink:
    """Frames to and from a runner."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        *,
        receive: Callable[[Any, bytes], None],
        ended: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._socket = connection
        self._receive = receive
        self._ended = ended
        self._reader = link.FrameReader()
        self._size = _READ
        self._outgoing: deque[memoryview] = deque()
        # `None` stands for one that was lost, since this process had no room for it.
        self._descriptors: deque[int | None] = deque()
        #: Bytes that wait for the runner to read.
        self.backlog = 0
        # Whether the socket took less than it was given, so that it is watched for room.
        self._stalled = False
        #: Bytes of the frames that were passed on.
        self.delivered = 0
        #: How many reads returned bytes.
        self.reads = 0
        #: How many frames did not decode.
        self.malformed = 0
        loop.watch(connection.fileno(), self._readable)

    def send(self, instruction: msgspec.Struct) -> None:
        """Send an instruction, or keep it until it can be sent."""
        data = memoryview(link.frame(encode(instruction)))
        self._outgoing.append(data)
        self.backlog += len(data)
        if len(self._outgoing) == 1:
            self._flush()

    def take_descriptor(self) -> int | None:
        """Return the oldest descriptor that was received and not taken; `None` if it is lost."""
        return self._descriptors.popleft() if self._descriptors else None

    def read(self) -> bool:
        """Read once and pass on the complete frames; return whether there was anything to read."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(self._size, _DESCRIPTORS, _CLOEXEC)
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary, flags = b"", [], 0
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(array.array("i", content))
        if flags & socket.MSG_CTRUNC:
            self._descriptors.append(None)
        if not data:
            self._loop.unwatch(self._socket.fileno())
            self._ended(
                "the runner closed its link to the kernel, as os.closerange or os.execv in a cell does"
            )
            return False
        try:
            frames = list(self._reader.feed(data))
        except ProtocolError as error:
            self._loop.unwatch(self._socket.fileno())
            self._ended(str(error))
            return False
        self.reads += 1
        # A read that completes no frame is inside a large one, which is cheap to handle.
        self._size = _READ if frames else _READ_LARGE
        for frame in frames:
            self._pass_on(frame)
            self.delivered += link.HEADER_BYTES + len(frame)
        return True

    def finish(self) -> None:
        """Pass on what is left after the end of the runner, and stop."""
        while self.read():
            pass
        self._loop.unwatch(self._socket.fileno())
        for descriptor in self._descriptors:
            if descriptor is not None:
                os.close(descriptor)
        self._descriptors.clear()
        self._outgoing.clear()
        self.backlog = 0

    def _pass_on(self, frame: bytes) -> None:
        try:
            decoded: Any = _decode(frame)
        except Exception as error:
            # For invalid UTF-8 and for endless nesting, msgspec raises errors that are not its own.
            self.malformed += 1
            if self.malformed <= _REPORTED:
                report(f"a frame of the runner does not decode: {error}")
            return
        try:
            self._receive(decoded, frame)
        except Exception:
            report(traceback.format_exc())

    def _flush(self) -> None:
        """Write what the socket takes, and watch it for room for the rest."""
        try:
            while self._outgoing:
                data = self._outgoing[0]
                sent = self._socket.send(data)
                self.backlog -= sent
                if sent < len(data):
                    self._outgoing[0] = data[sent:]
                    break
                self._outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError:
            # The other end is closed; reading finds that too and handles it.
            self._outgoing.clear()
            self.backlog = 0
        if self._stalled != bool(self._outgoing):
            self._stalled = bool(self._outgoing)
            self._loop.watch_both(
                self._socket.fileno(), self._readable, self._flush if self._stalled else None
            )

    def _readable(self) -> None:
        self.read()
