"""`launch_kernel` and `connect` without `await`, for scripts, consoles and threads.

Each client has an event loop in a thread of its own, so it works where a loop runs already (a Jupyter
cell) and can be used from any number of threads at once. The copy of the notebook is changed by that
thread: it is complete up to the end of the last call, and may change while it is read if cells run.
An interrupted call (Ctrl-C) is abandoned; what it has started in the kernel goes on.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from .client import kernel_client as aio
from .client import launch
from .client.event_stream import EventStream
from .client.kernel_client import Cells
from .connection import Connection
from .events import Event, RunFinished
from .limits import Limits
from .messages import Completions, Inspection, KernelStatistics, Role, RunQueued, Variable
from .notebook import Mode, Notebook, Redefine

P = ParamSpec("P")
T = TypeVar("T")


class KernelClient:
    """`client.KernelClient` with the same methods, which return when they are done."""

    def __init__(self, portal: BlockingPortal, client: aio.KernelClient) -> None:
        self._portal = portal
        self._client = client

    @property
    def notebook(self) -> Notebook:
        """The copy of the notebook."""
        return self._client.notebook

    @property
    def epoch(self) -> str:
        """The kernel process that `seq` counts the events of."""
        return self._client.epoch

    @property
    def seq(self) -> int:
        """The number of the newest event applied."""
        return self._client.seq

    @property
    def role(self) -> Role:
        """What the kernel lets this frontend do."""
        return self._client.role

    @property
    def connection(self) -> Connection:
        """How the kernel is reached."""
        return self._client.connection

    @property
    def connection_file(self) -> str:
        """The path to give to `connect` in another process."""
        return self._client.connection_file

    @overload
    def run(self, cells: Cells, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    def run(self, cells: Cells, *, wait: Literal[False]) -> RunQueued: ...
    def run(self, cells: Cells, *, wait: bool = True) -> RunFinished | RunQueued:
        """Run cells and what follows from them."""
        return self._call(self._client.run, cells, wait=wait)

    @overload
    def run_stale(self, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    def run_stale(self, *, wait: Literal[False]) -> RunQueued: ...
    def run_stale(self, *, wait: bool = True) -> RunFinished | RunQueued:
        """Run every stale cell."""
        return self._call(self._client.run_stale, wait=wait)

    def sync(self, cells: Cells) -> RunFinished:
        """Take sources and their order without running anything."""
        return self._call(self._client.sync, cells)

    def delete(self, ids: Iterable[str]) -> RunFinished:
        """Delete cells."""
        return self._call(self._client.delete, ids)

    def configure(self, ids: str | Iterable[str], *, disabled: bool) -> RunFinished:
        """Disable or enable cells."""
        return self._call(self._client.configure, ids, disabled=disabled)

    def set_mode(self, mode: Mode) -> RunFinished:
        """Choose between `autorun` and `lazy`."""
        return self._call(self._client.set_mode, mode)

    def interrupt(self) -> None:
        """Stop what runs and drop what is queued."""
        self._call(self._client.interrupt)

    def restart_runner(self) -> None:
        """Replace the process that runs cells."""
        self._call(self._client.restart_runner)

    def provide_input(self, id: str, text: str | None) -> None:
        """Answer a question of user code."""
        self._call(self._client.provide_input, id, text)

    def complete(self, code: str, cursor: int | None = None, cell: str | None = None) -> Completions:
        """Return what could stand at `cursor`."""
        return self._call(self._client.complete, code, cursor, cell)

    def inspect(self, code: str, cursor: int | None = None, cell: str | None = None) -> Inspection:
        """Return what the name at `cursor` is."""
        return self._call(self._client.inspect, code, cursor, cell)

    def variables(self) -> list[Variable]:
        """Return the notebook's variables."""
        return self._call(self._client.variables)

    def statistics(self) -> KernelStatistics:
        """Return the kernel's counters."""
        return self._call(self._client.statistics)

    def ping(self) -> float:
        """Return the seconds that the kernel took to answer."""
        return self._call(self._client.ping)

    def wait_idle(self) -> None:
        """Return when nothing is queued or in progress."""
        self._call(self._client.wait_idle)

    def shutdown(self) -> None:
        """End the kernel, and return when it is gone."""
        self._call(self._client.shutdown)

    def events(self, buffer: int = 100_000) -> Iterator[Event]:
        """Return an iterator over the events applied from here on; otherwise as the awaited form."""
        return self._received(self._portal.call(self._client.events, buffer))

    def _received(self, stream: EventStream) -> Iterator[Event]:
        # All that waits is taken at once: a change of threads for each event would cost more than the event.
        while events := self._call(stream.receive):
            yield from events

    def _call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        future = self._portal.start_task_soon(partial(function, *args, **kwargs))
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


@contextmanager
def launch_kernel(
    python: str | os.PathLike[str] = sys.executable,
    cwd: str | os.PathLike[str] = ".",
    env: Mapping[str, str] | None = None,
    *,
    transport: Literal["ipc", "tcp"] = "ipc",
    connection_file: str | os.PathLike[str] = "",
    detached: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    redefine: Redefine = "error",
    timeout: float = 60.0,
) -> Iterator[KernelClient]:
    """Start a kernel and be its frontend until the context is left, as `launch.launch_kernel` does."""
    with _blocking(
        lambda: launch.launch_kernel(
            python,
            cwd,
            env,
            transport=transport,
            connection_file=connection_file,
            detached=detached,
            limits=limits,
            redefine=redefine,
            timeout=timeout,
        )
    ) as client:
        yield client


@contextmanager
def connect(
    connection_file: str | os.PathLike[str], *, watch: bool = False, timeout: float = 10.0
) -> Iterator[KernelClient]:
    """Attach to a running kernel until the context is left, as `launch.connect` does."""
    with _blocking(lambda: launch.connect(connection_file, watch=watch, timeout=timeout)) as client:
        yield client


@contextmanager
def _blocking(
    attach: Callable[[], AbstractAsyncContextManager[aio.KernelClient, Any]],
) -> Iterator[KernelClient]:
    with (
        start_blocking_portal(name="cellwire-client") as portal,
        portal.wrap_async_context_manager(attach()) as client,
    ):
        yield KernelClient(portal, client)
