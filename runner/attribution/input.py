"""`input()`, `getpass()`, `sys.stdin.readline()` and `breakpoint()` in a cell: a question to the frontends.

A question is an event; the kernel gives the first answer to the host, whose control thread hands it over
with `Inputs.answer`, and the others learn from `InputClosed` that it is settled. Asking is possible from
every thread, several at a time, and waits in the thread that asks: an interrupt ends it on the main
thread, the end of its cell's run on any other. With no frontend attached, which the kernel knows, a
question raises `InputUnavailable`; one already asked goes on waiting if the last frontend leaves, as
whoever attaches next finds it in the notebook's state.
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

#: Seconds between two looks at whether the run of the asking thread is over.
_LOOK = 0.25


class InputUnavailable(EOFError):
    """Raised when user code asks for input and nobody could answer."""


class _Question:
    """One question that is open."""

    def __init__(self) -> None:
        #: None if nobody could answer, or the input of the frontend that did has ended.
        self.text: str | None = None
        self.ended = False
        self.settled = threading.Event()


class Inputs:
    """The questions of this process."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._pid = os.getpid()
        self._numbers = count(1)
        # Single operations on the dictionary are atomic; nothing needs more than one.
        self._open: dict[str, _Question] = {}

    def ask(self, prompt: object = "", password: bool = False) -> str:
        """Return the line that a frontend gives in answer.

        Raises: InputUnavailable if no frontend is attached, this is a child process, or the run of the
        thread that asks ends while it waits; EOFError if the frontend's input has ended.
        """
        if os.getpid() != self._pid:
            raise InputUnavailable("a child process cannot ask for input: ask in the cell itself")
        execution = current_execution.get()
        sys.stdout.flush()
        # The process id makes ids of an earlier runner's questions different from these.
        name = f"{self._pid}-{next(self._numbers)}"
        question = self._open[name] = _Question()
        try:
            self._emit(InputRequested(name, execution.cell if execution else "", str(prompt), password))
            while not question.settled.wait(_LOOK):
                if execution is not None and execution.over:
                    raise InputUnavailable("the run of the cell that asks for input is over")
            if question.ended:
                raise EOFError("EOF when reading a line")
            if question.text is None:
                raise InputUnavailable("input() needs an attached frontend, and there is none")
            return question.text
        finally:
            self._open.pop(name, None)
            self._emit(InputClosed(name))

    def answer(self, name: str, text: str | None) -> bool:
        """Give the question `name` its answer, or the end of input. Return whether it still waited."""
        question = self._open.pop(name, None)
        if question is None:
            return False
        if text is None:
            question.ended = True
        else:
            question.text = text.removesuffix("\n")
        question.settled.set()
        return True

    def refuse(self, name: str) -> None:
        """Tell whoever waits for an answer to the question `name` that nobody could give one."""
        question = self._open.pop(name, None)
        if question is not None:
            question.settled.set()


class Questioner(io.TextIOBase):
    """`sys.stdin`: every line is the answer to a question without a prompt."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    @property
    def name(self) -> str:
        return "<stdin>"

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        """Return one answer with its line end, or "" at the end of input. `size` is not a bound."""
        try:
            return self._inputs.ask() + "\n"
        except InputUnavailable:
            raise
        except EOFError:
            return ""

    def read(self, size: int | None = -1, /) -> str:
        """Raise: there is no end of input to read up to."""
        raise io.UnsupportedOperation("standard input has no end here: use input() or sys.stdin.readline()")

    def fileno(self) -> int:
        """Return the descriptor that child processes inherit; it is empty."""
        return 0


def install_input(emit: Callable[[Event], None]) -> Inputs:
    """Have everything that reads from the user ask the frontends. The runner process calls it once."""
    inputs = Inputs(emit)

    # Functions, not methods: their signatures are those of what they stand for.
    def input(prompt: object = "", /) -> str:
        """Ask the frontends for a line of text."""
        return inputs.ask(prompt)

    def getpass(prompt: str = "Password: ", stream: Any = None, **_: Any) -> str:
        """Ask the frontends for a line of text that is not shown."""
        return inputs.ask(prompt, password=True)

    def prepare_getpass(module: Any) -> None:
        module.getpass = getpass

    builtins.input = input
    sys.stdin = Questioner(inputs)
    after_import("getpass", prepare_getpass)
    after_import("pdb", _prepare_debugger)
    return inputs


def _prepare_debugger(module: Any) -> None:
    """Keep debuggers from taking over SIGINT when they continue: interrupting is the kernel's affair."""
    initialise = module.Pdb.__init__

    def __init__(self: Any, *args: Any, nosigint: bool = True, **options: Any) -> None:
        initialise(self, *args, nosigint=nosigint, **options)

    module.Pdb.__init__ = __init__
