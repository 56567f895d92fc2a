"""Interrupts: where KeyboardInterrupt may strike, and where it has to wait.

The main thread runs user code and the engine's own. An interrupt is raised only where `in_user_code` says
that user code is being executed; anywhere else it is noted in `count`, and the run looks at that before
each cell.

A task or callback that a cell left on the loop is user code too, but KeyboardInterrupt would end the
loop with it: it is interrupted by CancelledError, which ends that task alone.

Everything happens on the main thread: signal handlers run there, between two of its bytecodes, so the
order of the statements below is what makes them sound, and no lock is needed.
"""

import _thread
import asyncio
import os
import signal
import threading
import time
from typing import Any

from ..attribution.context import current_execution

#: Seconds after which an interrupt that was lost is repeated, at the least; five times that at the most.
_MOMENT = 0.001


class Interrupts:
    """The gate that decides whether an interrupt strikes at once."""

    def __init__(self) -> None:
        #: The main thread is inside user code of a cell, or of a hook.
        self.in_user_code = False
        #: How often the run in progress has been interrupted.
        self.count = 0
        #: Runs up to this number have been interrupted, begun or not. A signal may overtake the request
        #: for the run that it is meant for; who knows of both sets this first, from any thread.
        self.interrupted_through = 0
        # The next signal is not another interrupt but the last one once more.
        self._again = False
        #: Tasks that carry out runs and cells: they are never struck by CancelledError.
        self.own_tasks: set[asyncio.Task[Any]] = set()

    def raise_here(self) -> None:
        """Raise into the user code that is being executed on this thread; return if there is none.

        Raises: KeyboardInterrupt in a cell's own code, CancelledError in a task that it has left.
        """
        if self.in_user_code:
            raise KeyboardInterrupt
        if self._in_background_task():
            raise asyncio.CancelledError("interrupted")

    def raise_later(self) -> None:
        """Strike once more in a moment: what was raised was lost where nothing can be, as in `__del__`."""

        def strike() -> None:
            # Not always the same: what is in step with it would escape for ever.
            time.sleep(_MOMENT * (1 + os.urandom(1)[0] / 64))
            if self.count:
                self._again = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        # Not a `Thread`, which would be waited for until it has started: that is longer than a moment.
        _thread.start_new_thread(strike, ())

    def is_repetition(self) -> bool:
        """Return whether the signal that has come is the last one once more, and forget about it."""
        again, self._again = self._again, False
        return again

    def _in_background_task(self) -> bool:
        """Return whether this thread executes a task that a cell has left on the loop."""
        if current_execution.get() is None:
            return False
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return False
        return task is not None and task not in self.own_tasks
