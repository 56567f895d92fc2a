"""A client's connection: one DEALER socket, one task that receives, and the callers that wait.

Only the receiving task applies events, so the replica changes only while its readers await. A send may
consume the signal that announces a message (see `dealer`); then the receiving task is woken.

Requests are kept until they are answered. The session greets the kernel on every new connection
(ZeroMQ's monitor reports them) and after a gap, from the state that the replica holds, and sends again
what is unanswered; the kernel carries out nothing twice. A session ends once, with one error that every
waiter gets; after that, only a new client can connect again.
"""

import math
import os
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc
import msgspec
import zmq

from ..connection import Connection, KeyPair
from ..errors import FORKED, CellwireError, KernelDied, ProtocolError, RequestError
from ..events import Event, RunFinished
from ..messages import (
    PROTOCOL,
    Acknowledge,
    Batch,
    Error,
    FromKernel,
    Hello,
    Reply,
    Request,
    RunQueued,
    Snapshot,
    Welcome,
)
from .dealer import Dealer
from .event_stream import EventStream, EventStreams
from .patience import Patience
from .pending_request import PendingRequest
from .replica import Gap, Replica
from .session_errors import check_welcome, closed, lost, refusal, shut_down, wrong_key

#: Seconds within which ZeroMQ notices the end of a connection whose process has ended.
_NOTICE_SECONDS: Final = 0.5
#: Messages received before other tasks get a turn.
BURST: Final = 16

_encoder = msgspec.msgpack.Encoder()


