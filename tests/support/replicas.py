"""Whether copies of a notebook are equal to the byte."""

import msgspec
from cellwire.protocol import KernelClient, connect

from .waiting import PATIENCE, caught_up


async def truth(client: KernelClient) -> tuple[int, bytes]:
    """Return what the kernel holds, as a frontend sees it that attaches for the first time."""
    async with connect(client.connection_file, timeout=PATIENCE) as fresh:
        return fresh.seq, msgspec.msgpack.encode(fresh.notebook)


async def replicas_agree(*clients: KernelClient) -> None:
    """Fail unless these frontends and a new one hold the same, to the byte."""
    async with connect(clients[0].connection_file, timeout=PATIENCE) as late:
        every = (*clients, late)
        newest = max(client.seq for client in every)
        for client in every:
            await caught_up(client, newest)
        assert len({client.seq for client in every}) == 1
        assert len({msgspec.msgpack.encode(client.notebook) for client in every}) == 1
