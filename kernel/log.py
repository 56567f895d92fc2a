"""The newest events, encoded, numbered and bounded in bytes.

Pure. One total order: `append` gives the next number. Each reader keeps its own number and reads the
events after it; reading does not change the log. Events beyond the bound are forgotten from the front,
even if readers have not seen them: those are sent a snapshot. The newest event is always kept, even if
it is larger than the bound.
"""

from typing import NamedTuple

#: Bytes that an event takes besides its payload: the bytes object and its place in the list.
OVERHEAD = 48
#: Places of forgotten events are freed when there are at least this many.
_COMPACT = 4096


class LogStatistics(NamedTuple):
    """How full the log is."""

    events: int
    size: int
    bound: int
    forgotten: int


class Log:
    """A ring of encoded events; the first has number 1."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: list[bytes] = []
        self._head = 0
        #: Number of the oldest event that can be read.
        self.first = 1
        #: Number of the newest event; 0 before there is one.
        self.last = 0
        #: Bytes held, `OVERHEAD` for each event included.
        self.size = 0

    def append(self, encoded: bytes) -> int:
        """Add one event and return its number."""
        self._events.append(encoded)
        self.last += 1
        self.size += len(encoded) + OVERHEAD
        if self.size > self._bound:
            self._forget()
        return self.last

    def read(self, number: int, limit: int) -> list[bytes]:
        """Return the events from `number` on, as many as fit into `limit` bytes but at least one.

        `number` is between `first` and `last`. An event larger than `limit` is returned alone.
        """
        events = self._events
        start = index = self._head + number - self.first
        room = limit - len(events[start])
        while room >= 0:
            index += 1
            if index == len(events):
                break
            room -= len(events[index])
        return events[start : max(index, start + 1)]

    def statistics(self) -> LogStatistics:
        """Return how full the log is."""
        return LogStatistics(self.last - self.first + 1, self.size, self._bound, self.first - 1)

    def _forget(self) -> None:
        while self.size > self._bound and self.first < self.last:
            self.size -= len(self._events[self._head]) + OVERHEAD
            self._events[self._head] = b""
            self._head += 1
            self.first += 1
        if self._head >= _COMPACT and self._head * 2 >= len(self._events):
            del self._events[: self._head]
            self._head = 0
