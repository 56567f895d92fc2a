"""Runs the notebooks of one command: one after another, or several at the same time."""

from collections.abc import Callable, Sequence

import anyio

from ...protocol.errors import CellwireError
from .job import Job, RunOutcome, reason_of
from .run import run_notebook
from .standard_input import StandardInput
from .stop_signals import StopSignals
from .views import Presentation


async def run_jobs(
    jobs: Sequence[Job], present: Callable[[Job], Presentation], at_once: int = 1
) -> list[RunOutcome]:
    """Run the jobs, at most `at_once` at the same time, and return how each ended.

    After a signal no further job begins, nor after a failure in a job with `fail_fast`. What goes wrong
    outside the cells is raised if there is one job, and is the reason of the job's outcome if there are
    several.
    """
    outcomes = [RunOutcome(reason="not run") for _ in jobs]
    signals = StopSignals()
    # One reader for all jobs, since it keeps what it has read beyond a line. Concurrent jobs have none.
    source = StandardInput(open=at_once == 1)
    free = anyio.Semaphore(at_once)
    stopped = False

    async def run(index: int) -> None:
        nonlocal stopped
        job = jobs[index]
        try:
            presentation = present(job)
            try:
                outcomes[index] = await run_notebook(job, presentation, signals, source)
            except BaseException as error:
                if len(jobs) == 1 or not isinstance(reason := first_of(error), CellwireError | OSError):
                    presentation.close()
                    raise
                outcomes[index] = RunOutcome(reason=reason_of(reason))
            presentation.end(outcomes[index])
            stopped = stopped or (job.fail_fast and outcomes[index].status != 0)
        finally:
            free.release()

    async with signals.listening(), anyio.create_task_group() as tasks:
        for index in range(len(jobs)):
            await free.acquire()
            if stopped or signals.received:
                break
            tasks.start_soon(run, index)
    return outcomes


def first_of(error: BaseException) -> BaseException:
    """Return the exception itself, or the first of a group."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return first_of(inner[0]) if inner else error
