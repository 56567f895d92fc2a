"""What a frontend sends: decoded, checked, carried out, answered exactly once.

Nothing that arrives here can end the kernel. What does not decode is answered where an id can be read
and counted in any case; a fault of our own while a request is carried out becomes an `Error` of code
`internal`. A request that changes something and is repeated with the same id, after a reconnect for
instance, gets the answer it had before and is not carried out again.
"""

import os
import traceback
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

#: Answers kept for requests that are repeated.
_ANSWERS = 4096
#: Longest id of a request and of a cell.
_ID = 256
_CELL_ID = 1024
#: Frames that do not decode are reported on standard error this often.
_REPORTED = 10
#: Bytes at each end of a request that tell it from another one of the same id.
_COMPARED = 4096

_Handler = Callable[[bytes, m.Role, Any, int], Any]


class _Outline(msgspec.Struct):
    """What can be told of a request that is wrong otherwise."""

    type: Any = ""
    id: str = ""


_decode = msgspec.msgpack.Decoder(m.Request).decode
_decode_outline = msgspec.msgpack.Decoder(_Outline).decode
_TYPES = {struct.__name__ for struct in get_args(m.Request)}
#: Returned by a handler whose request is answered later.
_LATER = object()
#: What a frontend may send that only watches.
_WATCHING = m.Hello | m.Ping | m.Statistics | m.Acknowledge
#: What is answered before `Hello`.
_UNGREETED = m.Hello | m.Ping
#: What may be carried out again when it is repeated.
_REPEATABLE = m.Hello | m.Ping | m.Statistics | m.Introspection


