"""The requests of frontends: decoded, checked, handled, answered exactly once.

Nothing that arrives here can end the kernel. A frame that does not decode is counted, and answered with
its id if that can be read; a fault of the kernel's own becomes an `Error` of code `internal`. A request
that changes something and is repeated with the same id, after a reconnect for instance, gets the same
reply and is not handled again.
"""

import os
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from ..protocol import messages as m
from ..protocol.errors import RequestError
from ..protocol.limits import Limits
from .diagnostics import report, resident_memory
from .frontends import Frontends
from .kernel import Kernel
from .store import encode

#: Replies kept for repeated requests.
_REPLIES = 4096
#: Most characters in the id of a request, and of a cell.
_ID = 256
_CELL_ID = 1024
#: How many frames that do not decode are reported on standard error.
_REPORTED = 10
#: Bytes at each end of a request that distinguish it from another one with the same id.
_COMPARED = 4096

_Handler = Callable[[bytes, m.Role, Any, int], Any]


class _Envelope(msgspec.Struct):
    """The type and id of a request that does not decode otherwise."""

    type: Any = ""
    id: str = ""


_decode = msgspec.msgpack.Decoder(m.Request).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_TYPES = {struct.__name__ for struct in get_args(m.Request)}
#: Returned by a handler that sends the reply later.
_DEFERRED = object()
#: What a frontend may send whose key only lets it watch.
_WATCHING = m.Hello | m.Ping | m.Statistics | m.Acknowledge
#: Bytes of the largest frame that is decoded for such a frontend.
_WATCHING_BYTES = 4096
#: What a frontend may send before `Hello`.
_UNGREETED = m.Hello | m.Ping
#: What is handled again when it is repeated.
_REPEATABLE = m.Hello | m.Ping | m.Statistics | m.Introspection


