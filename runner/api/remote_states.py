"""States in cells that run elsewhere: the getter arrives there as its value, and the setter sends changes.

States belong to the notebook, so `cw.state` itself is refused there. A setter is sent as a token, by which
the notebook's process finds it again while it is alive. This holds only while inputs of a cell are pickled:
pickling and copying by user code work as ever.
"""

import copyreg
import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..attribution.context import current_execution
from .state import Getter, Setter

_tokens: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()
_setters: "WeakValueDictionary[str, Setter[Any]]" = WeakValueDictionary()
_sending: ContextVar[bool] = ContextVar("sending", default=False)


class RemoteGetter:
    """Returns the value that the state had when the cell was sent."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> Any:
        return self._value

    def __repr__(self) -> str:
        return f"<state: {self._value!r}>"


class RemoteSetter:
    """Sets a state of the notebook to a value, or by a function of the old value."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, update: Any) -> None:
        execution: Any = current_execution.get()
        if execution is None or not execution.where:
            raise RuntimeError("a state that was sent elsewhere is set by the cell that runs there")
        execution.set_state(self._token, update)


@contextmanager
def sending() -> Generator[None]:
    """While the block runs, states are pickled for cells that run elsewhere."""
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def setter_of(token: str) -> "Setter[Any] | None":
    """Return the setter that was sent under this token; None if it is gone."""
    return _setters.get(token)


def _reduce_getter(getter: Getter[Any]) -> Any:
    if not _sending.get():
        return object.__reduce_ex__(getter, 4)
    return RemoteGetter, (getter(),)


def _reduce_setter(setter: Setter[Any]) -> Any:
    if not _sending.get():
        return object.__reduce_ex__(setter, 4)
    token = _tokens.get(setter)
    if token is None:
        token = _tokens[setter] = os.urandom(16).hex()
        _setters[token] = setter
    return RemoteSetter, (token,)


copyreg.pickle(Getter, _reduce_getter)  # pyright: ignore[reportArgumentType]
copyreg.pickle(Setter, _reduce_setter)  # pyright: ignore[reportArgumentType]
