"""Cells treat the runner's event loop as theirs: they cancel its tasks, stop it, run others inside."""

import anyio
import pytest
from cellwire.protocol import KernelClient
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

DEEDS = {
    "cancel all tasks": "for task in asyncio.all_tasks(): task.cancel()",
    "cancel all other tasks": """
for task in asyncio.all_tasks() - {asyncio.current_task()}: task.cancel()
await asyncio.sleep(0)
""",
    "cancel the current task": "assert asyncio.current_task() is None",
    "cancel its own task": "asyncio.current_task().cancel()\nawait asyncio.sleep(0)",
    "wait for all others": """
others = asyncio.all_tasks() - {asyncio.current_task()}
await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 60)
""",
    "stop the loop": "asyncio.get_running_loop().stop()",
    "set a task factory": """
asyncio.get_running_loop().set_task_factory(lambda loop, coro, **_: 1 / 0)
asyncio.get_running_loop().stop()
asyncio.get_running_loop().set_task_factory(None)
""",
    "set another loop": "asyncio.set_event_loop(asyncio.new_event_loop())",
    "leave a task that exits": "import sys\nasync def out(): sys.exit(3)\nasyncio.create_task(out());",
    "lose the running loop": "asyncio._set_running_loop(None)",
}
ENDS = {"cancel its own task": "error"}


@pytest.mark.parametrize("deed", DEEDS)
async def test_the_runner_lives_on_and_later_cells_run(deed: str, kernel: KernelClient) -> None:
    with anyio.fail_after(PATIENCE):
        await kernel.run({"s": "import asyncio", "w": DEEDS[deed]})
        assert kernel.notebook.cells["w"].status == ENDS.get(deed, "ok"), kernel.notebook.cells["w"].error
        run = await kernel.run({"a": "6 * 7", "b": "await asyncio.sleep(0)\n'slept'"})
    assert run.status == "ok"
    shown = [kernel.notebook.cells[cell].outputs[0].data["text/plain"] for cell in "ab"]
    assert (shown, kernel.notebook.runner.condition) == (["42", "'slept'"], "ready")
    assert kernel.notebook.runner.generation == 1


RUNS = [
    "asyncio.run(work())",
    "with asyncio.Runner() as runner: result = runner.run(work())\nresult",
    "loop = asyncio.new_event_loop()\nresult = loop.run_until_complete(work())\nloop.close()\nresult",
    "import anyio\nanyio.run(work)",
]
WORK = """
import asyncio
async def work():
    await asyncio.sleep(0)
    print("worked")
    return 5
"""


@pytest.mark.parametrize("source", RUNS)
async def test_a_cell_without_await_runs_a_loop_of_its_own_as_a_script_does(
    source: str, kernel: KernelClient
) -> None:
    await kernel.run({"w": WORK, "a": source})
    cell = kernel.notebook.cells["a"]
    assert cell.status == "ok", cell.error
    assert (cell.outputs[-1].data["text/plain"], cell.console.text()) == ("5", "worked\n")
    # The runner's loop is there again.
    await kernel.run({"b": "task = asyncio.create_task(work())\n'begun'", "c": "await task"})
    assert kernel.notebook.cells["c"].outputs[-1].data["text/plain"] == "5"


async def test_in_a_cell_that_awaits_another_loop_is_refused(kernel: KernelClient) -> None:
    await kernel.run({"w": WORK, "a": "await asyncio.sleep(0)\nasyncio.run(work())"})
    error = kernel.notebook.cells["a"].error
    assert error is not None
    assert error.message == "asyncio.run() cannot be called from a running event loop"
