"""How long a test may take, and what tests of whole kernels wait for."""

import os
import time
from collections.abc import Awaitable, Callable

import anyio
from cellwire.protocol import KernelClient, KernelDied
from cellwire.protocol.notebook import Notebook

#: Seconds that a test may take, unless it is marked `soak`.
TIME_LIMIT = int(os.environ.get("CELLWIRE_TIME_LIMIT", 120))
#: Seconds within which anything that a test waits for happens, on any machine. A wait that goes wrong ends
#: within the time limit of its test, and says what it waited for.
PATIENCE = TIME_LIMIT // 3


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when `holds`, which asks the kernel, returns true."""
    with anyio.fail_after(PATIENCE):
        while not await holds():
            await anyio.sleep(0.01)


def wait_until(holds: Callable[[], object]) -> None:
    """Return when `holds` returns something true; for what can only be looked at again and again."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


async def until(client: KernelClient, condition: Callable[[Notebook], object]) -> None:
    """Return when `condition` of the client's notebook holds."""
    events = client.events(buffer=10_000_000)
    with anyio.fail_after(PATIENCE):
        while not condition(client.notebook):
            assert await events.receive(), "the kernel has ended"


async def caught_up(client: KernelClient, seq: int) -> None:
    """Return when the client's copy is at event `seq`."""
    await until(client, lambda _: client.seq >= seq)


async def running(client: KernelClient, cell: str = "a") -> None:
    """Return when a cell executes its code."""
    await until(client, lambda notebook: cell in notebook.cells and notebook.cells[cell].status == "running")


async def printed(client: KernelClient, text: str, cell: str = "a", times: int = 1) -> None:
    """Return when a cell has written `text`, as often as `times` says."""
    await until(
        client,
        lambda notebook: (
            cell in notebook.cells and notebook.cells[cell].console.text().count(text) >= times
        ),
    )


async def reason_of_death(client: KernelClient) -> str:
    """Return what a client's calls raise once its kernel has ended."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                await client.ping()
            except KernelDied as error:
                return str(error)
            await anyio.sleep(0)
