"""A frontend of bare ZeroMQ, for what a client of ours never does."""

import os
from typing import Any

import anyio
import msgspec
import zmq
from cellwire.protocol import messages as m
from cellwire.protocol.connection import Connection, KeyPair

from .waiting import PATIENCE


def open_dealer(
    context: "zmq.Context[zmq.Socket[bytes]]",
    connection: Connection,
    keys: KeyPair | None = None,
    server_key: str = "",
    **options: Any,
) -> "zmq.Socket[bytes]":
    """Return a socket that is connected to a kernel, with these keys and options of ZeroMQ."""
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    for name, value in options.items():
        setattr(socket, name, value)
    if keys is not None:
        socket.curve_serverkey = (server_key or connection.server_key).encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
    socket.connect(connection.endpoint)
    return socket


class BareFrontend:
    """A DEALER without a client around it: it applies nothing and acknowledges nothing by itself."""

    def __init__(
        self, connection: Connection, keys: KeyPair | None = None, server_key: str = "", **options: Any
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = open_dealer(self._context, connection, keys, server_key, **options)
        self._numbers = iter(range(1, 1 << 30))
        self._prefix = os.urandom(4).hex()
        self._received = 0

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def post(self, kind: type, *arguments: Any) -> str:
        """Send a request with a new id and return the id."""
        id = f"{self._prefix}-{next(self._numbers)}"
        self.send(msgspec.msgpack.encode(kind(id, *arguments)))
        return id

    async def receive(self) -> list[bytes]:
        """Return the next message."""
        with anyio.fail_after(PATIENCE):
            while not int(self.socket.get(zmq.EVENTS)) & zmq.POLLIN:
                await anyio.wait_readable(int(self.socket.get(zmq.FD)))
        return self.socket.recv_multipart(zmq.NOBLOCK)

    async def reply(self, id: str | None = None, *, acknowledging: bool = False) -> Any:
        """Return the next reply, or the one to the request `id`; events and other replies are skipped."""
        while True:
            frames = await self.receive()
            message = msgspec.msgpack.decode(frames[0], type=m.FromKernel)
            if isinstance(message, m.Welcome):
                self._received = 0
            if isinstance(message, m.Batch | m.Snapshot):
                self._received += sum(map(len, frames))
                if acknowledging:
                    self.send(msgspec.msgpack.encode(m.Acknowledge(self._received)))
            elif id in (None, message.id):
                return message

    async def ask(self, kind: type, *arguments: Any) -> Any:
        """Send a request and return its answer."""
        return await self.reply(self.post(kind, *arguments))

    async def greet(self) -> m.Welcome:
        """Open a session and return the kernel's greeting."""
        welcome = await self.ask(m.Hello)
        assert isinstance(welcome, m.Welcome)
        return welcome

    def close(self) -> None:
        self.socket.close()
        self._context.term()
