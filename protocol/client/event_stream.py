"""The events that a client has applied, as an async iterator with a bounded buffer.

A stream begins with the next event applied after it was asked for. Its reader may be slower than the
events for a while; what waits is bounded, and a reader that exceeds the bound gets what is buffered
and then `EventsLost`, because neither holding the replica back nor leaving events out silently would
be right. Where a snapshot had to be taken, `NotebookRestored` says that everything begins anew.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import anyio
import anyio.lowlevel

from ..errors import EventsLost
from ..events import Event


class StreamStatistics(NamedTuple):
    """What an event stream holds: events waiting, how many may, and how many were not kept."""

    depth: int
    bound: int
    dropped: int


class EventStream:
    """Applied events in order; any number of tasks may read, each event goes to one of them."""

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
        """Return the next event; the iteration ends when the kernel has shut down or the client is closed.

        Raises: EventsLost if the buffer has overflowed; KernelDied or ProtocolError as the client's calls do.
        """
        await self._wait()
        if self._events:
            return self._events.popleft()
        if self._error is not None:
            raise type(self._error)(*self._error.args) from self._error
        raise StopAsyncIteration

    async def receive(self) -> list[Event]:
        """Return all events that wait, at least one; an empty list at the end.

        Raises: As `__anext__`.
        """
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return []
        events = [first, *self._events]
        self._events.clear()
        return events

    def close(self) -> None:
        """End the stream: readers get what is buffered and then the end."""
        self.end(None)

    def statistics(self) -> StreamStatistics:
        """Return what the stream holds."""
        return StreamStatistics(len(self._events), self._bound, self._dropped)

    def put(self, events: Sequence[Event]) -> None:
        """Add `events`; where they exceed the bound the stream ends with `EventsLost`."""
        room = self._bound - len(self._events)
        if self._ended:
            self._dropped += len(events)
            return
        self._events.extend(events[:room])
        if room < len(events):
            self._dropped += len(events) - room
            self.end(
                EventsLost(
                    f"more than {self._bound} events wait for their reader. Read faster, do slow work in "
                    "another task, or ask for a larger buffer: events(buffer=...). The replica has them all."
                )
            )
        self._arrived.set()

    def end(self, error: Exception | None) -> None:
        """Let readers have what is buffered and then `error`, or the end."""
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    async def _wait(self) -> None:
        """Wait until there is an event or the end; a checkpoint in any case."""
        await anyio.lowlevel.checkpoint()
        while not self._events and not self._ended:
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
