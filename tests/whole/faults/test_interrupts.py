"""An interrupt ends any cell; a runner that resists is replaced, and nothing else is lost."""

import os

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, Limits, launch_kernel
from cellwire.protocol import events as e
from cellwire.protocol.notebook import Notebook
from support.processes import children_of, gone, is_alive
from support.replicas import truth
from support.waiting import PATIENCE, eventually, printed, running, until

pytestmark = pytest.mark.anyio

LASTING = {
    "a loop of pure Python": "while True: pass",
    "a loop that catches exceptions": """
while True:
    try:
        1 / 0
    except Exception:
        pass
""",
    "sleep": "import time\ntime.sleep(1000)",
    "a lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "an event": "import threading\nthreading.Event().wait()",
    "a queue": "import queue\nqueue.Queue().get()",
    "a thread that is joined": """
import cellwire as cw
def work():
    while not cw.current_thread().should_exit:
        pass
thread = cw.Thread(target=work)
thread.start()
thread.join()
""",
    "a pool that is waited for": """
import concurrent.futures, time
pool = concurrent.futures.ThreadPoolExecutor()
pool.submit(time.sleep, 2).result()
""",
    "an await": "import asyncio\nawait asyncio.sleep(1000)",
    "an await of anyio": "import anyio\nawait anyio.sleep_forever()",
    "an async cell that computes": "import asyncio\nawait asyncio.sleep(0)\nwhile True: pass",
    "a subprocess": "import subprocess\nsubprocess.run(['sleep', '1000'])",
    "a shell": "import os\nos.system('sleep 1000')",
    "reading a pipe": "import os\nos.read(os.pipe()[0], 1)",
    "select": "import select\nselect.select([], [], [])",
    "many prints": "while True: print('x' * 100)",
    "many outputs": "import cellwire as cw\nwhile True: cw.output.append(1)",
    "input": "input('?')",
    "hashes": "import hashlib\nwhile True: hashlib.pbkdf2_hmac('sha256', b'', b'', 100_000)",
    "numpy": "import numpy\nwhile True: numpy.linalg.svd(numpy.ones((100, 100)))",
    "a regular expression": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "a huge number": "10 ** 10 ** 9",
    "imports": """
import importlib, json
while True:
    importlib.reload(json)
""",
}


@pytest.mark.parametrize("source", LASTING.values(), ids=LASTING.keys())
async def test_an_interrupt_ends_the_cell(source, kernel: KernelClient):
    source = f"print('begun', flush=True)\n{source}"
    async with anyio.create_task_group() as tasks:
        finished = []

        async def run() -> None:
            finished.append(await kernel.run({"a": source}))

        tasks.start_soon(run)
        await printed(kernel, "begun")
        with anyio.fail_after(PATIENCE):
            await kernel.interrupt()
            await kernel.wait_idle()
    assert finished[0].status == "interrupted"
    assert kernel.notebook.cells["a"].status == "interrupted"
    assert kernel.notebook.cells["a"].stale
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"b": "6 * 7"})).status == "ok"
    assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == "42"
    assert kernel.notebook.runner.generation == 1


async def test_the_processes_that_an_interrupted_cell_waited_for_are_gone(kernel: KernelClient):
    source = """
import subprocess
print("begun", flush=True)
subprocess.run(["sleep", "1000"])
"""
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "begun")
    runner = kernel.notebook.runner.pid

    async def there() -> bool:
        return len(children_of(runner)) == 1

    await eventually(there)
    children = children_of(runner)
    await kernel.interrupt()
    await kernel.wait_idle()
    await gone(*children)


