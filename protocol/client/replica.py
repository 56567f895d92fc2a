"""A frontend's copy of the notebook: applies what the kernel sends, in order and without gaps.

Pure: no sockets, no clocks. The kernel numbers events; `(epoch, seq)` names the state that this copy
holds. A `Batch` continues it: events known already (after a reconnect) are skipped, and missing ones raise
`Gap`, after which the session greets the kernel again from `(epoch, seq)`. A `Snapshot` is built
separately and replaces the notebook with its last part, so half a notebook is never visible.

The kernel sends only while less than its window is unacknowledged. Both ends count the bytes of
`Batch` and `Snapshot` messages since the greeting: `window_opened` starts the count, `acknowledgement`
says when to send it to the kernel.
"""

from collections.abc import Sequence
from typing import Final

from ..errors import CellwireError
from ..events import Event, KernelClosing, RunFinished
from ..limits import Limits
from ..messages import Batch, Snapshot, Welcome
from ..notebook import Notebook
from ..reducer import apply

#: Received bytes are acknowledged when they are this many, or a quarter of a small window.
ACKNOWLEDGE_BYTES: Final = 64 * 1024
#: Ends of runs that are remembered, for requests whose answer arrives after the end.
REMEMBERED_RUNS: Final = 4096


class Gap(CellwireError):
    """Raised when events are missing between the copy and a received message."""


class Replica:
    """The notebook as of `(epoch, seq)`, and how much of it is acknowledged."""

    def __init__(self) -> None:
        #: A snapshot replaces this object: read the attribute again instead of keeping it.
        self.notebook: Notebook = Notebook()
        self.epoch: str = ""
        self.seq: int = 0
        #: The newest event at the last greeting.
        self.greeted_seq: int = 0
        self.limits: Limits = Limits()
        #: Set when the kernel has announced its end.
        self.closing: KernelClosing | None = None
        self._building: Notebook | None = None
        self._built: list[Event] = []
        self._finished: dict[int, RunFinished] = {}
        self._received = 0
        self._acknowledged = 0

    def window_opened(self, welcome: Welcome) -> None:
        """Count bytes from zero, as the kernel does when it opens the cursor."""
        self.greeted_seq = welcome.seq
        self.limits = welcome.limits
        self._building, self._built = None, []
        self._received = self._acknowledged = 0

    @property
    def caught_up(self) -> bool:
        """Whether this holds every event that the kernel had when it was greeted."""
        return bool(self.epoch) and self.seq >= self.greeted_seq

    def apply_message(self, message: Batch | Snapshot, further: Sequence[Event], size: int) -> list[Event]:
        """Apply the events of `message` and its `further` frames, `size` bytes in all, and return them.

        The parts of a snapshot return nothing until the last one returns everything.

        Raises: Gap if events before these are missing; then nothing was applied.
        """
        self._received += size
        events = [*message.events, *further] if further else message.events
        if isinstance(message, Snapshot):
            return self._apply_snapshot(message, events)
        return self._apply_batch(message, events)

    def acknowledgement(self, *, at_once: bool = False) -> int | None:
        """Return the number of received bytes if it is time to send it, or `at_once`; otherwise None."""
        threshold = min(ACKNOWLEDGE_BYTES, self.limits.window_bytes // 4)
        unacknowledged = self._received - self._acknowledged
        if at_once or unacknowledged >= threshold or (self.closing and unacknowledged):
            self._acknowledged = self._received
            return self._received
        return None

    def run_outcome(self, run: int, accepted_seq: int) -> RunFinished | None:
        """Return how `run`, accepted by the event `accepted_seq`, ended; None if it has not ended.

        If a snapshot skipped the end, the outcome is read from the cells that have not run since.
        """
        if run in self._finished:
            return self._finished[run]
        if not 0 < accepted_seq <= self.seq or any(
            known.run == run for known in reversed(self.notebook.runs)
        ):
            return None
        cells = [self.notebook.cells[id] for id in self.notebook.order]
        failed = [cell.id for cell in cells if cell.run == run and cell.status == "error"]
        interrupted = any(cell.run == run and cell.status == "interrupted" for cell in cells)
        return RunFinished(run, "interrupted" if interrupted else "error" if failed else "ok", failed)

    def _apply_batch(self, batch: Batch, events: list[Event]) -> list[Event]:
        if self._building is not None or batch.first_seq > self.seq + 1:
            raise Gap(f"the copy holds event {self.seq}, and the next one received is {batch.first_seq}")
        known = self.seq + 1 - batch.first_seq
        if known:
            events = events[known:]
        notebook = self.notebook
        for event in events:
            apply(notebook, event)
            self._note(event)
        self.seq += len(events)
        return events

    def _apply_snapshot(self, part: Snapshot, events: list[Event]) -> list[Event]:
        if part.first:
            self._building, self._built = Notebook(), []
        if self._building is None:
            raise Gap("a snapshot arrived without its beginning")
        for event in events:
            apply(self._building, event)
        self._built += events
        if not part.last:
            return []
        self.notebook, self.epoch, self.seq = self._building, part.epoch, part.seq
        built, self._built, self._building = self._built, [], None
        return built

    def _note(self, event: Event) -> None:
        """Remember what is asked for later: ends of runs, and that the kernel is closing."""
        if type(event) is RunFinished:
            self._finished[event.run] = event
            if len(self._finished) > REMEMBERED_RUNS:
                del self._finished[next(iter(self._finished))]
        elif type(event) is KernelClosing:
            self.closing = event
