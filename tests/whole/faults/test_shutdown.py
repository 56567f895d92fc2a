"""A kernel that ends sends everything to its frontends first and leaves nothing behind."""

import os
import signal

import anyio
import msgspec
import pytest
from cellwire.protocol import Limits, connect, launch_kernel
from cellwire.protocol import events as e
from support.processes import children_of, gone
from support.waiting import PATIENCE, printed, reason_of_death, until

pytestmark = pytest.mark.anyio

OPERATIONS = int(os.environ.get("CELLWIRE_OPERATIONS", 20_000))
APPENDING = f"""
import cellwire as cw
for i in range({OPERATIONS}):
    cw.output.append(i)
print("end")
"""


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_a_kernel_that_shuts_down_sends_everything_to_healthy_frontends_first(transport):
    ends = []

    async def follow(file: str, *, task_status) -> None:
        async with connect(file, timeout=PATIENCE) as other:
            task_status.started()
            text = await reason_of_death(other)
            ends.append((other.seq, msgspec.msgpack.encode(other.notebook), text))

    async with (
        anyio.create_task_group() as tasks,
        launch_kernel(transport=transport, limits=Limits(items=OPERATIONS)) as kernel,
    ):
        for _ in range(3):
            await tasks.start(follow, kernel.connection_file)
        # The shutdown is requested while most events are still on their way.
        await kernel.run({"a": APPENDING}, wait=False)
        await printed(kernel, "end")
        with anyio.fail_after(PATIENCE):
            await kernel.shutdown()
        outputs = kernel.notebook.cells["a"].outputs
        assert [outputs[0].data["text/plain"], outputs[-1].data["text/plain"]] == ["0", str(OPERATIONS - 1)]
        assert len(outputs) == OPERATIONS
        state = msgspec.msgpack.encode(kernel.notebook)
    assert [(seq, notebook == state) for seq, notebook, _ in ends] == [(kernel.seq, True)] * 3
    assert all("shut down" in text for _, _, text in ends)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_a_kernel_that_ended_leaves_no_process_and_no_file(transport, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime := tmp_path))
    if len(str(runtime)) > 60:
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    file = tmp_path / "kernel.json"
    async with launch_kernel(transport=transport, connection_file=file) as kernel:
        await kernel.run({"a": "import subprocess\nsubprocess.Popen(['sleep', '1000']).pid"})
        child = int(kernel.notebook.cells["a"].outputs[0].data["text/plain"])
        pids = [kernel.connection.pid, *children_of(kernel.connection.pid), child]
        events = kernel.events()
        await kernel.shutdown()
        assert type([event async for event in events][-1]) is e.KernelClosing
    await gone(*pids)
    assert list(tmp_path.iterdir()) == []
    if transport == "ipc":
        assert not os.path.exists(os.path.dirname(kernel.connection.endpoint.removeprefix("ipc://")))


@pytest.mark.parametrize(
    "source", ["pass", "while True: pass", "sum(iter(int, 1))"], ids=["idle", "busy", "holding the lock"]
)
async def test_sigterm_is_an_orderly_shutdown_whatever_the_runner_does(source):
    async with launch_kernel(detached=True) as kernel:
        await kernel.run({"a": f"print('begun', flush=True)\n{source}"}, wait=False)
        await printed(kernel, "begun")
        pids = [kernel.connection.pid, *children_of(kernel.connection.pid)]
        os.kill(kernel.connection.pid, signal.SIGTERM)
        assert "terminated" in await reason_of_death(kernel)
        assert kernel.notebook.idle
    await gone(*pids)
    assert not os.path.exists(kernel.connection_file)


async def test_leaving_the_context_while_a_cell_runs_ends_every_process():
    pids = []

    async def leave() -> None:
        async with launch_kernel() as kernel:
            await kernel.run({"a": "while True: print('x')"}, wait=False)
            await until(kernel, lambda notebook: "a" in notebook.cells)
            pids.extend([kernel.connection.pid, *children_of(kernel.connection.pid)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    await gone(*pids)


async def test_a_cancelled_launch_leaves_no_process():
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2):
        before = set(children_of(os.getpid()))
        with anyio.move_on_after(delay):
            async with launch_kernel():
                await anyio.sleep_forever()
        await gone(*set(children_of(os.getpid())) - before)


LEAVING = """
import asyncio, atexit, time, weakref
def note(text):
    with open({path!r}, "a") as file: file.write(text + "\\n")
async def background():
    try: await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0)
        note("task")
class Thing: pass
thing = Thing()
atexit.register(note, "atexit")
weakref.finalize(thing, note, "finalizer")
task = asyncio.create_task(background())
"""
ENDLESS = {
    "idle": "print('begun', flush=True)",
    "sync": "try:\n    print('begun', flush=True)\n    while True: pass\nfinally: note('cell')",
    "async": "try:\n    print('begun', flush=True)\n    await asyncio.sleep(1000)\nfinally: note('cell')",
}


@pytest.mark.parametrize("restart", [True, False], ids=["restart", "shutdown"])
@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_runner_that_ends_runs_everything_that_waits_for_its_end(restart, source, tmp_path):
    path = tmp_path / "notes"
    async with launch_kernel(limits=Limits(exit_seconds=PATIENCE)) as kernel:
        await kernel.run({"a": LEAVING.format(path=str(path))})
        await kernel.run({"b": source}, wait=False)
        await printed(kernel, "begun", "b")
        if restart:
            await kernel.restart_runner()
            await until(kernel, lambda notebook: notebook.runner.generation == 2)
            assert kernel.notebook.cells["b"].status == ("interrupted" if "note" in source else "ok")
        else:
            await kernel.shutdown()
    notes = path.read_text().split()
    assert sorted(notes) == sorted(["task", "atexit", "finalizer", *["cell"] * ("note" in source)])
    assert set(notes[-2:]) == {"atexit", "finalizer"}


@pytest.mark.parametrize("restart", [True, False], ids=["restart", "shutdown"])
async def test_a_runner_that_does_not_end_in_time_is_killed(restart):
    source = "import atexit, time\natexit.register(time.sleep, 1000)"
    async with launch_kernel(limits=Limits(exit_seconds=0.1)) as kernel:
        await kernel.run({"a": source})
        pid = kernel.notebook.runner.pid
        if restart:
            await kernel.restart_runner()
            assert (await kernel.run({"b": "1"})).status == "ok"
            assert kernel.notebook.runner.generation == 2
        else:
            await kernel.shutdown()
        await gone(pid)


async def test_a_second_restart_does_not_wait_for_the_end_of_the_runner():
    async with launch_kernel(limits=Limits(exit_seconds=1000)) as kernel:
        await kernel.run({"a": "import atexit, time\natexit.register(time.sleep, 1000)"})
        await kernel.restart_runner()
        await kernel.restart_runner()
        with anyio.fail_after(PATIENCE):
            assert (await kernel.run({"b": "1"})).status == "ok"
