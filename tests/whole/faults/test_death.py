"""The death of a process loses no output, leaves no process behind and ends every wait."""

import os
import signal

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, KernelDied, RequestError, blocking, connect, launch_kernel
from cellwire.protocol import events as e
from support.processes import children_of, descriptors_of, gone, is_alive
from support.replicas import truth
from support.waiting import PATIENCE, eventually, printed, reason_of_death, until

pytestmark = pytest.mark.anyio

DEATHS = {
    "a segmentation fault": (
        "import ctypes\nctypes.string_at(0)",
        ["SIGSEGV", "Segmentation fault", "<cell d>"],
    ),
    "an abort": ("import os\nos.abort()", ["SIGABRT", "Aborted", "<cell d>"]),
    "a kill from outside": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ["SIGKILL", "memory"]),
    "a termination": ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", ["SIGTERM"]),
    "an exit": ("import os\nos._exit(7)", ["exit status 7"]),
    "an exit in a thread": (
        "import os, threading\nthread = threading.Thread(target=os._exit, args=(7,))\n"
        "thread.start()\nthread.join()",
        ["exit status 7"],
    ),
    "a stack that overflows in C": (
        "import ctypes\nnested = []\nfor _ in range(10): pass\nctypes.string_at(1)",
        ["SIGSEGV"],
    ),
}


@pytest.mark.parametrize(("source", "words"), DEATHS.values(), ids=DEATHS.keys())
async def test_the_death_of_the_runner_is_reported_and_loses_nothing(source, words, kernel: KernelClient):
    before = "import sys\nprint('the last words')\nsys.stdout.write('and no end of line')\n"
    await kernel.run({"a": "x = 1\nx", "b": "x"})
    events = kernel.events()
    with anyio.fail_after(PATIENCE):
        finished = await kernel.run({"d": before + source, "e": "x"})
    assert (finished.status, finished.failed) == ("error", ["d"])
    await until(kernel, lambda notebook: notebook.runner.condition == "dead")
    notebook = kernel.notebook
    assert [word for word in words if word not in notebook.runner.reason] == []
    assert notebook.cells["d"].console.text("stdout") == "the last words\nand no end of line"
    error = notebook.cells["d"].error
    assert error is not None
    assert (notebook.cells["d"].status, error.kind) == ("error", "RunnerDied")
    assert [notebook.cells[id].outputs[0].data["text/plain"] for id in "ab"] == ["1", "1"]
    assert [notebook.cells[id].stale for id in "ab"] == [True, True]
    assert notebook.idle
    kinds = [type(event) for event in await events.receive()]
    assert kinds.index(e.RunFinished) < kinds.index(e.RunnerDied)
    with pytest.raises(RequestError) as refused:
        await kernel.run({"f": "1"})
    assert (refused.value.code, "RestartRunner" in refused.value.hint) == ("runner_unavailable", True)
    await kernel.restart_runner()
    assert (await kernel.run({"d": "x + 1"})).status == "ok"
    assert kernel.notebook.cells["d"].outputs[0].data["text/plain"] == "2"


async def test_sys_exit_ends_the_cell_or_the_thread_and_not_the_runner(kernel: KernelClient):
    thread = (
        "import sys, threading\nthread = threading.Thread(target=sys.exit)\nthread.start()\nthread.join()"
    )
    assert (await kernel.run({"a": thread})).status == "ok"
    assert (await kernel.run({"b": "raise SystemExit(3)"})).failed == ["b"]
    error = kernel.notebook.cells["b"].error
    assert error is not None
    assert error.kind == "SystemExit"
    later = "import asyncio\nawait asyncio.sleep(0)\nraise SystemExit(3)"
    assert (await kernel.run({"c": later})).failed == ["c"]
    task = "async def leave(): sys.exit(4)\nleft = asyncio.create_task(leave())\nawait asyncio.sleep(0)"
    await kernel.run({"d": task})
    assert (await kernel.run({"e": "6 * 7"})).status == "ok"
    assert kernel.notebook.runner.generation == 1


async def test_what_was_queued_behind_a_death_is_dropped_with_the_reason(kernel: KernelClient):
    events = kernel.events()
    first = await kernel.run({"a": "import os\ninput()\nos._exit(1)"}, wait=False)
    queued = [(await kernel.run({"b": "1"}, wait=False)).run for _ in range(5)]
    await until(kernel, lambda notebook: notebook.inputs)
    # Signal 1: the other runs are queued behind the one that will die.
    await kernel.provide_input(kernel.notebook.inputs[0].id, "die")
    with anyio.fail_after(PATIENCE):
        await kernel.wait_idle()
    finished: dict[int, e.RunFinished] = {}
    while len(finished) < 6:
        event = await anext(events)
        if type(event) is e.RunFinished:
            finished[event.run] = event
    assert finished[first.run].status == "error"
    assert {finished[run].status for run in queued} == {"dropped"}
    assert all("exit status 1" in finished[run].reason for run in queued)


CHILDREN = """
import os, subprocess, sys, time
pids = [subprocess.Popen(["sleep", "1000"]).pid]
pid = os.fork()
if pid == 0:
    time.sleep(1000)
    os._exit(0)
pids.append(pid)
print(*pids, flush=True)
"""
ENDLESS = {
    "idle": "pass",
    "busy": "while True: pass",
    "holding the lock": "sum(iter(int, 1))",
    "deaf": "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
}


