"""At most one update of a thing per interval, and always its last one.

`Throttle.changed(thing)` sends the thing at once if it was last sent longer than an interval ago. Otherwise
one thread, shared by all things, sends it when the interval is over, in the state that it then has. So the
last state of a thing that stops changing is sent too. The thread lives while anything waits. The clock is a
parameter and `send_due` can be called directly: tests need neither sleep nor thread.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ..attribution.threads import detached

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
        # Guards the rest. Nothing is sent under it. Reentrant, as a `__del__` may change a thing.
        self._waiting = threading.Condition(threading.RLock())
        #: When each waiting thing is due.
        self._due: dict[Sendable, float] = {}
        self._running = False

    def changed(self, thing: Sendable) -> None:
        """Send the state of `thing`, at once or when its interval is over."""
        if thing in self._due:
            return  # its state is read after it leaves `_due`, so this change will be in it
        now = self.clock()
        with self._waiting:
            due = thing.sent_at + self.interval
            if due > now:
                self._due[thing] = due
                self._wake()
                return
            thing.sent_at = now
        thing.send()

    def send_now(self, thing: Sendable) -> None:
        """Send the state of `thing` at once, however recently it was sent."""
        with self._waiting:
            self._due.pop(thing, None)
            thing.sent_at = self.clock()
        thing.send()

    def send_due(self) -> None:
        """Send every thing that is due."""
        now = self.clock()
        with self._waiting:
            due = [thing for thing, at in self._due.items() if at <= now]
            for thing in due:
                del self._due[thing]
                thing.sent_at = now
        for thing in due:
            thing.send()

    def _wake(self) -> None:
        if self._threaded and not self._running:
            self._running = True
            with detached():
                threading.Thread(target=self._run, name="cellwire-throttle", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._waiting:
                if not self._due:
                    self._running = False
                    return
                # No notification is needed: what is added later has the same interval, so it is due later.
                self._waiting.wait(max(0.0, min(self._due.values()) - self.clock()))
            self.send_due()
