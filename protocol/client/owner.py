"""A task that holds a context open, so that any task of the event loop can close it.

A context with tasks or cancel scopes in it has to be left by the task that entered it, but a server opens
a kernel in one request and closes it in another. So the context belongs to a task of its own: on asyncio
one of the loop, which `asyncio.run` cancels at its end like every other, and on trio a system task, which
ends when the main task has ended. Either way the context is left.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")

#: Loops hold their tasks weakly.
_tasks: Final[set["asyncio.Task[None]"]] = set()


class Owner(Generic[T]):
    """Enters one context in a task of its own, and leaves it on request."""

    def __init__(self, context: AbstractAsyncContextManager[T, Any]) -> None:
        self._context = context
        self._loop = anyio.lowlevel.current_token()
        self._scope = anyio.CancelScope()
        #: Set when the context is entered, and when it could not be.
        self._entered = anyio.Event()
        self._closing = anyio.Event()
        self._left = anyio.Event()
        self._error: Exception | None = None
        self._value: list[T] = []

    async def enter(self) -> T:
        """Return what the context yields; if this is cancelled, the context is left.

        Raises: What entering it raises.
        """
        _start(self._hold)
        try:
            await self._entered.wait()
        except BaseException:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._left.wait()
            raise
        self._raise_error()
        return self._value[0]

    async def leave(self) -> None:
        """Leave the context and return when that is done, also if this is cancelled meanwhile.

        Raises: What held the context or leaving it raised, to the first caller; RuntimeError in another
            event loop.
        """
        if not self._left.is_set() and anyio.lowlevel.current_token() != self._loop:
            raise RuntimeError("a client is closed in the event loop that it was made in")
        self._closing.set()
        with anyio.CancelScope(shield=True):
            await self._left.wait()
        self._raise_error()

    async def _hold(self) -> None:
        try:
            with self._scope:
                async with self._context as value:
                    self._value.append(value)
                    self._entered.set()
                    await self._closing.wait()
        except Exception as error:
            self._error = error
        finally:
            self._left.set()
            self._entered.set()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


def _start(function: Callable[[], Awaitable[None]]) -> None:
    """Start a task that no other task waits for."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        trio.lowlevel.spawn_system_task(function)
        return

    async def run() -> None:
        await function()

    task = asyncio.get_running_loop().create_task(run(), name="cellwire client")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
