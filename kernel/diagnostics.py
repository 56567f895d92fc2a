"""What the kernel says of itself: lines on standard error, and its size.

Lines can neither block the kernel nor end it. Standard error belongs to the launcher, who may have
made it a pipe that nobody reads. A line is written only if the descriptor takes it at once, and is
lost otherwise. Its mode is left alone: it may be shared with a terminal.
"""

import os
import select
import sys

#: What a writable pipe takes without blocking, everywhere.
_LARGEST = 4096


def report(text: str, fd: int = 2) -> None:
    """Write `cellwire kernel: text` if that is possible at once."""
    line = f"cellwire kernel: {text}\n".encode("utf-8", "backslashreplace")
    try:
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if any(event & select.POLLOUT for _, event in poll.poll(0)):
            os.write(fd, line[:_LARGEST])
    except OSError:
        pass


def resident_memory() -> int:
    """Return how many bytes of memory this process occupies; at its peak, where only that is known."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
