"""Hides the task that carries out a run from the cells that it runs without `await`.

Such cells are called in that task. If they saw it, code that cancels the current task would cancel the run,
and code that waits for all tasks would wait for itself.
"""

import asyncio
from asyncio import current_task

# What asyncio does before and after each step of a task.
from asyncio.events import _set_running_loop
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage]


class HiddenTask:
    """A context manager: code in its block, on the running `loop`, sees no current task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._task = current_task(self._loop)
        if self._task is not None:
            _leave_task(self._loop, self._task)

    def __exit__(self, *_: object) -> None:
        # A loop that the block ran may have unset the current task, or left one of its own.
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
