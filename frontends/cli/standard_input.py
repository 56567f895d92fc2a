"""Standard input, read a line at a time without blocking the event loop or leaving a thread behind.

Files are read at once: they never block, and no event loop can wait for them. Bytes after the line are kept
for the next request. A terminal does not show a password while it is typed.
"""

import os
import stat
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class StandardInput:
    """File descriptor 0, read by lines."""

    def __init__(self, *, open: bool = True) -> None:
        #: Whether there is anything to read.
        self._open = open and sys.__stdin__ is not None
        self._descriptor = 0
        self._rest = b""

    async def ask(self, prompt: str, password: bool = False) -> str | None:
        """Show `prompt` on a terminal; return the next line without its end, or None if there is none."""
        if not self._open:
            # If it was closed when the process started, the descriptor may belong to another file.
            return None
        terminal = os.isatty(self._descriptor)
        # Before the prompt, so that what is typed in answer to it is neither shown nor discarded.
        with _unechoed(self._descriptor, terminal and password):
            if terminal:
                shown = sys.stdout if sys.stdout.isatty() else sys.stderr
                shown.write(prompt)
                shown.flush()
            line = await self._line()
        return None if line is None else line.decode(errors="replace").rstrip("\r\n")

    async def _line(self) -> bytes | None:
        while b"\n" not in self._rest:
            if _can_wait(self._descriptor):
                await anyio.wait_readable(self._descriptor)
            else:
                await anyio.lowlevel.checkpoint()
            part = os.read(self._descriptor, 65536)
            if not part:
                line, self._rest = self._rest, b""
                return line or None
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _can_wait(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


@contextmanager
def _unechoed(descriptor: int, wanted: bool) -> Iterator[None]:
    """If `wanted`, keep the terminal from showing what is typed."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(descriptor)
    hidden = termios.tcgetattr(descriptor)
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        sys.stderr.write("\n")
