"""The one socket that frontends connect to, and what the kernel keeps for each of them.

A ROUTER that never blocks: it is mandatory, so a message to a frontend that left is an error instead of
being lost, and a full pipe is `Again` instead of a wait. Its descriptor is edge-triggered for both
directions at once, so a turn ends only when nothing is left to receive and nothing was sent after that.

The role comes with each message from the authentication of its connection, never from the frontend:
another process can take over an identity, but not a connection.
"""

import errno
import time
from collections.abc import Callable, Sequence
from typing import cast

import zmq

from ..protocol.limits import Limits
from ..protocol.messages import Error, Role
from .diagnostics import report
from .frontend import Frontend, FrontendGone
from .snapshot import Overtaken
from .store import Store, encode

#: In one turn: requests received, and messages of events sent to each frontend.
_REQUESTS = 64
_MESSAGES = 2
#: Events that are not urgent are held for this many seconds to travel together, at most this many of them.
#: Text that comes after as long a silence is not.
_TOGETHER_SECONDS = 0.001
_TOGETHER = 256
#: Frames of at least this size are passed to ZeroMQ without a copy.
_WITHOUT_COPY = 64 * 1024
#: Shortest time between probes, since any frontend may cause one and each costs a message to all.
_PROBE_SECONDS = 0.02
#: Replies of at least this size are followed until they have left the socket.
_LARGE_REPLY = 16 * 1024
#: Bytes of replies that may wait for all frontends together.
_REPLY_BYTES = 64 * 1024 * 1024
#: Plain ints: arithmetic with enums costs more than the call into the socket.
_POLLIN = int(zmq.POLLIN)
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
#: Seconds until a refused message is sent again, in case the socket's signal was missed.
RETRY = 0.02

#: Handles a request, given its sender, the sender's role and the bytes; returns the encoded reply, or `None`
#: if there is none or it comes later, through `reply`.
Receive = Callable[[bytes, Role, bytes], bytes | None]


