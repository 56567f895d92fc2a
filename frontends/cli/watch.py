"""Follows a notebook's file: what changed in it, and what depends on that, runs again in the same kernel.

One task reads the file whenever it is saved. Another takes what was read last, updates the kernel's cells to
those of the file (in lazy mode, so that nothing runs in between), and runs the stale cells. A cell that is
running while its source changes is interrupted; others are left to end. A file that cannot be read changes
nothing.
"""

import anyio
import anyio.lowlevel

from ...protocol.client.event_stream import EventStream
from ...protocol.client.kernel_client import KernelClient
from ...protocol.errors import NotebookFileError
from ..notebook_files.load import NotebookFile
from .job import Job, outcome_of
from .keeper import Keeper
from .reload import WatchedFile, same_cells, without_outputs
from .view import JobView


class Watch:
    """The file of a job, and the kernel that runs it."""

    def __init__(
        self, kernel: KernelClient, job: Job, view: JobView, keeper: Keeper, events: EventStream
    ) -> None:
        self._kernel = kernel
        self._job = job
        self._view = view
        self._keeper = keeper
        self._events = events
        #: The notebook that was read last.
        self._newest = job.notebook
        self._arrived = anyio.Event()
        #: The cells of the kernel, and their runs that were reported.
        self._cells: dict[str, str] = {}
        self._disabled: set[str] = set()
        self._reported: dict[str, int] = {}

    async def run(self) -> None:
        """Run the notebook, and then what changes, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read)
            while True:
                await self._run_round(self._newest)
                await self._arrived.wait()
                self._arrived = anyio.Event()

    async def _read(self) -> None:
        assert self._job.read_again is not None
        file = WatchedFile(self._job.notebook.path)
        while True:
            # The first time too, since it may have been saved while the kernel started.
            before = self._newest
            try:
                self._newest = same_cells(before, self._job.read_again())
            except NotebookFileError as error:
                self._view.notice(f"{error}; nothing was run")
            else:
                # With --inplace, this also reads what the command itself saved.
                if without_outputs(self._newest) != without_outputs(before):
                    await self._take_over()
            await file.changed()

    async def _take_over(self) -> None:
        """Have what was read run; interrupt the current run if the source of a running cell has changed."""
        sources = {cell.id: cell.source for cell in self._newest.cells}
        running = [cell for cell in self._kernel.notebook.cells.values() if cell.status == "running"]
        if any(sources.get(cell.id) != cell.source for cell in running):
            await self._kernel.interrupt()
        self._arrived.set()

    async def _run_round(self, notebook: NotebookFile) -> None:
        """Update the kernel's cells to those of `notebook`, run the stale ones, and report the run."""
        kernel = self._kernel
        job = self._job.reloaded(notebook)
        cells = job.cells
        sources = {cell.id: cell.source for cell in cells}
        self._keeper.notebook = notebook
        self._view.reloaded(notebook)
        started = anyio.current_time()
        if list(sources.items()) != list(self._cells.items()):
            await kernel.set_mode("lazy")
            if gone := self._cells.keys() - sources.keys():
                await kernel.delete(gone)
            await kernel.sync(cells)
            await kernel.set_mode("autorun")
            self._cells = sources
        disabled = set(notebook.disabled)
        for ids, wanted in ((disabled - self._disabled, True), (self._disabled - disabled, False)):
            if ids := ids & sources.keys():
                await kernel.configure(ids, disabled=wanted)
        self._disabled = disabled
        await kernel.run_stale()
        await self._report(job, anyio.current_time() - started)

    async def _report(self, job: Job, seconds: float) -> None:
        while self._events.statistics().depth:  # until all events are shown
            await anyio.lowlevel.checkpoint()
        self._keeper.save(self._kernel.notebook)
        cells = self._kernel.notebook.cells
        ran = {id for id, cell in cells.items() if cell.run != self._reported.get(id, 0)}
        self._reported = {id: cell.run for id, cell in cells.items()}
        outcome = outcome_of(job, self._kernel.notebook, self._keeper.failure, 0)
        failed = {id: error for id, error in outcome.failed.items() if id in ran}
        self._view.round_ended(outcome.of_cells(failed))
        if self._arrived.is_set():
            return  # another round follows at once
        parts = [f"{len(ran)} cell{'s' * (len(ran) != 1)} ran in {seconds:.2f} s"]
        stale = [id for id, cell in cells.items() if cell.stale]
        for what, ids in (("failed", outcome.failed), ("stale", stale)):
            if ids:
                parts.append(f"{what}: {', '.join(job.notebook.titles.get(id, id) for id in ids)}")
        self._view.notice("; ".join([*parts, f"waiting for {job.notebook.path}"]))
