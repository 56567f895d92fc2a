"""The run of a cell that the executing code belongs to.

An `Execution` is one run of one cell. The engine makes it, hooks receive it, and everything the cell
starts carries it in the context variable `current_execution`: tasks by themselves, threads and pool
workers through `threads.py`, child processes through `subprocesses.py`. The engine ends it (`end`: its
threads should exit) and retires it (`retire`: nothing more is accepted from it). It does not refer to
the threads, tasks and processes that it started: they refer to it.
"""

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Final

from ...protocol.notebook import Status
from ..output.output_list import OutputList


class Absent(Enum):
    """The type of `NO_VALUE`."""

    NO_VALUE = "no value"


#: The value of a cell that does not end in an expression, or whose expression has not been evaluated.
NO_VALUE: Final = Absent.NO_VALUE


class Execution:
    """One run of one cell."""

    __slots__ = (
        "__weakref__",
        "cell",
        "error",
        "fetch",
        "on_retire",
        "outputs",
        "over",
        "retired",
        "run",
        "status",
        "value",
        "where",
    )

    def __init__(self, cell: str, run: int, outputs: OutputList) -> None:
        self.cell: str = cell
        self.run: int = run
        self.outputs: OutputList = outputs
        #: The last expression's value while post-execution hooks run.
        self.value: object = NO_VALUE
        #: What the cell raised, while post-execution hooks run.
        self.error: BaseException | None = None
        #: Set by the engine before post-execution hooks run.
        self.status: Status = "running"
        #: Whether the run ended early or was superseded: its threads should exit.
        self.over: bool = False
        #: Whether everything that this run still writes is dropped.
        self.retired: bool = False
        #: Called, the last first, before the cell runs again or goes.
        self.on_retire: list[Callable[[], object]] | None = None
        #: Returns the value of a name that is elsewhere; None if there is no such thing here.
        self.fetch: Callable[[str], object] | None = None
        #: The worker that executes the cell; empty in the runner itself.
        self.where: str = ""

    def __repr__(self) -> str:
        return f"<Execution of {self.cell!r}, run {self.run}>"

    def end(self) -> None:
        """Ask the threads of this run to exit."""
        self.over = True

    def retire(self) -> None:
        """End the run and drop everything that it still writes."""
        self.over = True
        self.retired = True
        self.outputs.retire()


#: The run that the executing code belongs to; None if it belongs to no cell.
current_execution: ContextVar[Execution | None] = ContextVar("current_execution", default=None)

#: Whether threads and processes that this context starts belong to no cell.
detached_context: ContextVar[bool] = ContextVar("detached_context", default=False)


def execution_for_children() -> Execution | None:
    """Return the run that a thread or process started here belongs to."""
    return None if detached_context.get() else current_execution.get()
