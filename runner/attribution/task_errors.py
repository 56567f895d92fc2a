"""An exception in a task or a callback that a cell left on the loop is reported in that cell.

asyncio passes an exception that is never awaited to the loop's exception handler, at some later moment and
in another context. The task or callback still has the context in which it was made; the report is
written there, so it goes where the rest of its output goes.
"""

import asyncio
import gc
from contextvars import Context
from typing import Any


def report_in_task_context(loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
    """Report as asyncio does, in the context of the task or callback. An exception handler for a loop."""
    source = details.get("task") or details.get("future") or details.get("handle")
    # In Python 3.11 neither has an attribute for its context.
    context = next((part for part in gc.get_referents(source) if isinstance(part, Context)), None)
    if context is None:
        loop.default_exception_handler(details)
    else:
        # A copy, as this may be the context that is executing.
        context.copy().run(loop.default_exception_handler, details)
