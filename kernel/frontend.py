"""One frontend: a cursor into the log, what was sent to it, and what is still to be sent.

Pure over the function that sends. Three things go out, in this order: replies, the message of events
that the socket refused, and then further events while fewer bytes than the window are unacknowledged.
If the log no longer holds the event at the cursor, the state is sent as a snapshot and the cursor moves
behind it; new, slow and returning frontends are the same case. A snapshot that the log overtakes begins
again, unless it is the one that may go on. A frontend holds no events but one message that the socket
refused, so it costs at most a window and its replies, which are bounded in number and bytes.
"""

from collections import deque
from collections.abc import Callable, Sequence

from ..protocol.limits import Limits
from ..protocol.messages import Role, SessionStatistics
from . import framing
from .snapshot import Overtaken, SnapshotReader
from .store import Store

#: Passes one message to the socket; returns `False` if the socket refuses it.
#: Raises: FrontendGone if the frontend is gone.
Send = Callable[[bytes, Sequence[bytes]], bool]
#: Returns whether a message has left the socket.
Left = Callable[[], bool]

#: Replies that may wait for a frontend that does not read; `Frontends` bounds their bytes.
_REPLIES = 1024
#: Bytes of large replies that may be in the socket, whose own bound is a number of messages.
_LEAVING_BYTES = 1024 * 1024


def at_once() -> bool:
    """Count a message as gone once the socket has it."""
    return True


class FrontendGone(Exception):
    """Raised when a frontend is not connected any more."""


