"""The pipes that a runner's console text comes through: read, split at the markers, decoded.

Two pipes belong to the runner itself, one for each standard stream; markers in them say which cell the
text belongs to. Each child of a cell may have pipes of its own, whose text all belongs to one run. Such
a pipe has a place in the runner's stream: it is not read before the marker `pipe_opened`, and at the
marker `pipe_drained` its content is read before anything after the marker.

The two pipes and the link have one order. Text behind a marker `after` waits until the link has delivered
what was written before, and until the other pipe is read up to there; that cannot take long, as it all was
written before the marker.

A pipe rests for a moment between reads: text comes in small pieces, and a small read costs the kernel
as much as a large one, and takes the core from the runner as often. Text that has to come before the end
of a cell is read at once, by `drain`.

The descriptors that children's pipes may take are bounded. The runner opens no more than these; the kernel
reports the pipes that it closed. When room gets short, it closes pipes of children that finished: they are
still open only because a process that such a child left behind holds them.

A read may split a character: its first bytes wait for the rest, separately for each run.
"""

import codecs
import os
from collections import deque
from collections.abc import Callable

from ..protocol.errors import ProtocolError
from ..protocol.link import PipeOpened
from ..protocol.markers import MarkedReader, Marker
from ..protocol.notebook import Stream
from .console_router import ConsoleRouter
from .diagnostics import report
from .loop import Loop, Timer

#: Bytes of one read, and the most that is read from a pipe in one go to empty it.
_READ = 64 * 1024
_DRAIN = 1024 * 1024
#: Seconds that a pipe rests, which delays text by that much.
_REST = 0.004
#: Pipes of finished children are closed when three quarters of the room are taken. Closed pipes are reported
#: when they are an eighth of it.
_SHORT = 3 / 4
_REPORTED = 1 / 8


class _Pipe:
    """A reading end and the bytes of incomplete characters."""

    def __init__(self, fd: int, stream: Stream) -> None:
        self.fd = fd
        self.stream: Stream = stream
        self.partial: dict[str, tuple[int, bytes]] = {}

    def read(self) -> bytes | None:
        """Return the next bytes, `b""` at the end, and `None` if there are none yet."""
        try:
            return os.read(self.fd, _READ)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def decode(self, cell: str, run: int, data: bytes) -> str:
        known, before = self.partial.pop(cell, (run, b""))
        if known == run:
            data = before + data
        text, used = codecs.utf_8_decode(data, "replace", False)
        if used < len(data):
            self.partial[cell] = (run, data[used:])
        return text


class _MarkedPipe(_Pipe):
    """A pipe of the runner's own."""

    def __init__(self, fd: int, stream: Stream, nonce: bytes) -> None:
        super().__init__(fd, stream)
        self.reader = MarkedReader(nonce)
        self.pieces: deque[bytes | Marker] = deque()
        self.cell, self.run = "", 0
        #: Whether the first piece is a marker that waits for the link.
        self.waiting = False
        #: Whether the last drain left something in the pipe because of that.
        self.behind = False
        #: The latest turn in what was read, and the one for which the other pipe was read last.
        self.turn = 0
        self.asked = 0
        #: Ends the pipe's rest.
        self.resting: Timer | None = None


class _ChildPipe(_Pipe):
    """A pipe of a child, whose text belongs to one run."""

    def __init__(self, fd: int, opened: PipeOpened) -> None:
        super().__init__(fd, opened.stream)
        self.cell, self.run = opened.cell, opened.run
        #: Whether its `pipe_opened` was passed, and whether the child was waited for.
        self.passed = False
        self.finished = False


def _is_later(piece: bytes | Marker, marker: Marker) -> bool:
    """Return whether `piece`, the first one of a pipe, is known to come after `marker` of the other pipe."""
    return (
        isinstance(piece, Marker)
        and piece.kind == "after"
        and (piece.link, piece.turn) > (marker.link, marker.turn)
    )


