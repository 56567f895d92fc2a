"""User code that forks and spawns: nothing hangs, nothing is written twice, nothing stays open."""

import sys

import anyio
import pytest
from cellwire.protocol import KernelClient, launch_kernel
from support.processes import descriptors_of, gone
from support.waiting import PATIENCE, eventually, until

pytestmark = pytest.mark.anyio

MODULE = """
import os

def work(number):
    # One write, even with PYTHONUNBUFFERED: workers of a fork server share its pipe.
    print(f"work {number}\\n", end="", flush=True)
    return number * number, os.getpid()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_pools_of_every_start_method_work_and_write_to_their_cell(method, tmp_path):
    (tmp_path / "worker.py").write_text(MODULE)
    async with launch_kernel(cwd=tmp_path) as kernel:
        source = f"""
import multiprocessing, os
import worker
with multiprocessing.get_context({method!r}).Pool(2) as pool:
    found = pool.map(worker.work, range(8))
print(os.getpid() in {{pid for _, pid in found}})
[square for square, _ in found]
"""
        with anyio.fail_after(PATIENCE):
            finished = await kernel.run({"a": source, "b": "len(found)"})
        assert finished.status == "ok"
        cells = kernel.notebook.cells
        assert [item.data["text/plain"] for item in cells["a"].outputs] == [str([i * i for i in range(8)])]
        lines = cells["a"].console.text().split("\n")
        assert sorted(lines) == sorted([*(f"work {i}" for i in range(8)), "False", ""])
        assert cells["b"].console.text() == ""
        assert (await kernel.run({"c": "1"})).status == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="fork is the default on Linux alone")
async def test_functions_of_a_cell_run_in_forked_processes(kernel: KernelClient):
    source = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def double(x):
    return 2 * x
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    doubled = list(pool.map(double, range(20)))
doubled[-1]
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source})).status == "ok"
    assert [item.data["text/plain"] for item in kernel.notebook.cells["a"].outputs] == ["38"]


async def test_output_appears_once_if_a_forked_child_returns_from_the_cell(kernel: KernelClient):
    source = """
import os
import cellwire as cw
cw.output.append("before")
print("before")
child = os.fork()
print("child" if child == 0 else "parent", flush=True)
if child:
    os.waitpid(child, 0)
    cw.output.append("parent")
"the end" if child else None
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source, "b": "child"})).status == "ok"
    cells = kernel.notebook.cells
    texts = [item.data["text/plain"] for item in cells["a"].outputs]
    assert texts == ["'before'", "'parent'", "'the end'"]
    assert sorted(cells["a"].console.text().split()) == ["before", "child", "parent"]
    await gone(int(cells["b"].outputs[0].data["text/plain"]))
    assert kernel.notebook.runner.generation == 1
    assert (await kernel.run({"c": "6 * 7"})).status == "ok"
    assert (await kernel.statistics()).malformed == 0


@pytest.mark.parametrize(
    "end",
    [
        "raise ValueError('in the child')",
        "import sys\n    sys.exit(3)",
        "os._exit(3)",
        "os.kill(os.getpid(), 9)",
    ],
)
async def test_a_forked_child_may_end_in_any_way(kernel: KernelClient, end):
    source = f"""
import os
child = os.fork()
if child == 0:
    {end}
_, status = os.waitpid(child, 0)
status != 0
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source})).status == "ok"
    assert [item.data["text/plain"] for item in kernel.notebook.cells["a"].outputs] == ["True"]
    assert kernel.notebook.runner.generation == 1


async def test_forked_children_that_print_and_append_do_not_corrupt_the_link(kernel: KernelClient):
    source = """
import os, threading
import cellwire as cw
def noise():
    while not cw.current_thread().should_exit and not over:
        cw.output.append("x").remove()
        print("y")
over = []
threads = [cw.Thread(target=noise) for _ in range(3)]
for thread in threads: thread.start()
for i in range(30):
    child = os.fork()
    if child == 0:
        cw.output.append("from a child")
        print(f"child {i}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
over.append(True)
for thread in threads: thread.join()
cw.output.clear()
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source})).status == "ok"
    assert (await kernel.statistics()).malformed == 0
    assert kernel.notebook.cells["a"].outputs == []
    text = kernel.notebook.cells["a"].console.text()
    assert [i for i in range(30) if text.count(f"child {i}\n") != 1] == []
    assert (await kernel.run({"b": "6 * 7"})).status == "ok"


async def test_a_port_is_free_again_after_its_runner_forked_and_was_replaced(kernel: KernelClient):
    source = """
import os, socket
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
child = os.fork()
if child == 0:
    os.read(os.pipe()[0], 1)
port = listener.getsockname()[1]
print(port)
"""
    await kernel.run({"a": source})
    port = int(kernel.notebook.cells["a"].console.text())
    await kernel.restart_runner()
    again = (
        f"import socket\nlistener = socket.socket()\nlistener.bind(('127.0.0.1', {port}))\nlistener.listen()"
    )
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": again})).status == "ok"


async def test_child_processes_leave_no_descriptors_in_kernel_and_runner(kernel: KernelClient):
    source = """
import multiprocessing, os, subprocess
for _ in range(20):
    subprocess.run(["true"])
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
"""
    await kernel.run({"a": source})

    def counted() -> list[int]:
        return [descriptors_of(pid) for pid in (kernel.connection.pid, kernel.notebook.runner.pid)]

    before = counted()
    for _ in range(3):
        await kernel.run({"a": source})

    async def as_before() -> bool:
        await kernel.statistics()
        return all(now <= then + 1 for now, then in zip(counted(), before, strict=True))

    await eventually(as_before)


async def test_a_child_that_floods_its_output_delays_neither_kernel_nor_interrupt(kernel: KernelClient):
    await kernel.run({"a": "import subprocess\nsubprocess.run(['yes', 'x' * 100])"}, wait=False)
    await until(kernel, lambda notebook: "a" in notebook.cells and notebook.cells["a"].console.dropped > 0)
    await kernel.ping()
    with anyio.fail_after(PATIENCE):
        await kernel.interrupt()
        await kernel.wait_idle()
        assert (await kernel.run({"b": "1"})).status == "ok"


async def test_a_child_that_returns_from_a_callback_ends_and_leaves_the_parent_alone(kernel: KernelClient):
    source = """
import asyncio, os
child = 0
def fork():
    global child
    child = os.fork()
asyncio.get_running_loop().call_soon(fork)
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source})).status == "ok"
        # A child on the loop would take these from the link.
        for number in range(20):
            assert (await kernel.run({"b": str(number)})).status == "ok"
        assert (await kernel.run({"c": "os.waitpid(child, 0)[1]"})).status == "ok"
    assert [item.data["text/plain"] for item in kernel.notebook.cells["c"].outputs] == ["0"]
    assert kernel.notebook.runner.generation == 1