SPINNING = """
import multiprocessing, os, subprocess, sys, threading
from concurrent.futures import ProcessPoolExecutor
context = multiprocessing.get_context("fork")
program = [sys.executable, "-c", "import sys, time; print('begun', file=sys.stderr); time.sleep(1000)"]
def spin(_=None):
    print("begun", os.getpid(), flush=True)
    while True: pass
def report(name):
    def executes(frame):
        return frame is not None and (frame.f_code.co_name == name or executes(frame.f_back))
    def watch():
        while not executes(sys._current_frames()[threading.main_thread().ident]): pass
        print("waits", flush=True)
    threading.Thread(target=watch).start()
"""
#: What waits for children, by which function, and how many of them begin.
WAITING = {
    "a process that is joined": ("_p = context.Process(target=spin)\n_p.start()\n_p.join()", "join", 1),
    "a pool": ("with context.Pool(2) as _pool: _pool.map(spin, range(2))", "get", 2),
    "an executor": (
        "with ProcessPoolExecutor(2, context) as _e: list(_e.map(spin, range(2)))",
        "result_iterator",
        2,
    ),
    "one of two programs": (
        "_programs = [subprocess.Popen(program) for _ in range(2)]\n_programs[0].wait()",
        "_try_wait",
        2,
    ),
    "the output of a program": ("subprocess.run(program, stdout=subprocess.PIPE)", "communicate", 1),
    "a shell": ("os.system(f'{sys.executable} {program[1]} \"{program[2]}\" | cat')", "_try_wait", 1),
}


@pytest.mark.parametrize(("source", "function", "number"), WAITING.values(), ids=WAITING.keys())
async def test_an_interrupt_reaches_the_children_that_the_cell_waits_for(
    source, function, number, kernel: KernelClient
):
    await kernel.run({"spin": SPINNING})
    await kernel.run({"a": f"report({function!r})\n{source}"}, wait=False)
    await printed(kernel, "waits")
    await printed(kernel, "begun", times=number)
    children = children_of(kernel.notebook.runner.pid)
    assert len(children) >= number
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["a"].status == "interrupted"
    await gone(*children)


async def test_children_that_an_interrupted_cell_does_not_wait_for_live_on(kernel: KernelClient):
    source = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nprint('begun', flush=True)\n"
    await kernel.run({"a": source + "while True: pass"}, wait=False)
    await printed(kernel, "begun")
    await kernel.interrupt()
    await kernel.wait_idle()
    children = children_of(kernel.notebook.runner.pid)
    source = "import os\nprint('begun', flush=True)\nos.system('sleep 1000')"
    await kernel.run({"b": source}, wait=False)
    await printed(kernel, "begun", "b")
    await kernel.interrupt()
    await kernel.wait_idle()
    assert [kernel.notebook.cells[cell].status for cell in "ab"] == ["interrupted", "interrupted"]
    assert len(children) == 1
    assert is_alive(*children)


async def test_an_interrupt_drops_queued_runs_and_later_ones_run(kernel: KernelClient):
    events = kernel.events()
    await kernel.run({"a": "while True: pass"}, wait=False)
    queued = [await kernel.run({f"q{i}": "1"}, wait=False) for i in range(20)]
    await running(kernel)
    await kernel.interrupt()
    after = await kernel.run({"after": "'ran'"})
    assert after.status == "ok"
    assert kernel.notebook.cells["after"].outputs[0].data["text/plain"] == "'ran'"
    finished = {}
    while after.run not in finished:
        event = await anext(events)
        if type(event) is e.RunFinished:
            finished[event.run] = event
    assert finished[1].status == "interrupted"
    assert {finished[run.run].status for run in queued} == {"dropped"}
    assert len({finished[run.run].reason for run in queued}) == 1
    assert not any(f"q{i}" in kernel.notebook.cells for i in range(20))


SWALLOWING = """
import time
def wait():
    try:
        print("waits", flush=True)
        time.sleep(1000)
    except KeyboardInterrupt:
        print("swallowed", flush=True)
wait()
wait()
print("end")
"""


async def test_a_cell_that_swallows_interrupts_receives_each_one(kernel: KernelClient):
    await kernel.run({"a": SWALLOWING}, wait=False)
    for times in (1, 2):
        await printed(kernel, "waits", times=times)
        await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["a"].console.text() == "waits\nswallowed\nwaits\nswallowed\nend\n"
    assert (await kernel.run({"b": "1"})).status == "ok"


