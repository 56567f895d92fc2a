"""Tasks that the loop makes itself, whatever task factory user code has given it.

A factory may raise, return nothing, or begin a task while it is made. Tasks that cells make are its business,
not those that carry out the cells.
"""

import asyncio
from asyncio import Task, get_running_loop  # as they are before user code can replace them
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def create_task(coroutine: Coroutine[Any, Any, T]) -> Task[T]:
    """Return a new task of the running loop."""
    return Task(coroutine, loop=get_running_loop())


class TaskGroup(asyncio.TaskGroup):
    """A group of such tasks."""

    def create_task(self, coro: Any, **options: Any) -> Task[Any]:
        loop = get_running_loop()
        factory = loop.get_task_factory()
        if factory is None:
            return super().create_task(coro, **options)
        loop.set_task_factory(None)
        try:
            return super().create_task(coro, **options)
        finally:
            loop.set_task_factory(factory)
