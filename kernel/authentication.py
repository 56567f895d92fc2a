"""Who may connect over tcp: CURVE keys on a list, each with a role.

CURVE alone encrypts and lets any key in, so ZeroMQ sends a request about each connection to a handler
(ZAP, an inproc socket of fixed name). The handler allows the listed keys in the kernel's domain and
nothing else; the role travels back as the connection's user id. The domain is enforced, so a connection
that the handler did not see is refused as well. On ipc the file system decides and there is no handler.
"""

from collections.abc import Mapping, Sequence

import zmq
from zmq.utils import z85

from ..protocol.connection import KeyPair
from ..protocol.messages import Role

DOMAIN = b"cellwire"
_HANDLER = "inproc://zeromq.zap.01"
#: Requests answered in one turn.
_REQUESTS = 64


def new_key_pair() -> KeyPair:
    """Return a new CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


class Allowed:
    """The keys that may connect, each with its role."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        self._roles = {z85.decode(key): role for key, role in roles.items()}

    def verdict(self, request: Sequence[bytes]) -> list[bytes]:
        """Return the reply to a request of ZeroMQ."""
        version, number = (request[0], request[1]) if len(request) > 1 else (b"1.0", b"")
        role = None
        if len(request) == 7 and version == b"1.0" and request[2] == DOMAIN and request[5] == b"CURVE":
            role = self._roles.get(request[6])
        if role is None:
            return [b"1.0", number, b"400", b"not allowed", b"", b""]
        return [b"1.0", number, b"200", b"", role.encode(), b""]


class Authenticator:
    """Answers ZeroMQ's requests about connections."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", allowed: Allowed) -> None:
        self._allowed = allowed
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(_HANDLER)
        #: Edge-triggered: call `turn` before waiting for it.
        self.fd = int(self._socket.fd)

    def turn(self) -> bool:
        """Answer a bounded number of requests; return whether there may be more."""
        for _ in range(_REQUESTS):
            try:
                request = self._socket.recv_multipart(zmq.NOBLOCK)
                self._socket.send_multipart(self._allowed.verdict(request), zmq.NOBLOCK)
            except zmq.Again:
                return False
        return True

    def close(self) -> None:
        """Stop answering."""
        self._socket.close()
