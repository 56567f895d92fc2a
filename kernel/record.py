"""What has happened and what follows from it: the log and the notebook, changed together.

The kernel is the one place where events get their order. Items are kept as the bytes they came in: an
`OpaqueItem` refers to the memory of its encoded event, so state and log share it, and no mime bundle
is decoded or encoded here.
"""

from typing import Any

import msgspec

from ..protocol import events as e
from ..protocol.notebook import Notebook
from ..protocol.reducer import apply
from .log import Log


class OpaqueItem(msgspec.Struct, frozen=True, gc=False):
    """An output item of which only the identity is looked at."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"\x80")


#: Whatever a runner may emit. The two of snapshots and those that are the kernel's own are not in it.
RunnerEvent = (
    e.RunPlanned
    | e.RunFinished
    | e.CellStarted
    | e.CellFinished
    | e.CellSkipped
    | e.CellsMarked
    | e.CellsConfigured
    | e.CellsDeleted
    | e.GraphChanged
    | e.ModeChanged
    | e.OutputAppended[OpaqueItem]
    | e.OutputReplaced[OpaqueItem]
    | e.OutputRemoved
    | e.OutputsCleared
    | e.ConsoleWritten
    | e.ConsoleTrimmed
    | e.ConsoleCleared
    | e.InputRequested
    | e.InputClosed
    | e.RunnerStarted
)

#: Events that may travel a moment later: nobody waits for them, and others of their kind follow.
_PATIENT = frozenset(
    {
        e.RunAccepted,
        e.RunPlanned,
        e.CellStarted,
        e.CellFinished,
        e.OutputAppended,
        e.OutputReplaced,
        e.OutputRemoved,
        e.OutputsCleared,
        e.ConsoleWritten,
        e.ConsoleTrimmed,
    }
)

encode = msgspec.msgpack.Encoder().encode


class Record:
    """The kernel's notebook, and the log that led to it."""

    def __init__(self, epoch: str, ring_bytes: int) -> None:
        #: Names this kernel's numbering; `(epoch, log.last)` names the state of `notebook`.
        self.epoch = epoch
        self.notebook = Notebook()
        self.log = Log(ring_bytes)
        #: Whether somebody may wait for an event that came since this was last set to `False`.
        self.urgent = False

    def add(self, event: Any) -> None:
        """Carry out an event of the kernel's own and log it."""
        self.add_encoded(event, encode(event))

    def add_encoded(self, event: Any, encoded: bytes) -> None:
        """Carry out an event that came in as `encoded` and log it as it came."""
        apply(self.notebook, event)
        self.log.append(encoded)
        if type(event) not in _PATIENT:
            self.urgent = True
