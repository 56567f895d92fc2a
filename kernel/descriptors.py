"""How many descriptors the kernel may have open, and for what, and how many a runner.

Every connection of a frontend takes descriptors, and libzmq aborts the process if none is left for a
connection on ipc. So the kernel raises its own limit as far as the system allows, leaves at most half of them
to the pipes of a runner's children, and a quarter to connections: further ones have to wait, which
`entrance.py` sees to. A runner gets the limit that the kernel was started with: it is the user's.
"""

import os
import resource
import sys

#: The limit where the system sets none, or a higher one: a higher limit is a misconfiguration.
_MOST = 65536

#: Descriptors for the kernel itself and a runner, to spare.
_OWN = 64

_given = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_limit() -> None:
    """Raise this process's limit as far as the system allows."""
    soft, hard = _given
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            # macOS allows less than its hard limit says.
            pass


def room_for_pipes() -> int:
    """Return how many pipes of a runner's children this process may have open."""
    return max(0, _limit() - _OWN) // 2


def room_for_connections(pipes: int, number: int) -> bool:
    """Return whether there is room for `number` more connections, while `pipes` of children are open.

    Each group of them also takes a listener, and connections may have a quarter of all descriptors.
    """
    try:
        return len(os.listdir("/dev/fd")) - pipes + number < _OWN // 2 + _limit() // 4
    except OSError:
        return False


def room_for_backlog() -> int:
    """Return how many connections may wait to be let in: all of them are, or none."""
    return max(4, _limit() // 16)


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def restore_limit(pid: int) -> None:
    """Give a process just started the limit that this one was started with."""
    if sys.platform == "linux":
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _given)
        except OSError:
            # The process ended already.
            pass