class Frontend:
    """What the kernel knows of one frontend."""

    def __init__(
        self, identity: bytes, role: Role, client: str, limits: Limits, send: Send, overtaken: Overtaken
    ) -> None:
        self.identity = identity
        self.role: Role = role
        self.client = client
        #: When sending had to stop, if nothing was acknowledged since; `None` while there is room.
        self.full_since: float | None = None
        #: Whether a message is held, or was refused by the socket and has to be sent again.
        self.blocked = False
        self._limits = limits
        self._send = send
        self._overtaken = overtaken
        self._replies: deque[tuple[Sequence[bytes], Left]] = deque()
        #: Bytes of the replies that wait to be sent.
        self.reply_bytes = 0
        #: Large replies that have not left the socket, with their bytes.
        self._leaving: deque[tuple[Left, int]] = deque()
        self._refused: Sequence[bytes] | None = None
        self._cursor = 1
        self._snapshot: SnapshotReader | None = None
        # Whether the first part of a snapshot was sent, and the last was not.
        self._amid_snapshot = False
        self._snapshots = 0
        self._sent = 0
        # Bytes up to the last event; probes after it need no acknowledgement.
        self._required = 0
        #: Bytes that the frontend acknowledged since it was opened.
        self.acknowledged = 0

    @property
    def unacknowledged(self) -> int:
        """Bytes of events that were sent and not acknowledged."""
        return self._sent - self.acknowledged

    def open(self, store: Store, epoch: str, seq: int) -> None:
        """Start again from the state `(epoch, seq)`, which the frontend holds.

        Whatever happens after this call reaches it as events, even if the current state is sent first.
        """
        known = epoch == store.epoch and store.log.first - 1 <= seq <= store.log.last
        self._cursor = (seq if known else store.log.last) + 1
        if known:
            self._snapshot = None
        elif self._snapshot is None or not self._snapshot.fresh or self._snapshot.seq != store.log.last:
            # A frontend that repeats its greeting does not make the kernel copy the same state again.
            self._snapshot = self._take_snapshot(store)
        self._refused = None
        self._amid_snapshot = False
        self._sent = self._required = self.acknowledged = 0
        self.full_since = None

    def reply(self, frames: Sequence[bytes], left: Left = at_once, *, held: bool = False) -> bool:
        """Send a reply ahead of events; return `False` if too many replies are waiting.

        `left` returns whether a reply that was sent has left the socket. One that is `held` waits for the
        next `pump`, and later ones behind it.

        Raises: FrontendGone if the frontend is gone.
        """
        if held or self._replies or not self._send_reply(frames, left):
            self._replies.append((frames, left))
            self.reply_bytes += sum(map(len, frames))
            self.blocked = True
        return len(self._replies) <= _REPLIES

    def drop(self, notice: Sequence[bytes]) -> None:
        """Discard everything that waits to be sent; the next `flush` sends `notice` alone."""
        self._snapshot = self._refused = None
        self._replies = deque([(notice, at_once)])
        self.reply_bytes = sum(map(len, notice))
        self.blocked = True

    def acknowledge(self, received: int) -> None:
        """Note that the frontend applied `received` bytes since it was opened."""
        if self.acknowledged < received <= self._sent:
            self.acknowledged = received
            self.full_since = None

    def pump(self, store: Store, messages: int, now: float) -> bool:
        """Send what may be sent, at most `messages` messages of events; return whether more may be sent.

        Raises: FrontendGone if the frontend is gone.
        """
        if self._snapshot is not None:
            self._begin_again_if_overtaken(self._snapshot, store)
        if self.blocked:
            if not self.flush():
                self._wait(now)
                return False
            self.full_since = None
        for _ in range(messages):
            if not self.is_behind(store):
                return False
            if self.unacknowledged >= self._limits.window_bytes:
                self._wait(now)
                return False
            if not self._send_events(self._advance(store)):
                return False
        return self.is_behind(store)

    def flush(self) -> bool:
        """Send what the socket refused before; return whether all of it is sent.

        Raises: FrontendGone if the frontend is gone.
        """
        while self._replies:
            frames, left = self._replies[0]
            if not self._send_reply(frames, left):
                return False
            self.reply_bytes -= sum(map(len, frames))
            self._replies.popleft()
        if self._refused is not None:
            if not self._send(self.identity, self._refused):
                return False
            self._refused = None
        self.blocked = False
        return True

    def probe(self, store: Store) -> None:
        """Send a message without events, to find out whether the frontend is still connected.

        Raises: FrontendGone if it is not.
        """
        limit = self._limits.batch_bytes
        if self.blocked or (self._snapshot is not None and not self._amid_snapshot):
            return
        required = self._required
        if self._amid_snapshot:
            self._send_events(framing.snapshot(store.epoch, self._cursor - 1, False, False, (), limit))
        else:
            self._send_events(framing.batch(self._cursor, (), limit))
        self._required = required

    def is_behind(self, store: Store) -> bool:
        """Whether there are events that were not sent yet."""
        return self._snapshot is not None or self._cursor <= store.log.last

    def caught_up(self, seq: int) -> bool:
        """Whether the frontend acknowledged everything up to event `seq` and no reply waits."""
        return (
            self._snapshot is None
            and self._cursor > seq
            and self.acknowledged >= self._required
            and not self.blocked
        )

    def statistics(self, seq: int) -> SessionStatistics:
        """Return what other frontends may know about this one; `seq` is the newest event."""
        return SessionStatistics(
            client=self.client,
            role=self.role,
            behind=seq - self._cursor + 1,
            unacknowledged=self.unacknowledged,
            snapshots=self._snapshots,
        )

    def _advance(self, store: Store) -> Sequence[bytes]:
        """Return the frames of the next message of events and move the cursor past them."""
        limit = self._limits.batch_bytes
        if self._snapshot is None and self._cursor >= store.log.first:
            events = store.log.read(self._cursor, limit)
            frames = framing.batch(self._cursor, events, limit)
            self._cursor += len(events)
            return frames
        if self._snapshot is None:
            self._snapshot = self._take_snapshot(store)
        snapshot = self._snapshot
        fresh = snapshot.fresh
        events = snapshot.read(limit)
        self._cursor = snapshot.seq + 1
        self._amid_snapshot = not snapshot.exhausted
        if snapshot.exhausted:
            self._snapshot = None
        return framing.snapshot(store.epoch, snapshot.seq, fresh, snapshot.exhausted, events, limit)

    def _send_reply(self, frames: Sequence[bytes], left: Left) -> bool:
        if left is at_once:
            return self._send(self.identity, frames)
        while self._leaving and self._leaving[0][0]():
            self._leaving.popleft()
        size = sum(map(len, frames))
        if self._leaving and size + sum(size for _, size in self._leaving) > _LEAVING_BYTES:
            return False
        if not self._send(self.identity, frames):
            return False
        self._leaving.append((left, size))
        return True

    def _begin_again_if_overtaken(self, snapshot: SnapshotReader, store: Store) -> None:
        """Give up a snapshot whose state the log does not continue any more, unless it is the one kept."""
        if snapshot.seq < store.log.first - 1 and not self._overtaken.may_go_on(snapshot):
            # The cursor is behind the log as well, so that a new one is taken when there is room for it.
            self._cursor = snapshot.seq + 1
            self._snapshot = None

    def _wait(self, now: float) -> None:
        if self.full_since is None:
            self.full_since = now

    def _take_snapshot(self, store: Store) -> SnapshotReader:
        self._snapshots += 1
        return SnapshotReader(store.notebook, store.log.last)

    def _send_events(self, frames: Sequence[bytes]) -> bool:
        self._sent += sum(map(len, frames))
        self._required = self._sent
        if self._send(self.identity, frames):
            return True
        self._refused = frames
        self.blocked = True
        return False
