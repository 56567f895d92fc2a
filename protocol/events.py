"""What has happened, in the past tense: the only thing that changes a notebook.

Every event is a msgpack map whose `type` is the name of its class. The runner and the kernel emit
events, the kernel numbers them (`seq`, one total order) and sends them to every frontend, and
`reducer.apply` applies them. A field that is left out has its default. New fields go at the end with a
default; no field ever changes its type or meaning.

A `run` is positive if a frontend asked for it and negative if a state setter caused it. An output or
console event whose `run` is not the current run of its `cell` changes nothing.
"""

from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from .notebook import (
    CellError,
    CellState,
    CommAction,
    CommState,
    Item,
    Mode,
    RunnerCondition,
    StaleReason,
    Status,
    Stream,
)

#: How the owner of a copy keeps an item: decoded (`Item`), or as an id and bytes (the kernel).
ItemT = TypeVar("ItemT")

RunStatus: TypeAlias = Literal["ok", "error", "interrupted", "dropped"]


class _Event(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, gc=False):
    """Base of all events: the tag. No event can be in a cycle, so the garbage collector skips them."""


class RunAccepted(_Event, frozen=True):
    """The kernel has queued a run for a frontend."""

    run: int


class RunPlanned(_Event, frozen=True):
    """The runner has planned a run: these cells are queued, in this order."""

    run: int
    cells: list[str] = []


class RunFinished(_Event, frozen=True):
    """Nothing of the run is left to do.

    `error` if a cell failed, `interrupted` if it was stopped midway, `dropped` if it never began.
    """

    run: int
    status: RunStatus = "ok"
    #: Cells that failed themselves (not those cancelled because of them), in order.
    failed: list[str] = []
    #: Why the run was interrupted, dropped or could not be carried out; empty otherwise.
    reason: str = ""


class CellStarted(_Event, frozen=True):
    """The cell runs: everything of its previous run is gone and `run` is its current run."""

    cell: str
    run: int
    #: Seconds since 1970.
    at: float = 0.0
    #: Which worker executes it; empty for the runner itself.
    where: str = ""


class CellFinished(_Event, frozen=True):
    """The cell's run is over. Its threads may still write until the cell is run again."""

    cell: str
    run: int
    status: Status = "ok"
    #: Seconds.
    duration: float = 0.0
    error: CellError | None = None


class CellSkipped(_Event, frozen=True):
    """The cell ended without running: cancelled, structurally wrong (`error`), or repaired (`idle`).

    Everything of its previous run is gone and `run` is its current run.
    """

    cell: str
    run: int
    status: Status = "cancelled"
    error: CellError | None = None


class CellsMarked(_Event, frozen=True):
    """Cells became stale, or are no longer stale."""

    cells: list[str]
    stale: bool = True
    #: Why they do not run, if that is not just that they have to run again, and what that is about.
    reason: StaleReason = ""
    because: list[str] = []


class CellsConfigured(_Event, frozen=True):
    """Cells were disabled or enabled."""

    cells: list[str]
    disabled: bool = False


class CellsDeleted(_Event, frozen=True):
    """Cells are gone, with everything they had."""

    cells: list[str]


class CellDeclared(msgspec.Struct, frozen=True, omit_defaults=True):
    """Source and static names of one cell; part of `GraphChanged`."""

    id: str
    source: str = ""
    revision: int = 1
    defs: list[str] = []
    refs: list[str] = []
    #: Names that the cell both defines and reads from above.
    rereads: list[str] = []
    #: The cell is no part of the graph.
    loose: bool = False
    #: The variable whose value says where the cell runs; empty for the runner itself.
    on: str = ""


class GraphChanged(_Event, frozen=True):
    """Cells are new or have a new source.

    New cells stand at the end in the order given, unless `order` gives the order of all cells.
    """

    cells: list[CellDeclared] = []
    order: list[str] | None = None


class ModeChanged(_Event, frozen=True):
    """Downstream cells run by themselves (`autorun`) or are marked stale (`lazy`)."""

    mode: Mode