class Frontends:
    """Receives requests, and sends the events of the log to every frontend."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        store: Store,
        limits: Limits,
        *,
        authenticated: bool,
        on_frontend_count: Callable[[int], None],
    ) -> None:
        self._socket = socket
        self._store = store
        self._limits = limits
        self._authenticated = authenticated
        self._on_frontend_count = on_frontend_count
        self._frontends: dict[bytes, Frontend] = {}
        self._overtaken = Overtaken()
        #: Dropped frontends whose notice is not sent yet: their connections may be full.
        self._dropped: dict[bytes, Frontend] = {}
        self._present = 0
        self._probed = 0.0
        # The newest event at the last pump, when that was, and since when newer ones are held; 0 if none are.
        self._pumped = 0
        self._pumped_at = 0.0
        self._held_since = 0.0
        # Whether there may be something to send without a new event: a request came, which may be an
        # acknowledgement, or the last pump left something.
        self._more = False
        #: How many frontends were dropped because they read or acknowledged nothing.
        self.stuck = 0

    # Requests and replies

    def turn(self, receive: Receive) -> float:
        """Receive and send a bounded amount; return the seconds that the next turn may wait."""
        received = 0
        while received < _REQUESTS and self._readable():
            received += 1
            self._more = True
            frames, role = self._receive_frames()
            reply = receive(frames[0], role, frames[1] if len(frames) == 2 else b"")
            if reply is not None:
                # Over a network a reply travels with the events that are to follow it: a tunnel would keep a
                # second small write until the first is confirmed.
                frontend = self._frontends.get(frames[0]) if self._authenticated else None
                self.reply(frames[0], reply, held=frontend is not None and frontend.is_behind(self._store))
        wait = self._may_hold()
        if not wait:
            self._more = self._pump()
            wait = 0.0 if self._more or self._readable() else float("inf")
        return wait if received < _REQUESTS else 0.0

    def reply(self, identity: bytes, reply: bytes, *, held: bool = False) -> None:
        """Send an encoded reply, with the next events if `held`; before `Hello` it may be lost."""
        frontend = self._frontends.get(identity)
        try:
            if frontend is None:
                # Large ones are only for frontends that were dropped since they asked.
                if len(reply) < _LARGE_REPLY:
                    self._send(identity, (reply,))
                return
            if len(reply) < _LARGE_REPLY:
                fits = frontend.reply((reply,), held=held)
            else:
                fits = _reply_tracked(frontend, reply)
            # A reply of any size may wait if it is the only one of its frontend.
            if not fits or (frontend.reply_bytes > len(reply) and self._waiting_bytes() > _REPLY_BYTES):
                self._drop(frontend, "it read no replies")
        except FrontendGone:
            self._remove(identity)

    def _waiting_bytes(self) -> int:
        """Return the bytes of the replies that wait for all frontends."""
        return sum(frontend.reply_bytes for frontend in self._frontends.values())

    # Frontends

    def frontend(self, identity: bytes) -> Frontend | None:
        """Return the frontend of this identity; `None` before its `Hello`."""
        return self._frontends.get(identity)

    def open(self, identity: bytes, role: Role, client: str) -> Frontend:
        """Return the frontend that sent `Hello`; the caller opens it at its cursor."""
        # Frontends that left without a message are found here, so that coming and going costs nothing.
        self.probe()
        self._dropped.pop(identity, None)
        frontend = self._frontends.get(identity)
        if frontend is None or frontend.role != role:
            frontend = Frontend(identity, role, client, self._limits, self._send, self._overtaken)
            self._frontends[identity] = frontend
            self._count()
        frontend.client = client
        return frontend

    def attached(self) -> Sequence[Frontend]:
        """Return the frontends that sent `Hello` and did not leave."""
        return list(self._frontends.values())

    def probe(self) -> None:
        """Remove the frontends that left; does nothing if that was done a moment ago."""
        now = time.monotonic()
        if now < self._probed + _PROBE_SECONDS:
            return
        self._probed = now
        for frontend in self.attached():
            try:
                frontend.probe(self._store)
            except FrontendGone:
                self._remove(frontend.identity)

    def acknowledged(self) -> int:
        """Return how many bytes all frontends together acknowledged."""
        return sum(frontend.acknowledged for frontend in self._frontends.values())

    def caught_up(self) -> bool:
        """Whether every frontend acknowledged everything."""
        seq = self._store.log.last
        return all(frontend.caught_up(seq) for frontend in self._frontends.values())

    @property
    def blocked(self) -> bool:
        """Whether the socket refused a message, which is sent again after `RETRY` seconds."""
        return any(frontend.blocked for frontend in self._frontends.values())

    @property
    def waiting(self) -> bool:
        """Whether a frontend has to read or acknowledge something before more can be sent to it."""
        return any(frontend.full_since is not None for frontend in self._frontends.values())

    def drop_stuck(self) -> None:
        """Drop the frontends that acknowledged nothing for too long while their window was full."""
        limit = self._limits.stuck_seconds
        latest = time.monotonic() - limit
        for frontend in self.attached():
            if frontend.full_since is not None and frontend.full_since <= latest:
                self._drop(frontend, f"it acknowledged nothing for {limit:g} seconds")

    def _may_hold(self) -> float:
        """Return how many seconds the events since the last pump may still be held."""
        pending = self._store.log.last - self._pumped
        if not (pending or self._more or self.blocked or self._dropped):
            return float("inf")
        if not pending or self._store.urgent or pending > _TOGETHER:
            return 0.0
        now = time.monotonic()
        if self._store.text and now - self._pumped_at >= _TOGETHER_SECONDS:
            return 0.0
        self._held_since = self._held_since or now
        return max(0.0, self._held_since + _TOGETHER_SECONDS - now)

    def _pump(self) -> bool:
        more = False
        now = time.monotonic()
        self._pumped = self._store.log.last
        self._pumped_at = now
        self._store.urgent = self._store.text = False
        self._held_since = 0.0
        departed: list[bytes] = []
        for frontend in self._frontends.values():
            try:
                if frontend.pump(self._store, _MESSAGES, now):
                    more = True
            except FrontendGone:
                departed.append(frontend.identity)
        for identity in departed:
            self._remove(identity)
        if self._dropped:
            self._send_notices()
        return more

    def _drop(self, frontend: Frontend, reason: str) -> None:
        self.stuck += 1
        report(f"dropped a frontend ({frontend.client or 'unnamed'}): {reason}")
        self._remove(frontend.identity)
        notice = Error("", "busy", f"this frontend was dropped: {reason}", "send Hello to attach again")
        frontend.drop((encode(notice),))
        self._dropped[frontend.identity] = frontend
        self._send_notices()

    def _send_notices(self) -> None:
        """Notify dropped frontends, as far as their connections take a message."""
        for identity, frontend in list(self._dropped.items()):
            try:
                sent = frontend.flush()
            except FrontendGone:
                sent = True
            if sent:
                del self._dropped[identity]

    def _remove(self, identity: bytes) -> None:
        if self._frontends.pop(identity, None) is not None:
            self._count()

    def _count(self) -> None:
        present = sum(frontend.role == "control" for frontend in self._frontends.values())
        if present != self._present:
            self._present = present
            self._on_frontend_count(present)

    # The socket

    def _send(self, identity: bytes, frames: Sequence[bytes]) -> bool:
        """Pass a message to the socket; return `False` if the pipe is full.

        Raises: FrontendGone if no connection has this identity.
        """
        try:
            # Only the first part can be refused: ZeroMQ takes a whole message or nothing.
            self._socket.send(identity, _MORE)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == errno.EHOSTUNREACH:
                raise FrontendGone from None
            raise
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            flags = _MORE if index < last else _LAST
            self._socket.send(frame, flags, copy=type(frame) is bytes and len(frame) < _WITHOUT_COPY)
        return True

    def _readable(self) -> bool:
        return bool(cast(int, self._socket.get(zmq.EVENTS)) & _POLLIN)

    def _receive_frames(self) -> tuple[list[bytes], Role]:
        """Return the next message and the role of its connection."""
        if not self._authenticated:
            return self._socket.recv_multipart(zmq.NOBLOCK), "control"
        frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        return [frame.bytes for frame in frames], cast(Role, frames[-1].get("User-Id"))


def _reply_tracked(frontend: Frontend, reply: bytes) -> bool:
    frame = zmq.Frame(reply, track=True, copy=False)
    tracker = frame.tracker
    # The frame itself must not be kept: it counts as a part of the message that has not left.
    return frontend.reply((cast(bytes, frame),), lambda: tracker is None or tracker.done)
