"""What ends a task or a callback that a cell has left on the loop is reported in that cell.

asyncio hands an exception that nobody awaits to the loop's exception handler, at a moment and in a context
of its own. The task or callback it is about still has the context in which it was made: there the
report is written, so it goes where the rest of its output goes.
"""

import asyncio
import gc
from contextvars import Context
from typing import Any


def report_in_task_context(loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
    """Report as asyncio does, in the context of what it is about. An exception handler for a loop."""
    about = details.get("task") or details.get("future") or details.get("handle")
    # Python 3.11 has no name for the context of either.
    context = next((part for part in gc.get_referents(about) if isinstance(part, Context)), None)
    if context is None:
        loop.default_exception_handler(details)
    else:
        # A copy, as this may be the context that is executing.
        context.copy().run(loop.default_exception_handler, details)
