"""A debugger that a cell starts ends with the code of that cell.

The standard library's debuggers trace every frame that is on the stack, so stepping past the last line
of a cell would go on in the code that runs cells, and in each cell that runs later. The first event that
comes from there ends the tracing; in a cell that awaits, that is when it has to wait for something.
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
#: Runs what a cell has left on the loop.
_CALLBACK = events.Handle._run.__code__


def install_debugger() -> None:
    """Have debuggers leave the kernel alone; the host calls it once."""
    after_import("bdb", _patch_tracing)
    after_import("pdb", _patch_signals)


def _patch_tracing(module: Any) -> None:
    dispatch = module.Bdb.trace_dispatch

    @wraps(dispatch)
    def trace_dispatch(self: Any, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if code is not _CALLBACK and not code.co_filename.startswith(_RUNS_CELLS):
            return dispatch(self, frame, event, arg)
        # Python 3.14 has a method for this, as it may trace in another way.
        getattr(self, "stop_trace", lambda: sys.settrace(None))()
        outer: FrameType | None = frame
        while outer is not None:
            outer.f_trace = None
            outer = outer.f_back
        return None

    module.Bdb.trace_dispatch = trace_dispatch


def _patch_signals(module: Any) -> None:
    """Keep debuggers from taking over SIGINT when they continue: the kernel interrupts.

    And from asking again when an interrupt comes while they wait for a command: it is for their cell.
    """
    initialise = module.Pdb.__init__

    def __init__(self: Any, *args: Any, nosigint: bool = True, **options: Any) -> None:
        initialise(self, *args, nosigint=nosigint, **options)

    module.Pdb.__init__ = __init__
    module.Pdb._cmdloop = module.Pdb.cmdloop
