"""The run of a cell that the executing code belongs to.

An `Execution` is one run of one cell. The engine makes it, hooks receive it, and everything the cell
starts carries it in the context variable `current_execution`: tasks by themselves, threads and pool
workers through `threads.py`, child processes through `subprocesses.py`. The engine ends it (`end`: its
threads should exit) and retires it (`retire`: nothing more is accepted from it). It does not refer to
the threads, tasks and processes that it started: they refer to it. What belongs to a cell of an embedded
notebook leaves this process as that of the cell which shows the notebook (`visible`).
"""

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final

from ...protocol.notebook import Status
from ..output.output_list import OutputList


class Absent(Enum):
    """The type of `NO_VALUE`."""

    NO_VALUE = "no value"


#: The value of a cell that does not end in an expression, or whose expression has not been evaluated.
NO_VALUE: Final = Absent.NO_VALUE

_NOTHING: Final[dict[str, Any]] = {}


class Embedding:
    """Where a notebook is shown that a cell has embedded."""

    def __init__(self, file: str) -> None:
        #: The file of the notebook, and its global names.
        self.file: str = file
        self.globals: dict[str, Any] = {}
        #: The run of the cell that shows it; None in a process without a kernel.
        self.execution: Execution | None = None
        #: Removes what a cell of the notebook has printed.
        self.clear_text: Callable[[str], object] = lambda cell: None


class Execution:
    """One run of one cell."""

    __slots__ = (
        "__weakref__",
        "about",
        "cell",
        "embedding",
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

    def __init__(self, cell: str, run: int, outputs: OutputList, embedding: Embedding | None = None) -> None:
        self.cell: str = cell
        self.run: int = run
        self.outputs: OutputList = outputs
        #: What the frontend said of the cell when it submitted it, see `messages.Cell.about`.
        self.about: dict[str, Any] = _NOTHING
        #: Where the notebook of the cell is embedded; None for a cell that frontends know.
        self.embedding: Embedding | None = embedding
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

    @property
    def visible(self) -> "Execution | None":
        """The run that frontends know: this one, or that of the cell which shows its notebook."""
        execution: Execution | None = self
        while execution is not None and execution.embedding is not None:
            execution = execution.embedding.execution
        return execution

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
