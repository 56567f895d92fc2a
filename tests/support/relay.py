"""A connection to a kernel that can be cut, and be away for a while."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import msgspec
from cellwire.protocol import Connection


class Relay:
    """An address that leads to a kernel, and a connection file that names it."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._scheme, _, self._address = connection.endpoint.partition("://")
        name = os.urandom(4).hex()
        self._own: str | tuple[str, int] = (
            f"{self._address}-{name}" if self._scheme == "ipc" else ("127.0.0.1", 0)
        )
        self._open: list[socket.socket] = []
        self._leads_on = True
        #: Connections that were made so far.
        self.made = 0
        self.come_back()
        host = self._own if isinstance(self._own, str) else "{}:{}".format(*self._own)
        self.endpoint = f"{self._scheme}://{host}"
        self.file = directory / f"relay-{name}.json"
        described = msgspec.structs.replace(connection, endpoint=self.endpoint, file=str(self.file))
        self.file.write_bytes(msgspec.json.encode(described))

    def cut(self) -> None:
        """Drop every connection over this address."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop every connection and accept no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._serving.join()
        self.cut()

    def pause(self) -> None:
        """Drop every connection, and each new one at once."""
        self._leads_on = False
        self.cut()

    def go_on(self) -> None:
        """Lead connections on again."""
        self._leads_on = True

    def come_back(self) -> None:
        """Accept connections, after `close` too."""
        self._listener = self._socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if isinstance(self._own, str):
            with suppress(FileNotFoundError):
                os.unlink(self._own)
        self._listener.bind(self._own)
        self._own = self._listener.getsockname()
        self._listener.listen()
        self._serving = threading.Thread(target=self._serve, args=(self._listener,), daemon=True)
        self._serving.start()

    def _socket(self) -> socket.socket:
        return socket.socket(socket.AF_UNIX if self._scheme == "ipc" else socket.AF_INET)

    def _reach(self) -> socket.socket:
        back = self._socket()
        host, _, port = self._address.rpartition(":")
        back.connect(self._address if self._scheme == "ipc" else (host, int(port)))
        return back

    def _serve(self, listener: socket.socket) -> None:
        with listener, suppress(OSError):
            while True:
                front, _ = listener.accept()
                if not self._leads_on:
                    front.close()
                    continue
                back = self._reach()
                self._open += [front, back]
                self.made += 1
                self._join(front, back)

    def _join(self, front: socket.socket, back: socket.socket) -> None:
        for source, target in ((front, back), (back, front)):
            threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 18):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()


class Tunnel(Relay):
    """A relay that joins small writes as Nagle's algorithm does, and whose far side never confirms by itself.

    So what has passed in one direction is confirmed only by what passes in the other, and until then the
    next has to wait: not 40 ms as in a real tunnel, but for ever.
    """

    #: Whether it does so; ZeroMQ's own handshake has writes that wait for nothing.
    joins = False

    def _join(self, front: socket.socket, back: socket.socket) -> None:
        unconfirmed = {front: False, back: False}
        # Guards `unconfirmed`. No other lock is taken under it.
        changed = threading.Condition()

        def carry(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(1 << 18):
                    with changed:
                        changed.wait_for(lambda: not (self.joins and unconfirmed[source]))
                        with suppress(BlockingIOError):
                            data += source.recv(1 << 18, socket.MSG_DONTWAIT)
                        unconfirmed[source], unconfirmed[target] = True, False
                        changed.notify_all()
                    target.sendall(data)
            with changed:
                unconfirmed[target] = unconfirmed[source] = False
                changed.notify_all()
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
            source.close()

        for ends in ((front, back), (back, front)):
            threading.Thread(target=carry, args=ends, daemon=True).start()
