"""A frontend for people: runs a notebook file, or follows a kernel, and shows what happens.

A `View` gets every event and is refreshed about ten times a second. Input that user code requests is read
from standard input, one request at a time, and the view leaves the screen free meanwhile. The timeout and
the first Ctrl-C or SIGTERM interrupt the run, which then ends in order. On the second signal, or if the run
does not end, the command leaves at once; leaving the kernel's context always ends kernel and runner.
"""

import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

import anyio
import anyio.abc
import msgspec

from ...protocol import events as e
from ...protocol.client.event_stream import EventStream
from ...protocol.client.kernel_client import KernelClient
from ...protocol.client.launch import connect, launch_kernel
from ...protocol.connection import Connection
from ...protocol.errors import KernelDied, RequestError
from ...protocol.notebook import CellError, Dialect, Redefine
from ..notebook_files.load import NotebookFile
from .standard_input import StandardInput
from .transcript import Transcript

REFRESH_SECONDS = 0.1
#: Seconds an interrupted run may take to end.
GRACE_SECONDS = 5.0
#: Events that may wait while the display is slow; the kernel's window sets a lower bound.
BUFFER = 1_000_000


class View(Protocol):
    """Shows a kernel to a person or a program."""

    def add(self, event: e.Event) -> None: ...
    def refresh(self) -> None: ...
    def suspend(self) -> None: ...
    def close(self) -> None: ...


class RunOutcome(msgspec.Struct, frozen=True):
    """How the run of a notebook ended."""

    #: Errors of the cells that failed, by cell, in notebook order.
    failed: dict[str, CellError]
    #: Cells that did not run because of a disabled one, each with that cell, in notebook order.
    disabled: dict[str, str]
    #: Why the run did not reach its end; empty if it did.
    reason: str = ""
    #: The signal that ended it; 0 for none.
    signal: int = 0


async def run_notebook(
    notebook: NotebookFile,
    view: View,
    *,
    python: str,
    redefine: Redefine = "error",
    dialect: Dialect = "python",
    timeout: float | None = None,
    started: Mapping[str, Any] = {},
) -> RunOutcome:
    """Run the notebook in a kernel of its own, in the folder of its file, and return how it ended.

    `started` are further arguments of `launch_kernel`.
    """
    path = os.path.abspath(notebook.path)
    folder = os.path.dirname(path)
    # An `.ipynb` is no script: nothing that asks for the source in `__file__` finds Python there.
    argv = [] if notebook.format == "ipynb" else [path]
    attachment = _Attachment(view)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with (
            launch_kernel(python, folder, redefine=redefine, argv=argv, dialect=dialect, **started) as kernel,
            anyio.create_task_group() as tasks,
        ):
            events = kernel.events(BUFFER)
            if notebook.disabled:
                await kernel.sync(notebook.cells)
                await kernel.configure(notebook.disabled, disabled=True)
            queued = await kernel.run(notebook.cells, wait=False)
            tasks.start_soon(attachment.stop_on_signal, kernel, signals, tasks.cancel_scope)
            tasks.start_soon(attachment.stop_on_timeout, kernel, timeout, tasks.cancel_scope)
            tasks.start_soon(attachment.refresh)
            await attachment.show(kernel, events, tasks, queued.run)
            tasks.cancel_scope.cancel()
        cells = kernel.notebook.cells
        failed = {
            id: cell.error or CellError("Error", "") for id, cell in cells.items() if cell.status == "error"
        }
        disabled = {
            id: cell.stale_because[0] for id, cell in cells.items() if cell.stale_reason == "disabled"
        }
        return RunOutcome(failed, disabled, attachment.reason, attachment.signal)


async def follow(connection: Connection, view: View, *, watch: bool = False, endpoint: str = "") -> None:
    """Show what happens in a running kernel until it closes, or until Ctrl-C.

    On ipc there is no key that may only watch, and nothing here changes anything either.
    """
    watch = watch and bool(connection.server_key)
    attachment = _Attachment(view)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with (
            connect(connection, watch=watch, endpoint=endpoint) as kernel,
            anyio.create_task_group() as tasks,
        ):
            events = kernel.events(BUFFER)
            if isinstance(view, Transcript):
                view.start_from(kernel.notebook)
            tasks.start_soon(attachment.leave_on_signal, signals, tasks.cancel_scope)
            tasks.start_soon(attachment.refresh)
            tasks.start_soon(_report_connection, kernel)
            await attachment.show(kernel, events)
            tasks.cancel_scope.cancel()


