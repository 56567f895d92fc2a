"""`print`, and reports of threads that failed: written at once, to a stream that asks for it.

The built-in function calls `write` for each argument, each separator and the end. Where `write` returns
only when the text has left the process, each of these is a system call, and another thread's text may
come in between. Nothing else can be observed: where a conversion could run user code between two writes,
and for every other kind of stream, the built-in function does the work. The report of a thread has many
writes, and threads often fail at the same moment.
"""

import builtins
import sys
import threading
from typing import Any

from .redirection import capture_stderr

_print = builtins.print
_threading: Any = threading  # whose stubs know no `__excepthook__`

#: Types whose conversion to text runs no user code.
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


def print_at_once(
    *args: object, sep: Any = " ", end: Any = "\n", file: Any = None, flush: bool = False
) -> None:
    """Print the values to `file`, or to `sys.stdout` by default."""
    stream: Any = sys.stdout if file is None else file
    if (
        getattr(stream, "wants_whole_lines", False)
        and isinstance(sep, (str, type(None)))
        and isinstance(end, (str, type(None)))
        and (len(args) < 2 or _PLAIN.issuperset(map(type, args)))
    ):
        separator = " " if sep is None else sep
        stream.write(separator.join(map(str, args)) + ("\n" if end is None else end))
        if flush:
            stream.flush()
    else:
        _print(*args, sep=sep, end=end, file=file, flush=flush)


print_at_once.__name__ = print_at_once.__qualname__ = "print"
print_at_once.__module__ = "builtins"
print_at_once.__doc__ = _print.__doc__
# So that its signature is shown as that of the built-in function is.
print_at_once.__annotations__ = {}


def report_at_once(args: threading.ExceptHookArgs, /) -> None:
    """Write the traceback of an exception that ends a thread to `sys.stderr`."""
    if not getattr(sys.stderr, "wants_whole_lines", False):
        _threading.__excepthook__(args)
        return
    with capture_stderr() as captured:
        _threading.__excepthook__(args)
    if text := captured.getvalue():
        sys.stderr.write(text)


def install_printing() -> None:
    """Make `print_at_once` the built-in `print`, and `report_at_once` the hook of threads."""
    builtins.print = print_at_once
    threading.excepthook = report_at_once
