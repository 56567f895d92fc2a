"""What frontends and the kernel send each other, besides events.

A frontend sends one frame: a request (imperative). The kernel sends a frame with a reply, or with a
`Batch` or `Snapshot` that carries events. Each request is answered exactly once, with its reply or an
`Error` of the same `id`; only `Acknowledge` has no reply. All are msgpack maps tagged by `type`.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec

from .events import Event
from .limits import Limits
from .notebook import CommAction, Mode

#: Version of the wire protocol; a change that an old peer cannot read raises it.
PROTOCOL: Final = 1

Role: TypeAlias = Literal["control", "watch"]

ErrorCode: TypeAlias = Literal[
    "malformed",
    "unknown_request",
    "unknown_cell",
    "unknown_input",
    "invalid",
    "forbidden",
    "not_greeted",
    "too_large",
    "busy",
    "runner_unavailable",
    "closing",
    "internal",
]


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cell as a frontend submits it."""

    id: str
    source: str = ""
    #: What the frontend wants hooks to know of this cell's runs, until it says something else: `{}` changes
    #: nothing.
    about: dict[str, Any] = {}
    #: The cell is no part of the graph: its names belong to no cell, and it depends on none.
    loose: bool = False
    #: The variable whose value says where the cell runs, a cluster's client; empty for the runner itself.
    on: str = ""


class _Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of all messages: the tag."""


class _Request(_Message, frozen=True):
    """Base of all requests: an id that the frontend chooses and never uses twice."""

    id: str


# Requests


class Hello(_Request, frozen=True):
    """Open the session and follow the log, from `(epoch, seq)` if possible. Answer: `Welcome`."""

    protocol: int = PROTOCOL
    #: What the frontend calls itself; shown in statistics.
    client: str = ""
    #: The state that the frontend holds; empty and 0 for none.
    epoch: str = ""
    seq: int = 0


class RunCells(_Request, frozen=True):
    """Submit these cells and run them. Answer: `RunQueued`."""

    cells: list[Cell] = []


class RunStale(_Request, frozen=True):
    """Run every stale cell. Answer: `RunQueued`."""


class SyncCells(_Request, frozen=True):
    """Submit these cells and their order and run nothing. Answer: `RunQueued`."""

    cells: list[Cell] = []


class DeleteCells(_Request, frozen=True):
    """Delete cells. Answer: `RunQueued`."""

    cells: list[str] = []
    #: What the cells have defined stays, and belongs to no cell: their readers become stale and do not run.
    keep: bool = False


class ConfigureCells(_Request, frozen=True):
    """Disable or enable cells. Answer: `RunQueued`."""

    cells: list[str] = []
    disabled: bool = False


class SetMode(_Request, frozen=True):
    """Choose between autorun and lazy. Answer: `RunQueued`."""

    mode: Mode = "autorun"


class Interrupt(_Request, frozen=True):
    """Stop the running cells and drop queued runs. Answer: `Done`."""


class ProvideInput(_Request, frozen=True):
    """Give user code its text. Answer: `Done`, or `unknown_input` if another frontend was first."""

    input: str = ""
    text: str = ""
    #: There is no text: the frontend's input has ended, and user code reads the end of its input.
    ended: bool = False


class RefuseInput(_Request, frozen=True):
    """Answer user code that waits for text that there is none to be had: it raises. Answer: `Done`."""

    input: str = ""


class SendComm(_Request, frozen=True):
    """Open or close a comm, or send a message over it. Answer: `Done`, when user code has dealt with it."""

    comm: str = ""
    action: CommAction = "msg"
    #: What a comm is for that this opens; empty otherwise.
    target: str = ""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    buffers: list[bytes] = []


class Complete(_Request, frozen=True):
    """Ask for completions of `code` at `cursor` (code points). Answer: `Completions`."""

    code: str = ""
    cursor: int = 0
    cell: str = ""


class Inspect(_Request, frozen=True):
    """Ask what the name at `cursor` (code points) is. Answer: `Inspection`."""

    code: str = ""
    cursor: int = 0
    cell: str = ""
    #: From 1 the source of what the name stands for belongs to the answer.
    detail: int = 0


class Variables(_Request, frozen=True):
    """Ask for the notebook's variables. Answer: `VariableList`."""


class Acknowledge(_Message, frozen=True):
    """The frontend has applied this many bytes of `Batch` and `Snapshot` frames since its `Hello`."""

    received: int


