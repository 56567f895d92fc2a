"""A real kernel, what a test asks it to run, and what a test waits for."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, connect, launch_kernel

#: Seconds within which whatever a test waits for happens, on any machine.
PATIENCE = 30


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def notebook(anyio_backend: str) -> AsyncIterator[KernelClient]:
    """A kernel that the tests of one module share."""
    async with launch_kernel() as client:
        yield client


@pytest.fixture
async def kernel(notebook: KernelClient) -> AsyncIterator[KernelClient]:
    """The module's kernel without cells, with a runner of its own if a test left that one busy or dead."""
    yield notebook
    if not notebook.notebook.idle or notebook.notebook.runner.condition != "ready":
        await notebook.restart_runner()
    await notebook.delete(list(notebook.notebook.order))


@pytest.fixture
async def own_kernel() -> AsyncIterator[KernelClient]:
    """A kernel that the test has to itself."""
    async with launch_kernel() as client:
        yield client


async def until(client: KernelClient, condition: Callable[[Any], Any], seconds: float = PATIENCE) -> None:
    """Return when `condition` of the client's notebook holds."""
    events = client.events()
    with anyio.fail_after(seconds):
        while not condition(client.notebook):
            await anext(events)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until


@pytest.fixture
def replicas_agree() -> Callable[..., Any]:
    """Return a function that fails unless these frontends and a new one hold the same, to the byte."""

    async def agree(*clients: KernelClient) -> None:
        async with connect(clients[0].connection_file, timeout=PATIENCE) as late:
            newest = max(client.seq for client in (*clients, late))
            for client in clients:
                await until(client, lambda _, client=client: client.seq >= newest)
            await until(late, lambda _: late.seq >= newest)
            assert len({client.seq for client in (*clients, late)}) == 1
            assert len({msgspec.msgpack.encode(client.notebook) for client in (*clients, late)}) == 1

    return agree
