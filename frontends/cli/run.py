"""A frontend for people: runs a notebook file, or follows a kernel, and shows what happens.

A `View` is told every event and brings its display up to date some ten times a second. Questions of user
code are answered from standard input, one at a time, and the view leaves the screen meanwhile. The first
Ctrl-C or SIGTERM and the timeout interrupt the run, which then ends in order; the second Ctrl-C, and a run
that does not end, leave at once: leaving the kernel's context ends the kernel and the runner in any case.
"""

import math
import os
import signal
from collections.abc import AsyncIterator
from typing import Protocol

import anyio
import anyio.abc
import msgspec

from ...protocol import events as e
from ...protocol.client.event_stream import EventStream
from ...protocol.client.kernel_client import KernelClient
from ...protocol.client.launch import connect, launch_kernel
from ...protocol.errors import RequestError
from ...protocol.notebook import CellError
from ..notebook_files.load import NotebookFile
from .standard_input import StandardInput
from .transcript import Transcript

REFRESH_SECONDS = 0.1
#: Seconds that an interrupted run may take to end.
GRACE_SECONDS = 5.0
#: Events that may wait while the display is slow. The kernel's window bounds them before.
BUFFER = 1_000_000


class View(Protocol):
    """What a person or a program sees of a kernel."""

    def add(self, event: e.Event) -> None: ...
    def notice(self, text: str) -> None: ...
    def refresh(self) -> None: ...
    def suspend(self) -> None: ...
    def close(self) -> None: ...


class Ending(msgspec.Struct, frozen=True):
    """How a run ended for those who have started it."""

    #: Errors of the cells that have failed, by cell, in notebook order.
    failed: dict[str, CellError]
    #: How many cells the notebook has.
    cells: int
    #: Why the run did not come to its end; empty if it did.
    reason: str = ""
    #: The signal that ended it; 0 for none.
    signal: int = 0


async def run_notebook(
    notebook: NotebookFile, view: View, *, python: str, timeout: float | None = None
) -> Ending:
    """Run the notebook through a kernel of its own, in its own folder, and return how it ended."""
    folder = os.path.dirname(os.path.abspath(notebook.path))
    attendance = _Attendance(view)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with launch_kernel(python=python, cwd=folder) as kernel, anyio.create_task_group() as tasks:
            events = kernel.events(BUFFER)
            if notebook.disabled:
                await kernel.sync(notebook.cells)
                await kernel.configure(notebook.disabled, disabled=True)
            queued = await kernel.run(notebook.cells, wait=False)
            tasks.start_soon(attendance.stop_on_signal, kernel, signals, tasks.cancel_scope)
            tasks.start_soon(attendance.stop_on_timeout, kernel, timeout, tasks.cancel_scope)
            tasks.start_soon(attendance.refresh)
            await attendance.show(kernel, events, tasks, queued.run)
            tasks.cancel_scope.cancel()
        cells = kernel.notebook.cells
        failed = {
            id: cell.error or CellError("Error", "") for id, cell in cells.items() if cell.status == "error"
        }
        return Ending(failed, len(cells), attendance.reason, attendance.signal)


async def follow(connection_file: str, view: View) -> None:
    """Show what happens in a running kernel until it closes, or until Ctrl-C."""
    attendance = _Attendance(view)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with connect(connection_file) as kernel, anyio.create_task_group() as tasks:
            events = kernel.events(BUFFER)
            if isinstance(view, Transcript):
                view.begin_with(kernel.notebook)
            tasks.start_soon(attendance.leave_on_signal, signals, tasks.cancel_scope)
            tasks.start_soon(attendance.refresh)
            await attendance.show(kernel, events)
            tasks.cancel_scope.cancel()


class _Attendance:
    """One frontend's presence at a kernel: the tasks that show, ask, and stop."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._input = StandardInput()
        #: Questions on the screen or waiting for it, by id; leaving the scope takes one back.
        self._questions: dict[str, anyio.CancelScope] = {}
        # Held while a question is on the screen. Nothing else is waited for under it.
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
        """Show events until `run` has finished or the kernel ends; with `tasks`, answer questions."""
        while received := await events.receive():
            for event in received:
                self._view.add(event)
                match event:
                    case e.InputRequested() if tasks is not None:
                        tasks.start_soon(self._answer, kernel, event)
                    case e.InputClosed():
                        scope = self._questions.pop(event.id, None)
                        if scope is not None:
                            scope.cancel()
                    case e.RunFinished() if event.run == run:
                        # Cells that failed are told by themselves; anything else needs a reason.
                        if event.status != ("error" if event.failed else "ok") and not self.reason:
                            self.reason = event.reason or event.status
                        return
                    case _:
                        pass

    async def refresh(self) -> None:
        """Bring the view up to date at regular times, except while a question is on the screen."""
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

    async def _answer(self, kernel: KernelClient, question: e.InputRequested) -> None:
        """Ask the person, or whatever standard input is, and pass the answer on."""
        with anyio.CancelScope() as scope:
            self._questions[question.id] = scope
            async with self._screen:
                self._view.suspend()
                line = await self._input.ask(question.prompt, question.password)
            if line is not None:
                try:
                    await kernel.provide_input(question.id, line)
                except RequestError:
                    pass  # another frontend was first, or the cell no longer waits
                return
            self.reason = f"the cell {question.cell} asks for input, and standard input has ended"
            await kernel.interrupt()