class OutputAppended(_Event, Generic[ItemT], frozen=True):
    """One more item at the end of the cell's list."""

    cell: str
    run: int
    item: ItemT


class OutputReplaced(_Event, Generic[ItemT], frozen=True):
    """The item of the same id has new content and keeps its place."""

    cell: str
    run: int
    item: ItemT


class OutputRemoved(_Event, frozen=True):
    """The item is gone."""

    cell: str
    run: int
    #: The id of the item.
    item: int


class OutputsCleared(_Event, frozen=True):
    """The cell's list is empty."""

    cell: str
    run: int
    #: A display may show what was there until something new comes.
    wait: bool = False


class ConsoleWritten(_Event, frozen=True):
    """Text at the end of a stream; `cell` is empty for text that belongs to no cell."""

    cell: str
    run: int
    stream: Stream
    text: str
    #: The text stands after the cell's items with smaller ids, and before all others.
    before: int = 0


class ConsoleTrimmed(_Event, frozen=True):
    """The oldest `chars` code points of the console are gone: its limit was reached."""

    cell: str
    run: int
    chars: int


class ConsoleCleared(_Event, frozen=True):
    """A stream of the cell's console is empty."""

    cell: str
    run: int
    stream: Stream


class CommSent(_Event, frozen=True):
    """User code opened or closed a comm, or sent a message over it."""

    comm: str
    action: CommAction = "msg"
    #: The cell whose code opened the comm; empty for none.
    cell: str = ""
    #: What an opened comm is for; empty otherwise.
    target: str = ""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    buffers: list[bytes] = []


class InputRequested(_Event, frozen=True):
    """User code waits for a line of text; any frontend may provide it."""

    id: str
    cell: str
    prompt: str = ""
    password: bool = False


class InputClosed(_Event, frozen=True):
    """A frontend provided the text, or user code no longer waits for it."""

    id: str


class RunnerStarted(_Event, frozen=True):
    """A runner process is ready. Cells of an earlier runner have lost their values."""

    generation: int
    pid: int


class RunnerChanged(_Event, frozen=True):
    """The runner does not respond, responds again, or is being replaced."""

    condition: RunnerCondition


class RunnerDied(_Event, frozen=True):
    """The runner process has ended; outputs stay. `RunFinished` of every run came before."""

    #: Signal or exit status, and the faulthandler trace where there is one.
    reason: str


class KernelClosing(_Event, frozen=True):
    """The kernel ends: acknowledge what you have. No new events follow."""

    reason: str = ""


class CellRestored(_Event, frozen=True):
    """Only in snapshots: a cell without its outputs and console, which follow as events."""

    cell: CellState
    console_dropped: int = 0


class NotebookRestored(_Event, frozen=True):
    """Only in snapshots, first: everything outside cells. Text of its console follows as events."""

    mode: Mode = "autorun"
    runs: list[RunPlanned] = []
    inputs: list[InputRequested] = []
    condition: RunnerCondition = "starting"
    generation: int = 0
    pid: int = 0
    reason: str = ""
    console_dropped: int = 0
    comms: list[CommState] = []


#: What a runner emits, for a holder that keeps items as `ItemT`.
RunnerEvent: TypeAlias = (
    RunPlanned
    | RunFinished
    | CellStarted
    | CellFinished
    | CellSkipped
    | CellsMarked
    | CellsConfigured
    | CellsDeleted
    | GraphChanged
    | ModeChanged
    | OutputAppended[ItemT]
    | OutputReplaced[ItemT]
    | OutputRemoved
    | OutputsCleared
    | ConsoleWritten
    | ConsoleTrimmed
    | ConsoleCleared
    | CommSent
    | InputRequested
    | InputClosed
    | RunnerStarted
)

#: What a frontend receives: also the kernel's own events, and the two of snapshots.
Event: TypeAlias = (
    RunAccepted
    | RunnerEvent[Item]
    | RunnerChanged
    | RunnerDied
    | KernelClosing
    | CellRestored
    | NotebookRestored
)
