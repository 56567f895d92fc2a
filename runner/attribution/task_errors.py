"""An exception in a task or a callback that a cell left on the loop is reported in that cell.

asyncio passes an exception that is never awaited to the loop's exception handler, at some later moment and
in another context. The task or callback still has the context in which it was made; the report is
written there, so it goes where the rest of its output goes. If the cell has run again or is gone by then,
as it is where a name has kept the task, the report is the notebook's, as that of `__del__` is.
"""

import asyncio
import gc
from contextvars import Context
from typing import Any

from .context import current_execution


def report_in_task_context(loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
    """Report as asyncio does, in the context of the task or callback. An exception handler for a loop."""
    source = details.get("task") or details.get("future") or details.get("handle")
    # `gather` has no context, but its tasks do.
    for part in (source, *getattr(source, "_children", ())):
        # In Python 3.11 neither has an attribute for its context.
        context = next((each for each in gc.get_referents(part) if isinstance(each, Context)), None)
        if context is not None:
            # A copy, as this may be the context that is executing.
            context.copy().run(_report, loop, details)
            return
    loop.default_exception_handler(details)


def _report(loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
    execution = current_execution.get()
    if execution is not None and execution.retired:
        current_execution.set(None)
    loop.default_exception_handler(details)
