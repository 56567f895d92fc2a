"""What has happened and what follows from it: the log and the notebook, changed together.

The kernel is the one place where events get their order. They are logged first, so that they can be
sent, and carried out when the notebook is looked at: nobody sees one without the other. Items are kept
as the bytes they came in: an `OpaqueItem` refers to the memory of its encoded event, so state and log
share it, and no mime bundle is decoded or encoded here.
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


#: What a runner may emit; events of snapshots and the kernel's own are malformed where they come from it.
RunnerEvent = e.RunnerEvent[OpaqueItem]

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


class Store:
    """The kernel's notebook, and the log that led to it."""

    def __init__(self, epoch: str, ring_bytes: int) -> None:
        #: Names this kernel's numbering; `(epoch, log.last)` names the state of `notebook`.
        self.epoch = epoch
        self.log = Log(ring_bytes)
        self._notebook = Notebook()
        # Logged and not carried out yet, which is done when the notebook is next looked at.
        self._behind: list[Any] = []
        #: Whether somebody may wait for an event that came since this was last set to `False`.
        self.urgent = False

    @property
    def notebook(self) -> Notebook:
        """The state after the newest event of the log."""
        self.apply_pending()
        return self._notebook

    def apply_pending(self) -> None:
        """Carry out what was logged and has not been carried out yet."""
        if self._behind:
            for event in self._behind:
                apply(self._notebook, event)
            self._behind.clear()

    def add(self, event: Any) -> None:
        """Log an event of the kernel's own and carry it out."""
        self.add_encoded(event, encode(event))

    def add_encoded(self, event: Any, encoded: bytes) -> None:
        """Log an event that came in as `encoded` and carry it out."""
        self.log.append(encoded)
        self._behind.append(event)
        if type(event) not in _PATIENT:
            self.urgent = True