class Session:
    """One frontend at one kernel. Not thread-safe: all calls come from one event loop."""

    def __init__(
        self, connection: Connection, keys: KeyPair | None, client: str, patience: float | None = None
    ) -> None:
        self.connection: Connection = connection
        #: Unlimited if `process_ended` will be called.
        self.patience: Patience = Patience(connection.endpoint, patience)
        self.replica: Replica = Replica()
        self.welcome: Welcome | None = None
        #: Why the session ended; None while it is open.
        self.ended: CellwireError | None = None
        self._client = client
        self._name = os.urandom(6).hex()
        self._requests = 0
        self._hello = ""
        self._greeted = False
        self._connected = False
        # Whether something was received that `_hurry` has not looked at.
        self._received = False
        self._pending: dict[str, PendingRequest] = {}
        self._runs: dict[int, anyio.Event] = {}
        self._conditions: list[tuple[Callable[[], bool], anyio.Event]] = []
        self._streams = EventStreams()
        self._receiving: anyio.CancelScope | None = None
        self._process = os.getpid()
        self._dealer = Dealer(connection, keys)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the kernel."""
        return self._connected

    # What clients call

    def raise_if_ended(self) -> None:
        """Raise the error that ended the session, if it has ended, and another in the child of a fork."""
        if os.getpid() != self._process:
            raise RuntimeError(FORKED)
        if self.ended is not None:
            # A new one for each caller: one that several tasks raise would mix their tracebacks.
            raise type(self.ended)(*self.ended.args) from self.ended

    async def request(self, build: Callable[[str], Request], *, until_finished: bool = False) -> Reply:
        """Send the request that `build` makes of a new id, and return the kernel's reply.

        With `until_finished`, a `RunQueued` may be returned as late as the end of its run.

        Raises: RequestError if the kernel refuses; KernelDied, ProtocolError or AuthenticationError if
            the session ends.
        """
        self.raise_if_ended()
        id = self._new_id()
        pending = PendingRequest(_encoder.encode(build(id)), until_finished)
        limit = self.replica.limits.request_bytes
        if len(pending.frame) > limit:
            raise RequestError(
                "too_large", f"the request has {len(pending.frame)} bytes; the kernel accepts {limit}"
            )
        self._pending[id] = pending
        try:
            if self._greeted:
                self._dealer.send(pending.frame)
            await pending.answered.wait()
        finally:
            del self._pending[id]
            if isinstance(pending.reply, RunQueued):
                self._runs.pop(pending.reply.run, None)
        reply = pending.reply
        if reply is None:
            self.raise_if_ended()
            raise AssertionError("a request was released with neither a reply nor an error")
        if isinstance(reply, Error):
            raise RequestError(reply.code, reply.message, reply.hint)
        return reply

    def post(self, build: Callable[[str], Request]) -> None:
        """Send a request without waiting for the reply; do nothing if the kernel is not connected."""
        if self._greeted:
            self._dealer.send(_encoder.encode(build(self._new_id())))

    async def run_finished(self, run: int, accepted_seq: int) -> RunFinished:
        """Return how `run` ended, once the replica holds its end."""
        while (finished := self.replica.run_outcome(run, accepted_seq)) is None:
            self.raise_if_ended()
            changed = self._runs[run] = anyio.Event()
            try:
                await changed.wait()
            finally:
                self._runs.pop(run, None)
        return finished

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` of the replica holds; it is checked after each message."""
        while not condition():
            self.raise_if_ended()
            entry = (condition, anyio.Event())
            self._conditions.append(entry)
            try:
                await entry[1].wait()
            finally:
                self._conditions.remove(entry)

    def stream(self, bound: int) -> EventStream:
        """Return a stream of the events applied from here on; only its reader keeps it alive."""
        stream = EventStream(bound)
        if self.ended is not None:
            stream.end(self._stream_error())
        self._streams.add(stream)
        return stream

    async def work(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Receive until the session ends or this is cancelled; then close the sockets."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_connection)
                task_status.started()
                try:
                    with anyio.CancelScope() as self._receiving:
                        if self.ended is None:
                            await self._dealer.read_forever(self._receive_burst)
                except CellwireError as error:
                    self.end(error)
                tasks.cancel_scope.cancel()
        finally:
            self.end(closed())
            self._dealer.close()

    def end(self, error: CellwireError) -> None:
        """End the session with `error`, which every waiter and every later call gets."""
        if self.ended is not None:
            return
        self.ended = error
        self._connected = self._greeted = False
        for pending in self._pending.values():
            pending.answered.set()
        for changed in self._runs.values():
            changed.set()
        for _, changed in self._conditions:
            changed.set()
        self._streams.end(self._stream_error())
        if self._receiving is not None:
            self._receiving.cancel()

    def close(self) -> None:
        """End the session because its owner closes it; later calls get that as their error."""
        self.end(closed())
        self.ended = closed()

    async def process_ended(self, how: str) -> None:
        """End the session because the kernel's process ended; `how` is the error's text."""
        # Once ZeroMQ has seen the end of the connection, all that the kernel sent is in our socket.
        with anyio.move_on_after(_NOTICE_SECONDS):
            await self.until(lambda: not self._connected)
        self._end_after_the_last_message(how)

    # Receiving

    def _receive_burst(self) -> bool:
        """Receive up to a burst of messages; return whether there may be more."""
        for _ in range(BURST):
            if self.ended is not None:
                return False
            if not self._dealer.readable:
                self._hurry()
                return False
            self._on_message(*self._dealer.receive())
            self._received = True
        return True

    def _hurry(self) -> None:
        """On tcp, send something after what was received if more is to come.

        A tunnel joins small writes (Nagle's algorithm): it keeps the next one until the last is confirmed,
        which the system of this side puts off for some 40 ms unless something goes the other way.
        """
        if self._received and self._greeted and self.connection.server_key:
            self._received = False
            replica = self.replica
            over = (
                replica.caught_up
                and replica.notebook.idle
                and all(run.is_set() for run in self._runs.values())
            )
            if not over:
                self._acknowledge(at_once=True)

    def _acknowledge(self, *, at_once: bool = False) -> None:
        if (received := self.replica.acknowledgement(at_once=at_once)) is not None:
            self._dealer.send(_encoder.encode(Acknowledge(received)))

    def _on_message(self, message: FromKernel, further: list[Event], size: int) -> None:
        if not isinstance(message, (Batch, Snapshot)):
            self._on_reply(message)
            return
        # Between a greeting and its reply, messages belong to the session before: they may continue the
        # replica or not, and neither end counts them.
        try:
            events = self.replica.apply_message(message, further, size)
        except Gap:
            if self._greeted:
                self._greet()
            return
        if self._greeted:
            self._acknowledge()
        if self._runs:
            self._release_runs(message, events)
        self._streams.put(events)
        self._check_conditions()

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, Welcome):
            if reply.id == self._hello:
                self._on_welcome(reply)
            return
        if isinstance(reply, Error):
            if reply.id == self._hello:
                raise refusal(reply)
            if reply.code == "not_greeted" or (not reply.id and reply.code == "busy"):
                # The kernel has dropped this frontend, which acknowledged nothing for too long or lost
                # its connection. Unanswered requests are sent again after the greeting.
                if self._greeted:
                    self._greet()
                return
            if not reply.id:
                raise ProtocolError(f"the kernel cannot read this client's request: {reply.message}")
        pending = self._pending.get(reply.id)
        if pending is None:
            return
        pending.reply = reply
        if pending.until_finished and isinstance(reply, RunQueued) and not self._is_over(reply):
            # The caller is woken once, at the end.
            self._runs[reply.run] = pending.answered
        else:
            pending.answered.set()

    def _is_over(self, queued: RunQueued) -> bool:
        return self.replica.run_outcome(queued.run, queued.seq) is not None

    def _release_runs(self, message: Batch | Snapshot, events: list[Event]) -> None:
        if isinstance(message, Snapshot):
            for changed in self._runs.values():
                changed.set()
            return
        for event in events:
            if type(event) is RunFinished and event.run in self._runs:
                self._runs[event.run].set()

    def _check_conditions(self) -> None:
        for condition, changed in self._conditions:
            if condition():
                changed.set()

    # The connection

    async def _watch_connection(self) -> None:
        """Greet the kernel on each new connection; end the session when the connection stays lost."""
        deadline = math.inf
        while self.ended is None:
            with anyio.CancelScope(deadline=deadline) as waiting:
                deadline = self._on_connection_event(await self._dealer.next_connection_event(), deadline)
            if not waiting.cancelled_caught:
                continue
            if self.replica.closing is None and not self.patience.is_over():
                deadline = anyio.current_time() + self.patience.seconds
                continue
            self._end_after_the_last_message(lost(self.connection))

    def _on_connection_event(self, event: zmq.Event, deadline: float) -> float:
        """Handle one event of ZeroMQ's monitor; return the time at which the kernel may count as dead."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected = True
            self._greet()
            self._check_conditions()
            return math.inf
        if event == zmq.EVENT_DISCONNECTED:
            self._connected = self._greeted = False
            self._check_conditions()
            if self.replica.closing is not None and not self.patience.unlimited:
                return -math.inf
            return min(deadline, anyio.current_time() + self.patience.seconds)
        if self.welcome is None:
            self.end(wrong_key(self.connection))
        return deadline

    def _greet(self) -> None:
        """Open the cursor from the state held here; nothing else is sent until it is open."""
        self._greeted = False
        self._hello = self._new_id()
        replica = self.replica
        hello = Hello(self._hello, PROTOCOL, self._client, replica.epoch, replica.seq)
        self._dealer.send(_encoder.encode(hello))

    def _on_welcome(self, welcome: Welcome) -> None:
        check_welcome(welcome, self.connection)
        self.replica.window_opened(welcome)
        self.welcome = welcome
        self._greeted = True
        for pending in list(self._pending.values()):
            if pending.reply is None:
                self._dealer.send(pending.frame)
        self._check_conditions()

    def _new_id(self) -> str:
        self._requests += 1
        return f"{self._name}-{self._requests}"

    # Errors

    def _stream_error(self) -> CellwireError | None:
        """Return the error that ends event streams; None if the kernel shut down in order."""
        return None if self.replica.closing is not None else self.ended

    def _end_after_the_last_message(self, how: str) -> None:
        try:
            while self._receive_burst():
                pass
        except CellwireError as error:
            self.end(error)
        if (closing := self.replica.closing) is not None:
            how = shut_down(closing.reason)
        self.end(KernelDied(how))
