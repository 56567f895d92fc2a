"""The path at which frontends on the same machine connect, and who is let in there.

libzmq accepts whatever comes in a thread of its own, and aborts the process if accept on ipc finds no free
descriptor (4.3.5: `ipc_listener_t::accept` asserts on EMFILE; its other calls that take descriptors are made
when sockets are, and return an error). A look at the number of connections would come too late for a burst.
So libzmq never listens where frontends find a socket:

* At the path is a listener of the kernel's own. Nothing is accepted from it, so at most its queue fills.
* When a frontend is in its queue, and the kernel has room for a full queue, another listener is renamed to
  the path. The first cannot be found any more: its queue only gets shorter, as a `connect` that had to wait
  looks the name up again. Only then does libzmq get it, and accepts what is in it: one group of frontends.
* The next group has to wait until that queue is empty, so that what it took is counted.

How many connections one group brings is therefore known before, and no burst takes a descriptor that was not
free for it. In libzmq a connection belongs to the listener that accepted it. A listener is closed when the
connections of its group have ended, which the socket's monitor says.

On tcp none of this is needed: there libzmq goes on without the connection (`tcp_listener_t::accept`).
"""

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import cast

import zmq

from .descriptors import room_for_backlog, room_for_connections
from .diagnostics import report
from .loop import Loop
from .made_files import MadeFiles

#: The name of the socket. A listener has another one, a dot and a number, until it takes this one.
SOCKET = "socket"
_BACKLOG = 256
#: Connections beyond the queue: a `connect` that is past the look-up while the name changes hands.
_RACING = 8
#: Seconds until another look: for room, at the queue of the last group, and at a group that brought nothing.
_FOR_ROOM = 1.0
_FOR_QUEUE = 0.001
_WITHOUT_CONNECTIONS = 1.0
_POLLIN = int(zmq.POLLIN)


class _Group:
    """The connections that came through one listener, which libzmq has."""

    def __init__(self, listener: socket.socket) -> None:
        #: The same listener as libzmq's, to see its queue.
        self._listener: socket.socket | None = listener
        self.since = time.monotonic()
        #: How many of its connections are open.
        self.connections = 0

    def is_complete(self) -> bool:
        """Whether every connection in its queue was accepted."""
        if self._listener is not None:
            poll = select.poll()
            poll.register(self._listener, select.POLLIN)
            if not poll.poll(0):
                self.close()
        return self._listener is None

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class Entrance:
    """Lets frontends in while there are descriptors for them; those that are connected stay."""

    def __init__(self, router: "zmq.Socket[bytes]", files: MadeFiles, directory: int, path: str) -> None:
        self._router = router
        self._files = files
        self._directory, self._path = directory, path
        self._backlog = min(_BACKLOG, room_for_backlog())
        self._listeners = 0
        self._listener, self._name = self._listen()
        self._groups: dict[str, _Group] = {}
        self._last: _Group | None = None
        self._refused = False
        self._loop: Loop | None = None
        self._open_pipes: Callable[[], int] = int
        self._monitor = router.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)

    def watch(self, loop: Loop, open_pipes: Callable[[], int]) -> None:
        """Let frontends in from now on; `open_pipes` says how many pipes of children are open."""
        self._loop, self._open_pipes = loop, open_pipes
        # Edge-triggered: read until there is nothing.
        loop.watch(int(self._monitor.fd), self._read_events)
        self._read_events()
        loop.watch(self._listener.fileno(), self._knocked)

    def close(self) -> None:
        """Let nobody in any more."""
        for group in self._groups.values():
            group.close()
        self._listener.close()
        # Only this end: to end the other, a thread of libzmq may have to wait for one that waits for this.
        self._monitor.close(0)

    def _listen(self) -> tuple[socket.socket, str]:
        """Put a new listener at the path, instead of the one there; return it and its own address.

        Raises: OSError if it cannot be made, or if something else is at the path.
        """
        name = f".{self._listeners}"
        self._listeners += 1
        path = os.path.join(self._path, name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(path)
            self._files.add(self._directory, name)
            listener.listen(self._backlog)
            listener.setblocking(False)
            self._files.rename(self._directory, name, SOCKET)
        except BaseException:
            listener.close()
            raise
        return listener, f"ipc://{path}"

    def _knocked(self) -> None:
        """Let a group in, or let it wait for room."""
        assert self._loop is not None
        self._loop.unwatch(self._listener.fileno())
        self._remove_empty()
        wait = 0.0
        if self._last is not None and not self._last.is_complete():
            wait = _FOR_QUEUE
        elif not room_for_connections(self._open_pipes(), self._backlog + 1 + _RACING):
            self._refuse("too many connections are open; further frontends have to wait")
            wait = _FOR_ROOM
        else:
            try:
                self._let_in()
            except (OSError, zmq.ZMQError) as error:
                self._refuse(f"no frontend can be let in: {error}")
                wait = _FOR_ROOM
        if wait:
            self._loop.later(wait, self._knocked)
        else:
            self._refused = False
            self._loop.watch(self._listener.fileno(), self._knocked)

    def _let_in(self) -> None:
        listener, name = self._listener, self._name
        fd = os.dup(listener.fileno())
        try:
            self._listener, self._name = self._listen()
        except BaseException:
            os.close(fd)
            raise
        self._groups[name] = self._last = _Group(listener)
        self._router.setsockopt(zmq.USE_FD, fd)
        self._router.bind(name)

    def _refuse(self, reason: str) -> None:
        if not self._refused:
            self._refused = True
            report(reason)

    def _read_events(self) -> None:
        """Count connections, and close the listeners of groups that have none left."""
        while cast(int, self._monitor.get(zmq.EVENTS)) & _POLLIN:
            event, address = self._monitor.recv_multipart(zmq.NOBLOCK)
            name = address.decode()
            group = self._groups.get(name)
            if group is None:
                continue
            accepted = int.from_bytes(event[:2], sys.byteorder) == zmq.EVENT_ACCEPTED
            group.connections += 1 if accepted else -1
            if group.is_complete() and not group.connections:
                self._remove(name)

    def _remove_empty(self) -> None:
        """Close the listeners of groups none of whose connections passed libzmq's filter."""
        latest = time.monotonic() - _WITHOUT_CONNECTIONS
        for name, group in list(self._groups.items()):
            if not group.connections and group.since < latest and group.is_complete():
                self._remove(name)

    def _remove(self, name: str) -> None:
        del self._groups[name]
        self._router.unbind(name)
