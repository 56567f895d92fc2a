"""What is written to the calling cell's standard error about user code that raised where it could not go on.

Nothing here raises because of what user code is, raises or has replaced: a report that cannot be made in
full says less.
"""

import os
import sys
from collections.abc import Callable
from traceback import TracebackException

#: The names of a class, whatever its metaclass says.
name_of_class: Callable[[type], str] = vars(type)["__name__"].__get__
qualname_of_class: Callable[[type], str] = vars(type)["__qualname__"].__get__

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OWN_CODE = tuple(os.path.join(_PACKAGE, room, "") for room in ("runner", "frontends", "protocol"))


def report(what: str, error: BaseException) -> None:
    """Write `what` and the traceback of `error` to the standard error of the calling cell."""
    write_report(f"{what}{format_error(error)}")


def report_of_value(error: BaseException) -> None:
    """Write the traceback of `error`, which a value has raised that was to be shown, without own frames."""
    write_report(format_error(error, own=False))


def write_report(text: str) -> None:
    """Write `text` to the standard error of the calling cell."""
    # User code may have replaced the stream by something that does not work.
    for stream in (sys.stderr, sys.__stderr__):
        try:
            if stream is not None:
                stream.write(text)
                return
        except BaseException:
            pass


def format_error(error: BaseException, *, own: bool | None = None) -> str:
    """Return the traceback of `error`, with cellwire's own frames if `own`; `None`: if it has no others."""
    try:
        found = TracebackException.from_exception(error, compact=True)
        whole = list(found.stack)
        without_own_frames(found)
        if own or (own is None and not found.stack):
            found.stack[:] = whole
        if not found.stack and not found.__cause__ and not found.__context__:
            return "".join(found.format_exception_only())
        return "".join(found.format())
    except BaseException as failure:
        kind = name_of_class(type(error))
        return f"{kind} (its traceback could not be shown: {name_of_class(type(failure))})\n"


def is_own(filename: str) -> bool:
    """Return whether a file is one of cellwire's that run in the runner."""
    return filename.startswith(_OWN_CODE)


def without_own_frames(found: TracebackException) -> None:
    """Remove cellwire's own frames from `found` and from the exceptions that led to it."""
    todo: list[TracebackException | None] = [found]
    while todo:
        part = todo.pop()
        if part is not None:
            part.stack[:] = [frame for frame in part.stack if not is_own(frame.filename)]
            todo += (part.__cause__, part.__context__, *(part.exceptions or ()))
