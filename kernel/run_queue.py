"""Accepted runs that have not finished: numbered, one in progress, the rest waiting.

Pure. A run gives the turn away if all that is left of it waits for cells that await or run elsewhere: it is
`open` until it has finished, while others are in progress. The queue also knows the ids of the cells that
unfinished runs declare, so that a request can name a cell before its declaration is in the log. Runs that a
state setter causes are the runner's own and have negative numbers; only the smallest of these is remembered.
"""

from collections import Counter, deque
from typing import NamedTuple

from ..protocol.messages import Run, RunCells, SyncCells


class QueuedRun(NamedTuple):
    """A request with its number."""

    number: int
    request: Run
    size: int


class QueueStatistics(NamedTuple):
    """How full the queue is."""

    depth: int
    bound: int
    size: int
    dropped: int


class RunQueue:
    """Runs in the order of their acceptance."""

    def __init__(self, bound: int, largest: int) -> None:
        self._bound = bound
        self._largest = largest
        self._waiting: deque[QueuedRun] = deque()
        self._declared: Counter[str] = Counter()
        self._accepted = 0
        self._size = 0
        self._dropped = 0
        #: The run that was sent to the runner.
        self.in_progress: QueuedRun | None = None
        #: Runs that have given the turn away, by number.
        self.open: dict[int, QueuedRun] = {}
        #: The smallest number that a runner gave to a run of its own.
        self.last_own = 0

    def has_room(self, size: int) -> bool:
        """Whether a request of `size` bytes can be accepted."""
        return len(self) < self._bound and (not len(self) or self._size + size <= self._largest)

    def accept(self, request: Run, size: int) -> int:
        """Add a run and return its number."""
        self._accepted += 1
        self._size += size
        self._waiting.append(QueuedRun(self._accepted, request, size))
        if isinstance(request, RunCells | SyncCells):
            for cell in request.cells:
                self._declared[cell.id] += 1
        return self._accepted

    def begin(self) -> QueuedRun | None:
        """Make the oldest waiting run the one in progress; `None` if none waits or one already is."""
        if self.in_progress is not None or not self._waiting:
            return None
        self.in_progress = self._waiting.popleft()
        return self.in_progress

    def give_turn(self, number: int) -> None:
        """Note that the run in progress, if that is its number, lets the next one begin."""
        if self.in_progress is not None and self.in_progress.number == number:
            self.open[number] = self.in_progress
            self.in_progress = None

    @property
    def newest(self) -> int:
        """The number of the newest run that was sent to the runner and is not over; 0 if there is none."""
        if self.in_progress is not None:
            return self.in_progress.number
        return max(self.open, default=0)

    def finish(self, number: int) -> None:
        """Note that a run finished; of the runner's own only the number is remembered."""
        if number < 0:
            self.last_own = min(self.last_own, number)
        elif self.in_progress is not None and self.in_progress.number == number:
            self._leave(self.in_progress)
            self.in_progress = None
        elif number in self.open:
            self._leave(self.open.pop(number))

    def drop(self) -> list[int]:
        """Remove all waiting runs and return their numbers, newest first: they leave lists at the end."""
        dropped = [run.number for run in reversed(self._waiting)]
        for run in self._waiting:
            self._leave(run)
        self._waiting.clear()
        self._dropped += len(dropped)
        return dropped

    def declares(self, cell: str) -> bool:
        """Whether an unfinished run declares `cell`."""
        return cell in self._declared

    def is_over(self, number: int) -> bool:
        """Whether a run has finished, so that no more cells can start in it."""
        if number < 0:
            return number >= self.last_own
        if number in self.open:
            return False
        if self.in_progress is not None:
            return number < self.in_progress.number
        return number < self._waiting[0].number if self._waiting else number <= self._accepted

    def statistics(self) -> QueueStatistics:
        """Return how full the queue is."""
        return QueueStatistics(len(self), self._bound, self._size, self._dropped)

    def __len__(self) -> int:
        return len(self._waiting) + len(self.open) + (self.in_progress is not None)

    def _leave(self, run: QueuedRun) -> None:
        self._size -= run.size
        if isinstance(run.request, RunCells | SyncCells):
            for cell in run.request.cells:
                self._declared[cell.id] -= 1
                if not self._declared[cell.id]:
                    del self._declared[cell.id]