class Ping(_Request, frozen=True):
    """Ask for a sign of life. Answer: `Pong`."""


class Statistics(_Request, frozen=True):
    """Ask for the kernel's counters. Answer: `KernelStatistics`."""


class RestartRunner(_Request, frozen=True):
    """Replace the runner process; outputs stay, cells become stale. Answer: `Done`."""


class Shutdown(_Request, frozen=True):
    """End the kernel. Answer: `Done`, then `KernelClosing` in the log."""


Run: TypeAlias = RunCells | RunStale | SyncCells | DeleteCells | ConfigureCells | SetMode
Introspection: TypeAlias = Complete | Inspect | Variables
Request: TypeAlias = (
    Hello
    | Run
    | Introspection
    | Interrupt
    | ProvideInput
    | RefuseInput
    | SendComm
    | Acknowledge
    | Ping
    | Statistics
    | RestartRunner
    | Shutdown
)


# Replies


class Done(_Message, frozen=True):
    """The request was carried out."""

    id: str


class Welcome(_Message, frozen=True):
    """The session is open; the log follows."""

    id: str
    epoch: str
    #: The newest event at this moment.
    seq: int
    role: Role = "control"
    protocol: int = PROTOCOL
    version: str = ""
    limits: Limits = Limits()


class RunQueued(_Message, frozen=True):
    """The run is accepted; it ends with `RunFinished` of the same number."""

    id: str
    run: int
    #: The number of the run's `RunAccepted`. A state at or after it without the run is after the run's end.
    seq: int = 0


class Pong(_Message, frozen=True):
    """The kernel is alive and this is its newest event."""

    id: str
    seq: int = 0


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text that could stand at the cursor."""

    text: str
    #: `function`, `class`, `module`, `instance`, `keyword`, `param`, …
    kind: str = ""


class Completions(_Message, frozen=True):
    """What could replace `code[start:end]`; both count code points."""

    id: str
    items: list[Completion] = []
    start: int = 0
    end: int = 0


class Inspection(_Message, frozen=True):
    """What a name is, as a mime bundle; empty if it is unknown."""

    id: str
    data: dict[str, Any] = {}


class Variable(msgspec.Struct, frozen=True, omit_defaults=True):
    """One name of the notebook."""

    name: str
    #: The cell that defines it; empty if no cell's source does.
    cell: str = ""
    type: str = ""
    #: The value as a short text.
    value: str = ""


class VariableList(_Message, frozen=True):
    """The notebook's variables, sorted by name."""

    id: str
    variables: list[Variable] = []


class SessionStatistics(msgspec.Struct, frozen=True):
    """One frontend, as the kernel sees it."""

    client: str
    role: Role
    #: Events not sent to the frontend yet.
    behind: int
    #: Bytes sent and not acknowledged.
    unacknowledged: int
    snapshots: int


class KernelStatistics(_Message, frozen=True):
    """The kernel's counters since its start."""

    id: str
    epoch: str
    seq: int
    pid: int
    #: Resident memory, in bytes.
    memory: int
    ring_bytes: int
    ring_events: int
    sessions: list[SessionStatistics] = []
    #: Frames that could not be read.
    malformed: int = 0
    #: Requests answered with `Error`.
    refused: int = 0
    #: Frontends dropped because they acknowledged nothing.
    stuck: int = 0
    queued_runs: int = 0


class Error(_Message, frozen=True):
    """The request was not carried out and changed nothing."""

    #: Empty if no id could be read.
    id: str
    code: ErrorCode
    message: str
    #: What to do instead.
    hint: str = ""


Reply: TypeAlias = (
    Done | Welcome | RunQueued | Pong | Completions | Inspection | VariableList | KernelStatistics | Error
)


# Events on their way


class Batch(_Message, frozen=True):
    """Consecutive events, the first of which has number `first_seq`.

    Each further frame of the same message is one more event, in order.
    """

    first_seq: int
    events: list[Event] = []


class Snapshot(_Message, frozen=True):
    """Events that build the state at `seq` from an empty notebook, in as many messages as it takes.

    The message with `first` starts from an empty notebook; after the one with `last` the frontend holds
    `(epoch, seq)`.
    Further frames are further events, as in `Batch`.
    """

    epoch: str
    seq: int
    first: bool = False
    last: bool = False
    events: list[Event] = []


FromKernel: TypeAlias = Reply | Batch | Snapshot
