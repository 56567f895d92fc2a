"""The end of the process that started the kernel, however it ends.

A Jupyter server closes the kernel's standard input at once, so that says nothing. It gives its process id
instead, which is watched where the system can do that; elsewhere the kernel looks now and then whether it has
another parent.
"""

import os
from collections.abc import Callable

from ...kernel.loop import Loop

_VARIABLE = "JPY_PARENT_PID"
#: Seconds between two looks at the parent.
_LOOK = 1.0


def watch_parent(loop: Loop, on_end: Callable[[], None]) -> None:
    """Call `on_end` once the process has ended that started this one for Jupyter, if one did."""
    try:
        server = int(os.environ.get(_VARIABLE, ""))
    except ValueError:
        return
    parent = os.getppid()
    try:
        descriptor = os.pidfd_open(server)
    except (AttributeError, OSError):
        # It ended already, or the system cannot watch processes, or it is one of another container.
        _poll(loop, server, parent, on_end)
        return

    def ended() -> None:
        loop.unwatch(descriptor)
        os.close(descriptor)
        on_end()

    loop.watch(descriptor, ended)


def _poll(loop: Loop, server: int, parent: int, on_end: Callable[[], None]) -> None:
    """Look for the end of `parent`; if that is init and not the server, the server ended before."""

    def look() -> None:
        if os.getppid() != parent or (parent == 1 and server != 1):
            on_end()
        else:
            loop.later(_LOOK, look)

    loop.later(0.0, look)
