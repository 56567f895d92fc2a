"""A real kernel that the tests of one module share."""

from collections.abc import AsyncIterator

import pytest
from cellwire.protocol import KernelClient, launch_kernel


@pytest.fixture(scope="module")
async def notebook(anyio_backend: str) -> AsyncIterator[KernelClient]:
    """A kernel that the tests of one module share."""
    async with launch_kernel() as client:
        yield client


@pytest.fixture
async def kernel(notebook: KernelClient) -> AsyncIterator[KernelClient]:
    """The module's kernel without cells, with a new runner if the last test left it busy or dead."""
    yield notebook
    if not notebook.notebook.idle or notebook.notebook.runner.condition != "ready":
        await notebook.restart_runner()
    await notebook.delete(list(notebook.notebook.order))


@pytest.fixture
async def own_kernel() -> AsyncIterator[KernelClient]:
    """A kernel that the test has to itself."""
    async with launch_kernel() as client:
        yield client
