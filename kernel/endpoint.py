"""Where frontends reach a kernel: the bound socket, the directory, the connection file.

`ipc`: a socket in a new directory of mode 0700, and a filter on the user id where ZeroMQ has one.
`tcp`: a port of the loopback interface, chosen by the system, with CURVE and an allow-list. The
connection file has its mode from the moment it exists, and its whole content from the moment it has
its name. `close` removes everything.
"""

import os
from pathlib import Path
from typing import cast

import msgspec
import zmq

from ..protocol.connection import Connection, Settings
from ..protocol.messages import Role
from .authentication import DOMAIN, Allowed, Authenticator, new_key_pair

#: Longest path of a socket on every system.
_LONGEST_PATH = 100
#: Bytes beyond the largest request, so that a request slightly too large gets a reply.
_SLACK = 64 * 1024
#: Messages that may wait in ZeroMQ, to and from each frontend.
_MESSAGES = 1000
_BACKLOG = 256
_HANDSHAKE_MS = 5_000
_HEARTBEAT_MS = 5_000
_SILENCE_MS = 20_000
_LINGER_MS = 200


class Endpoint:
    """A bound ROUTER socket with its files and its authentication."""

    def __init__(self, settings: Settings, epoch: str, version: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self.socket = self._context.socket(zmq.ROUTER)
        #: Edge-triggered: send and receive until there is nothing to do, and wait only then.
        self.fd = int(self.socket.fd)
        #: Answers ZeroMQ's requests about connections; `None` on ipc.
        self.authenticator: Authenticator | None = None
        self._directory = Path(_place(), f"cellwire-{os.urandom(6).hex()}")
        self._directory.mkdir(0o700)
        self._file: Path | None = None
        try:
            self._open(settings, epoch, version)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket once sent messages have had a moment to leave, and remove the files."""
        self.socket.close(linger=_LINGER_MS)
        if self.authenticator is not None:
            self.authenticator.close()
        self._context.term()
        self.remove_files()

    def remove_files(self) -> None:
        """Remove the connection file and the directory."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        for path in self._directory.iterdir():
            path.unlink(missing_ok=True)
        self._directory.rmdir()

    def _open(self, settings: Settings, epoch: str, version: str) -> None:
        self._configure(settings)
        connection = self._bind_tcp() if settings.transport == "tcp" else self._bind_ipc()
        file = Path(settings.connection_file or self._directory / "connection.json").absolute()
        #: What a frontend needs to attach.
        self.connection = msgspec.structs.replace(
            connection, epoch=epoch, pid=os.getpid(), version=version, file=str(file)
        )
        _write_privately(file, msgspec.json.encode(self.connection))
        self._file = file

    def _configure(self, settings: Settings) -> None:
        socket = self.socket
        socket.router_mandatory = True
        socket.sndhwm = socket.rcvhwm = _MESSAGES
        socket.maxmsgsize = settings.limits.request_bytes + _SLACK
        socket.backlog = _BACKLOG
        socket.handshake_ivl = _HANDSHAKE_MS

    def _bind_ipc(self) -> Connection:
        try:
            self.socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
        except zmq.ZMQError:
            # ZeroMQ was built without it; the mode of the directory keeps other users out anyway.
            pass
        endpoint = f"ipc://{self._directory / 'socket'}"
        self.socket.bind(endpoint)
        return Connection(endpoint, "", 0, "", "")

    def _bind_tcp(self) -> Connection:
        server, client, watcher = new_key_pair(), new_key_pair(), new_key_pair()
        roles: dict[str, Role] = {client.public: "control", watcher.public: "watch"}
        # The handler must exist before the first connection.
        self.authenticator = Authenticator(self._context, Allowed(roles))
        self.socket.curve_server = True
        self.socket.curve_secretkey = server.secret.encode()
        self.socket.zap_domain = DOMAIN
        self.socket.zap_enforce_domain = True
        self.socket.heartbeat_ivl = _HEARTBEAT_MS
        self.socket.heartbeat_timeout = _SILENCE_MS
        self.socket.bind("tcp://127.0.0.1:*")
        endpoint = cast(bytes, self.socket.get(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        return Connection(endpoint, "", 0, "", "", server_key=server.public, client=client, watcher=watcher)


def _place() -> str:
    """Return a directory for the kernel's directory, short enough for a socket's path."""
    for place in (os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"):
        if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            longest = len(os.fsencode(os.path.join(place, "cellwire-123456789012", "socket")))
            if longest <= _LONGEST_PATH:
                return place
    raise OSError("no directory for a socket: set TMPDIR to a writable directory with a short path")


def _write_privately(path: Path, content: bytes) -> None:
    """Write a file that other users can never read, and that appears with its whole content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
    temporary.replace(path)
