"""An interrupt reaches the processes that a cell waits for, in whichever way, and no others."""

import anyio
import pytest
from cellwire.protocol import KernelClient
from support.processes import children_of, gone, is_alive
from support.waiting import PATIENCE, printed, until

pytestmark = pytest.mark.anyio

SETUP = """
import asyncio, concurrent.futures, multiprocessing, os, subprocess, sys, threading, time
import anyio
program = [sys.executable, "-c", "import sys, time; print('begun', file=sys.stderr); time.sleep(1000)"]
async def start(**options):
    return await asyncio.create_subprocess_exec(*program, **options)
"""
#: What a cell does whose children are all gone after an interrupt, and how many begin.
GONE = {
    "wait": ("process = await start()\nawait process.wait()", 1),
    "communicate": ("await (await start(stdout=subprocess.PIPE)).communicate()", 1),
    "readline": ("process = await start(stdout=subprocess.PIPE)\nawait process.stdout.readline()", 1),
    "gather": ("await asyncio.gather(*[(await start()).wait() for _ in range(2)])", 2),
    "asyncio.wait": (
        "await asyncio.wait([asyncio.create_task((await start()).wait()) for _ in range(2)])",
        2,
    ),
    "wait_for": ("await asyncio.wait_for((await start()).wait(), 1000)", 1),
    "shield": ("await asyncio.shield((await start()).wait())", 1),
    "a task group": (
        "async def one(): await (await start()).wait()\n"
        "async with asyncio.TaskGroup() as _group:\n    for _ in range(2): _group.create_task(one())",
        2,
    ),
    "a task group of anyio": (
        "async def one(): await (await start()).wait()\n"
        "async with anyio.create_task_group() as _group:\n    for _ in range(2): _group.start_soon(one)",
        2,
    ),
    "run_process": ("await anyio.run_process(program, stderr=None)", 1),
    "to_thread": ("await asyncio.to_thread(subprocess.run, program)", 1),
    "run_sync": ("await anyio.to_thread.run_sync(subprocess.run, program)", 1),
    "run_in_executor": (
        "await asyncio.get_running_loop().run_in_executor(None, subprocess.run, program)",
        1,
    ),
    "a thread": ("_t = threading.Thread(target=subprocess.run, args=(program,))\n_t.start()\n_t.join()", 1),
    "a thread of a pool": (
        "with concurrent.futures.ThreadPoolExecutor() as _pool:\n"
        "    _pool.submit(subprocess.run, program).result()",
        1,
    ),
    "a loop over lines": (
        "process = subprocess.Popen(program, stdout=subprocess.PIPE)\nfor _line in process.stdout: pass",
        1,
    ),
    "a line of a file": (
        "def first(file): return file.readline()\n"
        "first(subprocess.Popen(program, stdout=subprocess.PIPE, text=True).stdout)",
        1,
    ),
    "os.read": (
        "process = subprocess.Popen(program, stdout=subprocess.PIPE)\nos.read(process.stdout.fileno(), 1)",
        1,
    ),
    "os.waitpid": ("os.waitpid(subprocess.Popen(program).pid, 0)", 1),
    "os.popen": ("os.popen('exec ' + subprocess.list2cmdline(program)).read()", 1),
    "asyncio.run": ("async def one(): await (await start()).wait()\nasyncio.run(one())", 1),
}


@pytest.mark.parametrize("waiting", GONE)
async def test_the_processes_that_a_cell_waits_for_are_gone(waiting: str, kernel: KernelClient):
    source, number = GONE[waiting]
    await kernel.run({"s": SETUP})
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "begun", times=number)
    children = children_of(kernel.notebook.runner.pid)
    assert len(children) == number
    with anyio.fail_after(PATIENCE):
        await kernel.interrupt()
        await kernel.wait_idle()
    await gone(*children)
    assert kernel.notebook.cells["a"].status == "interrupted"
    assert kernel.notebook.runner.generation == 1


