"""What happens around a run and around each cell: plain functions in four ordered lists.

The engine's own work around a cell is in these lists too, first in each (see `cell_hooks.py`). Hooks that
others append run after it; a hook that has to come first is inserted. A hook that raises is reported on the
standard error of its cell and does not stop the others.

Hooks run in the cell's context: what they print belongs to the cell. An interrupt treats them as user code,
except those marked `protected`. Only post-execution hooks see an execution's value and error; a hook that
stores them keeps them alive.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ...protocol.events import RunFinished
from ..attribution.context import Execution
from ..dataflow.plan import Plan
from ..output.reports import name_of_class, report
from .interrupts import Gate

H = TypeVar("H", bound=Callable[..., object])


class Hooks(msgspec.Struct):
    """The functions to call, in order."""

    #: Called with the plan before any of its cells runs.
    preparation: list[Callable[[Plan], object]] = []
    pre_execution: list[Callable[[Execution], object]] = []
    post_execution: list[Callable[[Execution], object]] = []
    #: Called with `RunFinished`, after it was emitted.
    on_finish: list[Callable[[RunFinished], object]] = []


def protected(hook: H) -> H:
    """Mark `hook` so that an interrupt waits until it has returned."""
    hook.__cellwire_protected__ = True  # pyright: ignore[reportFunctionMemberAccess]
    return hook


def local(hook: H) -> H:
    """Mark `hook` as one of cellwire's own that is called only in the process that executes the cell."""
    hook.__cellwire_local__ = True  # pyright: ignore[reportFunctionMemberAccess]
    return hook


def of_others(hooks: Sequence[Callable[[Any], object]]) -> list[Callable[[Any], object]]:
    """Return those of `hooks` that are called in the runner for a cell that runs elsewhere."""
    return [hook for hook in hooks if not hasattr(hook, "__cellwire_local__")]


def call_hooks(hooks: Sequence[Callable[[Any], object]], subject: Any, interrupts: Gate) -> None:
    """Call each of `hooks` with `subject`; report what one raises, and go on."""
    for hook in tuple(hooks):
        try:
            interrupts.subject = None if hasattr(hook, "__cellwire_protected__") else subject
            hook(subject)
            interrupts.subject = None
        except BaseException as error:
            interrupts.subject = None
            if issubclass(type(error), KeyboardInterrupt) and interrupts.count:
                if isinstance(subject, Execution):
                    subject.status = "interrupted"
            else:
                _report(hook, error)


def _report(hook: Callable[[Any], object], error: BaseException) -> None:
    try:
        name = str(getattr(hook, "__qualname__", hook))
    except BaseException:
        name = name_of_class(type(hook))
    report(f"cellwire: hook {name} raised\n", error)
