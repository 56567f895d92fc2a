"""Jupyter's five sockets, bound where the connection file says. Knows frames, not messages.

ZeroMQ's descriptors are edge-triggered for both directions at once: the events of a socket have to be looked
at when its descriptor is ready, and again after every send or receive.
"""

import time
from collections.abc import Iterator

import zmq

from ...protocol.errors import ConnectionFileError
from .connection_file import CHANNELS, Channel, ConnectionFile

_KINDS = {
    "hb": zmq.REP,
    "control": zmq.ROUTER,
    "iopub": zmq.XPUB,
    "stdin": zmq.ROUTER,
    "shell": zmq.ROUTER,
}
# Plain numbers: operations of an enumeration take longer than to send a frame.
_POLLIN = int(zmq.POLLIN)
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
#: How many messages may wait for a subscriber, or replies for a client, before more are dropped.
_PUBLISHED = 100_000
_REPLIES = 10_000
#: For how many seconds binding an address that is in use is retried.
_BIND_SECONDS = 2.0
#: Milliseconds for which closing waits for messages to leave.
_LINGER_MS = 1000


class Channels:
    """The bound sockets."""

    def __init__(self, file: ConnectionFile, listening: dict[int, int]) -> None:
        """Take over the descriptors in `listening` for their ports.

        Raises: OSError if an address cannot be bound, ConnectionFileError for keys that are none.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        #: The sockets whose events have to be looked at.
        self._unseen: set[Channel] = set(CHANNELS)
        try:
            for channel in CHANNELS:
                self._sockets[channel] = socket = self._context.socket(_KINDS[channel])
                self._configure(channel, socket, file)
                if (listens := listening.pop(file.ports[channel], None)) is not None:
                    socket.setsockopt(zmq.USE_FD, listens)
                try:
                    socket.bind(file.address(channel))
                except zmq.ZMQError as error:
                    raise OSError(error.errno, f"{file.address(channel)}: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def descriptors(self) -> dict[Channel, int]:
        """The descriptors to watch; call `look` whenever one of them is ready."""
        return {channel: int(socket.get(zmq.FD)) for channel, socket in self._sockets.items()}

    def look(self, channel: Channel) -> None:
        """Look at a channel in the next turn."""
        self._unseen.add(channel)

    @property
    def readable(self) -> bool:
        """Whether `receive` has something to yield."""
        return any(self._has_message(channel) for channel in list(self._unseen))

    def receive(self, most: int) -> Iterator[tuple[Channel, list[bytes]]]:
        """Yield at most `most` messages of each channel, the most urgent channels first."""
        for channel in CHANNELS:
            for _ in range(most):
                if channel not in self._unseen or not self._has_message(channel):
                    break
                yield channel, self._sockets[channel].recv_multipart(_LAST)

    def send(self, channel: Channel, frames: list[bytes]) -> None:
        """Send one message; it is lost if its receiver is gone or does not read."""
        self._unseen.add(channel)
        send = self._sockets[channel].send
        try:
            # Only the first part can be refused: ZeroMQ takes a whole message or nothing.
            for frame in frames[:-1]:
                send(frame, _MORE)
            send(frames[-1], _LAST)
        except zmq.Again:
            pass

    def deliver(self, channel: Channel, frames: list[bytes]) -> bool:
        """Send one message, and return whether its receiver is connected."""
        socket = self._sockets[channel]
        socket.router_mandatory = True
        try:
            self.send(channel, frames)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        finally:
            socket.router_mandatory = False
        return True

    def close(self) -> None:
        """Close the sockets, once what was sent has left or a moment has passed."""
        for socket in self._sockets.values():
            socket.close()
        self._context.term()

    def _has_message(self, channel: Channel) -> bool:
        if int(self._sockets[channel].get(zmq.EVENTS)) & _POLLIN:
            return True
        self._unseen.discard(channel)
        return False

    def _configure(self, channel: Channel, socket: "zmq.Socket[bytes]", file: ConnectionFile) -> None:
        socket.linger = _LINGER_MS
        socket.sndhwm = _PUBLISHED if channel == "iopub" else _REPLIES
        if ":" in file.ip and file.transport == "tcp":
            socket.ipv6 = True
        if channel == "iopub":
            # Every subscription is answered with a welcome, repeated ones too.
            socket.xpub_verbose = True
        elif channel != "hb":
            # A client that connects again keeps its identity and takes the place of the old connection.
            socket.router_handover = True
        if file.encrypted:
            socket.curve_server = True
            try:
                socket.curve_publickey = file.curve_publickey.encode()
                socket.curve_secretkey = file.curve_secretkey.encode()
            except zmq.ZMQError:
                raise ConnectionFileError(
                    "the CURVE keys in the connection file are none: a key is 40 characters of Z85"
                ) from None


def listen(file: ConnectionFile, listening: dict[int, int]) -> Channels:
    """Bind the sockets; `listening` has the descriptors of ports at which somebody listens for them already.

    An address that is in use is retried: it may be that of a kernel that is just ending.

    Raises: OSError if it stays in use, ConnectionFileError for keys that are none.
    """
    until = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            return Channels(file, listening)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(_BIND_SECONDS / 100)