FORK = "multiprocessing.get_context('fork')"
EXECUTOR = f"concurrent.futures.ProcessPoolExecutor(1, {FORK})"
#: Pools that a cell has made, and how another one waits for them.
POOLS = {
    "the result of an executor": (
        EXECUTOR,
        "pool.submit(spin).result()",
    ),
    "a map of an executor": (
        EXECUTOR,
        "list(pool.map(spin, [0]))",
    ),
    "concurrent.futures.wait": (
        EXECUTOR,
        "concurrent.futures.wait([pool.submit(spin)])",
    ),
    "as_completed": (
        EXECUTOR,
        "list(concurrent.futures.as_completed([pool.submit(spin)]))",
    ),
    "an executor that is awaited": (
        EXECUTOR,
        "await asyncio.get_running_loop().run_in_executor(pool, spin)",
    ),
    "a map": (f"{FORK}.Pool(1)", "pool.map(spin, [0])"),
    "a result": (f"{FORK}.Pool(1)", "pool.apply_async(spin).get()"),
    "an iterator": (f"{FORK}.Pool(1)", "list(pool.imap_unordered(spin, [0]))"),
}
STRUCK = """
def spin(_=None):
    try:
        print("begun", flush=True)
        time.sleep(1000)
    finally:
        print("struck", flush=True)
"""


@pytest.mark.parametrize("waiting", POOLS)
async def test_workers_that_another_cell_has_started_are_interrupted(waiting: str, kernel: KernelClient):
    pool, source = POOLS[waiting]
    await kernel.run({"s": SETUP, "spin": STRUCK, "p": f"spin\npool = {pool}"})
    await kernel.run({"a": source}, wait=False)
    await until(kernel, lambda it: any("begun" in cell.console.text() for cell in it.cells.values()))
    with anyio.fail_after(PATIENCE):
        await kernel.interrupt()
        await kernel.wait_idle()
    await until(kernel, lambda it: any("struck" in cell.console.text() for cell in it.cells.values()))
    assert kernel.notebook.cells["a"].status == "interrupted"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
async def test_processes_that_are_not_forked_are_interrupted(method: str, kernel: KernelClient):
    source = f"""
context = multiprocessing.get_context({method!r})
process = context.Process(target=os.system, args=("echo begun $$; exec sleep 1000",))
process.start()
process.join()
"""
    await kernel.run({"s": SETUP})
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "\n")
    _, pid = kernel.notebook.cells["a"].console.text().split()
    with anyio.fail_after(PATIENCE):
        await kernel.interrupt()
        await kernel.wait_idle()
    await gone(int(pid))
    assert kernel.notebook.cells["a"].status == "interrupted"


async def interrupt_beside(kernel: KernelClient, children: list[int]) -> None:
    """Interrupt cell `a`; its one child lives on."""
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["a"].status == "interrupted"
    assert len(children) == 1
    assert is_alive(*children)
    await kernel.restart_runner()


async def test_a_process_whose_pipe_a_cell_does_not_read_lives_on(kernel: KernelClient):
    await kernel.run({"s": SETUP})
    source = "process = subprocess.Popen(program, stdout=subprocess.PIPE)\ntime.sleep(1000)"
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "begun")
    await interrupt_beside(kernel, children_of(kernel.notebook.runner.pid))


async def test_a_process_that_an_async_cell_does_not_wait_for_lives_on(kernel: KernelClient):
    await kernel.run({"s": SETUP})
    source = "process = await start()\ntask = asyncio.create_task(process.wait())\nawait asyncio.sleep(1000)"
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "begun")
    children = children_of(kernel.notebook.runner.pid)
    await kernel.run({"b": "await asyncio.to_thread(subprocess.run, program)"}, wait=False)
    await interrupt_beside(kernel, children)


async def test_any_value_may_be_in_the_expression_that_is_interrupted(kernel: KernelClient) -> None:
    """Python 3.11 crashes if an abstract class is asked about the iterator of `co_positions`."""
    source = "odd = (lambda: 0).__code__.co_positions()\nprint('in', flush=True)\ntime.sleep(odd and 1000)"
    with anyio.fail_after(PATIENCE):
        await kernel.run({"s": SETUP})
        await kernel.run({"a": source}, wait=False)
        await printed(kernel, "in", "a")
        await kernel.interrupt()
        await kernel.wait_idle()
        assert kernel.notebook.cells["a"].status == "interrupted"
        assert (await kernel.run({"b": "1"})).status == "ok"
