"""Interrupts: what asks for one, where it is noted, and where it strikes.

1. The kernel writes which run it interrupts, and how often it has, into a word of memory that it shares
   with this process; then it sends SIGINT, which only says "look" and may come late or merge with another.
2. `receive` handles the signal. What is new in the word raises `count` if it names the run in progress; a
   run that has not begun finds it in `begin`; a run that is over has no use for it. A signal without news
   belongs to a word that was seen before (`_owed`), or is a repetition (5), or else is not the kernel's
   and counts as one more interrupt of what runs.
3. `count` ends a run: it is looked at before each cell, and when user code is entered.
4. An interrupt strikes each cell that runs once (`_struck`): KeyboardInterrupt is raised into the user
   code that executes, whose `subject` is set; the others are cancelled by `Scheduler.cancel`, which the
   loop calls. Nothing is raised into the engine's frames, except in `__del__`, which it does not leave.
5. A signal from a thread repeats an interrupt (`repeat`) that was lost in `__del__`, or found the engine's
   frames on their way into or out of user code, or a callback being scheduled that would be lost.
6. Tasks and callbacks that cells left on the loop are user code too, and so are the loop's exception handler
   and the module finders that the analysis asks. A step of them that a repetition finds still executing is
   ended by CancelledError, since KeyboardInterrupt would end the loop.
7. An interrupt of a notebook counts in those that its cells have embedded too, and strikes the innermost
   one whose code executes. Signals are received and repeated by the outermost.

All of this is on the main thread, between two bytecodes; the order of statements makes it sound.
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

#: Seconds after which an interrupt is repeated, at the least; five times that at the most.
_MOMENT = 0.001
_EXECUTION = os.path.dirname(__file__) + os.sep
_RUNNER = os.path.dirname(os.path.dirname(__file__)) + os.sep
#: Files whose code runs user code, and is not called by it.
_ENGINE = (_EXECUTION, _RUNNER + "embedding" + os.sep, _RUNNER + "engine.py", _RUNNER + "host.py")
_LOOP = base_events.BaseEventLoop
#: A future that is done schedules its callbacks by these; without them what awaits it never wakes.
_SCHEDULING = {function.__code__ for function in (_LOOP.call_soon, _LOOP.call_soon_threadsafe, _LOOP.call_at)}
_CALLBACK = events.Handle._run.__code__
#: Functions that call user code for no cell, and survive whatever it raises.
_CALLERS = {_LOOP.call_exception_handler.__code__, find_spec.__code__}
_FINALIZE = cast("FunctionType", weakref.finalize.__call__).__code__


class Gate(Protocol):
    """Decides whether an interrupt strikes what executes; `Interrupts` is one and explains these."""

    count: int

    @property
    def subject(self) -> object: ...
    @subject.setter
    def subject(self, value: object) -> None: ...
    def strikes(self, subject: object) -> bool: ...


class Interrupts:
    """The gate that decides whether an interrupt strikes at once.

    `cancel` is called once for each interrupt of what runs; it has the loop cancel the cells that await.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        #: Called with the subject, and its frame before KeyboardInterrupt is raised there, or its task before
        #: that is cancelled.
        self.before_striking: Callable[[object, FrameType | asyncio.Task[Any] | None], object] = (
            lambda subject, frame: None
        )
        #: The kernel's word, see `link.interrupt_word`.
        self.word: Sequence[int] = (0,)
        #: Something runs: a run that was asked for, or what states have caused.
        self.running = False
        #: The run that was asked for and is in progress, 0 if there is none; and the last that is over.
        self.run = 0
        self.over = 0
        #: How often what runs has been interrupted.
        self.count = 0
        #: Whose user code the main thread executes: an execution, or what a hook was called with.
        self.subject: object = None
        self._struck: list[object] = []
        self._seen = 0
        self._owed = False
        self._again = False
        #: A signal that repeats the last interrupt will come.
        self.repeating = False
        # The step of a task or callback that executed when the last interrupt came.
        self._step: FrameType | None = None
        #: Those of the notebooks that cells have embedded, and those of the notebook that embeds this one.
        self.inner: list[Interrupts] = []
        self.outer: Interrupts | None = None
        #: Whether the engine of this notebook executes, called by the cell that embeds it.
        self.blocks = False

    def begin(self, run: int) -> None:
        """Make `run` the one in progress, which may have been interrupted already."""
        self.run = run
        if self.word[0] >> 32 == run:
            # `receive` may come in between and see a newer word.
            while self._seen != (word := self.word[0]):
                self._seen = word
                self._owed = True
            self.count = max(self.count, word >> 16 & 0xFFFF)

    def end(self) -> int:
        """Note that the run in progress is over, and return how often it was interrupted."""
        self.over, self.run = self.run or self.over, 0
        return self.count

    def receive(self, frame: FrameType | None) -> None:
        """Handle SIGINT, which came while `frame` was executing.

        Raises: KeyboardInterrupt in user code of a cell or a hook, CancelledError in what a cell left behind.
        """
        word = self.word[0]
        new = (word - self._seen) & 0xFFFF
        again, self._again = self._again, False
        if again:
            self.repeating = False
        if new:
            # The signal that repeats the last one may have merged with this, or still come.
            self._owed = self._owed or again
            self._seen = word
            self._owed = self._owed or new > 1
            run = word >> 32
            if run != self.run and (self.run or run <= self.over):
                return
            self._add(min(new, word >> 16 & 0xFFFF))
        elif again:
            # Before what is owed, which may have merged with another and never come.
            self._executing()._strike(frame, repeated=True)
            return
        elif self._owed:
            self._owed = False
            return
        else:
            self._add(1)
        self._executing()._strike(frame)

    def lets_raise(self, frame: FrameType | None) -> bool:
        """Return whether what a signal handler raises while `frame` executes is raised into user code."""
        place = _place(frame)
        if place == "user code":
            return self.subject is not None or _step_of_user_code(frame) is not None
        return place == "finalizer"

    def reset(self) -> None:
        """Forget the interrupts of what ran before; those of the notebook around are for this one too."""
        self.count = 0 if self.outer is None else self.outer.count
        self._struck.clear()
        if self._again:
            # Its signal went to a handler of the user's, or is on its way.
            self._again = self.repeating = False
            self._owed = True

    def strikes(self, subject: object) -> bool:
        """Return whether the last interrupt has yet to strike `subject`, which it is taken to do."""
        if not self.count or any(struck is subject for struck in self._struck):
            return False
        self._struck.append(subject)
        return True

    def lost(self) -> None:
        """Repeat the interrupt: what was raised ended where nothing can be raised, as in `__del__`."""
        here = self._executing()
        here._struck[:] = [struck for struck in here._struck if struck is not here.subject]
        self.repeat()

    def repeat(self) -> None:
        """Have the last interrupt strike in a moment, where it has not yet."""
        if self.outer is not None:
            self.outer.repeat()
            return
        if self.repeating:
            # Of two that come close to each other, the second would count as a new one.
            return
        self.repeating = True

        def signal_again() -> None:
            # Not always the same: what is in step with it would escape for ever.
            sleep(_MOMENT * (1 + urandom(1)[0] / 64))
            if self.count or self._step is not None:
                self._again = True
                pthread_kill(main_thread().ident or 0, SIGINT)
                return
            self.repeating = False
            if self.count or self._step is not None:
                # It was needed a moment too late to be seen above.
                self.repeat()

        # Not a `Thread`, which would be waited for until it has started: that is longer than a moment.
        _thread.start_new_thread(signal_again, ())

    def _executing(self) -> "Interrupts":
        """Return those of the notebook whose user code executes: an embedded one, or this one."""
        for inner in self.inner:
            found = inner._executing()
            if found.subject is not None or found.blocks:
                return found
        return self

    def _add(self, times: int) -> None:
        self._step = None
        for inner in self.inner:
            inner._add(times)
        if self.running:
            self.count += times
            self._struck.clear()
            self._cancel()

    def _strike(self, frame: FrameType | None, repeated: bool = False) -> None:
        """Raise into the user code that executes, if there is some and `frame` lets it."""
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
    """Return what `frame` executes: code of the engine, of a finalizer or for scheduling, or any other."""
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
    """Return the frame that runs the user code which `frame` belongs to, if that is no cell's own code.

    That is the loop's frame of a task or callback that a cell has left, or one of `_CALLERS`.
    """
    innermost = frame
    while frame is not None and not frame.f_code.co_filename.startswith(_ENGINE):
        if frame.f_code in _CALLERS and frame is not innermost:
            return frame
        if frame.f_code is _CALLBACK:
            return None if current_execution.get() is None else frame
        frame = frame.f_back
    return None
