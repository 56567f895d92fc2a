"""Runs the code of one cell, and decides its outcome.

A cell without a top-level `await` runs on the calling thread, in a context that lasts as long as the engine:
what it sets in a context variable, such as the decimal context, is seen by later cells as in any module. A
cell with a top-level `await` is a task of its own in a copy of that context. `_drive` takes its steps, and
opens the gate for interrupts around each of them.

Whatever user code raises becomes the outcome of its cell. Neither value nor exception is kept
beyond the post-execution hooks: frames of this module hold them only in the execution.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from sys import getrecursionlimit, gettrace, setrecursionlimit, settrace
from typing import Any, cast

from ..analysis.compiler import CompiledCell
from ..api.stop import CellStopped
from ..attribution.context import NO_VALUE, Execution, current_execution
from .hooks import Hooks, call_hooks
from .interrupts import Gate

#: How many calls may be nested at the least, once the code of a cell has ended.
_DEPTH = 100


class Executor:
    """Runs cells in the namespace `globals`."""

    def __init__(self, globals: dict[str, Any], hooks: Hooks, interrupts: Gate) -> None:
        self._globals = globals
        self._hooks = hooks
        self._interrupts = interrupts

    def run(self, execution: Execution, code: CompiledCell) -> None:
        """Run a cell that does not await; its outcome is in `execution.status`."""
        interrupts = self._interrupts
        token = current_execution.set(execution)
        call_hooks(self._hooks.pre_execution, execution, interrupts)
        trace = gettrace()
        try:
            # The gate opens first: an interrupt is either seen here or raised by the signal handler.
            interrupts.subject = execution
            if interrupts.count:
                interrupts.strikes(execution)
                raise KeyboardInterrupt
            if code.body is not None:
                exec(code.body, self._globals)
            if code.value is not None:
                execution.value = eval(code.value, self._globals)
            interrupts.subject = None
        except BaseException as error:
            interrupts.subject = None
            execution.error = error
        if gettrace() is not trace:
            # A trace function that a cell has set is for its own code only, and may raise.
            settrace(trace)
        self._finish(execution)
        current_execution.reset(token)

    async def run_async(self, execution: Execution, code: CompiledCell) -> None:
        """Run a cell that awaits, in a task of its own; its outcome is in `execution.status`."""
        current_execution.set(execution)
        call_hooks(self._hooks.pre_execution, execution, self._interrupts)
        try:
            execution.value = await _drive(_evaluate(code, self._globals), execution, self._interrupts)
        except BaseException as error:
            execution.error = error
        self._finish(execution)

    def _finish(self, execution: Execution) -> None:
        """Decide the status, call the hooks, and drop the references to value and exception."""
        if getrecursionlimit() < _DEPTH:
            setrecursionlimit(_DEPTH)
        error = execution.error
        if error is None:
            execution.status = "ok"
        elif issubclass(type(error), CellStopped):  # what a class claims to be does not count
            execution.status = "stopped"
            execution.value = cast("CellStopped", error).output
            execution.error = None
        elif (self._interrupts.count or execution.over) and issubclass(
            type(error), (KeyboardInterrupt, asyncio.CancelledError)
        ):
            execution.status = "interrupted"
        else:
            execution.status = "error"
        del error
        call_hooks(self._hooks.post_execution, execution, self._interrupts)
        execution.value = NO_VALUE
        execution.error = None


async def _evaluate(code: CompiledCell, globals: dict[str, Any]) -> object:
    """Run a cell and return its value."""
    if code.body is not None:
        awaitable: Any = eval(code.body, globals)
        if code.body_is_async:
            await awaitable
    if code.value is None:
        return NO_VALUE
    value: Any = eval(code.value, globals)
    return await value if code.value_is_async else value


@types.coroutine
def _drive(
    coroutine: Coroutine[Any, Any, object], execution: Execution, interrupts: Gate
) -> Generator[Any, Any, object]:
    """Await `coroutine`, with the gate for interrupts open while it executes.

    After a second interrupt it is abandoned where it waits, even if it ignores cancellation.
    """
    step: Any = coroutine.send
    argument: Any = None
    if interrupts.count:
        # The interrupt came before the task did.
        interrupts.strikes(execution)
        step, argument = coroutine.throw, KeyboardInterrupt()
    while True:
        trace = gettrace()
        try:
            interrupts.subject = execution
            waited = step(argument)
            interrupts.subject = None
        except StopIteration as end:
            interrupts.subject = None
            return cast("object", end.value)
        except BaseException:
            interrupts.subject = None
            raise
        finally:
            if gettrace() is not trace:
                settrace(trace)
        try:
            argument = yield waited
            step = coroutine.send
        except BaseException as error:
            if interrupts.count + execution.over > 1:
                _close(coroutine, execution, interrupts)
                raise
            argument = error
            step = coroutine.throw
        waited = None


def _close(coroutine: Coroutine[Any, Any, object], execution: Execution, interrupts: Gate) -> None:
    """End `coroutine` without waiting for anything that it still awaits."""
    try:
        interrupts.subject = execution
        coroutine.close()
        interrupts.subject = None
    except BaseException:
        interrupts.subject = None
