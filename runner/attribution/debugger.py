"""A debugger that a cell starts ends with the code of that cell.

The standard library's debuggers trace every frame on the stack, so stepping past the last line of a cell
would continue in the code that runs cells, and in later cells. The first trace event from there ends the
tracing. In a cell that awaits, this happens when the cell has to wait.
"""

import os
import sys
from asyncio import events
from functools import wraps
from types import FrameType
from typing import Any

from .after_import import after_import

_RUNNER = os.path.dirname(os.path.dirname(__file__)) + os.sep
_RUNS_CELLS = (_RUNNER + "execution" + os.sep, _RUNNER + "engine.py", _RUNNER + "host.py")
#: The code that runs the tasks and callbacks that a cell left on the loop.
_CALLBACK = events.Handle._run.__code__


def install_debugger() -> None:
    """Keep debuggers out of cellwire's own code; the host calls this once."""
    after_import("bdb", _patch_tracing)
    after_import("pdb", _patch_signals)


def _patch_tracing(module: Any) -> None:
    dispatch = module.Bdb.trace_dispatch

    @wraps(dispatch)
    def trace_dispatch(self: Any, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if code is not _CALLBACK and not code.co_filename.startswith(_RUNS_CELLS):
            return dispatch(self, frame, event, arg)
        # Python 3.14 has a method for this, since it may trace in another way.
        getattr(self, "stop_trace", lambda: sys.settrace(None))()
        outer: FrameType | None = frame
        while outer is not None:
            outer.f_trace = None
            outer = outer.f_back
        return None

    module.Bdb.trace_dispatch = trace_dispatch


def _patch_signals(module: Any) -> None:
    """Keep debuggers from handling SIGINT themselves, since interrupts come from the kernel.

    An interrupt at their prompt ends the cell, and does not just show the prompt again.
    """
    initialise = module.Pdb.__init__

    def __init__(self: Any, *args: Any, nosigint: bool = True, **options: Any) -> None:
        initialise(self, *args, nosigint=nosigint, **options)

    module.Pdb.__init__ = __init__
    module.Pdb._cmdloop = module.Pdb.cmdloop
