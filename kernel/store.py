"""The log of events and the notebook that they lead to, changed together.

The kernel is the one place where events get their order. They are logged first, so that they can be
sent, and applied when the notebook is read, so that no reader sees one without the other. Items are kept
as the bytes they came in: an `OpaqueItem` refers to the memory of its encoded event, so state and log
share it, and no mime bundle is decoded or encoded here.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol import events as e
from ..protocol.notebook import Notebook
from ..protocol.reducer import apply
from .log import Log


class OpaqueItem(msgspec.Struct, frozen=True, gc=False):
    """An output item of which only the id is decoded."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"\x80")


#: What a runner may emit. From a runner, the kernel's own events and those of snapshots are malformed.
RunnerEvent = e.RunnerEvent[OpaqueItem]

#: Events that may be sent a moment later: no frontend waits for them, and others follow, at last the end of
#: the run.
_PATIENT = frozenset(
    {
        e.RunAccepted,
        e.RunPlanned,
        e.GraphChanged,
        e.CellsMarked,
        e.CellStarted,
        e.CellSkipped,
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
        # Logged and not yet applied to the notebook.
        self._pending: list[Any] = []
        #: Called with each event, items still encoded, when it is logged.
        self.followers: list[Callable[[Any], None]] = []
        #: Whether a frontend may wait for an event added since this was last set to `False`; whether somebody
        #: may watch for one, since it is text.
        self.urgent = False
        self.text = False

    @property
    def notebook(self) -> Notebook:
        """The state after the newest event of the log."""
        self.apply_pending()
        return self._notebook

    def apply_pending(self) -> None:
        """Apply the events that were logged and not applied yet."""
        if self._pending:
            for event in self._pending:
                apply(self._notebook, event)
            self._pending.clear()

    def add(self, event: Any) -> None:
        """Log and apply an event of the kernel's own."""
        self.add_encoded(event, encode(event))

    def add_encoded(self, event: Any, encoded: bytes) -> None:
        """Log and apply an event that came in as `encoded`."""
        self.log.append(encoded)
        self._pending.append(event)
        for follower in self.followers:
            follower(event)
        if type(event) not in _PATIENT:
            self.urgent = True
        elif type(event) is e.ConsoleWritten:
            self.text = True
