"""A connection to a debug adapter: messages of the Debug Adapter Protocol over TCP, in the kernel's loop.

A message is `Content-Length: n`, an empty line, and n bytes of JSON.
"""

import socket
from collections.abc import Callable
from itertools import count
from typing import Any, ParamSpec

import msgspec

from ...kernel.loop import Loop

_END = b"\r\n\r\n"
_READ = 65536
#: Seconds that connecting may take; the adapter already listens on this machine.
_PATIENCE = 2.0

P = ParamSpec("P")
Reply = dict[str, Any]
OnReply = Callable[[Reply], None]


class DebugAdapter:
    """Sends requests, and passes on their replies and the adapter's events."""

    def __init__(
        self, loop: Loop, port: int, on_event: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> None:
        """Raise OSError if nothing listens there."""
        self._loop = loop
        self._on_event, self._on_end = on_event, on_end
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setblocking(False)
        self._fd = self._socket.fileno()
        self._received = b""
        self._unsent = b""
        self._numbers = count(1)
        self._waiting: dict[int, OnReply] = {}
        loop.watch(self._fd, self._read)

    def request(self, command: str, arguments: Any, on_reply: OnReply) -> None:
        """Send a request; `on_reply` gets the reply, or a failure if the connection ends first."""
        number = next(self._numbers)
        self._waiting[number] = on_reply
        body = msgspec.json.encode(
            {"seq": number, "type": "request", "command": command, "arguments": arguments}
        )
        self._unsent += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        self._write()

    def close(self) -> None:
        """Close the connection."""
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            self._socket.close()
            self._fd = -1
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(failure("the debugger has ended"))

    def _write(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""
        if self._fd >= 0:
            self._loop.watch_both(self._fd, self._read, self._write if self._unsent else None)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._on_end()
            return
        self._received += data
        while (message := self._next()) is not None:
            if message.get("type") == "event":
                self._on_event(message)
            elif message.get("type") == "response":
                on_reply = self._waiting.pop(message.get("request_seq", 0), None)
                if on_reply is not None:
                    on_reply(message)

    def _next(self) -> dict[str, Any] | None:
        head, end, rest = self._received.partition(_END)
        if not end:
            return None
        size = int(head.rpartition(b":")[2])
        if len(rest) < size:
            return None
        self._received = rest[size:]
        return msgspec.json.decode(rest[:size], type=dict[str, Any])


def failure(message: str) -> Reply:
    """Return a reply that says why a request failed."""
    return {"success": False, "message": message}


def guarded(then: Callable[P, None], answer: OnReply) -> Callable[P, None]:
    """Return `then`, which answers with a failure if it raises: arguments of a client may make no sense."""

    def call(*args: P.args, **options: P.kwargs) -> None:
        try:
            then(*args, **options)
        except Exception as error:
            answer(failure(f"{type(error).__name__}: {error}"))

    return call