class Requests:
    """Handles the requests of frontends."""

    def __init__(
        self,
        kernel: Kernel,
        frontends: Frontends,
        limits: Limits,
        version: str,
        shut_down: Callable[[str], None],
    ) -> None:
        self._kernel = kernel
        self._frontends = frontends
        self._limits = limits
        self._version = version
        self._shut_down = shut_down
        self._replies: dict[str, tuple[int, bytes]] = {}
        # Requests that were carried out once and are answered later: a mark, and who waits for the answer.
        self._unanswered: dict[str, tuple[int, bytes]] = {}
        self._malformed = 0
        self._refused = 0
        self._handlers: dict[type, _Handler] = {
            m.Hello: self._hello,
            m.Interrupt: self._interrupt,
            m.ProvideInput: self._provide_input,
            m.RefuseInput: self._refuse_input,
            m.Ping: self._ping,
            m.Statistics: self._statistics,
            m.RestartRunner: self._restart_runner,
            m.Shutdown: self._shutdown,
            **dict.fromkeys(get_args(m.Run), self._run),
            m.SendComm: self._send_comm,
            **dict.fromkeys(get_args(m.Introspection), self._introspect),
        }

    def receive(self, identity: bytes, role: m.Role, frame: bytes) -> bytes | None:
        """Handle one request, whatever it contains, and return the encoded reply.

        Returns `None` for a request without a reply, or one whose reply is sent later.
        """
        if role != "control" and len(frame) > _WATCHING_BYTES:
            # Decoding takes time in proportion to the size.
            self._refused += 1
            return encode(
                m.Error(
                    _peek_id(frame),
                    "forbidden",
                    f"this key may not send a request of {len(frame)} bytes",
                    "connect with the client's key",
                )
            )
        try:
            request: Any = _decode(frame)
        except Exception as error:
            return encode(self._refuse_malformed(frame, error))
        if type(request) is m.Acknowledge:
            frontend = self._frontends.frontend(identity)
            if frontend is not None:
                frontend.acknowledge(request.received)
            return None
        repeatable = isinstance(request, _REPEATABLE)
        known = None if repeatable else self._replies.get(request.id)
        mark = 0 if repeatable else hash((len(frame), frame[:_COMPARED], frame[-_COMPARED:]))
        if known is not None and known[0] == mark:
            return known[1]
        unanswered = None if repeatable else self._unanswered.get(request.id)
        if unanswered is not None and unanswered[0] == mark:
            self._unanswered[request.id] = (mark, identity)
            return None
        fresh = known is None and unanswered is None
        reply = self._handle(identity, role, request, len(frame), fresh=fresh)
        if reply is _DEFERRED:
            if not repeatable:
                self._unanswered[request.id] = (mark, identity)
            return None
        encoded = encode(reply)
        # A refusal has changed nothing, so the same request may be tried again.
        if not repeatable and fresh and type(reply) is not m.Error:
            self._remember(request.id, mark, encoded)
        return encoded

    def _remember(self, request: str, mark: int, reply: bytes) -> None:
        self._replies[request] = (mark, reply)
        if len(self._replies) > _REPLIES:
            del self._replies[next(iter(self._replies))]

    # Frames that do not decode

    def _refuse_malformed(self, frame: bytes, error: Exception) -> m.Error:
        self._malformed += 1
        try:
            envelope = _decode_envelope(frame)
        except Exception:
            envelope = _Envelope()
        if envelope.id and isinstance(envelope.type, str) and envelope.type not in _TYPES:
            reply = m.Error(
                envelope.id,
                "unknown_request",
                f"there is no request {envelope.type[:_ID]!r}",
                "see docs/protocol.md for the requests there are",
            )
        else:
            reply = m.Error(envelope.id, "malformed", str(error)[:_CELL_ID])
        if self._malformed <= _REPORTED:
            report(f"a frame of a frontend does not decode: {reply.message}")
        return reply

    # Frames that do

    def _handle(self, identity: bytes, role: m.Role, request: Any, size: int, *, fresh: bool) -> Any:
        try:
            self._check(identity, role, request, size, fresh=fresh)
            return self._handlers[type(request)](identity, role, request, size)
        except RequestError as error:
            self._refused += 1
            return m.Error(request.id, error.code, error.message, error.hint)  # type: ignore[arg-type]
        except Exception:
            report(traceback.format_exc())
            return m.Error(
                request.id,
                "internal",
                f"the kernel failed to handle {_name(request)}",
                "its standard error has the traceback",
            )

    def _check(self, identity: bytes, role: m.Role, request: Any, size: int, *, fresh: bool) -> None:
        """Raise RequestError if the frontend may not send this request."""
        if size > self._limits.request_bytes:
            raise RequestError(
                "too_large",
                f"{_name(request)} has {size} bytes, and the limit is {self._limits.request_bytes}",
                "send less, or launch the kernel with a larger limits.request_bytes",
            )
        if len(request.id) > _ID:
            raise RequestError(
                "invalid",
                f"the id of {_name(request)} has {len(request.id)} characters",
                f"use at most {_ID}",
            )
        if role != "control" and not isinstance(request, _WATCHING):
            raise RequestError(
                "forbidden", f"this key may not send {_name(request)}", "connect with the client's key"
            )
        if not isinstance(request, _UNGREETED) and self._frontends.frontend(identity) is None:
            raise RequestError("not_greeted", f"{_name(request)} came before Hello", "send Hello first")
        if not fresh:
            raise RequestError("invalid", "another request had this id", "give every request a new id")

    def _hello(self, identity: bytes, role: m.Role, request: m.Hello, size: int) -> Any:
        if request.protocol != m.PROTOCOL:
            raise RequestError(
                "invalid",
                f"this kernel speaks version {m.PROTOCOL} of the protocol, not {request.protocol}",
                f"use a frontend for version {m.PROTOCOL}",
            )
        frontend = self._frontends.open(identity, role, request.client[:_ID])
        store = self._kernel.store
        frontend.open(store, request.epoch, request.seq)
        return m.Welcome(
            id=request.id,
            epoch=store.epoch,
            seq=store.log.last,
            role=role,
            version=self._version,
            limits=self._limits,
        )

    def _run(self, identity: bytes, role: m.Role, request: m.Run, size: int) -> Any:
        if isinstance(request, m.RunCells | m.SyncCells):
            ids = [cell.id for cell in request.cells]
            for cell in ids:
                if not cell:
                    raise RequestError("invalid", "a cell id must not be empty", "give every cell an id")
                if len(cell) > _CELL_ID:
                    raise RequestError(
                        "invalid",
                        f"the id of the cell {cell[:_ID]!r}… has {len(cell)} characters",
                        f"use at most {_CELL_ID}",
                    )
            if len(set(ids)) < len(ids):
                [(twice, _)] = Counter(ids).most_common(1)
                raise RequestError("invalid", f"cell {twice[:_ID]!r} is given twice", "give every cell once")
        elif isinstance(request, m.DeleteCells | m.ConfigureCells):
            for cell in request.cells:
                if cell not in self._kernel.store.notebook.cells and not self._kernel.queue.declares(cell):
                    raise RequestError(
                        "unknown_cell",
                        f"there is no cell {cell[:_ID]!r}",
                        "declare it with RunCells or SyncCells first",
                    )
        run = self._kernel.submit(request, size)
        return m.RunQueued(request.id, run, self._kernel.store.log.last)

    def _interrupt(self, identity: bytes, role: m.Role, request: m.Interrupt, size: int) -> Any:
        self._kernel.interrupt()
        return m.Done(request.id)

    def _provide_input(self, identity: bytes, role: m.Role, request: m.ProvideInput, size: int) -> Any:
        self._kernel.provide_input(request.input, None if request.ended else request.text)
        return m.Done(request.id)

    def _refuse_input(self, identity: bytes, role: m.Role, request: m.RefuseInput, size: int) -> Any:
        self._kernel.refuse_input(request.input)
        return m.Done(request.id)

    def _introspect(self, identity: bytes, role: m.Role, request: m.Introspection, size: int) -> Any:
        def on_reply(reply: Any) -> None:
            self._frontends.reply(identity, encode(msgspec.structs.replace(reply, id=request.id)))

        self._kernel.pass_on(request, on_reply)
        return _DEFERRED

    def _send_comm(self, identity: bytes, role: m.Role, request: m.SendComm, size: int) -> Any:
        def on_reply(reply: Any) -> None:
            mark, waiting = self._unanswered.pop(request.id)
            encoded = encode(msgspec.structs.replace(reply, id=request.id))
            self._remember(request.id, mark, encoded)
            self._frontends.reply(waiting, encoded)

        self._kernel.pass_on(request, on_reply)
        return _DEFERRED

    def _ping(self, identity: bytes, role: m.Role, request: m.Ping, size: int) -> Any:
        return m.Pong(request.id, self._kernel.store.log.last)

    def _statistics(self, identity: bytes, role: m.Role, request: m.Statistics, size: int) -> Any:
        self._frontends.probe()
        store = self._kernel.store
        log = store.log.statistics()
        return m.KernelStatistics(
            id=request.id,
            epoch=store.epoch,
            seq=store.log.last,
            pid=os.getpid(),
            memory=resident_memory(),
            ring_bytes=log.size,
            ring_events=log.events,
            sessions=[frontend.statistics(store.log.last) for frontend in self._frontends.attached()],
            malformed=self._malformed + self._kernel.runner.malformed,
            refused=self._refused,
            stuck=self._frontends.stuck,
            queued_runs=len(self._kernel.queue),
        )

    def _restart_runner(self, identity: bytes, role: m.Role, request: m.RestartRunner, size: int) -> Any:
        self._kernel.restart()
        return m.Done(request.id)

    def _shutdown(self, identity: bytes, role: m.Role, request: m.Shutdown, size: int) -> Any:
        self._shut_down("a frontend requested it")
        return m.Done(request.id)


def _peek_id(frame: bytes) -> str:
    """Return the id of a request whose frame begins with it or with the type; empty if it is elsewhere."""
    start = frame.find(b"\xa2id", 0, 64) + 3
    if start < 3:
        return ""
    head = frame[start]
    if head == 0xD9:
        return frame[start + 2 : start + 2 + frame[start + 1]].decode("utf-8", "replace")
    return frame[start + 1 : start + 1 + head % 32].decode("utf-8", "replace") if head >> 5 == 5 else ""


def _name(request: Any) -> str:
    return type(request).__name__
