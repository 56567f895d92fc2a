"""Runs that have given their turn away, in a real kernel: what other requests and frontends see of them."""

from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, connect, launch_kernel
from cellwire.protocol.client.event_stream import EventStream
from cellwire.protocol.events import RunFinished
from support.waiting import PATIENCE, caught_up, until

pytestmark = pytest.mark.anyio

#: A cell that awaits until it is interrupted.
FOREVER = "import asyncio\nawait asyncio.sleep(1000)"


@pytest.fixture
async def kernel() -> AsyncIterator[KernelClient]:
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as client:
            yield client


async def started(
    kernel: KernelClient, cells: dict[str, str], cell: str = "a", status: str = "running"
) -> int:
    """Start a run and return its number when `cell` has a status."""
    queued = await kernel.run(cells, wait=False)
    await until(kernel, lambda book: cell in book.cells and book.cells[cell].status == status)
    return queued.run


async def ends(kernel: KernelClient, events: EventStream) -> dict[int, RunFinished]:
    """Return how the runs ended, when all have."""
    found: dict[int, RunFinished] = {}
    while kernel.notebook.runs or events.statistics().depth:
        for event in await events.receive():
            if isinstance(event, RunFinished):
                found[event.run] = event
    return found


def plain(kernel: KernelClient, cell: str) -> list[str]:
    return [item.data["text/plain"] for item in kernel.notebook.cells[cell].outputs]


async def test_the_result_of_another_cell_arrives_before_a_cell_that_awaits_has_ended(kernel: KernelClient):
    first = await started(kernel, {"a": FOREVER, "b": "'b'"})
    for number in range(20):
        finished = await kernel.run({"c": f"print({number})\n{number}"})
        assert (finished.status, plain(kernel, "c")) == ("ok", [str(number)])
    assert kernel.notebook.cells["a"].status == "running"
    assert [run.run for run in kernel.notebook.runs] == [first]
    events = kernel.events()
    await kernel.interrupt()
    assert {run: end.status for run, end in (await ends(kernel, events)).items()} == {first: "interrupted"}
    assert kernel.notebook.cells["a"].status == "interrupted"


async def test_text_and_items_of_both_are_in_their_own_cells(kernel: KernelClient):
    await kernel.run({"s": "import asyncio, os\ngate = asyncio.Event()"})
    await started(kernel, {"a": "print('a1')\nawait gate.wait()\nprint('a2')\n'a'"})
    await kernel.run({"b": "print('b1')\ngate.set()\nos.system('echo child')\nprint('b2')\n'b'"})
    await kernel.wait_idle()
    cells = kernel.notebook.cells
    assert (cells["a"].console.text(), plain(kernel, "a")) == ("a1\na2\n", ["'a'"])
    assert (cells["b"].console.text(), plain(kernel, "b")) == ("b1\nchild\nb2\n", ["'b'"])


async def test_one_interrupt_ends_what_awaits_and_what_executes(kernel: KernelClient):
    first = await started(kernel, {"a": FOREVER})
    second = await started(kernel, {"b": "print('in')\nwhile True: pass"}, "b")
    third = (await kernel.run({"c": "3"}, wait=False)).run
    events = kernel.events()
    await kernel.interrupt()
    assert {run: end.status for run, end in (await ends(kernel, events)).items()} == {
        first: "interrupted",
        second: "interrupted",
        third: "dropped",
    }
    assert [kernel.notebook.cells[cell].status for cell in "ab"] == ["interrupted", "interrupted"]
    assert (await kernel.run({"d": "4"})).status == "ok"


async def test_a_request_right_after_an_interrupt_is_not_touched_by_it(kernel: KernelClient):
    for number in range(20):
        await started(kernel, {"a": f"{FOREVER}\n{number}"})
        await kernel.interrupt()
        assert (await kernel.run({"b": f"{number}"})).status == "ok"
        assert kernel.notebook.cells["a"].status == "interrupted"


async def test_a_restart_ends_the_open_run_and_the_kernel_goes_on(kernel: KernelClient):
    run = await started(kernel, {"a": FOREVER, "b": "2"})
    events = kernel.events()
    await kernel.restart_runner()
    assert {run: end.status for run, end in (await ends(kernel, events)).items()} == {run: "interrupted"}
    assert (await kernel.run({"c": "3"})).status == "ok"


async def test_the_death_of_the_runner_ends_all_runs_that_it_had(kernel: KernelClient):
    first = await started(kernel, {"a": FOREVER})
    events = kernel.events()
    second = (await kernel.run({"b": "import os\nos.abort()"}, wait=False)).run
    assert {run: (end.status, end.failed) for run, end in (await ends(kernel, events)).items()} == {
        first: ("error", ["a"]),
        second: ("error", ["b"]),
    }
    errors = [kernel.notebook.cells[cell].error for cell in "ab"]
    assert [error and error.kind for error in errors] == ["RunnerDied", "RunnerDied"]
    await kernel.restart_runner()
    assert (await kernel.run({"c": "3"})).status == "ok"


async def test_a_frontend_that_joins_meanwhile_has_the_same_copy(kernel: KernelClient):
    await kernel.run({"s": "import asyncio\ngate = asyncio.Event()"})
    await started(kernel, {"a": "await gate.wait()\nx = 1", "b": "x"})
    await started(kernel, {"c": "x + 1"}, "c", "queued")
    async with connect(kernel.connection) as other:
        await caught_up(other, kernel.seq)
        assert [run.cells for run in other.notebook.runs] == [["a", "b"], ["c"]]
        await kernel.run({"open": "gate.set()"})
        await kernel.wait_idle()
        await caught_up(other, kernel.seq)
        assert msgspec.msgpack.encode(other.notebook) == msgspec.msgpack.encode(kernel.notebook)
    assert (plain(kernel, "b"), plain(kernel, "c")) == (["1"], ["2"])


async def test_a_shutdown_ends_the_open_run_first():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            await started(kernel, {"a": FOREVER})
            await kernel.shutdown()
            assert kernel.notebook.cells["a"].status == "interrupted"
