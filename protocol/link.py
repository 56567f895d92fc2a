"""What the kernel and the runner say to each other over their two socket pairs.

A frame is a length (4 bytes, big-endian) and that many bytes of msgpack. Over the link go runs to the
runner's main thread, and everything that the runner says: events, answers to forwarded questions, and
`Report`s. Over the control link goes what has to get through while the main thread runs user code, to a
thread of its own, which therefore is not woken by runs. Nothing on one of the two depends on what
comes on the other. Both ends are of one version and one machine, so this is no public protocol and
may change freely.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from .errors import ProtocolError
from .events import CellDeclared
from .limits import Limits
from .messages import Complete, Inspect, Run, Variables
from .notebook import Mode, Redefine, Stream

#: No frame is longer; one that claims to be is a broken peer.
LARGEST_FRAME = 1 << 30
_LENGTH = struct.Struct(">I")


class _Tagged(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What all frames have in common: the tag."""


class Configure(_Tagged, frozen=True):
    """First of all: how this runner is to work, and what an earlier one has left."""

    generation: int
    #: Bytes that announce a console marker; nobody else knows them.
    nonce: bytes
    limits: Limits
    mode: Mode = "autorun"
    #: The smallest (most negative) number of a run that an earlier runner gave itself.
    last_own_run: int = 0
    #: Cells in notebook order; they are declared, and stale. Their names are not looked at.
    cells: list[CellDeclared] = []
    disabled: list[str] = []
    redefine: Redefine = "error"
    #: Seconds that the main thread does not sleep after a run: the next one may be on its way.
    awake_seconds: float = 0.0


class Execute(_Tagged, frozen=True):
    """Carry out a run; the next one is sent when this one has had its `RunFinished`."""

    run: int
    request: Run


class InterruptThrough(_Tagged, frozen=True):
    """Runs up to this number are interrupted, begun or not; SIGINT, which may overtake them, follows."""

    run: int


class Answer(_Tagged, frozen=True):
    """The text that a frontend has given to a question of user code; None if its input has ended."""

    input: str
    text: str | None


class NoFrontend(_Tagged, frozen=True):
    """No frontend was attached that could answer the question when it was asked."""

    input: str


class Probe(_Tagged, frozen=True):
    """Answer with `Alive` of the same number."""

    number: int


class Exit(_Tagged, frozen=True):
    """End the process in order."""


#: Over the link, from the kernel.
Instruction = Configure | Execute
#: Over the control link.
Control = InterruptThrough | Answer | NoFrontend | Probe | Exit | Complete | Inspect | Variables


class Alive(_Tagged, frozen=True):
    """The runner's interpreter still gets its turn."""

    number: int


class PipeOpened(_Tagged, frozen=True):
    """The descriptor that came with this frame is the reading end of a pipe of a cell's child."""

    cell: str
    run: int
    stream: Stream
    #: Names the pipe in console markers.
    pipe: int


Report = Alive | PipeOpened


def frame(body: bytes) -> bytes:
    """Return `body` as it goes over the link."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Any) -> Iterator[bytes]:
        """Add `data` and return the frames that are complete.

        Raises: ProtocolError if a frame claims to be longer than `LARGEST_FRAME`.
        """
        self._buffer += data
        start = 0
        view = memoryview(self._buffer)
        frames: list[bytes] = []
        try:
            while len(view) - start >= 4:
                (length,) = _LENGTH.unpack_from(view, start)
                if length > LARGEST_FRAME:
                    raise ProtocolError(f"a frame on the link claims {length} bytes")
                if len(view) - start - 4 < length:
                    break
                frames.append(bytes(view[start + 4 : start + 4 + length]))
                start += 4 + length
        finally:
            view.release()
            if start:
                del self._buffer[:start]
        return iter(frames)
