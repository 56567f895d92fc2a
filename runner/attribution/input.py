"""`input()`, `getpass()`, `sys.stdin.readline()` and `breakpoint()` in a cell ask the frontends for a line.

A request is an event. The kernel passes the first answer to the host, whose control thread hands it over
with `Inputs.answer`; the other frontends learn from `InputClosed` that the request is closed. Any thread
may ask, several at a time, and the asking thread waits: on the main thread an interrupt ends the wait, on
any other the end of its cell's run. If the kernel knows of no frontend, asking raises `InputUnavailable`.
A request made earlier goes on waiting when the last frontend leaves: the next one to attach finds it in
the notebook's state.
"""

import builtins
import io
import os
import sys
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from ...protocol.events import Event, InputClosed, InputRequested
from .after_import import after_import
from .context import current_execution

#: Seconds between two checks whether the run of the asking thread is over.
_CHECK_INTERVAL = 0.25


class InputUnavailable(EOFError):
    """Raised when user code asks for input and no answer is possible."""


class _InputRequest:
    """A line that a thread waits for."""

    def __init__(self) -> None:
        #: The answer; None if there is no frontend to give one, or the input of the answering frontend ended.
        self.text: str | None = None
        self.ended = False
        self.closed = threading.Event()


class Inputs:
    """The input requests of this process."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._pid = os.getpid()
        self._numbers = count(1)
        # Single operations on the dictionary are atomic; nothing needs more than one.
        self._open: dict[str, _InputRequest] = {}

    def ask(self, prompt: object = "", password: bool = False) -> str:
        """Return the line that a frontend answers with.

        Raises: InputUnavailable if no frontend is attached, this is a child process, or the run of the
        asking thread ends while it waits; EOFError if the frontend's input has ended.
        """
        if os.getpid() != self._pid:
            raise InputUnavailable("a child process cannot ask for input: ask in the cell itself")
        execution = current_execution.get()
        if execution is not None and execution.where:
            raise InputUnavailable(
                f"input() is for cells that run in the notebook's own process, and this one runs on "
                f"{execution.where}"
            )
        sys.stdout.flush()
        # The process id tells these ids from those of an earlier runner.
        name = f"{self._pid}-{next(self._numbers)}"
        request = self._open[name] = _InputRequest()
        try:
            visible = execution and execution.visible
            self._emit(InputRequested(name, visible.cell if visible else "", str(prompt), password))
            while not request.closed.wait(_CHECK_INTERVAL):
                if execution is not None and execution.over:
                    raise InputUnavailable("the run of the cell that asks for input is over")
            if request.ended:
                raise EOFError("EOF when reading a line")
            if request.text is None:
                raise InputUnavailable("input() needs an attached frontend that can ask for it")
            return request.text
        except KeyboardInterrupt as interrupt:
            # The traceback ends at the call: how it waits means nothing to the cell's author.
            interrupt.__traceback__ = None
            raise
        finally:
            self._open.pop(name, None)
            self._emit(InputClosed(name))

    def answer(self, name: str, text: str | None) -> bool:
        """Answer the request `name` with `text`, or the end of input; return whether it was still open."""
        request = self._open.pop(name, None)
        if request is None:
            return False
        if text is None:
            request.ended = True
        else:
            request.text = text.removesuffix("\n")
        request.closed.set()
        return True

    def refuse(self, name: str) -> None:
        """Close the request `name` without an answer: no frontend is attached."""
        request = self._open.pop(name, None)
        if request is not None:
            request.closed.set()


class StandardInput(io.TextIOBase):
    """`sys.stdin`: every line is the answer to a request without a prompt."""

    encoding: str = "utf-8"
    errors: str | None = "strict"

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    @property
    def name(self) -> str:
        return "<stdin>"

    @property
    def closed(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: `exit()` closes standard input, and ends its cell alone."""

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        """Return one answer with its line end, or "" at the end of input; `size` is ignored."""
        try:
            return self._inputs.ask() + "\n"
        except InputUnavailable:
            raise
        except EOFError:
            return ""

    def read(self, size: int | None = -1, /) -> str:
        """Return all answers up to the end of input, which a frontend gives; `size` is ignored."""
        return "".join(self)

    def fileno(self) -> int:
        """Return the descriptor that child processes inherit; it is empty."""
        return 0


def install_input(emit: Callable[[Event], None]) -> Inputs:
    """Make everything that reads from the user ask the frontends; the host calls it once."""
    inputs = Inputs(emit)

    # Functions, not methods, so that their signatures are those of the functions they replace.
    def input(prompt: object = "", /) -> str:
        """Ask the frontends for a line of text."""
        return inputs.ask(prompt)

    def getpass(prompt: str = "Password: ", stream: Any = None, **_: Any) -> str:
        """Ask the frontends for a line of text that is not shown."""
        return inputs.ask(prompt, password=True)

    def patch_getpass(module: Any) -> None:
        module.getpass = getpass

    builtins.input = input
    sys.stdin = StandardInput(inputs)
    after_import("getpass", patch_getpass)
    return inputs
