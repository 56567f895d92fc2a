"""Signal handlers of user code: what they raise reaches user code, or is reported.

A signal may arrive while the main thread is in cellwire's own code: between two cells, or in the loop while
nothing runs. The handler is called there too, but what it raises is reported on standard error. If a cell is
executing and is just entering or leaving cellwire's code, the signal is sent again a moment later, so that a
timeout that the cell has set for itself is not lost.
"""

import signal
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from functools import wraps
from os import getpid
from signal import pthread_kill
from threading import get_ident
from time import monotonic, sleep
from types import FrameType
from typing import Any

from ..output.reports import report
from .interrupts import Interrupts

#: Seconds after which a signal is sent again.
_MOMENT = 0.001
#: How many exceptions are reported in a second, since a handler may raise a thousand times.
_REPORTS = 20


def install_signals(interrupts: Interrupts, own: Callable[..., object]) -> None:
    """Guard all handlers set after this call, except `own`; called once, on the main thread."""
    set_handler, get_handler = signal.signal, signal.getsignal
    process, main = getpid(), get_ident()
    reports = _Reports()

    def send_again(number: int) -> None:
        sleep(_MOMENT)
        pthread_kill(main, number)

    def guarded(handler: Callable[[int, FrameType | None], object]) -> Any:
        def handle(number: int, frame: FrameType | None) -> None:
            if getpid() != process or interrupts.lets_raise(frame):
                handler(number, frame)
            elif interrupts.subject is not None:
                start_new_thread(send_again, (number,))
            else:
                try:
                    handler(number, frame)
                except BaseException as error:
                    reports.add(error)

        handle.__cellwire_handler__ = handler  # pyright: ignore[reportFunctionMemberAccess]
        return handle

    def as_given(handler: Any) -> Any:
        return getattr(handler, "__cellwire_handler__", handler)

    @wraps(set_handler)
    def set_guarded(signalnum: Any, handler: Any) -> Any:
        guard = callable(handler) and handler is not own
        return as_given(set_handler(signalnum, guarded(handler) if guard else handler))

    @wraps(get_handler)
    def get_given(signalnum: Any) -> Any:
        return as_given(get_handler(signalnum))

    signal.signal, signal.getsignal = set_guarded, get_given


class _Reports:
    """Reports exceptions, at a limited rate."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_REPORTS)
        self._reporting = False
        self._left_out = 0

    def add(self, error: BaseException) -> None:
        """Report `error`, or count it."""
        now = monotonic()
        # The handler may be called again while an exception is being reported.
        if self._reporting or (len(self._times) == _REPORTS and now - self._times[0] < 1.0):
            self._left_out += 1
            return
        self._reporting = True
        self._times.append(now)
        left_out, self._left_out = self._left_out, 0
        more = f"cellwire: {left_out} exceptions of signal handlers are not shown\n" if left_out else ""
        report(more, error)
        self._reporting = False
