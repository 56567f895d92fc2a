"""Interrupts: where they come from, where they are counted, and where they strike.

1. The kernel writes the number of the run that it interrupts, and how often it has done so, into a word of
   memory that it shares with this process. Then it sends SIGINT. The signal only says that the word may have
   changed; it may come late, or merge with another signal.
2. `receive` handles the signal. The word names the newest run that the kernel has sent and that is not
   over, and the interrupt is for all runs up to that one. So a changed word raises `count`, unless nothing
   of what was asked for is left. A run that has not begun finds the word in `begin`, and so do the runs
   before it that are open then (`is_due`). A signal without a change belongs to a word that was already
   seen (`_owed`), or is a repetition (5); any other is not the kernel's, and counts as one more interrupt
   of what runs. A thread signals again if the main thread was not woken (`make_sure`).
3. `count` ends a run: it is checked before each cell, and when user code is entered.
4. An interrupt strikes each running cell once (`_struck`). KeyboardInterrupt is raised into the user code
   that is executing, whose `subject` is set; `Scheduler.cancel`, which the loop calls, cancels the others.
   Nothing is raised into the engine's frames, except within `__del__`, where it ends.
5. A thread sends the signal again (`repeat`) if an interrupt was lost in `__del__`, or came while the
   engine's frames were entering or leaving user code, or while a callback was being scheduled that would be
   lost.
6. Tasks and callbacks that cells left on the loop are user code too, and so are the loop's exception handler
   and the module finders that the analysis asks. If a repetition finds a step of one still executing, it
   raises CancelledError there, since KeyboardInterrupt would end the loop.
7. A debugger that has stopped user code holds the interrupt (`held`): an exception raised in its waiting
   would leave it waiting for ever. The interrupt strikes when the debugger lets the code go on (`let_go`);
   what the debugger evaluates meanwhile is ended at once.
8. An interrupt of a notebook also counts in the notebooks that its cells embed, and strikes the innermost one
   whose code is executing. The outermost receives and repeats signals.

All of this happens on the main thread, between two bytecodes; the order of statements makes it sound.
"""

import _thread
import asyncio
import os
import weakref
from asyncio import base_events, events
from collections.abc import Callable, Sequence
from os import urandom
from signal import SIGINT, pthread_kill
from threading import main_thread
from time import sleep
from types import FrameType, FunctionType
from typing import Any, Literal, Protocol, cast

from ..analysis.star_imports import find_spec
from ..attribution.context import current_execution

#: Seconds after which an interrupt is repeated at the earliest; at the latest after five times as long.
_MOMENT = 0.001
#: Seconds after which it is looked whether a signal was handled, each after the one before.
_LOOKS = (0.02, 0.05, 0.1, 0.2, 0.5)
_EXECUTION = os.path.dirname(__file__) + os.sep
_RUNNER = os.path.dirname(os.path.dirname(__file__)) + os.sep
#: Files whose code calls user code, and is not called by it.
_ENGINE = (_EXECUTION, _RUNNER + "embedding" + os.sep, _RUNNER + "engine.py", _RUNNER + "host.py")
_LOOP = base_events.BaseEventLoop
#: A future that is done schedules its callbacks by these; if they fail, whatever awaits it never wakes.
_SCHEDULING = {function.__code__ for function in (_LOOP.call_soon, _LOOP.call_soon_threadsafe, _LOOP.call_at)}
_CALLBACK = events.Handle._run.__code__
#: Functions that call user code for no cell, and survive whatever it raises.
_CALLERS = {_LOOP.call_exception_handler.__code__, find_spec.__code__}
_FINALIZE = cast("FunctionType", weakref.finalize.__call__).__code__


class Gate(Protocol):
    """Decides whether an interrupt strikes the executing code; `Interrupts` explains the methods."""

    count: int

    @property
    def subject(self) -> object: ...
    @subject.setter
    def subject(self, value: object) -> None: ...
    def strikes(self, subject: object) -> bool: ...


