"""One thread that waits for descriptors and timers and never for anything else.

A callback does a bounded amount of work and returns. `turn` is called once in each round and returns
how long the next round may wait: not at all if there is more to do.
"""

import heapq
import itertools
import os
import selectors
import time
import traceback
from collections.abc import Callable

from .diagnostics import report

#: Seconds to wait after a turn has failed, so that a lasting fault does not occupy a core.
_AFTER_FAULT = 0.05
#: Lets a thread run that waits for this processor. Those that one waits for are put there too, and would get
#: their turn only after a millisecond or more.
_give_way = getattr(os, "sched_yield", int)

Callback = Callable[[], object]


class Timer:
    """A call that is due at a time, unless it is cancelled."""

    def __init__(self, due: float, callback: Callback) -> None:
        self.due = due
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Prevent the call."""
        self.callback = None


class Loop:
    """Calls back when a descriptor is ready or a timer is due."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, tuple[Callback, Callback | None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._awake_until = 0.0
        self._running = True

    def watch(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` can be read.

        Raises: PermissionError for what the system cannot watch, such as a regular file.
        """
        callbacks = (callback, None)
        self._selector.register(fd, selectors.EVENT_READ, callbacks)
        self._watched[fd] = callbacks

    def watch_both(self, fd: int, readable: Callback, writable: Callback | None) -> None:
        """Change what is called when `fd` can be read or written; does nothing if it is not watched."""
        if fd not in self._watched:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writable else 0)
        self._watched[fd] = (readable, writable)
        self._selector.modify(fd, events, self._watched[fd])

    def unwatch(self, fd: int) -> None:
        """Stop watching `fd`; does nothing if it is not watched."""
        if self._watched.pop(fd, None) is not None:
            self._selector.unregister(fd)

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once after `seconds`."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.due, next(self._count), timer))
        return timer

    def stay_awake(self, seconds: float) -> None:
        """Poll instead of sleeping for the next `seconds`: waking a core is slow for both sides."""
        self._awake_until = time.monotonic() + seconds

    def stop(self) -> None:
        """Return from `run` after this round."""
        self._running = False

    def run(self, turn: Callable[[], float]) -> None:
        """Run rounds until `stop`; `turn` returns the seconds that the next round may wait."""
        wait = 0.0
        while self._running:
            for key, events in self._ready(self._timeout(wait)):
                # An earlier callback of this round may have changed the watch or ended it.
                readable, writable = key.data
                if events & selectors.EVENT_READ and self._watched.get(key.fd) == key.data:
                    self._call(readable)
                if writable and events & selectors.EVENT_WRITE and self._watched.get(key.fd) == key.data:
                    self._call(writable)
            self._fire()
            try:
                wait = turn()
            except Exception:
                report(traceback.format_exc())
                wait = _AFTER_FAULT

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()

    def _ready(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready within `timeout`."""
        select = self._selector.select
        now = time.monotonic()
        if timeout != 0 and now < self._awake_until:
            until = self._awake_until if timeout is None else min(self._awake_until, now + timeout)
            while time.monotonic() < until:
                if ready := select(0):
                    return ready
                _give_way()
            if timeout is not None:
                timeout -= until - now
        return select(timeout)

    def _timeout(self, wait: float) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if wait > 0 and self._timers:
            wait = min(wait, max(0.0, self._timers[0][0] - time.monotonic()))
        return None if wait == float("inf") else wait

    def _call(self, callback: Callback) -> None:
        """Call, and report an exception: a fault in one callback must not end the others."""
        try:
            callback()
        except Exception:
            report(traceback.format_exc())

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._call(callback)
