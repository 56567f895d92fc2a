"""When a kernel whose connection is lost counts as dead.

On tcp a dead kernel looks like a network or a tunnel that is away, so that takes the seconds that
the user gives, or for ever. On ipc a kernel lives as long as its socket accepts connections; its process
id proves nothing, since another process may have it by now.
"""

import math
import socket

#: Seconds that a lost connection on ipc may take to come back before the kernel is looked for.
GRACE_SECONDS: float = 1.0


class Patience:
    """How long one frontend waits for a connection that is lost."""

    def __init__(self, endpoint: str, seconds: float | None) -> None:
        self._path = endpoint.removeprefix("ipc://") if endpoint.startswith("ipc://") else ""
        self._given = seconds
        #: Whether the end of the process is noticed otherwise, so that no connection need be waited for.
        self.unlimited: bool = False

    @property
    def seconds(self) -> float:
        """Seconds to wait before `is_over` is asked."""
        if self.unlimited:
            return math.inf
        if self._given is not None:
            return self._given
        return GRACE_SECONDS if self._path else math.inf

    def is_over(self) -> bool:
        """Whether the kernel counts as dead after that time."""
        return not self.unlimited and (self._given is not None or not accepts(self._path))


def accepts(path: str) -> bool:
    """Whether a process accepts connections at the socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            # More connections wait than it accepts at once.
            return True
        except OSError:
            return False
        return True