async def test_interrupts_at_any_moment_break_nothing(kernel: KernelClient):
    """Interrupts arrive in user code, during emission and in our own code; afterwards everything works."""
    source = """
import cellwire as cw
class Loud:
    def __del__(self):
        print("deleted")
i = 0
while True:
    i += 1
    handle = cw.output.append(i)
    print(i, Loud())
    handle.replace(-i)
    if i % 3:
        handle.remove()
"""
    await kernel.run({"first": "1"})
    for turn in range(60):
        queued = await kernel.run({"a": source, "b": "i"}, wait=False)
        if turn % 3:
            await running(kernel)
        await kernel.interrupt()
        if turn % 5 == 0:
            await kernel.interrupt()
        with anyio.fail_after(PATIENCE):
            await kernel.wait_idle()
        assert kernel.notebook.runner.condition == "ready"
        assert queued.run == turn + 2
    finished = await kernel.run({"a": "i = 7", "b": "i"})
    assert finished.status == "ok"
    assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == "7"
    assert kernel.notebook.runner.generation == 1
    seq, state = await truth(kernel)
    assert (kernel.seq, msgspec.msgpack.encode(kernel.notebook)) == (seq, state)


async def test_an_interrupt_while_nothing_runs_is_harmless(kernel: KernelClient):
    for _ in range(20):
        await kernel.interrupt()
    assert (await kernel.run({"a": "1"})).status == "ok"


@pytest.mark.parametrize(
    "source",
    [
        "signal.signal(signal.SIGINT, signal.SIG_DFL)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})",
    ],
)
async def test_what_one_cell_does_with_the_signal_does_not_protect_later_cells_from_interrupts(
    source: str,
    kernel: KernelClient,
):
    await kernel.run({"a": f"import signal\n{source};"})
    await kernel.run({"b": "while True: pass"}, wait=False)
    await running(kernel, "b")
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["b"].status == "interrupted"
    assert kernel.notebook.runner.generation == 1


LET_GO = """
import asyncio, time
class Lasting:
    def __del__(self):
        print("lasts", flush=True)
        time.sleep(1000)
def last(*_):
    print("lasts", flush=True)
    time.sleep(1000)
"""
#: What the engine sets going outside of the code of a cell: what runs first, and then.
SET_GOING = {
    "the names of the run before": ("x = Lasting()", "x = 1"),
    "the value of a cell": ("", "Lasting()"),
    "the frames of the last error": ("def f():\n    x = Lasting()\n    1 / 0\nf()", "1"),
    "a finalizer": ("import weakref\nx = set()\nweakref.finalize(x, last)", "x = 1"),
    "a callback": ("asyncio.get_running_loop().call_soon(last)", "1"),
    "a callback in C": (
        "asyncio.get_running_loop().call_soon(print, 'lasts')\n"
        "asyncio.get_running_loop().call_soon(time.sleep, 1000)",
        "1",
    ),
    "a callback of a future": (
        "done = asyncio.get_running_loop().create_future()\ndone.add_done_callback(last)\ndone.set_result(1)",
        "1",
    ),
    "the loop's exception handler": (
        "loop = asyncio.get_running_loop()\nloop.set_exception_handler(last)\nloop.call_soon(lambda: 1 / 0)",
        "1",
    ),
    "a module finder": (
        "import sys\nclass Finder:\n"
        "    find_spec = staticmethod(lambda name, *_: last() if name == 'lasting' else None)\n"
        "sys.meta_path.insert(0, Finder)",
        "from lasting import *",
    ),
    "a task": ("async def lasting(): last()\ntask = asyncio.create_task(lasting())", "1"),
}


@pytest.mark.parametrize(("before", "then"), SET_GOING.values(), ids=SET_GOING.keys())
async def test_an_interrupt_ends_what_the_engine_sets_going(before, then, kernel: KernelClient):
    await kernel.run({"let go": LET_GO})
    await kernel.run({"a": before}, wait=False)
    await kernel.run({"a": then}, wait=False)

    def lasts(notebook: Notebook) -> bool:
        return any(
            "lasts" in console.text()
            for console in [notebook.console, *(cell.console for cell in notebook.cells.values())]
        )

    await until(kernel, lasts)
    await kernel.interrupt()
    with anyio.fail_after(PATIENCE):
        await kernel.wait_idle()
        assert (await kernel.run({"b": "1"})).status == "ok"
    assert kernel.notebook.runner.generation == 1


