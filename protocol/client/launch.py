"""Starting a kernel and attaching to a running one: the two ways to get a `KernelClient`.

A launched kernel is a child process in a session of its own, so that Ctrl-C in the launcher's terminal
does not reach it. Its settings go to its standard input, which then stays open: when it closes, the
kernel knows that its launcher is gone. Its standard error goes to a file without a name. If the kernel
fails, the error quotes it; if not, it is passed on at the end.

Leaving the context in any way ends the kernel: by a request first, then by SIGTERM, then by SIGKILL,
each with a time limit. A `detached` kernel keeps running.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, Final, Literal

import anyio
import anyio.abc
import msgspec

from ..connection import Connection, KeyPair, Settings, read_connection_file
from ..errors import AuthenticationError, KernelDied
from ..limits import Limits
from ..messages import Shutdown
from ..notebook import Dialect, Mode, Redefine
from .kernel_client import KernelClient
from .session import Session

#: Seconds that an ending kernel may take beyond its own drain time, and again after SIGTERM.
END_SECONDS: float = 2.0
#: Bytes of the kernel's standard error that an exception quotes.
QUOTED_BYTES: Final = 4000


@asynccontextmanager
async def launch_kernel(
    python: str | os.PathLike[str] = sys.executable,
    cwd: str | os.PathLike[str] = ".",
    env: Mapping[str, str] | None = None,
    *,
    transport: Literal["ipc", "tcp"] = "ipc",
    connection_file: str | os.PathLike[str] = "",
    detached: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    redefine: Redefine = "error",
    argv: Sequence[str] = (),
    dialect: Dialect = "python",
    mode: Mode = "autorun",
    extensions: Sequence[str] = (),
    timeout: float = 60.0,
) -> AsyncIterator[KernelClient]:
    """Start a kernel with the interpreter `python` and be its frontend until the context is left.

    `env` is the whole environment of the kernel, or None for the caller's. A `detached` kernel
    outlives the context and the launcher; `connect` with its `connection_file` reaches it. `argv` is
    `sys.argv` in the notebook, and its first entry `__file__`.

    `redefine` says what it means that several cells define a name. `"error"`: one of them is in error.
    `"allow"`: the notebook reads from top to bottom, each cell has the value of the nearest definition
    above it. `"live"`: the name has the value that was set last, and its readers become stale; for
    frontends that do not know the order of cells.

    `dialect` says what cells are written in. `"ipython"`: Python, with magics, shell lines and `?` where
    IPython is installed for the kernel, and underscore names that all cells share. `mode` is that of
    `set_mode` from the start. `extensions` are functions, as `module:function`, that each runner calls with
    its `Host` before the first cell.

    Raises: KernelDied if the kernel is not ready within `timeout` seconds, with what it wrote to its
        standard error; OSError if `python` cannot be started in `cwd`.
    """
    file = os.path.abspath(connection_file) if connection_file else ""
    settings = Settings(
        transport, file, detached, limits, redefine, os.getpid(), list(argv), dialect, mode, list(extensions)
    )
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [os.fspath(python), "-P", "-m", "cellwire.kernel"],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            bufsize=0,
        )
        ready = False
        try:
            connection = await _handshake(process, settings, stderr, timeout)
            async with _attached(connection, connection.client, timeout) as (session, tasks):
                session.process_watched = True
                tasks.start_soon(_watch, process, session, stderr)
                ready = True
                try:
                    yield KernelClient(session)
                finally:
                    if not detached:
                        session.post(Shutdown)
                        await _end(process, limits.exit_seconds + limits.drain_seconds + END_SECONDS)
        finally:
            if detached and ready:
                # Without a wait it would stay a zombie as long as the launcher lives.
                threading.Thread(target=process.wait, name="cellwire-detached", daemon=True).start()
            else:
                await _end(process, 0.0)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            if ready and (text := _tail(stderr)):
                sys.stderr.write(text)


@asynccontextmanager
async def connect(
    connection_file: str | os.PathLike[str], *, watch: bool = False, timeout: float = 10.0
) -> AsyncIterator[KernelClient]:
    """Attach to the kernel that wrote `connection_file` until the context is left; the kernel goes on.

    The copy of the notebook is complete on entry. With `watch`, the kernel lets this frontend see
    everything and change nothing (tcp only: on ipc there is one kind of frontend).

    Raises: ConnectionFileError if it is not a connection file; AuthenticationError if it has no key
        for this, or the kernel refuses the key; KernelDied if no kernel answers within `timeout` seconds.
    """
    connection = read_connection_file(connection_file)
    keys = connection.watcher if watch else connection.client
    if keys is None and connection.server_key:
        raise AuthenticationError(
            f"the connection file {connection.file} has no key for this; "
            + ("connect without watch" if watch else "connect with watch=True, or ask its owner for a key")
        )
    if keys is None and watch:
        raise ValueError("on ipc every frontend may control the kernel; connect without watch, or use tcp")
    async with _attached(connection, keys, timeout) as (session, _):
        yield KernelClient(session)


@asynccontextmanager
async def _attached(
    connection: Connection, keys: KeyPair | None, timeout: float
) -> AsyncIterator[tuple[Session, anyio.abc.TaskGroup]]:
    """Yield a session whose replica is complete; exceptions of the body are not wrapped.

    The session's own task is shielded: it still receives when the body is cancelled, so that the kernel
    can end in order, and it ends with the context.
    """
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            life = anyio.CancelScope(shield=True)
            session = Session(connection, keys, f"python:{os.getpid()}")
            tasks.start_soon(_work, session, life)
            try:
                with anyio.move_on_after(timeout):
                    await session.until(lambda: session.welcome is not None)
                if session.welcome is None:
                    raise KernelDied(
                        f"no kernel answered at {connection.endpoint} within {timeout:g} s. Is the process "
                        f"{connection.pid} alive, and is {connection.file} its newest connection file?"
                    )
                await session.until(lambda: session.replica.caught_up)
                yield session, tasks
            except BaseException as error:
                raised = error
                raise
            finally:
                life.cancel()
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if raised is None or group.exceptions != (raised,):
            raise
    if raised is not None:
        raise raised


async def _work(session: Session, life: anyio.CancelScope) -> None:
    with life:
        await session.work()


async def _handshake(
    process: subprocess.Popen[bytes], settings: Settings, stderr: IO[bytes], timeout: float
) -> Connection:
    """Send the kernel its settings and return the connection that it answers with."""
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
            await _exited(process)
    try:
        return msgspec.json.decode(line, type=Connection)
    except msgspec.DecodeError as error:
        if process.returncode is not None:
            what = f"the kernel process {_describe_exit(process)} before it was ready"
        elif line.endswith(b"\n"):
            what = f"the kernel process wrote {line[:200]!r} instead of its connection"
        else:
            what = f"the kernel process was not ready within {timeout:g} s"
        raise KernelDied(what + _quote(stderr)) from error


async def _watch(process: subprocess.Popen[bytes], session: Session, stderr: IO[bytes]) -> None:
    """End the session when the process ends."""
    await _exited(process)
    await session.process_ended(f"the kernel process {_describe_exit(process)}{_quote(stderr)}")


async def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Return when the process has ended: by itself within `seconds`, or by SIGTERM or SIGKILL."""
    assert process.stdin is not None
    process.stdin.close()
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(seconds):
            await _exited(process)
        if process.poll() is None:
            process.terminate()
            with anyio.move_on_after(END_SECONDS):
                await _exited(process)
        if process.poll() is None:
            process.kill()
            await _exited(process)


async def _exited(process: subprocess.Popen[bytes]) -> None:
    """Return when the process has ended and its `returncode` is set."""
    if hasattr(os, "pidfd_open") and process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)
    # Outside Linux there is nothing to wait for that every event loop supports.
    while process.poll() is None:
        await anyio.sleep(0.02)


def _describe_exit(process: subprocess.Popen[bytes]) -> str:
    status = process.returncode
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _quote(stderr: IO[bytes]) -> str:
    """Return the end of an error's text: the kernel's standard error, and a hint if it is understood."""
    text = _tail(stderr)
    if not text:
        return ""
    hint = ""
    if "No module named" in text and "cellwire" in text:
        hint = "\nInstall cellwire for the interpreter that runs the kernel, or give another one as `python`."
    return f". Its standard error:\n{text.rstrip()}{hint}"


def _tail(stderr: IO[bytes]) -> str:
    """Return the end of the file without moving the offset, which is shared with the kernel."""
    size = os.fstat(stderr.fileno()).st_size
    start = max(0, size - QUOTED_BYTES)
    return os.pread(stderr.fileno(), QUOTED_BYTES, start).decode(errors="replace")
