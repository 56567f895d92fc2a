"""The runner process as the kernel starts it."""

import anyio
import pytest
from cellwire.kernel.kernel import _RUNNER_AWAKE
from cellwire.protocol import launch_kernel
from cellwire.protocol.events import OutputReplaced
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

#: Stops the clock of the runner and counts how often its loop selects before it sleeps.
LOOKS = """
import asyncio
import time
import cellwire as cw
from cellwire.runner.host import _host as host
loop = asyncio.get_running_loop()
selector, select = loop._selector, loop._selector.select
item = cw.output.append("awake")
looks = 0
def look(timeout=None):
    global looks
    looks += 1
    if looks == 5:
        host._clock = time.monotonic
    if timeout != 0:
        selector.select = select
        item.replace(looks)
    return select(timeout)
host._clock, selector.select = lambda: 0.0, look
"""


async def test_after_a_run_the_runner_polls_for_the_next_one_for_a_moment_and_then_sleeps() -> None:
    async with launch_kernel() as kernel:
        events = kernel.events()
        assert (await kernel.run({"a": LOOKS})).status == "ok"
        with anyio.fail_after(PATIENCE):
            async for event in events:
                if isinstance(event, OutputReplaced):
                    break
        # On a single core, polling would only starve the other processes.
        looks = 6 if _RUNNER_AWAKE else 1
        assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == str(looks)
        assert (await kernel.run({"b": "looks"})).status == "ok"


#: Stops a clock and notes that the loop sleeps all the same.
STOPPED = """
import asyncio
import time
import cellwire as cw
{clock} = lambda: 5.0
selector = asyncio.get_running_loop()._selector
select, item = selector.select, cw.output.append("awake")
def look(timeout=None):
    if timeout != 0:
        selector.select = select
        item.replace("sleeps")
    return select(timeout)
selector.select = look
"""


@pytest.mark.parametrize("clock", ["time.monotonic", "asyncio.get_running_loop().time"])
async def test_a_clock_that_a_cell_has_stopped_does_not_keep_the_runner_awake(clock: str) -> None:
    async with launch_kernel() as kernel:
        events = kernel.events()
        assert (await kernel.run({"a": STOPPED.format(clock=clock)})).status == "ok"
        with anyio.fail_after(PATIENCE):
            async for event in events:
                if isinstance(event, OutputReplaced):
                    break
        assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == "'sleeps'"


#: Each replaces something that the runner needs between cells.
REPLACED = [
    "import time\ntime.perf_counter = time.monotonic = time.time = time.sleep = None",
    "import linecache\nlinecache.cache = None",
    "import threading\nthreading.Thread.start = threading.Thread.__init__ = None",
    "import sys\nsys.stderr = sys.__stderr__ = None",
    "import warnings\nwarnings.filters = warnings.warn = None",
    "import asyncio\nasyncio.Task = asyncio.TaskGroup = asyncio.Event = asyncio.Lock = asyncio.sleep = None\n"
    "asyncio.current_task = asyncio.get_running_loop = asyncio.all_tasks = asyncio.wait = None",
    "import os\nos.write = os.read = None",
    "import msgspec\nmsgspec.msgpack.encode = msgspec.msgpack.decode = None",
    "import sys\nsys.setrecursionlimit(30)",
    "import traceback\ntraceback.print_exc = traceback.format_exc = traceback.TracebackException = None",
]


@pytest.mark.parametrize("source", REPLACED)
async def test_a_cell_may_replace_what_the_runner_uses(source: str) -> None:
    async with launch_kernel() as kernel:
        with anyio.fail_after(PATIENCE):
            await kernel.run({"a": source})
            run = await kernel.run({"b": "6 * 7", "c": "x = 1\n1 / 0", "d": "async def f(): pass\nawait f()"})
            assert [variable.name for variable in await kernel.variables()][-1:] == ["x"]
            assert (await kernel.complete("pri")).items
        cells = kernel.notebook.cells
        assert (run.failed, run.reason, cells["a"].status) == (["c"], "", "ok")
        assert cells["b"].outputs[0].data["text/plain"] == "42"
        assert cells["c"].error is not None
        assert (cells["c"].error.kind, cells["c"].status) == ("ZeroDivisionError", "error")


#: Replaces what nearly all code calls.
BROKEN = """
import builtins
kept = {**vars(builtins)}
"""
NAMES = (
    "len print isinstance issubclass str repr type dict list set tuple range min max sum any all sorted zip "
    "map enumerate getattr hasattr callable iter next bool int float id hash open super property object "
    "Exception BaseException KeyboardInterrupt vars dir"
)
BROKEN += "".join(f"builtins.{name} = None\n" for name in NAMES.split())
CELLS = {"b": "6 * 7", "c": "x = 1\n1 / 0", "d": "import asyncio\nawait asyncio.sleep(0)\n7", "e": "len([])"}


async def test_a_cell_that_replaces_what_is_built_in_harms_itself_alone() -> None:
    async with launch_kernel() as kernel:
        with anyio.fail_after(PATIENCE):
            assert (await kernel.run({"a": BROKEN})).status == "ok"
            run = await kernel.run(CELLS)
            assert (run.failed, run.reason) == (["c", "e"], "")
            cells = kernel.notebook.cells
            assert [cells[id].outputs[0].data["text/plain"] for id in "bd"] == ["42", "7"]
            assert cells["e"].error is not None
            assert cells["e"].error.message == "'NoneType' object is not callable"
            assert (await kernel.run({"f": "builtins.__dict__.update(kept)"})).status == "ok"
            assert "x" in [variable.name for variable in await kernel.variables()]
            assert (await kernel.complete("pri")).items
        assert kernel.notebook.runner.generation == 1
