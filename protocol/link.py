"""What the kernel and the runner send each other over their two socket pairs.

A frame is a length (4 bytes, big-endian) and that many bytes of msgpack. The link carries runs and messages
of comms, in order, to the runner's main thread, and everything from the runner: events, answers to
introspection requests, and `Report`s. The control link carries what has to get through while the main thread
runs user code, to a thread of its own, which runs therefore do not wake. Nothing on one of the two depends on
messages of the other. Both ends have one version and run on one machine, so this is not a public protocol and
may change freely.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from .errors import ProtocolError
from .events import CellDeclared
from .limits import Limits
from .messages import Complete, Inspect, Run, SendComm, Variables
from .notebook import Dialect, Mode, Redefine, Stream

#: No frame is longer; a peer that announces a longer one is broken.
LARGEST_FRAME: Final = 1 << 30
_LENGTH = struct.Struct(">I")
#: Bytes of a frame before its body.
HEADER_BYTES: Final = _LENGTH.size


class _Tagged(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of all frames: the tag."""


class Configure(_Tagged, frozen=True):
    """Sent first: how this runner has to work, and what an earlier one left."""

    generation: int
    #: Bytes that announce a console marker; known to the kernel and this runner alone.
    nonce: bytes
    limits: Limits
    mode: Mode = "autorun"
    #: The smallest (most negative) run number that an earlier runner gave itself.
    last_own_run: int = 0
    #: Cells in notebook order; they are declared and stale. Their `defs` and `refs` are ignored.
    cells: list[CellDeclared] = []
    disabled: list[str] = []
    redefine: Redefine = "error"
    #: Seconds that the main thread stays awake after a run, as the next one may follow at once.
    awake_seconds: float = 0.0
    #: `sys.argv` of the notebook, whose `__file__` is the first of it.
    argv: list[str] = []
    #: How many pipes of children the kernel can have open; `PipesClosed` gives some back.
    child_pipes: int = 0
    #: What cells are written in.
    dialect: Dialect = "python"
    #: Functions, as `module:function`, to be called with the host before the first cell.
    extensions: list[str] = []


class Execute(_Tagged, frozen=True):
    """Carry out a run; the next one is sent after `RunFinished` or `TurnGiven` of this one."""

    run: int
    request: Run


class Answer(_Tagged, frozen=True):
    """The text that a frontend gave for an `input()` of user code; None if the frontend's input ended."""

    input: str
    text: str | None


class NoFrontend(_Tagged, frozen=True):
    """No frontend was attached that could answer when user code asked for input."""

    input: str


class Probe(_Tagged, frozen=True):
    """Answer with `Alive` of the same number."""

    number: int


class PipesClosed(_Tagged, frozen=True):
    """The kernel closed this many pipes of children since it last said so."""

    number: int


class Interrupted(_Tagged, frozen=True):
    """The kernel has just sent SIGINT, which does not wake a thread that was about to wait."""


class Exit(_Tagged, frozen=True):
    """End the process in order."""


#: Over the link, from the kernel.
Instruction: TypeAlias = Configure | Execute | SendComm
#: Over the control link.
Control: TypeAlias = (
    Answer | NoFrontend | Probe | PipesClosed | Interrupted | Exit | Complete | Inspect | Variables
)


class Alive(_Tagged, frozen=True):
    """The runner's interpreter still runs other threads."""

    number: int


class TurnGiven(_Tagged, frozen=True):
    """All that is left of a run waits for cells that await or run elsewhere: the next one may begin."""

    run: int


class PipeOpened(_Tagged, frozen=True):
    """The descriptor sent with this frame is the reading end of a pipe of a cell's child process."""

    cell: str
    run: int
    stream: Stream
    #: Names the pipe in console markers.
    pipe: int


Report: TypeAlias = Alive | TurnGiven | PipeOpened


def frame(body: bytes) -> bytes:
    """Return `body` with its length in front."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Any) -> Iterator[bytes]:
        """Add `data` and return the complete frames.

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
