"""Notices when the process that started the kernel has ended, however it ended.

A Jupyter server closes the kernel's standard input at once, so that is no sign. It passes its process id
instead. Where the system can watch a process, that process is watched; elsewhere the kernel checks now and
then whether its parent has changed.
"""

import os
from collections.abc import Callable

from ...kernel.loop import Loop

_VARIABLE = "JPY_PARENT_PID"
#: Seconds between two checks of the parent.
_LOOK = 1.0


def watch_parent(loop: Loop, on_end: Callable[[], None]) -> None:
    """Call `on_end` when the process that started this one for Jupyter has ended, if there is one."""
    try:
        server = int(os.environ.get(_VARIABLE, ""))
    except ValueError:
        return
    parent = os.getppid()
    try:
        descriptor = os.pidfd_open(server)
    except (AttributeError, OSError):
        # It has ended already, or the system cannot watch processes, or the id is from another container.
        _poll(loop, server, parent, on_end)
        return

    def ended() -> None:
        loop.unwatch(descriptor)
        os.close(descriptor)
        on_end()

    loop.watch(descriptor, ended)


def _poll(loop: Loop, server: int, parent: int, on_end: Callable[[], None]) -> None:
    """Check whether `parent` is still the parent; if it is init, the server has ended already."""

    def look() -> None:
        if os.getppid() != parent or (parent == 1 and server != 1):
            on_end()
        else:
            loop.later(_LOOK, look)

    loop.later(0.0, look)
