"""A client's socket: frames to the kernel, decoded messages from it, and the news of the connection.

ZeroMQ's descriptor is edge-triggered for both directions at once: a send may consume the edge that
announces a message. So whoever waits asks `readable` first, and after a send asks again.

The context is the client's own: nobody else can terminate it, and its two sockets are all there is to
close. Neither direction is bounded here; the kernel's window bounds one, who waits for answers the other.
"""

from typing import cast

import anyio
import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from .connection import Connection, KeyPair
from .errors import ProtocolError
from .events import Event
from .messages import FromKernel

_message_decoder: msgspec.msgpack.Decoder[FromKernel] = msgspec.msgpack.Decoder(FromKernel)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
#: A plain number: arithmetic of enums costs more than asking the socket.
_POLLIN = int(zmq.POLLIN)
_MONITORED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)


class Dealer:
    """One DEALER socket that connects, and connects again when the connection is lost."""

    def __init__(self, connection: Connection, keys: KeyPair | None) -> None:
        self._version = connection.version
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        if keys is not None:
            self._socket.curve_serverkey = connection.server_key.encode()
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_secretkey = keys.secret.encode()
        self._monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(_MONITORED)
        self._monitor.linger = 0
        self._descriptor = cast(int, self._socket.get(zmq.FD))
        self._socket.connect(connection.endpoint)

    @property
    def readable(self) -> bool:
        """Whether a message is there."""
        return bool(cast(int, self._socket.get(zmq.EVENTS)) & _POLLIN)

    async def wait_readable(self) -> None:
        """Wait for the descriptor; a message may be there or not. Only after `readable` said no."""
        await anyio.wait_readable(self._descriptor)

    def send(self, frame: bytes) -> None:
        """Hand `frame` over; it is sent when there is a connection."""
        self._socket.send(frame, zmq.NOBLOCK)

    def receive(self) -> tuple[FromKernel, list[Event], int]:
        """Return a message that is there, the events of its further frames, and the bytes of all.

        Raises: ProtocolError if it is not of this version of the protocol.
        """
        frame = self._socket.recv(zmq.NOBLOCK)
        size = len(frame)
        further: list[Event] = []
        try:
            # A further frame holds one large event: decoding is the only copy that is made of it.
            while self._socket.get(zmq.RCVMORE):
                part = self._socket.recv(zmq.NOBLOCK, copy=False)
                size += len(part)
                further.append(_event_decoder.decode(part.buffer))
            return _message_decoder.decode(frame), further, size
        except msgspec.DecodeError as error:
            raise ProtocolError(
                f"the kernel sent what this client does not understand: {error}. The kernel is "
                f"cellwire {self._version}; install that version or a newer one here"
            ) from error

    async def connection_news(self) -> zmq.Event:
        """Return the next event of the connection: a handshake made or failed, or the end."""
        descriptor = cast(int, self._monitor.get(zmq.FD))
        while not cast(int, self._monitor.get(zmq.EVENTS)) & _POLLIN:
            await anyio.wait_readable(descriptor)
        return zmq.Event(parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"])

    def close(self) -> None:
        """Close the sockets; what has not been sent is dropped."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()
