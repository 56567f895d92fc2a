"""A client's socket: frames to the kernel, decoded messages from it, and events of the connection.

ZeroMQ's descriptor is edge-triggered for both directions at once: a send may consume the edge that
announces a message. So a reader takes every message that is there, and checks again after a send.

The context is the client's own: no other code can terminate it, and its two sockets are all there is to
close. Neither direction is bounded here: the kernel's window bounds what arrives, and callers waiting
for answers bound what is sent.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

import anyio
import anyio.lowlevel
import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from ..connection import Connection, KeyPair
from ..errors import ProtocolError
from ..events import Event
from ..messages import FromKernel
from .session_errors import unusable

_Decoded = TypeVar("_Decoded")
_message_decoder: msgspec.msgpack.Decoder[FromKernel] = msgspec.msgpack.Decoder(FromKernel)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
#: A plain int: enum arithmetic costs more than asking the socket.
_POLLIN: Final = int(zmq.POLLIN)
_MONITORED: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)
#: On tcp: how often the connection is checked, how long it may be silent, and the longest time between
#: two attempts to make it again.
_HEARTBEAT_MS: Final = 5_000
_SILENCE_MS: Final = 20_000
_RECONNECT_MS: Final = 1_000


class Dealer:
    """One DEALER socket, which reconnects when the connection is lost.

    Raises: ConnectionFileError if the connection has no address or keys that could be used.
    """

    def __init__(self, connection: Connection, keys: KeyPair | None) -> None:
        self._version = connection.version
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open(connection, keys)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise unusable(connection, zmq.strerror(error.errno or 0)) from None

    def _open(self, connection: Connection, keys: KeyPair | None) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        if keys is not None:
            self._socket.curve_serverkey = connection.server_key.encode()
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_secretkey = keys.secret.encode()
            # Over a network: notice one that is away without a word, and try again at sensible intervals.
            self._socket.heartbeat_ivl, self._socket.heartbeat_timeout = _HEARTBEAT_MS, _SILENCE_MS
            self._socket.connect_timeout = _SILENCE_MS
            self._socket.reconnect_ivl_max = _RECONNECT_MS
        self._monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(_MONITORED)
        self._monitor.linger = 0
        #: Checks for messages without a signal of the descriptor; None while nothing reads.
        self._recheck: Callable[[], object] | None = None
        self._descriptor = cast(int, self._socket.get(zmq.FD))
        self._socket.connect(connection.endpoint)

    @property
    def readable(self) -> bool:
        """Whether a message is there."""
        return bool(cast(int, self._socket.get(zmq.EVENTS)) & _POLLIN)

    async def read_forever(self, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable` whenever a message may be there, and again while it returns true.

        It has to receive until `readable` is false, or return true. What it raises is raised here.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            await self._read_by_waiting(on_readable)
        else:
            await self._read_on_asyncio(on_readable, loop)

    async def _read_by_waiting(self, on_readable: Callable[[], bool]) -> None:
        while True:
            while on_readable():
                await anyio.lowlevel.checkpoint()
            with anyio.CancelScope() as waiting:
                self._recheck = waiting.cancel
                await anyio.wait_readable(self._descriptor)
            self._recheck = None

    async def _read_on_asyncio(
        self, on_readable: Callable[[], bool], loop: asyncio.AbstractEventLoop
    ) -> None:
        """As `_read_by_waiting`, in half the time: there is no wait to set up and no task to wake."""
        failed: asyncio.Future[None] = loop.create_future()

        def read() -> None:
            if failed.done():
                return
            try:
                if on_readable():
                    loop.call_soon(read)
            except Exception as error:
                failed.set_exception(error)

        self._recheck = lambda: loop.call_soon(read)
        loop.add_reader(self._descriptor, read)
        try:
            read()
            await failed
        finally:
            loop.remove_reader(self._descriptor)
            self._recheck = None

    def send(self, frame: bytes) -> None:
        """Queue `frame`; it is sent when there is a connection."""
        self._socket.send(frame, zmq.NOBLOCK)
        if self._recheck is not None and self.readable:
            self._recheck()

    def receive(self) -> tuple[FromKernel, list[Event], int]:
        """Return the next message, the events of its further frames, and the size of all in bytes.

        Raises: ProtocolError if this version of the protocol does not have it.
        """
        frame = self._socket.recv(zmq.NOBLOCK)
        size = len(frame)
        further: list[Event] = []
        try:
            # A further frame holds one large event; decoding makes the only copy of it.
            while self._socket.get(zmq.RCVMORE):
                part = self._socket.recv(zmq.NOBLOCK, copy=False)
                size += len(part)
                further.append(_decode(_event_decoder, part.buffer))
            return _decode(_message_decoder, frame), further, size
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError(
                f"the kernel sent a message that this client cannot read: {error}. The kernel is "
                f"cellwire {self._version}; install that version or a newer one here"
            ) from error

    async def next_connection_event(self) -> zmq.Event:
        """Return the next event of the connection: a handshake that succeeded or failed, or the end."""
        descriptor = cast(int, self._monitor.get(zmq.FD))
        while not cast(int, self._monitor.get(zmq.EVENTS)) & _POLLIN:
            await anyio.wait_readable(descriptor)
        return zmq.Event(parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"])

    def close(self) -> None:
        """Close the sockets; frames not sent yet are dropped."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()


def _decode(decoder: "msgspec.msgpack.Decoder[_Decoded]", data: Any) -> _Decoded:
    """Return what `data` encodes, also for a caller that is nearly too deep in its stack for that."""
    try:
        return decoder.decode(data)
    except RecursionError:
        # A thread has a stack of its own, and what kernels send is not nested deeply.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(decoder.decode, data).result()
