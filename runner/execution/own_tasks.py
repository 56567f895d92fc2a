"""Tasks that the loop makes itself, whatever task factory user code has given it.

A factory may raise, return nothing, or begin a task while it is made. Tasks that cells make are its business,
not those that carry out the cells.
"""

from asyncio import Task, get_running_loop  # as they are before user code can replace them
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def create_task(coroutine: Coroutine[Any, Any, T]) -> Task[T]:
    """Return a new task of the running loop."""
    return Task(coroutine, loop=get_running_loop())
