"""What the kernel reports about itself: lines on standard error, and its size.

A line can neither block the kernel nor end it. Standard error belongs to the launcher and may be a pipe
without a reader. A line is written only if the descriptor takes it at once, and is lost otherwise. The
descriptor stays in blocking mode: a terminal may share it.
"""

import os
import select
import sys

#: Bytes that a writable pipe takes without blocking, on every system.
_LARGEST = 4096


def report(text: str, fd: int = 2) -> None:
    """Write `cellwire kernel: text` if `fd` takes it at once."""
    line = f"cellwire kernel: {text}\n".encode("utf-8", "backslashreplace")
    try:
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if any(event & select.POLLOUT for _, event in poll.poll(0)):
            os.write(fd, line[:_LARGEST])
    except OSError:
        pass


def resident_memory() -> int:
    """Return the resident memory of this process in bytes, or its peak where only that is known."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
