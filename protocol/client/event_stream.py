"""The events that a client has applied, as an async iterator with a bounded buffer.

A stream begins with the first event applied after it was created. Its reader may fall behind for a
while, but the buffer is bounded: a reader that exceeds the bound gets the buffered events and then
`EventsLost`, since neither holding the replica back nor silently skipping events would be right. Where
the client received a snapshot, `NotebookRestored` says that the notebook is built again from nothing.
"""

import weakref
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import anyio
import anyio.lowlevel

from ..errors import EventsLost
from ..events import Event


class StreamStatistics(NamedTuple):
    """Counters of an event stream: events waiting, how many may wait, and how many were dropped."""

    depth: int
    bound: int
    dropped: int


class EventStream:
    """Applied events in order. Any number of tasks may read; each event goes to one of them."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._arrived = anyio.Event()
        self._ended = False
        self._error: Exception | None = None

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Event:
        """Return the next event; the iteration ends when the kernel has shut down.

        Raises: EventsLost if the buffer has overflowed; KernelDied, or another error that ended the session.
        """
        await self._wait()
        if self._events:
            return self._events.popleft()
        if self._error is not None:
            raise type(self._error)(*self._error.args) from self._error
        raise StopAsyncIteration

    async def receive(self) -> list[Event]:
        """Return all waiting events, at least one; an empty list at the end.

        Raises: As the iteration does.
        """
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return []
        events = [first, *self._events]
        self._events.clear()
        return events

    def close(self) -> None:
        """End the stream: readers get the buffered events and then the end."""
        self.end(None)

    def statistics(self) -> StreamStatistics:
        """Return the counters of this stream."""
        return StreamStatistics(len(self._events), self._bound, self._dropped)

    def put(self, events: Sequence[Event]) -> None:
        """Add `events`; if they exceed the bound, the stream ends with `EventsLost`."""
        room = self._bound - len(self._events)
        if self._ended:
            self._dropped += len(events)
            return
        self._events.extend(events[:room])
        if room < len(events):
            self._dropped += len(events) - room
            self.end(
                EventsLost(
                    f"more than {self._bound} events were waiting to be read. Read faster, do slow work in "
                    "another task, or ask for a larger buffer: events(buffer=...). The replica has them all."
                )
            )
        self._arrived.set()

    def end(self, error: Exception | None) -> None:
        """Give readers the buffered events and then `error`, or the end if it is None."""
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    async def _wait(self) -> None:
        """Wait until there is an event or the end; always a checkpoint."""
        await anyio.lowlevel.checkpoint()
        while not self._events and not self._ended:
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()


class EventStreams:
    """The streams of one client. Only its reader keeps a stream alive."""

    def __init__(self) -> None:
        # Streams whose reader is gone are dropped when the next one is added.
        self._streams: list[weakref.ref[EventStream]] = []

    def add(self, stream: EventStream) -> None:
        """Add a stream."""
        self._streams = [weakref.ref(other) for other in (*self._read(), stream)]

    def put(self, events: Sequence[Event]) -> None:
        """Add `events` to every stream."""
        for stream in self._read():
            stream.put(events)

    def end(self, error: Exception | None) -> None:
        """End every stream."""
        for stream in self._read():
            stream.end(error)

    def _read(self) -> list[EventStream]:
        return [stream for known in self._streams if (stream := known()) is not None]
