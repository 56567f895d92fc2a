"""Starting a kernel and attaching to a running one: the ways to get a `KernelClient`.

`start_kernel` and `attach` return a client that any task of the event loop may use and close; the contexts
`launch_kernel` and `connect` close it at their end. Closing the client of a launched kernel ends the
kernel: by a request first, then by SIGTERM, then by SIGKILL, each with a time limit. A `detached` kernel
keeps running. If a kernel fails, the error quotes its standard error; if not, that is passed on at the end.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, Final, Literal, ParamSpec

import anyio
import msgspec

from ..connection import Connection, KeyPair, Settings, read_connection_file
from ..errors import AuthenticationError, KernelDied
from ..limits import Limits
from ..messages import Shutdown
from ..notebook import Dialect, Mode, Redefine
from . import kernel_process
from .kernel_client import KernelClient
from .kernel_process import LaunchedProcess
from .owner import Owner
from .patience import accepts
from .session import Session

P = ParamSpec("P")

_FURTHER_KEY = "connect with watch=True (`attach --watch`), or ask its owner for a key"


async def start_kernel(
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
    name: str = "",
    notebook: str | os.PathLike[str] = "",
    address: str = "127.0.0.1",
    timeout: float = 60.0,
) -> KernelClient:
    """Start a kernel with the interpreter `python` and return its first frontend; `aclose` ends both.

    Any task of the event loop may use the client and close it. If none does, the kernel ends with the loop
    (on trio: when the main task has ended).

    `env` is the whole environment of the kernel, or None for the caller's. A `detached` kernel
    outlives the client and the launcher; `connect` with its `connection_file` reaches it. `argv` is
    `sys.argv` in the notebook, and its first entry `__file__`. `name` and `notebook` are for lists of
    kernels, as `cellwire ps` shows one. `address` is where tcp listens, an address of this machine that
    frontends can reach, with `:port` for a fixed port.

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
    path = os.path.abspath(notebook) if notebook else ""
    settings = Settings(
        transport=transport,
        connection_file=file,
        detached=detached,
        limits=limits,
        redefine=redefine,
        launcher=os.getpid(),
        argv=list(argv),
        dialect=dialect,
        mode=mode,
        extensions=list(extensions),
        name=name,
        notebook=path,
        address=address,
    )
    return await _owned(_launched(python, cwd, env, settings, timeout))


async def attach(
    connection_file: str | os.PathLike[str] | Connection,
    *,
    watch: bool = False,
    timeout: float = 10.0,
    patience: float | None = None,
    endpoint: str = "",
) -> KernelClient:
    """Return a frontend of the kernel that wrote `connection_file`; `aclose` detaches it, the kernel goes on.

    Instead of a path it may be what the file has, a `Connection`. The copy of the notebook is complete.
    With `watch`, the kernel lets this frontend see everything and change nothing (tcp only: on ipc there is
    one kind of frontend).

    A lost connection may take `patience` seconds to come back before the kernel counts as dead. By default
    that is as long as it takes on tcp, where a network or a tunnel may be away for a while, and on ipc as
    long as the kernel's process lives. Calls wait meanwhile; `connected` says whether there is a connection.

    `endpoint` replaces the one in the file, where a tunnel leads to the kernel: `tcp://127.0.0.1:5555`.

    Raises: ConnectionFileError if it is not a connection file; AuthenticationError if it has no key
        for this, or the kernel refuses the key; KernelDied if no kernel answers within `timeout` seconds.
    """
    if isinstance(connection_file, Connection):
        connection = connection_file
    else:
        connection = read_connection_file(connection_file)
    if endpoint:
        connection = msgspec.structs.replace(connection, endpoint=endpoint)
    keys = connection.watcher if watch else connection.client
    if keys is None and connection.server_key:
        raise AuthenticationError(
            f"the connection file {connection.file} has no key for this; "
            + ("connect without watch" if watch else _FURTHER_KEY)
        )
    if keys is None and watch:
        raise ValueError("on ipc every frontend may control the kernel; connect without watch, or use tcp")
    scheme, _, path = connection.endpoint.partition("://")
    if scheme == "ipc" and not accepts(path):
        raise KernelDied(
            f"no kernel answers at {connection.endpoint}: its process {connection.pid} has ended, or runs on "
            "another machine, whose kernels are reached on tcp alone"
        )
    return await _owned(_session(connection, keys, timeout, patience))