class Requests:
    """Answers frontends on behalf of the kernel."""

    def __init__(
        self, kernel: Kernel, limits: Limits, version: str, shut_down: Callable[[str], None]
    ) -> None:
        self._kernel = kernel
        self._limits = limits
        self._version = version
        self._shut_down = shut_down
        self._frontends: Frontends
        self._answers: dict[str, tuple[int, bytes]] = {}
        self._malformed = 0
        self._refused = 0
        self._handlers: dict[type, _Handler] = {
            m.Hello: self._hello,
            m.Interrupt: self._interrupt,
            m.ProvideInput: self._provide_input,
            m.Ping: self._ping,
            m.Statistics: self._statistics,
            m.RestartRunner: self._restart_runner,
            m.Shutdown: self._shutdown,
            **dict.fromkeys(get_args(m.Run), self._run),
            **dict.fromkeys(get_args(m.Introspection), self._ask),
        }

    def attach(self, frontends: Frontends) -> None:
        """Answer through `frontends`."""
        self._frontends = frontends

    def receive(self, identity: bytes, role: m.Role, frame: bytes) -> None:
        """Take one request, whatever it contains."""
        try:
            request: Any = _decode(frame)
        except Exception as error:
            self._answer_malformed(identity, frame, error)
            return
        if type(request) is m.Acknowledge:
            frontend = self._frontends.frontend(identity)
            if frontend is not None:
                frontend.acknowledge(request.received)
            return
        repeatable = isinstance(request, _REPEATABLE)
        known = None if repeatable else self._answers.get(request.id)
        mark = 0 if repeatable else hash((len(frame), frame[:_COMPARED], frame[-_COMPARED:]))
        if known is not None and known[0] == mark:
            self._frontends.reply_encoded(identity, known[1])
            return
        reply = self._carry_out(identity, role, request, len(frame), fresh=known is None)
        if reply is _LATER:
            return
        encoded = encode(reply)
        # A refusal has changed nothing, so the same request may be tried again.
        if not repeatable and known is None and type(reply) is not m.Error:
            self._answers[request.id] = (mark, encoded)
            if len(self._answers) > _ANSWERS:
                del self._answers[next(iter(self._answers))]
        self._frontends.reply_encoded(identity, encoded)

    # What does not decode

    def _answer_malformed(self, identity: bytes, frame: bytes, error: Exception) -> None:
        self._malformed += 1
        try:
            outline = _decode_outline(frame)
        except Exception:
            outline = _Outline()
        if outline.id and isinstance(outline.type, str) and outline.type not in _TYPES:
            reply = m.Error(
                outline.id,
                "unknown_request",
                f"there is no request {outline.type[:_ID]!r}",
                "see the protocol's documentation",
            )
        else:
            reply = m.Error(outline.id, "malformed", str(error)[:_CELL_ID])
        if self._malformed <= _REPORTED:
            report(f"a frame of a frontend cannot be read: {reply.message}")
        self._frontends.reply(identity, reply)

    # What does

    def _carry_out(self, identity: bytes, role: m.Role, request: Any, size: int, *, fresh: bool) -> Any:
        try:
            self._check(identity, role, request, size, fresh=fresh)
            return self._handlers[type(request)](identity, role, request, size)
        except RequestError as error:
            self._refused += 1
            return m.Error(request.id, error.code, error.message, error.hint)  # type: ignore[arg-type]
        except Exception:
            report(traceback.format_exc())
            return m.Error(request.id, "internal", "the kernel has failed to carry out this request")

    def _check(self, identity: bytes, role: m.Role, request: Any, size: int, *, fresh: bool) -> None:
        """Raise RequestError for what no request may do."""
        if size > self._limits.request_bytes:
            raise RequestError("too_large", f"the request has {size} bytes", "raise limits.request_bytes")
        if len(request.id) > _ID:
            raise RequestError("invalid", "the id of the request is too long", "use a short one")
        if role != "control" and not isinstance(request, _WATCHING):
            raise RequestError("forbidden", "this key may watch and not run", "connect with the client's key")
        if not isinstance(request, _UNGREETED) and self._frontends.frontend(identity) is None:
            raise RequestError("not_greeted", "there is no session", "send Hello first")
        if not fresh:
            raise RequestError(
                "invalid", "another request has had this id", "use ids that no other frontend uses"
            )

    def _hello(self, identity: bytes, role: m.Role, request: m.Hello, size: int) -> Any:
        if request.protocol != m.PROTOCOL:
            raise RequestError(
                "invalid",
                f"this kernel speaks version {m.PROTOCOL} of the protocol, not {request.protocol}",
                "use a frontend of the same version",
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
                if not cell or len(cell) > _CELL_ID:
                    raise RequestError(
                        "invalid", "the id of a cell is empty or too long", f"use 1 to {_CELL_ID} characters"
                    )
            if len(set(ids)) < len(ids):
                raise RequestError("invalid", "a cell is given twice", "give each cell once")
        elif isinstance(request, m.DeleteCells | m.ConfigureCells):
            for cell in request.cells:
                if cell not in self._kernel.store.notebook.cells and not self._kernel.queue.declares(cell):
                    raise RequestError("unknown_cell", f"there is no cell {cell[:_ID]!r}", "submit it first")
        run = self._kernel.submit(request, size)
        return m.RunQueued(request.id, run, self._kernel.store.log.last)

    def _interrupt(self, identity: bytes, role: m.Role, request: m.Interrupt, size: int) -> Any:
        self._kernel.interrupt()
        return m.Done(request.id)

    def _provide_input(self, identity: bytes, role: m.Role, request: m.ProvideInput, size: int) -> Any:
        self._kernel.provide_input(request.input, None if request.ended else request.text)
        return m.Done(request.id)

    def _ask(self, identity: bytes, role: m.Role, request: m.Introspection, size: int) -> Any:
        def answered(answer: Any) -> None:
            self._frontends.reply(identity, msgspec.structs.replace(answer, id=request.id))

        self._kernel.ask(request, answered)
        return _LATER

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
            sessions=[frontend.statistics(store.log.last) for frontend in self._frontends.sessions()],
            malformed=self._malformed + self._kernel.runner.malformed,
            refused=self._refused,
            stuck=self._frontends.stuck,
            queued_runs=len(self._kernel.queue),
        )

    def _restart_runner(self, identity: bytes, role: m.Role, request: m.RestartRunner, size: int) -> Any:
        self._kernel.restart()
        return m.Done(request.id)

    def _shutdown(self, identity: bytes, role: m.Role, request: m.Shutdown, size: int) -> Any:
        self._shut_down("a frontend asked for it")
        return m.Done(request.id)
