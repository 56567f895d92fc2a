"""`print` that writes its text at once, to a stream that asks for it.

The built-in function calls `write` for each argument, each separator and the end. Where `write` returns
only when the text has left the process, each of these is a system call, and another thread's text may
come in between. Nothing else can be observed: where a conversion could run user code between two writes,
and for every other kind of stream, the built-in function does the work.
"""

import builtins
import sys
from typing import Any

_print = builtins.print

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


def install_printing() -> None:
    """Make `print_at_once` the built-in `print`."""
    builtins.print = print_at_once
