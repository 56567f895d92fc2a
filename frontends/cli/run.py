"""A frontend for people: runs a notebook file, or follows a kernel, and shows what happens.

A `View` gets every event and is refreshed about ten times a second. Input that user code requests is read
from standard input, one request at a time, and the view leaves the screen free meanwhile. A timeout, or the
first Ctrl-C or SIGTERM, interrupts the run, which then ends in the usual way. On the second signal, or if the
run does not end, the command leaves at once; leaving the kernel's context always ends kernel and runner.
"""

import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc

from ...protocol import events as e
from ...protocol.client.event_stream import EventStream
from ...protocol.client.kernel_client import KernelClient
from ...protocol.client.launch import connect, launch_kernel
from ...protocol.connection import Connection
from ...protocol.errors import KernelDied, RequestError
from .job import Job, RunOutcome, outcome_of
from .keeper import Keeper
from .standard_input import StandardInput
from .stop_signals import StopSignals
from .transcript import Transcript
from .view import JobView, View

REFRESH_SECONDS = 0.1
#: Seconds that an interrupted run may take to end.
GRACE_SECONDS = 5.0
#: Events that may wait while the display is slow; the kernel's window sets a lower bound.
BUFFER = 1_000_000


async def run_notebook(
    job: Job, view: JobView, signals: StopSignals, source: StandardInput | None = None
) -> RunOutcome:
    """Run the notebook in a kernel of its own, in the folder of its file, and return how it ended.

    Raises: NotebookFileError or OSError if its result cannot be kept; KernelDied if the kernel ends.
    """
    keeper = Keeper(job.notebook, job.targets)
    keeper.require_writable()
    attachment = _Attachment(view, source or StandardInput(), keeper, job.cell_timeout)
    async with launch_kernel(
        job.python, job.folder, redefine=job.redefine, dialect=job.dialect, argv=job.argv, **job.started
    ) as kernel:
        try:
            async with attachment.attached(kernel) as tasks:
                events = kernel.events(BUFFER)
                tasks.start_soon(attachment.stop_on_signal, kernel, signals, events, tasks.cancel_scope)
                tasks.start_soon(attachment.stop_on_timeout, kernel, job.timeout, tasks.cancel_scope)
                tasks.start_soon(attachment.run, kernel, job, view, events)
                await attachment.show(kernel, events, tasks)
        finally:
            keeper.save(kernel.notebook)
        return outcome_of(job, kernel.notebook, attachment.reason or keeper.failure, attachment.signal)


async def follow(connection: Connection, view: View, *, watch: bool = False, endpoint: str = "") -> None:
    """Show what happens in a running kernel until it closes, or until Ctrl-C.

    On ipc there is no key for watching only, but this function changes nothing anyway.
    """
    watch = watch and bool(connection.server_key)
    attachment = _Attachment(view, StandardInput())
    signals = StopSignals()
    async with (
        signals.listening(),
        connect(connection, watch=watch, endpoint=endpoint) as kernel,
        attachment.attached(kernel) as tasks,
    ):
        events = kernel.events(BUFFER)
        if isinstance(view, Transcript):
            view.start_from(kernel.notebook)
        tasks.start_soon(attachment.leave_on_signal, signals, tasks.cancel_scope)
        tasks.start_soon(_report_connection, kernel)
        await attachment.show(kernel, events)


async def _report_connection(kernel: KernelClient) -> None:
    """Show a notice when the connection is lost and when it is back."""
    with suppress(KernelDied):
        while True:
            await kernel.wait_connected(not kernel.connected)
            what = "connected again" if kernel.connected else "the connection is lost; waiting for the kernel"
            sys.stderr.write(f"cellwire: {what}\n")


