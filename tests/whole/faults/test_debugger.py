"""A cell that is stepped through ends, and its debugger with it."""

import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol import events as e
from support.waiting import running

pytestmark = pytest.mark.anyio

SYNC = "def f():\n    breakpoint()\n    return 5\nf()\nprint('after')"
ASYNC = (
    "import asyncio\n"
    "async def g():\n    await asyncio.sleep(0)\n    breakpoint()\n    await asyncio.sleep(0)\n    return 5\n"
    "await g()\nprint('after')"
)
CALLBACK = (
    "import asyncio\n"
    "def f():\n    breakpoint()\n    return 5\n"
    "asyncio.get_running_loop().call_soon(f)\nawait asyncio.sleep(0.01)\nprint('after')"
)


@pytest.mark.parametrize("command", ["n", "s", "r", "c", "until"])
@pytest.mark.parametrize("source", [SYNC, ASYNC, CALLBACK], ids=["sync", "async", "callback"])
async def test_stepping_past_the_end_of_a_cell_ends_the_debugger(source, command, kernel: KernelClient):
    events = kernel.events()
    queued = await kernel.run({"a": source}, wait=False)
    async for event in events:
        if isinstance(event, e.InputRequested):
            await kernel.provide_input(event.id, command)
        elif isinstance(event, e.RunFinished) and event.run == queued.run:
            break
    assert kernel.notebook.cells["a"].status == "ok"
    text = kernel.notebook.cells["a"].console.text()
    assert "after\n" in text
    places = [line for line in text.splitlines() if line.startswith("> ")]
    assert places
    assert not [place for place in places if "cellwire" in place or "asyncio/events" in place]
    await kernel.run({"b": "import sys\nprint(sys.gettrace())"})
    assert kernel.notebook.cells["b"].console.text() == "None\n"
    assert not kernel.notebook.inputs


async def test_quitting_the_debugger_is_an_error_of_the_cell(kernel: KernelClient):
    await kernel.run({"a": "breakpoint()\nx = 1"}, wait=False)
    await running(kernel)
    events = kernel.events()
    for pending in kernel.notebook.inputs:
        await kernel.provide_input(pending.id, "q")
    async for event in events:
        if isinstance(event, e.InputRequested):
            await kernel.provide_input(event.id, "q")
        elif isinstance(event, e.RunFinished):
            break
    error = kernel.notebook.cells["a"].error
    assert error is not None
    assert error.kind == "BdbQuit"
    assert (await kernel.run({"b": "1"})).status == "ok"
