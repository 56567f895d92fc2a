"""At most one update of a thing per interval, and always its last one.

`Throttle.changed(thing)` sends the thing at once if it was last sent longer than an interval ago. Otherwise
one thread, shared by all things, sends it when the interval is over, in the state that it then has. So the
last state of a thing that stops changing is sent too. The thread lives while anything waits. The clock is a
parameter and `send_due` can be called directly: tests need neither sleep nor thread.
"""

import os
import time
from _thread import start_new_thread  # below what a cell may replace in `threading`
from collections.abc import Callable
from threading import RLock
from typing import Protocol

from ..output.reports import report

# The function as it is before user code can replace it.
_sleep = time.sleep
#: Seconds between two updates of one thing.
INTERVAL = 0.05


class Sendable(Protocol):
    """Something with a state that can be sent at any moment, from any thread."""

    #: When it was last sent, by the throttle's clock; minus infinity before the first time.
    sent_at: float

    def send(self) -> None: ...


class Throttle:
    """Decides when changed things are sent."""

    clock: Callable[[], float]
    interval: float

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, interval: float = INTERVAL, threaded: bool = True
    ) -> None:
        self.clock = clock
        self.interval = interval
        self._threaded = threaded
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # Guards the rest. Nothing is sent while it is held. Reentrant, as a `__del__` may change a thing.
        self._lock = RLock()
        #: When each waiting thing is due.
        self._due: dict[Sendable, float] = {}
        self._running = False

    def changed(self, thing: Sendable) -> None:
        """Send the state of `thing`, at once or when its interval is over."""
        if thing in self._due:
            return  # its state is read after it leaves `_due`, so this change will be in it
        now = self.clock()
        with self._lock:
            due = thing.sent_at + self.interval
            if due > now:
                self._due[thing] = due
                if self._is_awake():
                    return
                del self._due[thing]
            thing.sent_at = now
        thing.send()

    def send_now(self, thing: Sendable) -> None:
        """Send the state of `thing` at once, however recently it was sent."""
        with self._lock:
            self._due.pop(thing, None)
            thing.sent_at = self.clock()
        thing.send()

    def send_due(self) -> None:
        """Send every thing that is due."""
        now = self.clock()
        with self._lock:
            due = [thing for thing, at in self._due.items() if at <= now]
            for thing in due:
                del self._due[thing]
                thing.sent_at = now
        for thing in due:
            try:
                thing.send()
            except BaseException as error:
                # The others must not wait for ever because of this one.
                report("cellwire: an update could not be shown\n", error)

    def _is_awake(self) -> bool:
        """Return whether the thread works, after starting it if it does not. The lock is held."""
        if self._threaded and not self._running:
            try:
                start_new_thread(self._run, ())
            except RuntimeError:
                return False  # there are as many threads as there can be
            self._running = True
        return True

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._running = False
                    return
                # Nothing needs to wake it: what is added later has the same interval, so it is due later.
                pause = min(self._due.values()) - self.clock()
            _sleep(max(0.0, pause))
            self.send_due()