async def pids_of_children(client: KernelClient) -> list[int]:
    """Return the pids that `CHILDREN` printed."""
    await printed(client, "\n")
    return [int(word) for word in client.notebook.cells["a"].console.text().split()]


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
async def test_frontends_notice_that_a_kernel_was_killed_and_its_processes_end_with_it(source):
    async with launch_kernel() as kernel:
        await kernel.run({"a": CHILDREN + source}, wait=False)
        children = await pids_of_children(kernel)
        runner = kernel.notebook.runner.pid
        async with connect(kernel.connection_file) as other:
            os.kill(kernel.connection.pid, signal.SIGKILL)
            assert "connection" in await reason_of_death(other)
            assert "SIGKILL" in await reason_of_death(kernel)
    await gone(runner, *children)


async def test_the_death_of_the_kernel_ends_every_wait(kernel: KernelClient):
    async with connect(kernel.connection_file) as other, anyio.create_task_group() as tasks:
        told = []

        async def wait_for(something) -> None:
            try:
                await something()
            except KernelDied:
                told.append(something)

        async def read(client) -> None:
            async for _ in client.events():
                pass

        for client in (kernel, other):
            tasks.start_soon(wait_for, lambda client=client: client.run({"a": "while True: pass"}))
            tasks.start_soon(wait_for, client.wait_idle)
            tasks.start_soon(wait_for, lambda client=client: read(client))
        events = other.events()
        while type(await anext(events)) is not e.CellStarted:
            pass
        with anyio.fail_after(PATIENCE):
            os.kill(kernel.connection.pid, signal.SIGKILL)
            while len(told) < 6:
                await anyio.sleep(0.01)


def test_the_death_of_the_kernel_ends_a_blocking_call():
    with pytest.raises(KernelDied), blocking.launch_kernel() as kernel:
        kernel.run({"a": f"import os\nos.kill({kernel.connection.pid}, 9)\nwhile True: pass"})


# The launcher

LAUNCHER = """
import os, sys
import anyio
from cellwire.protocol import launch_kernel

async def main():
    async with launch_kernel(detached=sys.argv[1] == "detached", transport=sys.argv[2]) as kernel:
        await kernel.run({"a": sys.argv[3]}, wait=False)
        events = kernel.events()
        while "a" not in kernel.notebook.cells or "\\n" not in kernel.notebook.cells["a"].console.text():
            await anext(events)
        if sys.argv[1] == "forking":
            # The child holds the launcher's end of the kernel's standard input too.
            if (child := os.fork()) == 0:
                os.read(os.pipe()[0], 1)
            print(child, flush=True)
        text = kernel.notebook.cells["a"].console.text().strip()
        print(kernel.connection.pid, kernel.notebook.runner.pid, text, flush=True)
        print(kernel.connection_file, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_killed_launcher_leaves_nothing_behind(source, transport, start_process):
    launcher = start_process(LAUNCHER, "attached", transport, CHILDREN + source)
    pids = [int(word) for word in launcher.stdout.readline().split()]
    file = launcher.stdout.readline().strip()
    assert len(pids) == 4
    os.kill(launcher.pid, signal.SIGKILL)
    await gone(*pids)
    assert not os.path.exists(file)
    assert not os.path.exists(os.path.dirname(file))


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only the end of standard input tells here")
async def test_a_killed_launcher_leaves_no_kernel_even_if_a_child_of_the_launcher_lives(start_process):
    launcher = start_process(LAUNCHER, "forking", "ipc", CHILDREN)
    child = int(launcher.stdout.readline())
    pids = [int(word) for word in launcher.stdout.readline().split()]
    try:
        os.kill(launcher.pid, signal.SIGKILL)
        await gone(*pids)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


async def test_a_detached_kernel_outlives_its_launcher_and_takes_new_frontends(start_process):
    launcher = start_process(LAUNCHER, "detached", "ipc", "x = 1\nprint('begun')")
    kernel, runner = (int(word) for word in launcher.stdout.readline().split()[:2])
    file = launcher.stdout.readline().strip()
    os.kill(launcher.pid, signal.SIGKILL)
    await gone(launcher.pid)
    for _ in range(2):
        async with connect(file) as client:
            assert client.notebook.runner.pid == runner
            assert (await client.run({"b": "x + 1"})).status == "ok"
            assert client.notebook.cells["b"].outputs[0].data["text/plain"] == "2"
    async with connect(file) as client:
        await client.shutdown()
    await gone(kernel, runner)
    assert not os.path.exists(file)


async def test_a_kernel_works_on_after_its_guardian_was_killed(kernel: KernelClient):
    await kernel.run({"a": "1"})
    runner = kernel.notebook.runner.pid
    for pid in set(children_of(kernel.connection.pid)) - {runner}:
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
    assert (await kernel.run({"a": "2"})).status == "ok"
    await kernel.restart_runner()
    assert (await kernel.run({"a": "3"})).status == "ok"
    assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == "3"


async def test_a_runner_that_is_killed_repeatedly_leaves_nothing_in_the_kernel(kernel: KernelClient):
    def counted() -> tuple[int, int]:
        return descriptors_of(kernel.connection.pid), len(children_of(kernel.connection.pid))

    await kernel.run({"a": "1"})
    before = counted()
    for turn in range(15):
        os.kill(kernel.notebook.runner.pid, signal.SIGKILL)
        await until(kernel, lambda notebook: notebook.runner.condition == "dead")
        await kernel.restart_runner()
        assert (await kernel.run({"a": f"{turn}"})).status == "ok"
    seq, state = await truth(kernel)
    assert (kernel.seq, msgspec.msgpack.encode(kernel.notebook)) == (seq, state)

    async def as_before() -> bool:
        await kernel.statistics()
        return counted() == before

    await eventually(as_before)
