"""SIGINT, SIGTERM and SIGHUP, passed on to everything that runs in the command."""

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
        """Receive signals until the context is left; by themselves they do nothing else."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, signals)
                yield
                tasks.cancel_scope.cancel()

    async def nth(self, number: int) -> signal.Signals:
        """Wait for the signal with this number, counted from 1, and return it."""
        while len(self.received) < number:
            await self._arrived.wait()
        return self.received[number - 1]

    async def _receive(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for received in signals:
            self.received.append(received)
            self._arrived.set()
            self._arrived = anyio.Event()
