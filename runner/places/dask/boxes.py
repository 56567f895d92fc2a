"""A value as Dask holds it: in a box, so that Dask neither looks inside nor hangs if it does not pickle.

When a value that does not pickle is sent to another process, a marker that says so goes instead. When it is
written to disk, the box raises, and Dask keeps it in memory. Without the box, a value that does not pickle
would block its reader for ever, and after that every transfer between the two workers.
"""

import logging
import pickle
from typing import Any

from dask.sizeof import sizeof
from distributed import protocol

from ...api.remote_states import sending
from ..place import CannotFetch, CannotSend

_protocol: Any = protocol
_sizes: Any = sizeof


class Held:
    """The value of the variable `name` of `cell`, or why there is none."""

    __slots__ = ("cell", "name", "strict", "value")

    def __init__(self, value: Any, name: str, cell: str, strict: bool = False) -> None:
        self.value = value
        self.name = name
        self.cell = cell
        #: Whether sending raises if the value does not pickle.
        self.strict = strict


def _sizeof(held: Held) -> int:
    return _sizes(held.value)


def cannot_send(name: str, cell: str, value: object, error: BaseException) -> CannotSend:
    """Return the error for a value that does not pickle."""
    kind: Any = type(value)
    cause = error.__cause__ if error.__cause__ is not None and "serialize" in str(error) else error
    return CannotSend(
        f"`{name}` of cell {cell!r} cannot be sent to another process: {kind.__module__}.{kind.__qualname__} "
        f"({type(cause).__name__}: {cause})",
        f"make `{name}` in the cell that uses it, or run both cells in one place",
    )


def _dump(held: Held, context: Any = None) -> tuple[dict[str, Any], list[Any]]:
    header: dict[str, Any] = {"name": held.name, "cell": held.cell}
    log = logging.getLogger("distributed.protocol.pickle")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with sending():
            header["value"], frames = _protocol.serialize(held.value, context=context, on_error="raise")
    except Exception as error:
        if held.strict or not context or "recipient" not in context:
            raise
        said = cannot_send(held.name, held.cell, held.value, error)
        header["cannot"] = True
        frames = [pickle.dumps((said.message, said.hint))]
    finally:
        log.setLevel(level)
    return header, list(frames)


def _load(header: dict[str, Any], frames: list[Any]) -> Held:
    name, cell = header["name"], header["cell"]
    if header.get("cannot"):
        return Held(CannotSend(*pickle.loads(b"".join(frames))), name, cell)
    try:
        return Held(_protocol.deserialize(header["value"], frames), name, cell)
    except Exception as error:
        why = f"`{name}` of cell {cell!r} does not unpickle here: {type(error).__name__}: {error}"
        return Held(CannotFetch(why, "install what it needs here, or use it where it was made"), name, cell)


_sizes.register(Held, _sizeof)
_protocol.dask_serialize.register(Held, _dump)
_protocol.dask_deserialize.register(Held, _load)
