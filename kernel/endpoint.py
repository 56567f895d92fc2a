"""Where frontends reach a kernel: the bound socket, the directory, the connection file.

`ipc`: a socket in a new directory of mode 0700, and a filter on the user id where ZeroMQ has one.
`tcp`: a port of the loopback interface or of another address, with CURVE and an allow-list. The
connection file has its mode from the moment it exists, and its whole content from the moment it has
its name; it is in the kernel's own directory, and also where the settings want it. `close` removes what was
made. Places where other users could replace these files are refused.
"""

import os
import stat
from typing import cast

import msgspec
import zmq

from ..protocol.connection import Connection, Settings
from ..protocol.messages import Role
from .authentication import DOMAIN, Allowed, Authenticator, new_key_pair
from .entrance import SOCKET, Entrance
from .made_files import MadeFiles, why_unsafe

#: Longest path of a socket on every system.
_LONGEST_PATH = 100
#: Bytes beyond the largest request, so that a request slightly too large gets a reply.
_SLACK = 64 * 1024
#: Messages that may wait in ZeroMQ, to and from each frontend.
_MESSAGES = 1000
#: Connections on tcp that may wait to be accepted.
_BACKLOG = 256
_HANDSHAKE_MS = 5_000
_HEARTBEAT_MS = 5_000
_SILENCE_MS = 20_000
_LINGER_MS = 200
_LAST_PORT = 65535
_OTHER_PORT = "give another port, or none for one that is free"
_OTHER_ADDRESS = "give an address of this machine that frontends can reach, as in 192.0.2.7 or 192.0.2.7:5555"
#: What is in the kernel's own directory besides the socket.
CONNECTION = "connection.json"


class Endpoint:
    """A bound ROUTER socket with its files and its authentication."""

    def __init__(self, settings: Settings, epoch: str, version: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self.socket = self._context.socket(zmq.ROUTER)
        #: Edge-triggered: send and receive until there is nothing to do, and wait only then.
        self.fd = int(self.socket.fd)
        #: Answers ZeroMQ's requests about connections; `None` on ipc.
        self.authenticator: Authenticator | None = None
        #: Where frontends come in on ipc; `None` on tcp, where libzmq listens itself.
        self.entrance: Entrance | None = None
        self._files = MadeFiles()
        try:
            place, name = _place(), f"cellwire-{os.urandom(6).hex()}"
            #: The kernel's own directory.
            self.directory = os.path.join(place, name)
            self._directory = self._files.make_directory(self._files.open(place), name)
            self._open(settings, epoch, version)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket once sent messages have had a moment to leave, and remove the files."""
        if self.entrance is not None:
            self.entrance.close()
        self.socket.close(linger=_LINGER_MS)
        if self.authenticator is not None:
            self.authenticator.close()
        self._context.term()
        self.remove_files()

    def remove_files(self) -> None:
        """Remove the connection file, the socket and the directory, and nothing else."""
        self._files.remove()

    def _open(self, settings: Settings, epoch: str, version: str) -> None:
        self._configure(settings)
        connection = self._bind_tcp(settings.address) if settings.transport == "tcp" else self._bind_ipc()
        file = os.path.abspath(settings.connection_file or os.path.join(self.directory, CONNECTION))
        #: What a frontend needs to attach.
        self.connection = msgspec.structs.replace(
            connection,
            epoch=epoch,
            pid=os.getpid(),
            version=version,
            file=file,
            name=settings.name,
            notebook=settings.notebook,
        )
        content = msgspec.json.encode(self.connection)
        if settings.connection_file:
            parent, name = os.path.split(file)
            # A group may share its directory: the user has named this place.
            if reason := why_unsafe(parent, stat.S_IWOTH):
                raise PermissionError(f"no place for the connection file {file}: {reason}")
            self._files.write(self._files.open(parent), name, content)
        self._files.write(self._directory, CONNECTION, content)

    def _configure(self, settings: Settings) -> None:
        socket = self.socket
        socket.router_mandatory = True
        socket.sndhwm = socket.rcvhwm = _MESSAGES
        socket.maxmsgsize = settings.limits.request_bytes + _SLACK
        socket.handshake_ivl = _HANDSHAKE_MS

    def _bind_ipc(self) -> Connection:
        try:
            self.socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
        except zmq.ZMQError:
            # ZeroMQ was built without it; the mode of the directory keeps other users out anyway.
            pass
        self.entrance = Entrance(self.socket, self._files, self._directory, self.directory)
        endpoint = f"ipc://{os.path.join(self.directory, SOCKET)}"
        return Connection(endpoint, "", 0, "", "")

    def _bind_tcp(self, address: str) -> Connection:
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
        host, _, port = address.rpartition(":") if address[-1:] != "]" else (address, "", "")
        if not host:
            host, port = address, "*"
        self.socket.backlog = _BACKLOG
        self.socket.ipv6 = host.startswith("[")
        try:
            if host in ("0.0.0.0", "[::]", "*"):
                raise ValueError("it is the address of no machine")
            if port.isdecimal() and int(port) > _LAST_PORT:
                raise ValueError(f"the last port is {_LAST_PORT}")
            self.socket.bind(f"tcp://{host}:{port or '*'}")
        except (zmq.ZMQError, ValueError) as error:
            in_use = isinstance(error, zmq.ZMQError) and error.errno == zmq.EADDRINUSE
            hint = _OTHER_PORT if in_use else _OTHER_ADDRESS
            reason = zmq.strerror(error.errno or 0).lower() if isinstance(error, zmq.ZMQError) else error
            raise OSError(f"cannot listen at {address!r}: {reason}; {hint}") from error
        endpoint = cast(bytes, self.socket.get(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        return Connection(endpoint, "", 0, "", "", server_key=server.public, client=client, watcher=watcher)


def places() -> list[str]:
    """Return the directories in which kernels may make their own, best first."""
    found = (os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp")
    return [place for place in found if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)]


def _place() -> str:
    """Return a directory for the kernel's directory: safe, and short enough for a socket's path.

    Raises: OSError if there is none, with the reason for each.
    """
    refused: list[str] = []
    for place in places():
        longest = len(os.fsencode(os.path.join(place, "cellwire-123456789012", SOCKET)))
        reason = f"the path {place} is too long" if longest > _LONGEST_PATH else why_unsafe(place)
        if not reason:
            return os.path.abspath(place)
        refused.append(reason)
    hint = "set TMPDIR to a directory with a short path that only you can write to"
    raise OSError(f"no directory for a socket: {'; '.join([*refused, hint])}")