def _until_left(
    start: Callable[P, Awaitable[KernelClient]], name: str, first: str
) -> Callable[P, AbstractAsyncContextManager[KernelClient]]:
    """Return `start` as a context that closes the client; `first` is the first line of its docstring."""

    @wraps(start)
    @asynccontextmanager
    async def enter(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[KernelClient]:
        kernel = await start(*args, **kwargs)
        try:
            with _ending_forks():
                yield kernel
        finally:
            await kernel.aclose()

    enter.__name__ = enter.__qualname__ = name
    enter.__doc__ = f"{first}\n{(start.__doc__ or '').partition(chr(10))[2]}"
    return enter


launch_kernel: Final = _until_left(
    start_kernel, "launch_kernel", "`start_kernel` as a context: leaving it in any way ends the kernel."
)
connect: Final = _until_left(
    attach, "connect", "`attach` as a context: leaving it detaches the frontend, and the kernel goes on."
)


async def _owned(
    context: "AbstractAsyncContextManager[Session, Any]",
) -> KernelClient:
    owner = Owner(context)
    return KernelClient(await owner.enter(), owner.leave)


@contextmanager
def _ending_forks() -> Iterator[None]:
    """End a child of this process that leaves the block: with the traceback, if it is by an exception.

    Nothing of the session works there, the loop shares its descriptors with the parent's, and the kernel is
    the parent's to end.
    """
    process = os.getpid()
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if os.getpid() != process:
            if error is not None:
                traceback.print_exception(error)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0 if error is None else 1)


@asynccontextmanager
async def _launched(
    python: str | os.PathLike[str],
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | None,
    settings: Settings,
    timeout: float,
) -> AsyncIterator[Session]:
    """Yield a session at a new kernel, which ends with the context unless it is detached."""
    limits = settings.limits
    with tempfile.TemporaryFile() as stderr:
        process = LaunchedProcess(python, cwd, env, stderr)
        ready = False
        try:
            connection = await process.handshake(settings, timeout)
            async with _session(connection, connection.client, timeout, process=process) as session:
                ready = True
                try:
                    yield session
                finally:
                    if not settings.detached:
                        session.post(Shutdown)
                        seconds = limits.exit_seconds + limits.drain_seconds + kernel_process.END_SECONDS
                        await process.end(seconds)
        finally:
            if settings.detached and ready:
                process.leave()
            else:
                await process.end(0.0)
            process.close()
            if ready and (text := process.tail()):
                sys.stderr.write(text)


@asynccontextmanager
async def _session(
    connection: Connection,
    keys: KeyPair | None,
    timeout: float,
    patience: float | None = None,
    process: LaunchedProcess | None = None,
) -> AsyncIterator[Session]:
    """Yield a session whose replica is complete; exceptions of the body are not wrapped.

    The session's own task is shielded: it still receives when the body is cancelled, so that the kernel
    can end in order, and it ends with the context.
    """
    raised: BaseException | None = None
    session = Session(connection, keys, f"python:{os.getpid()}", patience)
    try:
        async with anyio.create_task_group() as tasks:
            life = anyio.CancelScope(shield=True)
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
                if process is not None:
                    session.patience.unlimited = True
                    tasks.start_soon(_watch, process, session)
                yield session
            except BaseException as error:
                raised = error
                raise
            finally:
                session.close()
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


async def _watch(process: LaunchedProcess, session: Session) -> None:
    """End the session when the process ends."""
    await session.process_ended(await process.ended())
