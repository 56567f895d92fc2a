"""The task that carries out a run, out of sight of the cells that it runs without `await`.

They are called in it, and would otherwise cancel the run together with "the current task", or wait for it
with all others.
"""

import asyncio
from asyncio import current_task

# What asyncio does before and after each step of a task.
from asyncio.events import _set_running_loop
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage]


class HiddenTask:
    """A block of code on `loop`, which runs, that is part of no task as far as it can tell."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._task = current_task(self._loop)
        if self._task is not None:
            _leave_task(self._loop, self._task)

    def __exit__(self, *_: object) -> None:
        # A loop that the block has run may have left none behind, or one of its tasks.
        _set_running_loop(self._loop)
        if self._task is None:
            return
        try:
            _enter_task(self._loop, self._task)
        except RuntimeError:
            other = current_task(self._loop)
            if other is not None:
                _leave_task(self._loop, other)
            _enter_task(self._loop, self._task)
