"""Interrupts of a cell that executes on a thread of its own, beside others.

A signal cannot be sent to a Python thread. Instead the interpreter raises KeyboardInterrupt into the thread
at its next bytecode, which a call into C may delay. An exception that is still to come when the user code is
over is raised while the gate closes, and goes no further. Cancelling it instead would confuse the
interpreter: CPython 3.11 then hangs in the first function that is traced.
"""

import asyncio
import ctypes
from threading import Lock, get_ident
from time import sleep
from typing import Any

_raise_in: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc


class ThreadGate:
    """The gate of one cell; see `execution.interrupts.Gate`."""

    def __init__(self) -> None:
        #: How often the cell was interrupted.
        self.count = 0
        self._thread = 0
        self._subject: object = None
        # Whether KeyboardInterrupt has been requested since the gate was opened.
        self._signalled = False
        # Guards opening and closing against `interrupt`. Nothing else is called while it is held.
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def subject(self) -> object:
        """Whose user code the thread executes; None while it executes none."""
        return self._subject

    @subject.setter
    def subject(self, value: object) -> None:
        if value is not None:
            self._thread = get_ident()
            self._subject = value
            return
        while self._subject is not None or self._signalled:
            try:
                with self._lock:
                    self._subject = None
                if self._signalled:
                    # Replaces one that has not been raised yet, or comes as a second one.
                    _raise_in(ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt))
                    while True:
                        sleep(0)
            except KeyboardInterrupt:
                self._signalled = self._subject is not None

    def strikes(self, subject: object) -> bool:
        """Return whether there was an interrupt."""
        return self.count > 0

    def enter_task(self) -> None:
        """Note the running task as that of the cell."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt(self) -> None:
        """Interrupt the cell, from another thread."""
        with self._lock:
            self.count += 1
            if self._loop is not None and self._task is not None:
                try:
                    self._loop.call_soon_threadsafe(self._task.cancel)
                except RuntimeError:
                    pass  # the loop is closed: the cell has ended
            if self._subject is not None:
                self._signalled = True
                _raise_in(ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt))