class Pipes:
    """All pipes of one runner."""

    def __init__(
        self,
        loop: Loop,
        console: ConsoleRouter,
        nonce: bytes,
        stdout: int,
        stderr: int,
        delivered: Callable[[], int],
        *,
        most: int,
        closed: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._most = most
        self._report_closed = closed
        # Pipes that were closed and not reported.
        self._closed = 0
        self._console = console
        #: Returns how many bytes of the link were passed on.
        self._delivered = delivered
        self._marked = (_MarkedPipe(stdout, "stdout", nonce), _MarkedPipe(stderr, "stderr", nonce))
        self._children: dict[int, _ChildPipe] = {}
        #: Pipes of children that had not come over the link when their `pipe_opened` was passed.
        self._passed: set[int] = set()
        self._patient = True
        for pipe in self._marked:
            self._watch_marked(pipe)

    def drain(self) -> None:
        """Read what the runner has written so far, at most a bounded amount of each pipe."""
        for pipe in self._marked:
            room = _DRAIN
            size = _READ
            # A read that does not fill its buffer emptied the pipe.
            while room > 0 and not pipe.waiting and size == _READ:
                size = self._read_marked(pipe)
                room -= size
            pipe.behind = pipe.waiting and size == _READ
            self._let_rest(pipe, size)

    def drain_children(self) -> None:
        """Read what the children have written so far whose place in the runner's stream was passed."""
        for number, pipe in list(self._children.items()):
            if pipe.passed:
                self._drain_child(number)

    @property
    def open_pipes(self) -> int:
        """How many pipes of children are open."""
        return len(self._children)

    @property
    def waiting(self) -> bool:
        """Whether a pipe waits for the link."""
        return self._marked[0].waiting or self._marked[1].waiting

    @property
    def behind(self) -> bool:
        """Whether the last drain left text that waits for the link."""
        return self._marked[0].behind or self._marked[1].behind

    def open(self, opened: PipeOpened, fd: int | None) -> None:
        """Take over the reading end of a child's pipe; `None` if it was lost on its way."""
        if fd is None:
            self._count_closed()
            return
        if len(self._children) > self._most * _SHORT:
            self._close_oldest_finished()
        os.set_blocking(fd, False)
        self._children[opened.pipe] = _ChildPipe(fd, opened)
        if opened.pipe in self._passed:
            self._passed.discard(opened.pipe)
            self._watch_child(opened.pipe)
        self.advance()

    def advance(self) -> None:
        """Pass on the pieces of both pipes in their order, up to markers that have to wait for the link."""
        out, err = self._marked
        while self._consume(out, err) or self._consume(err, out):
            pass
        for pipe in self._marked:
            waiting = bool(pipe.pieces)
            if waiting and not pipe.waiting:
                self._loop.unwatch(pipe.fd)
            elif pipe.waiting and not waiting and pipe.resting is None:
                self._watch_marked(pipe)
            pipe.waiting = waiting

    def link_is_empty(self) -> None:
        """Stop waiting for the link: whatever was sent before a marker has arrived."""
        self._patient = False
        self.advance()
        self._patient = True

    def finish(self) -> None:
        """Read everything that is left after the end of the runner, and close the children's pipes."""
        self._patient = False
        self.advance()
        self.drain()
        for pipe in self._marked:
            pipe.pieces.append(pipe.reader.finish())
        self.advance()
        for pipe in self._marked:
            self._wake(pipe)
            self._loop.unwatch(pipe.fd)
            self._finish_text(pipe)
        for number in list(self._children):
            self._drain_child(number)
            self._close_child(number)

    # The runner's own pipes

    def _watch_marked(self, pipe: _MarkedPipe) -> None:
        self._loop.watch(pipe.fd, lambda: self._ready(pipe))

    def _ready(self, pipe: _MarkedPipe) -> None:
        """Read a pipe that is watched."""
        self._let_rest(pipe, self._read_marked(pipe))

    def _let_rest(self, pipe: _MarkedPipe, size: int) -> None:
        """Stop watching a pipe for a moment if a read of `size` bytes emptied it."""
        if 0 < size < _READ and pipe.resting is None:
            self._loop.unwatch(pipe.fd)
            pipe.resting = self._loop.later(_REST, lambda: self._rested(pipe))

    def _rested(self, pipe: _MarkedPipe) -> None:
        pipe.resting = None
        if not pipe.waiting:
            self._watch_marked(pipe)

    def _wake(self, pipe: _MarkedPipe) -> None:
        """End the pipe's rest without watching it."""
        if pipe.resting is not None:
            pipe.resting.cancel()
            pipe.resting = None

    def _read_marked(self, pipe: _MarkedPipe) -> int:
        """Read once, pass on what may be passed on, and return the number of bytes read."""
        size = self._fetch(pipe)
        if size:
            self.advance()
        return size

    def _fetch(self, pipe: _MarkedPipe) -> int:
        """Read once and return the number of bytes read."""
        data = pipe.read()
        if data is None:
            return 0
        if not data:
            self._loop.unwatch(pipe.fd)
            return 0
        try:
            for piece in pipe.reader.feed(data):
                pipe.pieces.append(piece)
                if isinstance(piece, Marker) and piece.turn:
                    pipe.turn = piece.turn
        except ProtocolError as error:
            report(str(error))
        return len(data)

    def _consume(self, pipe: _MarkedPipe, other: _MarkedPipe) -> bool:
        """Pass on the pieces of a pipe up to the first marker that has to wait; return whether any."""
        consumed = False
        while pipe.pieces and self._may_pass(pipe, other):
            consumed = True
            piece = pipe.pieces.popleft()
            if isinstance(piece, bytes):
                self._write(pipe, pipe.cell, pipe.run, self._joined(pipe, piece))
            elif piece.kind == "cell":
                pipe.cell, pipe.run = piece.cell, piece.run
            elif piece.kind == "clear":
                self._console.clear(piece.cell, piece.run, pipe.stream)
            elif piece.kind == "pipe_drained":
                self._drain_child(piece.pipe)
                if piece.pipe in self._children:
                    self._children[piece.pipe].finished = True
            elif piece.kind == "pipe_opened":
                if piece.pipe in self._children:
                    self._watch_child(piece.pipe)
                else:
                    self._passed.add(piece.pipe)
        return consumed

    def _may_pass(self, pipe: _MarkedPipe, other: _MarkedPipe) -> bool:
        """Return whether nothing has to come before the first piece of `pipe`."""
        piece = pipe.pieces[0]
        if isinstance(piece, bytes):
            return True
        if piece.kind == "pipe_opened":
            return piece.pipe in self._children or not self._patient
        if piece.kind != "after":
            return True
        if piece.link > self._delivered() and self._patient:
            return False
        if not piece.turn or (other.pieces and _is_later(other.pieces[0], piece)):
            return True
        # Text that comes before is in the other pipe by now; with a later turn in it, it was read already.
        if other.turn < piece.turn and pipe.asked < piece.turn:
            pipe.asked = piece.turn
            room = _DRAIN
            while room > 0 and (size := self._fetch(other)):
                room = room - size if size == _READ else 0
        return not other.pieces or _is_later(other.pieces[0], piece)

    def _joined(self, pipe: _MarkedPipe, piece: bytes) -> bytes:
        """Return `piece` and the text after it that belongs to the same run and place."""
        pieces = [piece]
        while pipe.pieces:
            following = pipe.pieces[0]
            if isinstance(following, bytes):
                pieces.append(following)
            elif following.kind == "after":
                if following.turn or following.link > self._delivered():
                    break
            elif (following.kind, following.cell, following.run) != ("cell", pipe.cell, pipe.run):
                break
            pipe.pieces.popleft()
        return b"".join(pieces)

    # Children's pipes

    def _watch_child(self, number: int) -> None:
        pipe = self._children[number]
        pipe.passed = True
        self._loop.watch(pipe.fd, lambda: self._read_child(number))

    def _read_child(self, number: int) -> int:
        pipe = self._children[number]
        data = pipe.read()
        if data:
            self._write(pipe, pipe.cell, pipe.run, data)
            return len(data)
        if data is not None:
            self._close_child(number)
        return 0

    def _drain_child(self, number: int) -> None:
        room = _DRAIN
        while room > 0 and number in self._children and (size := self._read_child(number)):
            room -= size

    def _close_child(self, number: int) -> None:
        pipe = self._children.pop(number, None)
        if pipe is not None:
            self._loop.unwatch(pipe.fd)
            self._finish_text(pipe)
            os.close(pipe.fd)
            self._count_closed()

    def _close_oldest_finished(self) -> None:
        number = next((number for number, pipe in self._children.items() if pipe.finished), None)
        if number is not None:
            self._drain_child(number)
            self._close_child(number)

    def _count_closed(self) -> None:
        self._closed += 1
        if self._closed >= self._most * _REPORTED:
            self._report_closed(self._closed)
            self._closed = 0

    # Text

    def _write(self, pipe: _Pipe, cell: str, run: int, data: bytes) -> None:
        text = pipe.decode(cell, run, data)
        if text:
            self._console.write(cell, run, pipe.stream, text)

    def _finish_text(self, pipe: _Pipe) -> None:
        """Pass on characters that will never be complete."""
        for cell, (run, data) in pipe.partial.items():
            self._console.write(cell, run, pipe.stream, data.decode("utf-8", "replace"))
        pipe.partial.clear()
