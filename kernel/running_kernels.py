"""The kernels of this user that run on this machine, found by the directories that they make.

There is no list to keep: each kernel has a private directory with its connection file, which is locked as
long as the kernel lives, and removes both at its end, or its guardian does. What a machine that lost its
power leaves is removed here, but only what a kernel of this user made: a private directory with such a name,
a connection file whose lock is free and whose process is gone, and the socket beside it. What else is in
that directory stays, and so does the directory.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator

import msgspec

from ..protocol.connection import Connection
from .endpoint import CONNECTION, places
from .entrance import SOCKET

_NAME = re.compile(r"cellwire-[0-9a-f]{12}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: A connection file is smaller.
_LARGEST = 1 << 20


def running_kernels() -> list[Connection]:
    """Return how each running kernel is reached, by name; remove what dead ones have left."""
    seen = {os.path.realpath(place): None for place in places()}
    found = [connection for place in seen for connection in _kernels_in(place)]
    return sorted(found, key=lambda connection: (connection.name or "\uffff", connection.pid))


def _kernels_in(place: str) -> Iterator[Connection]:
    parent = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in filter(_NAME.fullmatch, os.listdir(parent)):
            try:
                directory = os.open(name, _DIRECTORY, dir_fd=parent)
            except OSError:
                # It belongs to another user, or has ended meanwhile.
                continue
            try:
                yield from _kernel_in(parent, name, directory)
            except OSError:
                continue
            finally:
                os.close(directory)
    finally:
        os.close(parent)


def _kernel_in(parent: int, name: str, directory: int) -> Iterator[Connection]:
    """Yield the kernel of an open directory if it runs; if it is dead, remove what it has left."""
    status = os.fstat(directory)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        return
    file = os.open(CONNECTION, _FILE, dir_fd=directory)
    try:
        try:
            connection = msgspec.json.decode(os.read(file, _LARGEST), type=Connection)
        except msgspec.DecodeError:
            return
        if _lives(file):
            yield connection
        elif not _is_process(connection.pid):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(directory, CONNECTION, os.fstat(file))
            if SOCKET in os.listdir(directory):
                found = os.lstat(SOCKET, dir_fd=directory)
                if stat.S_ISSOCK(found.st_mode):
                    _remove(directory, SOCKET, found)
            if os.path.samestat(os.lstat(name, dir_fd=parent), status):
                os.rmdir(name, dir_fd=parent)
    finally:
        os.close(file)


def _lives(file: int) -> bool:
    """Whether a kernel holds the lock of its connection file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(directory: int, name: str, known: os.stat_result) -> None:
    """Remove a file of this user if its name still leads to what is `known`."""
    if known.st_uid == os.geteuid() and os.path.samestat(os.lstat(name, dir_fd=directory), known):
        os.unlink(name, dir_fd=directory)
