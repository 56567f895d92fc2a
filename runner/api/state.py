"""`cw.state`: a value whose readers run again when it is set.

A state holds its value and notifies the engine in whose context it was made when the value changes; it
knows nothing of cells. The engine finds the readers: cells that read, by a global name, the getter itself.
They run after the current run, so a setter never runs anything and returns at once, from any thread.

Without an engine (a plain `python notebook.py`) a state is just a value.
"""

import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Generic, NamedTuple, TypeVar, cast

from ..attribution.context import current_execution

T = TypeVar("T")

#: What a setter calls with the old value. Any other callable (a class, a model, a partial) is a value.
_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType)


class StateChange(NamedTuple):
    """The value of a state has changed."""

    #: The state's getter, or another object that has changed.
    getter: object
    #: The cell that set it and does not run again because of that; empty if there is none.
    setter: str
    #: The changed attributes of another object; cells that read one of them follow.
    attributes: frozenset[str] = frozenset()


#: Called with each change of a state that was made in this context.
state_listener: ContextVar[Callable[[StateChange], None] | None] = ContextVar("state_listener", default=None)


def object_change(value: object, attributes: Iterable[str]) -> StateChange:
    """Return the change of `attributes` of `value`, made by the calling code."""
    execution = current_execution.get()
    return StateChange(value, execution.cell if execution else "", frozenset(attributes))


class Getter(Generic[T]):
    """Returns the value of a state when called."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: T) -> None:
        self._value = value

    def __call__(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return f"<state: {self._value!r}>"


class Setter(Generic[T]):
    """Sets a state when called with a value, or with a function or method that maps the old value to it."""

    __slots__ = ("__weakref__", "_allow_self_loops", "_always", "_getter", "_listener", "_lock")

    def __init__(self, getter: Getter[T], *, allow_self_loops: bool, always: bool) -> None:
        self._getter = getter
        self._allow_self_loops = allow_self_loops
        self._always = always
        self._listener = state_listener.get()
        # Guards the change from the old value to the new one, the user's function and comparison
        # included, so that of two threads that count up none is lost. Reentrant, since that function may
        # set the same state. The engine is notified after it, so no other lock of ours is taken under it.
        self._lock = threading.RLock()

    def __call__(self, update: T | Callable[[T], T]) -> None:
        with self._lock:
            old = self._getter._value
            is_function = isinstance(update, _FUNCTIONS)
            new = cast("Callable[[T], T]", update)(old) if is_function else cast("T", update)
            self._getter._value = new
            changed = self._always or not equal(old, new)
        if changed and self._listener is not None:
            execution = None if self._allow_self_loops else current_execution.get()
            self._listener(StateChange(self._getter, execution.cell if execution else ""))

    def __repr__(self) -> str:
        return f"<setter of {self._getter!r}>"


def state(value: T, *, allow_self_loops: bool = False, always: bool = False) -> tuple[Getter[T], Setter[T]]:
    """Return the getter and the setter of a new state.

    The cell that sets the state runs again only with `allow_self_loops`. Setting it to an equal value
    runs nothing, unless `always`.

    Raises: RuntimeError in a cell that runs elsewhere.
    """
    execution = current_execution.get()
    if execution is not None and execution.where:
        raise RuntimeError(
            f"cw.state() is for cells that run in the notebook's own process, and this one runs on "
            f"{execution.where}: make the state in another cell; getter and setter may be used here"
        )
    getter = Getter(value)
    return getter, Setter(getter, allow_self_loops=allow_self_loops, always=always)


def equal(old: object, new: object) -> bool:
    """Return `old == new` if that is a plain bool, otherwise whether they are the same object."""
    try:
        equal = old == new
    except Exception:
        return old is new
    return equal if type(equal) is bool else old is new
