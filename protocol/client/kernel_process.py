"""The process of a launched kernel as its launcher sees it: the handshake, how it ended, and ending it.

It is a child in a session of its own, so that Ctrl-C in the launcher's terminal does not reach it. Its
settings go to its standard input, which then stays open: when it closes, the kernel knows that its
launcher is gone. Its standard error goes to a file without a name, whose end errors quote.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final

import anyio
import msgspec

from ..connection import Connection, Settings
from ..errors import KernelDied

#: Seconds that an ending kernel may take beyond its own drain time, and again after SIGTERM.
END_SECONDS: float = 2.0
#: Bytes of the kernel's standard error that an exception quotes.
QUOTED_BYTES: Final = 4000
#: What a kernel writes that cannot be what its settings ask for.
_REFUSED: Final = re.compile(r"cellwire kernel: (cannot (?:start|read the settings): .*)\n")


class LaunchedProcess:
    """A child process that is to become a kernel."""

    def __init__(
        self,
        python: str | os.PathLike[str],
        cwd: str | os.PathLike[str],
        env: Mapping[str, str] | None,
        stderr: IO[bytes],
    ) -> None:
        self._stderr = stderr
        self._process = subprocess.Popen(
            [os.fspath(python), "-P", "-m", "cellwire.kernel"],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            bufsize=0,
        )

    async def handshake(self, settings: Settings, timeout: float) -> Connection:
        """Send the kernel its settings and return the connection that it answers with.

        Raises: KernelDied if it does not answer with one within `timeout` seconds.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(settings) + b"\n")
        line, ended = b"", False
        with anyio.move_on_after(timeout):
            while not line.endswith(b"\n") and not ended:
                await anyio.wait_readable(process.stdout)
                piece = os.read(process.stdout.fileno(), 65536)
                line += piece
                ended = not piece
            if ended:
                await self._exited()
        try:
            return msgspec.json.decode(line, type=Connection)
        except msgspec.DecodeError as error:
            if refused := _REFUSED.fullmatch(self.tail()):
                raise KernelDied(f"the kernel {refused[1]}") from None
            if process.returncode is not None:
                what = f"the kernel process {self._describe_exit()} before it was ready"
            elif line.endswith(b"\n"):
                what = f"the kernel process wrote {line[:200]!r} instead of its connection"
            else:
                what = f"the kernel process was not ready within {timeout:g} s"
            raise KernelDied(what + self._quote()) from error

    async def ended(self) -> str:
        """Return when the process has ended, with the text for an error."""
        await self._exited()
        return f"the kernel process {self._describe_exit()}{self._quote()}"

    async def end(self, seconds: float) -> None:
        """Return when the process has ended: by itself within `seconds`, or by SIGTERM or SIGKILL."""
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(seconds):
                await self._exited()
            if process.poll() is None:
                process.terminate()
                with anyio.move_on_after(END_SECONDS):
                    await self._exited()
            if process.poll() is None:
                process.kill()
                await self._exited()

    def leave(self) -> None:
        """Let the process go on by itself."""
        # Without a wait it would stay a zombie as long as the launcher lives.
        threading.Thread(target=self._process.wait, name="cellwire-detached", daemon=True).start()

    def close(self) -> None:
        """Close the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def tail(self) -> str:
        """Return the end of its standard error without moving the offset, which is shared with the kernel."""
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(0, size - QUOTED_BYTES)
        return os.pread(self._stderr.fileno(), QUOTED_BYTES, start).decode(errors="replace")

    async def _exited(self) -> None:
        """Return when the process has ended and its `returncode` is set."""
        process = self._process
        if hasattr(os, "pidfd_open") and process.poll() is None:
            descriptor = os.pidfd_open(process.pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        # Outside Linux there is nothing to wait for that every event loop supports.
        while process.poll() is None:
            await anyio.sleep(0.02)

    def _describe_exit(self) -> str:
        status = self._process.returncode
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def _quote(self) -> str:
        """Return the end of an error's text: its standard error, and a hint if it is understood."""
        text = self.tail()
        if not text:
            return ""
        hint = ""
        if "No module named" in text and "cellwire" in text:
            hint = "\nInstall cellwire for that interpreter, or name another one (`python=`, --python)."
        return f". Its standard error:\n{text.rstrip()}{hint}"