async def _report_connection(kernel: KernelClient) -> None:
    """Say when the connection is lost and when it is back."""
    with suppress(KernelDied):
        while True:
            await kernel.wait_connected(not kernel.connected)
            what = "connected again" if kernel.connected else "the connection is lost; waiting for the kernel"
            sys.stderr.write(f"cellwire: {what}\n")


class _Attachment:
    """One frontend's attachment to a kernel: the tasks that show, ask for input, and stop."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._input = StandardInput()
        #: Requests for input that are on the screen or wait for it, by id; cancelling withdraws one.
        self._requests: dict[str, anyio.CancelScope] = {}
        # Held while a request is on the screen, until its line is read. No other lock is taken under it.
        self._screen = anyio.Lock()
        self.reason = ""
        self.signal = 0

    async def show(
        self,
        kernel: KernelClient,
        events: EventStream,
        tasks: anyio.abc.TaskGroup | None = None,
        run: int | None = None,
    ) -> None:
        """Show events until `run` has finished or the kernel ends; with `tasks`, provide input."""
        while received := await events.receive():
            for event in received:
                self._view.add(event)
                match event:
                    case e.InputRequested() if tasks is not None:
                        tasks.start_soon(self._provide_input, kernel, event)
                    case e.InputClosed():
                        scope = self._requests.pop(event.id, None)
                        if scope is not None:
                            scope.cancel()
                    case e.RunFinished() if event.run == run:
                        # Failed cells are reported on their own; any other outcome needs a reason.
                        if event.status != ("error" if event.failed else "ok") and not self.reason:
                            self.reason = event.reason or event.status
                        return
                    case _:
                        pass

    async def refresh(self) -> None:
        """Refresh the view at regular times, except while a request for input is on the screen."""
        while True:
            await anyio.sleep(REFRESH_SECONDS)
            if not self._screen.locked():
                self._view.refresh()

    async def stop_on_signal(
        self, kernel: KernelClient, signals: AsyncIterator[signal.Signals], everything: anyio.CancelScope
    ) -> None:
        """Interrupt the run on the first signal, leave on the second or when the run does not end."""
        received = await anext(signals)
        self.signal = received
        self.reason = f"stopped by {received.name}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop, kernel, everything)
            await anext(signals)
            everything.cancel()

    async def stop_on_timeout(
        self, kernel: KernelClient, timeout: float | None, everything: anyio.CancelScope
    ) -> None:
        """Interrupt the run after `timeout` seconds, and say which cells were running."""
        await anyio.sleep(math.inf if timeout is None else timeout)
        running = [cell.id for cell in kernel.notebook.cells.values() if cell.status == "running"]
        self.reason = f"timed out after {timeout:g} s, running: {', '.join(running) or 'no cell'}"
        await self._stop(kernel, everything)

    async def leave_on_signal(
        self, signals: AsyncIterator[signal.Signals], everything: anyio.CancelScope
    ) -> None:
        """Leave on the first signal."""
        self.signal = await anext(signals)
        everything.cancel()

    async def _stop(self, kernel: KernelClient, everything: anyio.CancelScope) -> None:
        await kernel.interrupt()
        await anyio.sleep(GRACE_SECONDS)
        self.reason += "; it did not end when it was interrupted"
        everything.cancel()

    async def _provide_input(self, kernel: KernelClient, request: e.InputRequested) -> None:
        """Read a line from standard input and pass it on, or that there is none."""
        with anyio.CancelScope() as scope:
            self._requests[request.id] = scope
            async with self._screen:
                self._view.suspend()
                line = await self._input.ask(request.prompt, request.password)
            try:
                await kernel.provide_input(request.id, line)
            except RequestError:
                pass  # another frontend was first, or the cell has stopped waiting