class Interrupts:
    """Counts interrupts, and decides whether one strikes at once.

    `cancel` is called once for each interrupt of what runs; it makes the loop cancel the cells that await.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        #: Called with the subject, and its frame before KeyboardInterrupt is raised there, or its task before
        #: that is cancelled.
        self.before_striking: Callable[[object, FrameType | asyncio.Task[Any] | None], object] = (
            lambda subject, frame: None
        )
        #: The kernel's word, see `protocol.interrupt_word`.
        self.word: Sequence[int] = (0,)
        #: Whether something runs: a requested run, or one that states have caused.
        self.running = False
        #: The newest requested run that has begun, and all requested runs that are not over.
        self.newest = 0
        self.open: dict[int, None] = {}
        #: How often what runs has been interrupted.
        self.count = 0
        #: The owner of the user code that the main thread executes: an execution, or the argument of a hook.
        self.subject: object = None
        self._struck: list[object] = []
        self._seen = 0
        self._owed = False
        self._again = False
        #: Whether a signal that repeats the last interrupt is on its way.
        self.repeating = False
        # The step of a task or callback that was executing when the last interrupt came.
        self._step: FrameType | None = None
        #: The `Interrupts` of embedded notebooks, and of the notebook that embeds this one.
        self.inner: list[Interrupts] = []
        self.outer: Interrupts | None = None
        #: The frame in which a debugger waits that has stopped user code, and the folder of its files.
        self.held: FrameType | None = None
        self.debugger = ""
        #: Whether the engine of this notebook executes, called by the cell that embeds it.
        self.blocks = False

    def is_due(self, run: int) -> bool:
        """Return whether what is open was interrupted, in the last moment before `run` was sent here."""
        if self.word[0] != self._seen and self.word[0] >> 32 != run:
            self._see()
            self._add(1)
        return self.count > 0

    def begin(self, run: int) -> None:
        """Let `run`, which may have been interrupted already, be in progress with those that are open."""
        self.newest = run
        self.open[run] = None
        if self.word[0] != self._seen:
            self._see()
        if self._seen >> 32 == run:
            self.count = max(self.count, self._seen >> 16 & 0xFFFF)
            if self.count:
                self._cancel()

    def end(self, run: int) -> int:
        """Note that `run` is over, and return how often it was interrupted."""
        del self.open[run]
        return self.count

    def _see(self) -> None:
        # `receive` may come in between and see a newer word.
        while self._seen != (word := self.word[0]):
            self._seen = word
            self._owed = True

    def receive(self, frame: FrameType | None) -> None:
        """Handle SIGINT, which came while `frame` was executing.

        Raises: KeyboardInterrupt in user code of a cell or a hook, CancelledError in tasks that a cell left.
        """
        word = self.word[0]
        new = (word - self._seen) & 0xFFFF
        again, self._again = self._again, False
        if again:
            self.repeating = False
        if new:
            # The signal that repeats the last one may have merged with this one, or may still come.
            self._owed = self._owed or again
            self._seen = word
            self._owed = self._owed or new > 1
            run = word >> 32
            if run and run <= self.newest and run < min(self.open, default=run + 1):
                return
            self._add(min(new, word >> 16 & 0xFFFF))
        elif again:
            # Checked before `_owed`: that signal may have merged with another, and never come.
            self._strike_executing(frame, repeated=True)
            return
        elif self._owed:
            self._owed = False
            return
        else:
            self._add(1)
        self._strike_executing(frame)

    def lets_raise(self, frame: FrameType | None) -> bool:
        """Return whether what a signal handler raises, called while `frame` executes, reaches user code."""
        place = _place(frame)
        if place == "user code":
            return self.subject is not None or _step_of_user_code(frame) is not None
        return place == "finalizer"

    def reset(self) -> None:
        """Forget interrupts of earlier runs; those of the embedding notebook also count for this one."""
        self.count = 0 if self.outer is None else self.outer.count
        self._struck.clear()
        if self._again:
            # Its signal went to a handler of the user's, or has not arrived yet.
            self._again = self.repeating = False
            self._owed = True

    def strikes(self, subject: object) -> bool:
        """Return whether the last interrupt has yet to strike `subject`, and count it as struck."""
        if not self.count or any(struck is subject for struck in self._struck):
            return False
        self._struck.append(subject)
        return True

    def lost(self) -> None:
        """Repeat the interrupt, since its exception ended where none can be raised, as in `__del__`."""
        here = self._executing()
        here._struck[:] = [struck for struck in here._struck if struck is not here.subject]
        self.repeat()

    def let_go(self) -> None:
        """Strike user code, which a debugger lets go on, with an interrupt that came while it stood still.

        Raises: KeyboardInterrupt.
        """
        here = self._executing()
        if here.subject is not None and here.strikes(here.subject):
            here.before_striking(here.subject, None)
            raise KeyboardInterrupt

    def take_back(self) -> None:
        """Let what runs go on: the user code that was struck has dealt with it."""
        for inner in self.inner:
            inner.take_back()
        self.count = 0
        self._struck.clear()

    def repeat(self) -> None:
        """Send the signal again in a moment, for an interrupt that has not struck yet."""
        if self.outer is not None:
            self.outer.repeat()
            return
        if self.repeating:
            # Of two signals close to each other, the second would count as a new interrupt.
            return
        self.repeating = True

        def signal_again() -> None:
            # Random: code that is in step with a fixed delay would escape for ever.
            sleep(_MOMENT * (1 + urandom(1)[0] / 64))
            if self.count or self._step is not None:
                self._again = True
                pthread_kill(main_thread().ident or 0, SIGINT)
                return
            self.repeating = False
            if self.count or self._step is not None:
                # It became necessary just after the check above.
                self.repeat()

        # Not a `Thread`: starting one waits until it runs, which takes too long here.
        _thread.start_new_thread(signal_again, ())

    def make_sure(self, is_ours: Callable[[], bool]) -> None:
        """Signal again if the kernel's last signal is not handled soon; called by another thread.

        A signal does not wake the main thread if it came just before that began to wait, as for a lock. With
        `is_ours`, SIGINT is handled here and not by user code.
        """

        def look() -> None:
            for seconds in _LOOKS:
                sleep(seconds)
                if self.word[0] == self._seen or not is_ours():
                    return
                self._owed = True
                pthread_kill(main_thread().ident or 0, SIGINT)

        _thread.start_new_thread(look, ())

    def _executing(self) -> "Interrupts":
        """Return the `Interrupts` of the notebook whose code is executing: an embedded one, or this one."""
        for inner in self.inner:
            found = inner._executing()
            if found.subject is not None or found.blocks:
                return found
        return self

    def _strike_executing(self, frame: FrameType | None, repeated: bool = False) -> None:
        if self.held is not None:
            if _evaluates(frame, self.held):
                raise KeyboardInterrupt
        elif self.debugger and _is_of(frame, self.debugger):
            self.repeat()
        else:
            self._executing()._strike(frame, repeated)

    def _add(self, times: int) -> None:
        self._step = None
        for inner in self.inner:
            inner._add(times)
        if self.running:
            self.count += times
            self._struck.clear()
            self._cancel()

    def _strike(self, frame: FrameType | None, repeated: bool = False) -> None:
        """Raise into the executing user code, if there is any and `frame` allows it."""
        place = _place(frame)
        if self.subject is not None:
            if place in ("engine", "loop"):
                self.repeat()
            elif self.strikes(self.subject):
                self.before_striking(self.subject, frame)
                raise KeyboardInterrupt
            return
        if place == "finalizer":
            raise KeyboardInterrupt
        step, self._step = self._step, _step_of_user_code(frame)
        if self._step is None:
            return
        if not repeated or step is not self._step or place != "user code":
            self.repeat()
            return
        self._step = None
        raise asyncio.CancelledError("interrupted")


def _place(frame: FrameType | None) -> Literal["engine", "finalizer", "loop", "user code"]:
    """Return what `frame` executes: the engine, a finalizer, the scheduling of a callback, or other code."""
    if frame is not None and frame.f_code.co_filename.startswith(_ENGINE):
        return "engine"
    while frame is not None:
        code = frame.f_code
        if code is _FINALIZE or code.co_name == "__del__":
            return "finalizer"
        if code in _SCHEDULING:
            return "loop"
        if code.co_filename.startswith(_ENGINE):
            break
        frame = frame.f_back
    return "user code"


def _step_of_user_code(frame: FrameType | None) -> FrameType | None:
    """Return the frame that runs the user code which `frame` is part of, if that is not the code of a cell.

    That is the loop's frame of a task or callback that a cell left, or one of `_CALLERS`.
    """
    innermost = frame
    while frame is not None and not frame.f_code.co_filename.startswith(_ENGINE):
        if frame.f_code in _CALLERS and frame is not innermost:
            return frame
        if frame.f_code is _CALLBACK:
            return None if current_execution.get() is None else frame
        frame = frame.f_back
    return None


def _is_of(frame: FrameType | None, folder: str) -> bool:
    """Return whether `frame` is of a file in `folder`, or of a lock that is taken there."""
    for _ in range(4):
        if frame is not None:
            if frame.f_code.co_filename.startswith(folder):
                return True
            frame = frame.f_back
    return False


def _evaluates(frame: FrameType | None, waits: FrameType) -> bool:
    """Return whether a debugger that has stopped user code runs some for itself."""
    while frame is not None and frame is not waits:
        if frame.f_code.co_filename.startswith("<"):
            return True
        frame = frame.f_back
    return False
