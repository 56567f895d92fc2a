"""An exception of a signal handler, raised at a place of the test's choice."""

import opcode
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: After these instructions the interpreter runs signal handlers.
_PLACES = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}


@contextmanager
def interruption(at: int, *files: str) -> Iterator[list[bool]]:
    """Raise KeyboardInterrupt at place number `at` in the code of `files`; the list says whether it was."""
    raised: list[bool] = []
    last: dict[Any, str] = {}
    left = at

    def trace(frame: Any, kind: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(files):
            return None
        frame.f_trace_opcodes = True
        if kind == "opcode":
            left -= last.get(frame) in _PLACES
            last[frame] = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
            if left <= 0:
                sys.settrace(None)
                raised.append(True)
                raise KeyboardInterrupt
        return trace

    # Python 3.12 traces instructions only if a frame had asked for that when tracing began.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        yield raised
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
