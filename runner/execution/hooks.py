"""What happens around a run and around each cell: plain functions in four ordered lists.

The engine's own work around a cell is in these lists too, first in each: `start` says that the cell
runs, `show_value`, `show_figures` and `show_error` fill its output list, `finish` says how it ended. What
others append runs after that; whoever wants to come before inserts. A hook that raises is reported on
the standard error of its cell and does not stop the others.

Hooks run in the cell's context: what they print is the cell's. They are user code to an interrupt,
except those marked `protected`. An execution's value and error are there for post-execution hooks
only; a hook that keeps them keeps them alive.
"""

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ...protocol.events import CellFinished, CellStarted, RunFinished
from ...protocol.notebook import CellError
from ..api.output import OutputHandle
from ..attribution.context import NO_VALUE, Execution
from ..dataflow.plan import Plan
from ..output.formatting import format_value
from . import cell_errors as errors
from .interrupts import Interrupts

H = TypeVar("H", bound=Callable[..., object])


class Hooks(msgspec.Struct):
    """The functions to call, in order."""

    #: Called with the plan before anything of it is carried out.
    preparation: list[Callable[[Plan], object]] = []
    pre_execution: list[Callable[[Execution], object]] = []
    post_execution: list[Callable[[Execution], object]] = []
    #: Called with the event that says that nothing of the run is left to do, after it was emitted.
    on_finish: list[Callable[[RunFinished], object]] = []


def protected(hook: H) -> H:
    """Mark `hook` as one during which an interrupt waits."""
    hook.__cellwire_protected__ = True  # pyright: ignore[reportFunctionMemberAccess]
    return hook


def call_hooks(hooks: Sequence[Callable[[Any], object]], subject: Any, interrupts: Interrupts) -> None:
    """Call each of `hooks` with `subject`; what one raises is reported and goes no further."""
    for hook in tuple(hooks):
        try:
            interrupts.open = not hasattr(hook, "__cellwire_protected__")
            hook(subject)
            interrupts.open = False
        except BaseException as error:
            interrupts.open = False
            if isinstance(error, KeyboardInterrupt) and interrupts.requested:
                if isinstance(subject, Execution):
                    subject.status = "interrupted"
            else:
                _report(hook, error)


def _report(hook: Callable[[Any], object], error: BaseException) -> None:
    name = getattr(hook, "__qualname__", repr(hook))
    text = "".join(traceback.format_exception(error))
    try:
        sys.stderr.write(f"cellwire: hook {name} raised\n{text}")
    except Exception:
        pass  # user code has replaced sys.stderr by something that does not work


class CellReport:
    """The engine's own hooks around a cell: its events, its value and its error.

    `explain(error, cell)` returns what is known of a name that was missing, and the cells that this names.
    `emit` may hold events back until `flush`: how a cell ended goes out together with what follows.
    """

    def __init__(
        self,
        emit: Callable[[Any], None],
        flush: Callable[[], None],
        explain: Callable[[BaseException, str], tuple[str, list[str]]],
    ) -> None:
        self._emit = emit
        self._flush = flush
        self._explain = explain
        self._hooks = Hooks()
        # Of the cells that are running: when they began, and what is to be said of how they ended.
        self._began: dict[Execution, float] = {}
        self._described: dict[Execution, CellError] = {}

    def install(self, hooks: Hooks) -> None:
        """Put these hooks first in their lists."""
        self._hooks = hooks
        hooks.pre_execution.insert(0, self.start)
        hooks.post_execution[:0] = [self.show_value, self.show_figures, self.show_error, self.finish]

    @protected
    def start(self, execution: Execution) -> None:
        """Say that the cell runs."""
        self._began[execution] = time.perf_counter()
        self._emit(CellStarted(execution.cell, execution.run, time.time()))
        self._flush()

    def show_value(self, execution: Execution) -> None:
        """Append the value, unless there is none, it is None, or it stands for an item that is there."""
        value = execution.value
        if value is not NO_VALUE and value is not None and type(value) is not OutputHandle:
            execution.outputs.append_soon(*format_value(value))

    def show_figures(self, execution: Execution) -> None:
        """Append the figures that the cell has drawn and not shown."""
        if "matplotlib.pyplot" in sys.modules:
            from ..integrations.figures import capture_figures

            capture_figures(execution)

    def show_error(self, execution: Execution) -> None:
        """Append what the cell raised."""
        error = execution.error
        if execution.status == "interrupted":
            described = errors.interrupted(error)
        elif error is not None:
            described = errors.raised(error, *self._explain(error, execution.cell))
        else:
            return
        self._described[execution] = described
        execution.outputs.append(errors.error_item(described))

    @protected
    def finish(self, execution: Execution) -> None:
        """Say how the cell ended."""
        duration = time.perf_counter() - self._began.pop(execution)
        described = self._described.pop(execution, None)
        if described is None and execution.status in ("error", "interrupted"):
            described = CellError(type(execution.error).__name__, "what was raised could not be described")
        if execution.status != "ok":
            execution.end()
        finished = CellFinished(execution.cell, execution.run, execution.status, duration, described)
        self._emit(finished)
        if self._hooks.post_execution[-1] != self.finish:
            self._flush()
