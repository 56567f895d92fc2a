"""The state that every frontend holds a copy of.

Data types only. `reducer.apply` is the one function that changes them, from the events of
`events.py`, so two copies that have applied the same events are equal, to the byte when encoded.
Everything in a copy comes from an event: no clocks, no settings, nothing local.
"""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

Stream: TypeAlias = Literal["stdout", "stderr"]
Mode: TypeAlias = Literal["autorun", "lazy"]
#: Whether several cells may define one name: `error` for no; with `allow` each cell reads the nearest
#: definition above it; with `live` the name has the value that was set last.
Redefine: TypeAlias = Literal["error", "allow", "live"]
#: What cells are written in: `ipython` is Python with magics, shell lines and `?`, whose underscore names are
#: shared by all cells.
Dialect: TypeAlias = Literal["python", "ipython"]
#: Why a stale cell does not run: it only has to run again, a cell that it depends on is disabled, or several
#: cells define a name that it reads.
StaleReason: TypeAlias = Literal["", "disabled", "contested"]
CommAction: TypeAlias = Literal["open", "msg", "close"]
Status: TypeAlias = Literal["idle", "queued", "running", "ok", "error", "stopped", "cancelled", "interrupted"]
RunnerCondition: TypeAlias = Literal["starting", "ready", "unresponsive", "dead"]


class Item(msgspec.Struct, frozen=True, gc=False):
    """One output item: a mime bundle with an identity.

    `data` maps a mime type to text, bytes (images) or a JSON-like value; `text/plain` is always there.
    """

    #: Unique within the run of the cell, in order of creation.
    id: int
    data: dict[str, Any]
    metadata: dict[str, Any] = {}


class CellError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a cell failed, was interrupted or did not run."""

    #: Exception class (`ZeroDivisionError`), or `SyntaxError`, `ImportStar`, `MultipleDefinitions`,
    #: `Cycle`, `Cancelled`, `Interrupted`, `RunnerDied`.
    kind: str
    message: str
    #: Plain text as Python prints it; empty where nothing was raised.
    traceback: str = ""
    #: What to do about it; may be empty.
    hint: str = ""
    #: The cells that the message names: the cause of a cancellation, the other definers, the cycle.
    cells: list[str] = []
    #: Where in the source of the cell, from 1, the end behind the last character; 0 for what is not known.
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0


class ConsoleChunk(msgspec.Struct):
    """Text of one stream, as written: control characters are kept."""

    stream: Stream
    text: str
    #: The text stands after the cell's items with smaller ids, and before all others.
    before: int = 0


class Console(msgspec.Struct):
    """What a cell wrote to its standard streams, in order of arrival."""

    chunks: list[ConsoleChunk] = []
    #: Characters dropped from the front because the limit was reached.
    dropped: int = 0

    def text(self, stream: Stream | None = None) -> str:
        """Return the text of `stream`, or of both in order of arrival."""
        return "".join(c.text for c in self.chunks if stream is None or c.stream == stream)


class CellState(msgspec.Struct):
    """One cell as frontends see it."""

    id: str
    source: str = ""
    #: Counts the changes of `source`.
    revision: int = 0
    status: Status = "idle"
    #: Whether its outputs no longer follow from the sources.
    stale: bool = False
    disabled: bool = False
    #: The run that the outputs, the console and the error belong to; 0 before the first.
    run: int = 0
    outputs: list[Item] = []
    console: Console = msgspec.field(default_factory=Console)
    error: CellError | None = None
    #: Start of `run`, in seconds since 1970; 0 before the first.
    started: float = 0.0
    #: Seconds that `run` took; 0 until it has finished.
    duration: float = 0.0
    #: Names that the cell defines and names that it reads, both sorted.
    defs: list[str] = []
    refs: list[str] = []
    stale_reason: StaleReason = ""
    #: What `stale_reason` is about: the disabled cell, or the names.
    stale_because: list[str] = []
    #: Names that the cell both defines and reads from above, sorted.
    rereads: list[str] = []
    #: The cell is no part of the graph: its names belong to no cell, and it depends on none.
    loose: bool = False
    #: The variable whose value says where the cell runs; empty for the runner itself.
    on: str = ""

    def in_order(self) -> Iterator["ConsoleChunk | Item"]:
        """Yield the console's chunks and the output items in the order in which they were written."""
        shown = 0
        for chunk in self.console.chunks:
            while shown < len(self.outputs) and self.outputs[shown].id < chunk.before:
                yield self.outputs[shown]
                shown += 1
            yield chunk
        yield from self.outputs[shown:]


class RunState(msgspec.Struct):
    """A run that is accepted and not finished."""

    run: int
    #: The cells planned so far, in order; empty until the runner has planned the run.
    cells: list[str] = []


class PendingInput(msgspec.Struct, frozen=True):
    """User code that waits for a line of text, which no frontend has given yet."""

    id: str
    cell: str
    prompt: str
    password: bool = False


class CommState(msgspec.Struct, frozen=True):
    """A comm: a two-way channel between an object of user code, such as a widget, and frontends."""

    id: str
    #: What it is for, such as `jupyter.widget`.
    target: str
    #: The cell whose code opened it; empty for none, or if a frontend did.
    cell: str


class RunnerState(msgspec.Struct):
    """The process that runs the cells."""

    condition: RunnerCondition = "starting"
    #: Counts the runners of this kernel, from 1.
    generation: int = 0
    pid: int = 0
    #: How the last runner ended: signal or status and the faulthandler trace; empty while a runner lives.
    reason: str = ""


class Notebook(msgspec.Struct):
    """The whole state that the frontends of one kernel share."""

    cells: dict[str, CellState] = {}
    #: Cell ids in notebook order.
    order: list[str] = []
    mode: Mode = "autorun"
    #: Runs accepted and not finished, oldest first.
    runs: list[RunState] = []
    inputs: list[PendingInput] = []
    runner: RunnerState = msgspec.field(default_factory=RunnerState)
    #: Text that belongs to no cell, such as that of detached threads.
    console: Console = msgspec.field(default_factory=Console)
    #: The open comms, oldest first.
    comms: list[CommState] = []

    @property
    def idle(self) -> bool:
        """Whether no run is accepted or in progress."""
        return not self.runs