@pytest.mark.parametrize("body", ["time.sleep(0.01)", "await asyncio.sleep(0.01)"], ids=["sync", "async"])
async def test_one_interrupt_strikes_once(body, kernel: KernelClient):
    source = f"""
import asyncio, time
struck = []
try:
    print("begun", flush=True)
    while True: {body}
except (KeyboardInterrupt, asyncio.CancelledError):
    struck.append("once")
    try:
        for _i in range(3): {body}
    except BaseException:
        struck.append("twice")
print(struck)
"""
    for turn in range(20):
        await kernel.run({"a": source.replace("begun", f"turn {turn}")}, wait=False)
        await printed(kernel, f"turn {turn}")
        await kernel.interrupt()
        await kernel.wait_idle()
        assert kernel.notebook.cells["a"].console.text() == f"turn {turn}\n['once']\n"


# Runners that have to be replaced

HOLDING = {
    # This loop never checks for signals and never releases the interpreter's lock.
    "a loop in C": """
print("begun", flush=True)
sum(iter(int, 1))
""",
    "a handler of its own": """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("begun", flush=True)
while True: pass
""",
    "a stopped process": """
import os, signal
print("begun", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
""",
}


@pytest.mark.parametrize("source", HOLDING.values(), ids=HOLDING.keys())
async def test_a_runner_that_cannot_be_interrupted_is_replaced_and_its_output_stays(source):
    async with launch_kernel(limits=Limits(unresponsive_seconds=0.5)) as kernel:
        await kernel.run({"a": "x = 1\nx", "c": "print('kept'); x"})
        await kernel.run({"b": source}, wait=False)
        waiting = await kernel.run({"d": "1"}, wait=False)
        await printed(kernel, "begun", "b")
        await kernel.interrupt()
        if "SIG_IGN" not in source:
            # (A runner that only ignores interrupts still responds.)
            await until(kernel, lambda notebook: notebook.runner.condition == "unresponsive")
        for _ in range(20):
            await kernel.ping()
        pid = kernel.notebook.runner.pid
        events = kernel.events()
        with anyio.fail_after(PATIENCE):
            await kernel.restart_runner()
            await until(
                kernel,
                lambda notebook: (notebook.runner.condition, notebook.runner.generation) == ("ready", 2),
            )
        await gone(pid)
        seen = [type(event) for event in await events.receive()]
        assert seen.index(e.RunFinished) < seen.index(e.RunnerDied) < seen.index(e.RunnerStarted)
        cells = kernel.notebook.cells
        assert [cells[id].source for id in "abc"] == ["x = 1\nx", source, "print('kept'); x"]
        assert [cells[id].outputs[0].data["text/plain"] for id in "ac"] == ["1", "1"]
        assert cells["c"].console.text() == "kept\n"
        assert cells["b"].console.text() == "begun\n"
        assert [cells[id].stale for id in "abc"] == [True, True, True]
        assert cells["b"].error is not None
        assert (cells["b"].status, cells["b"].error.kind) == ("error", "RunnerDied")
        assert "d" not in cells
        assert waiting.run == 3
        with anyio.fail_after(PATIENCE):
            assert (await kernel.run({"b": "x + 1"})).status == "ok"
        assert cells["b"].outputs[0].data["text/plain"] == "2"
        assert os.getpgid(kernel.notebook.runner.pid) == kernel.notebook.runner.pid


async def test_a_runner_that_responds_again_is_reported_ready():
    async with launch_kernel(limits=Limits(unresponsive_seconds=0.3)) as kernel:
        source = "import ctypes\nctypes.PyDLL(None).usleep(900_000)\nctypes.PyDLL(None).usleep(900_000)"
        queued = await kernel.run({"a": source}, wait=False)
        await until(kernel, lambda notebook: notebook.runner.condition == "unresponsive")
        await until(kernel, lambda notebook: notebook.runner.condition == "ready")
        await kernel.wait_idle()
        assert kernel.notebook.cells["a"].run == queued.run
        assert kernel.notebook.cells["a"].status == "ok"
