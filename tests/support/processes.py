"""Questions about processes, the same on every system."""

import os
import signal

import anyio
import psutil

from .waiting import PATIENCE


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` started, and those that they started."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def descriptors_of(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return psutil.Process(pid).num_fds()


async def gone(*pids: int) -> None:
    """Return when all of them have ended; end those that do not, and fail."""
    with anyio.move_on_after(PATIENCE):
        while any(map(is_alive, pids)):
            await anyio.sleep(0.01)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"of the processes {pids} these are still there after {PATIENCE} s: {left}"


def wait_until_gone(*pids: int) -> None:
    """As `gone`, where no event loop runs."""
    anyio.run(gone, *pids)
