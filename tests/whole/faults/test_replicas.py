"""Every frontend's copy equals the kernel's state to the byte, whatever happens to its connection."""

import hashlib
import os

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, Limits, connect, launch_kernel
from support.processes import descriptors_of
from support.replicas import truth
from support.waiting import PATIENCE, caught_up, eventually

pytestmark = pytest.mark.anyio

#: Changes of outputs in one test; half a million in the soak.
OPERATIONS = int(os.environ.get("CELLWIRE_OPERATIONS", 32_000))
MEGABYTE = 1024 * 1024

CHANGING = f"""
import cellwire as cw

def change(name):
    handles = []
    for i in range({OPERATIONS} // 16):
        step = i % 10
        if step < 5 or not handles:
            handles.append(cw.output.append(f"{{name}}-{{i}}"))
        elif step < 8:
            handles[i * 7 % len(handles)].replace(f"{{name}}-{{i}} anew")
        elif step < 9:
            handles.pop(i * 7 % len(handles)).remove()
        else:
            print(name, i)

threads = [cw.Thread(target=change, args=(name,)) for name in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
cw.output.append("the end");
"""
TRICKLING = """
import time
import cellwire as cw
for i in range(6000):
    cw.output.append(i)
    time.sleep(0.0001)
"""
FIGURES = """
import os
import cellwire as cw
for i in range(35):
    cw.output.append(cw.mime({"image/png": os.urandom(2_000_000).hex()}))
"""


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_late_silent_and_disconnected_frontends_end_up_with_the_kernels_state(transport, follow, relay):
    async with (
        launch_kernel(
            transport=transport, limits=Limits(items=OPERATIONS, ring_bytes=2 * MEGABYTE)
        ) as kernel,
        anyio.create_task_group() as tasks,
    ):
        way = relay(kernel)
        cut_off = await _attached(tasks, way.file)
        before = (await kernel.statistics()).memory
        silent = follow(kernel)
        silent.stop()
        await kernel.run({"a": CHANGING}, wait=False)
        # One frontend loses its connection three times and continues where it was.
        for quarter in range(1, 4):
            least = kernel.seq + quarter * OPERATIONS // 4
            await caught_up(cut_off, min(least, OPERATIONS // 2))
            way.cut()
            await eventually(lambda made=quarter + 1: _made(way, made))
        late = await _attached(tasks, kernel.connection_file)
        await kernel.wait_idle()
        statistics = await kernel.statistics()
        silent.go_on()

        seq, state = await truth(kernel)
        assert kernel.notebook.cells["a"].outputs[-1].data["text/plain"] == "'the end'"
        for other in (kernel, cut_off, late):
            await caught_up(other, seq)
            assert other.seq == seq
            assert msgspec.msgpack.encode(other.notebook) == state
        assert await silent.digest(seq) == (seq, hashlib.sha256(state).hexdigest())
        # The ring, the state and a window for each, and what an interpreter needs to hold them.
        assert statistics.memory - before < 2 * MEGABYTE + 8 * len(state) + 5 * MEGABYTE + 16 * MEGABYTE
        tasks.cancel_scope.cancel()


async def _made(way, connections: int) -> bool:
    return way.made >= connections


async def _attached(tasks, file):
    """Return a client that stays attached as long as `tasks` runs."""

    async def stay(*, task_status):
        async with connect(file, timeout=PATIENCE) as client:
            task_status.started(client)
            await anyio.sleep_forever()

    return await tasks.start(stay)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_large_figures_arrive_whole_at_every_frontend(transport, follow):
    limits = Limits(ring_bytes=8 * MEGABYTE)
    async with launch_kernel(transport=transport, limits=limits) as kernel:
        before = (await kernel.statistics()).memory
        silent = follow(kernel)
        silent.stop()
        await kernel.run({"a": FIGURES})
        during = (await kernel.statistics()).memory
        silent.go_on()
        seq, state = await truth(kernel)
        assert len(state) > 100_000_000
        assert msgspec.msgpack.encode(kernel.notebook) == state
        assert await silent.digest(seq) == (seq, hashlib.sha256(state).hexdigest())
        # Log and state share the memory of an item; sending one takes it once more for each frontend.
        assert during - before < len(state) + 8 * MEGABYTE + 32 * MEGABYTE


async def test_a_stuck_frontend_is_dropped_and_comes_back(follow):
    limits = Limits(window_bytes=64 * 1024, ring_bytes=256 * 1024, stuck_seconds=2.0)
    async with launch_kernel(limits=limits) as kernel:
        stuck = follow(kernel)
        stuck.stop()
        await kernel.run({"a": CHANGING})
        await eventually(lambda: _dropped(kernel))
        assert [session.client for session in (await kernel.statistics()).sessions] == [
            f"python:{os.getpid()}"
        ]
        stuck.go_on()
        seq, state = await truth(kernel)
        assert await stuck.digest(seq) == (seq, hashlib.sha256(state).hexdigest())
        assert len((await kernel.statistics()).sessions) == 2


async def test_a_frontend_whose_connection_was_full_of_small_messages_comes_back(follow):
    # ZeroMQ refuses messages long before the window is full, even the one that gives the reason.
    async with launch_kernel(limits=Limits(window_bytes=64 * MEGABYTE, stuck_seconds=2.0)) as kernel:
        stuck = follow(kernel)
        stuck.stop()
        await kernel.run({"a": TRICKLING})
        await eventually(lambda: _dropped(kernel))
        stuck.go_on()
        seq, state = await truth(kernel)
        assert await stuck.digest(seq) == (seq, hashlib.sha256(state).hexdigest())


async def _dropped(kernel: KernelClient) -> bool:
    return (await kernel.statistics()).stuck >= 1


async def test_frontends_that_come_and_go_leave_nothing_behind(kernel: KernelClient):
    await kernel.run({"a": "import cellwire as cw\nfor i in range(100): cw.output.append(i)"})
    descriptors = descriptors_of(kernel.connection.pid)
    for _ in range(40):
        async with connect(kernel.connection_file) as other:
            assert len(other.notebook.cells["a"].outputs) == 100

    async def alone() -> bool:
        sessions = (await kernel.statistics()).sessions
        return len(sessions) == 1 and descriptors_of(kernel.connection.pid) <= descriptors + 2

    await eventually(alone)
