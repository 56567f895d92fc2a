"""States in cells that run elsewhere: the getter arrives there as its value, the setter sends the change.

A state is the notebook's, so `cw.state` itself is refused there. Here each end of a state has a token
while it is alive. It goes there instead of it only while a value is being sent: copies that user code makes
of a state are as they ever were.
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
    """Sets a state of the notebook, with a value or with a function of the old one."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, update: Any) -> None:
        execution: Any = current_execution.get()
        if execution is None or not execution.where:
            raise RuntimeError("a state that was sent elsewhere is set by the cell that runs there")
        execution.set_state(self._token, update)


@contextmanager
def sending() -> Generator[None]:
    """What is pickled in this block goes to where cells run."""
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def setter_of(token: str) -> "Setter[Any] | None":
    """Return the setter that was sent under this token, if there still is one."""
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