class _Attachment:
    """One frontend's attachment to a kernel: the tasks that show, ask for input, and stop."""

    def __init__(
        self,
        view: View,
        source: StandardInput,
        keeper: Keeper | None = None,
        cell_timeout: float | None = None,
    ) -> None:
        self._view = view
        self._input = source
        self._keeper = keeper
        self._cell_timeout = cell_timeout
        #: Requests for input, on the screen or waiting for it, by id; cancelling one withdraws it.
        self._requests: dict[str, anyio.CancelScope] = {}
        # Held while a request is on the screen, until its line is read. No other lock is taken meanwhile.
        self._screen = anyio.Lock()
        self.reason = ""
        self.signal = 0

    @asynccontextmanager
    async def attached(self, kernel: KernelClient) -> AsyncIterator[anyio.abc.TaskGroup]:
        """Yield a group for the tasks of the attachment, which end with the context."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._refresh, kernel)
            yield tasks
            tasks.cancel_scope.cancel()

    async def run(self, kernel: KernelClient, job: Job, view: JobView, events: EventStream) -> None:
        """Run the job, and end `events` after its last one."""
        if job.read_again is not None:
            from .watch import Watch

            assert self._keeper is not None
            await Watch(kernel, job, view, self._keeper, events).run()
        if job.notebook.disabled:
            await kernel.sync(job.cells)
            await kernel.configure(job.notebook.disabled, disabled=True)
        if job.fail_fast:
            await self._run_one_by_one(kernel, job)
        else:
            self._note_end(await kernel.run(job.cells))
        events.close()

    async def _run_one_by_one(self, kernel: KernelClient, job: Job) -> None:
        """Run the cells one after another, and none after one that fails."""

        def failed() -> list[str]:
            cells = kernel.notebook.cells.values()
            return [cell.id for cell in cells if cell.status == "error" and not job.may_fail(cell.id)]

        await kernel.set_mode("lazy")
        self._note_end(await kernel.sync(job.cells))
        waiting = [cell.id for cell in job.cells]
        while not failed() and not self.reason and waiting:
            cell = kernel.notebook.cells[waiting.pop(0)]
            if not cell.run or cell.stale:
                self._note_end(await kernel.run({cell.id: cell.source}))
        if failed() and not self.reason and any(not kernel.notebook.cells[id].run for id in waiting):
            self.reason = "stopped at the first failure"

    def _note_end(self, finished: e.RunFinished) -> None:
        """Failed cells are reported on their own; any other outcome needs a reason."""
        if finished.status != ("error" if finished.failed else "ok") and not self.reason:
            self.reason = finished.reason or finished.status

    async def show(
        self, kernel: KernelClient, events: EventStream, tasks: anyio.abc.TaskGroup | None = None
    ) -> None:
        """Show events until they end; with `tasks`, also provide input and limit the time of cells."""
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
                    case e.CellStarted() if tasks is not None and self._cell_timeout is not None:
                        tasks.start_soon(self._limit, kernel, event, tasks.cancel_scope)
                    case e.CellFinished() | e.CellSkipped() if self._keeper is not None:
                        self._keeper.cell_ended()
                    case e.RunFinished() if not self._screen.locked():
                        self._view.refresh()
                    case _:
                        pass
            if self._keeper is not None:
                self._keeper.save_if_due(kernel.notebook)

    async def _refresh(self, kernel: KernelClient) -> None:
        """Refresh the view at regular intervals, except while a request for input is on the screen."""
        while True:
            await anyio.sleep(REFRESH_SECONDS)
            if self._keeper is not None:
                self._keeper.save_if_due(kernel.notebook)
            if not self._screen.locked():
                self._view.refresh()

    async def stop_on_signal(
        self,
        kernel: KernelClient,
        signals: StopSignals,
        events: EventStream,
        everything: anyio.CancelScope,
    ) -> None:
        """Interrupt the run on the first signal; leave on the second, or if the run does not end."""
        received = await signals.nth(1)
        self.signal = received
        self.reason = f"stopped by {received.name}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._leave_on_second, signals, everything)
            await self._stop(kernel, everything)
            events.close()
            tasks.cancel_scope.cancel()

    async def _leave_on_second(self, signals: StopSignals, everything: anyio.CancelScope) -> None:
        await signals.nth(2)
        everything.cancel()

    async def stop_on_timeout(
        self, kernel: KernelClient, timeout: float | None, everything: anyio.CancelScope
    ) -> None:
        """Interrupt the run after `timeout` seconds, and say which cells were running, or else waiting."""
        await anyio.sleep(math.inf if timeout is None else timeout)
        cells = kernel.notebook.cells.values()
        running = ", ".join(cell.id for cell in cells if cell.status == "running") or "no cell"
        self.reason = f"timed out after {timeout:g} s, running: {running}"
        if running == "no cell" and (waiting := [cell.id for cell in cells if cell.status == "queued"]):
            self.reason += f", waiting: {', '.join(waiting)}"
        await self._stop(kernel, everything)

    async def _limit(
        self, kernel: KernelClient, started: e.CellStarted, everything: anyio.CancelScope
    ) -> None:
        """Interrupt the run if the cell, which has begun, takes too long."""
        assert self._cell_timeout is not None
        await anyio.sleep(self._cell_timeout)
        cell = kernel.notebook.cells.get(started.cell)
        if cell is not None and (cell.run, cell.status) == (started.run, "running") and not self.reason:
            self.reason = f"cell {cell.id!r} took longer than {self._cell_timeout:g} s"
            await self._stop(kernel, everything)

    async def leave_on_signal(self, signals: StopSignals, everything: anyio.CancelScope) -> None:
        """Leave on the first signal."""
        self.signal = await signals.nth(1)
        everything.cancel()

    async def _stop(self, kernel: KernelClient, everything: anyio.CancelScope) -> None:
        await kernel.interrupt()
        with anyio.move_on_after(GRACE_SECONDS) as patience:
            await kernel.wait_idle()
        if patience.cancelled_caught:
            self.reason += "; it did not end when it was interrupted"
            everything.cancel()

    async def _provide_input(self, kernel: KernelClient, request: e.InputRequested) -> None:
        """Read a line from standard input and pass it on; if there is none, pass on the end of input."""
        with anyio.CancelScope() as scope:
            self._requests[request.id] = scope
            async with self._screen:
                self._view.suspend()
                line = await self._input.ask(request.prompt, request.password)
            try:
                await kernel.provide_input(request.id, line)
            except RequestError:
                pass  # another frontend was first, or the cell has stopped waiting
