"""How many descriptors the kernel may have, and how many a runner.

Every connection of a frontend is a descriptor, and libzmq ends the whole process when it has none left
for one more on ipc (4.3.5 asserts in `ipc_listener.cpp`). So the kernel allows itself as many as the
system lets it. A runner keeps the limit that the kernel was started with: it is the user's.
"""

import resource
import sys

#: Where the system sets no bound; more than this is a fault of somebody's.
_MOST = 65536

_given = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_limit() -> None:
    """Raise this process's limit as far as the system allows it."""
    soft, hard = _given
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            # macOS allows less than it says.
            pass


def restore_limit(pid: int) -> None:
    """Give the process that has just been started the limit that this one had."""
    if sys.platform == "linux":
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _given)
        except OSError:
            # It has ended already.
            pass
