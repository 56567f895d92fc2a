"""SIGINT, SIGTERM and SIGHUP, as they arrive, for everything that runs in the command."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class StopSignals:
    """The signals received so far."""

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self._arrived = anyio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Receive signals until the context is left; they end nothing by themselves."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, signals)
                yield
                tasks.cancel_scope.cancel()

    async def nth(self, number: int) -> signal.Signals:
        """Return the signal of this number, from 1, when it has arrived."""
        while len(self.received) < number:
            await self._arrived.wait()
        return self.received[number - 1]

    async def _receive(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for received in signals:
            self.received.append(received)
            self._arrived.set()
            self._arrived = anyio.Event()
