"""When a limit is reached, the user sees it and everything else goes on as before."""

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from cellwire.protocol import KernelClient, Limits, RequestError, connect, launch_kernel
from cellwire.protocol import messages as m
from support.waiting import PATIENCE, caught_up, eventually, printed, running, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def limited(**bounds) -> AsyncIterator[KernelClient]:
    """A kernel with these limits; after the test it must still work."""
    async with launch_kernel(limits=Limits(**bounds)) as kernel:
        await kernel.run({"other": "x = 1\nprint('kept')\nx"})
        yield kernel
        finished = await kernel.run({"later": "x + 1"})
        assert finished.status == "ok"
        cells = kernel.notebook.cells
        assert cells["later"].outputs[0].data["text/plain"] == "2"
        assert (cells["other"].outputs[0].data["text/plain"], cells["other"].console.text()) == (
            "1",
            "kept\n",
        )
        async with connect(kernel.connection_file) as fresh:
            assert msgspec.msgpack.encode(fresh.notebook) == msgspec.msgpack.encode(kernel.notebook)


async def test_every_frontend_is_sent_the_limits_in_force(bare):
    async with limited(items=7, drain_seconds=0.5) as kernel:
        welcome = await bare(kernel.connection).greet()
        assert welcome.limits == Limits(items=7, drain_seconds=0.5)


async def test_an_item_that_is_too_large_says_so_in_its_place():
    async with limited(item_bytes=10_000) as kernel:
        source = "import cellwire as cw\nhandle = cw.output.append('x' * 20_000)\ncw.output.append('small')"
        await kernel.run({"a": f"{source}\n'y' * 20_000"})
        texts = [item.data["text/plain"] for item in kernel.notebook.cells["a"].outputs]
        assert ["item_bytes" in text for text in texts] == [True, False, True]
        assert "20," in texts[0]
        await kernel.run({"b": "handle.replace('fits')"})
        assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == "'fits'"


async def test_too_many_items_end_in_one_that_says_so():
    async with limited(items=100) as kernel:
        await kernel.run(
            {"a": "import cellwire as cw\nfor i in range(1000): cw.output.append(i)\nprint('end')"}
        )
        cell = kernel.notebook.cells["a"]
        assert [item.data["text/plain"] for item in cell.outputs[:100]] == [str(i) for i in range(100)]
        assert (len(cell.outputs), "limits.items" in cell.outputs[100].data["text/plain"]) == (101, True)
        assert (cell.status, cell.console.text()) == ("ok", "end\n")


async def test_a_console_past_its_bound_keeps_the_end_and_counts_what_it_dropped():
    async with limited(console_chars=10_000) as kernel:
        await kernel.run({"a": "for i in range(10_000): print(i)"})
        console = kernel.notebook.cells["a"].console
        whole = "".join(f"{i}\n" for i in range(10_000))
        assert console.dropped > 0
        assert console.text() == whole[console.dropped :]
        assert len(console.text()) <= 10_000


async def test_a_small_ring_and_a_small_window_lose_no_event():
    async with limited(ring_bytes=4096, window_bytes=8192, batch_bytes=2048) as kernel:
        async with connect(kernel.connection_file) as other:
            source = "import cellwire as cw\nfor i in range(5000): cw.output.append(i)\n'z' * 100_000"
            await kernel.run({"a": source})
            await caught_up(other, kernel.seq)
            assert msgspec.msgpack.encode(other.notebook) == msgspec.msgpack.encode(kernel.notebook)
        assert len(kernel.notebook.cells["a"].outputs) == 5001
        assert (await kernel.statistics()).ring_bytes < 4096 + 110_000


async def test_a_request_that_is_too_large_is_refused_with_the_bound():
    async with limited(request_bytes=100_000) as kernel:
        with pytest.raises(RequestError) as refused:
            await kernel.run({"a": "#" * 200_000})
        assert (refused.value.code, "100000" in refused.value.message) == ("too_large", True)
        assert "a" not in kernel.notebook.cells


async def test_more_waiting_runs_than_allowed_are_refused_and_accepted_again_later():
    async with limited(queued_runs=10) as kernel:
        blocked = {"a": "import threading\ngate = threading.Event()\ngate.wait()"}
        await kernel.run(blocked, wait=False)
        for number in range(9):
            await kernel.run({f"q{number}": "1"}, wait=False)
        with pytest.raises(RequestError) as refused:
            await kernel.run({"q10": "1"}, wait=False)
        assert (refused.value.code, "wait" in refused.value.hint) == ("busy", True)
        assert (await kernel.statistics()).queued_runs == 10
        await running(kernel)
        await kernel.interrupt()
        with anyio.fail_after(20):
            assert (await kernel.run({"a": "1"})).status == "ok"


async def test_too_many_introspections_for_a_busy_runner_are_refused(bare, kernel: KernelClient):
    await kernel.run({"a": "print('begun', flush=True)\nsum(iter(int, 1))"}, wait=False)
    await printed(kernel, "begun")
    asking = bare(kernel.connection)
    await asking.greet()
    ids = [asking.post(m.Variables) for _ in range(400)]
    refused = await asking.reply(ids[-1])
    assert refused.code == "busy"
    await kernel.ping()
    await kernel.restart_runner()
    answers = [await asking.reply(id) for id in ids[:1]]
    assert answers[0].code == "runner_unavailable"
    await until(kernel, lambda notebook: notebook.runner.condition == "ready")
    assert (await kernel.run({"a": "1"})).status == "ok"


async def test_a_frontend_that_asks_without_reading_answers_is_dropped_and_costs_no_memory(
    kernel: KernelClient, bare
):
    deaf = bare(kernel.connection, rcvhwm=1)
    await deaf.greet()
    before = (await kernel.statistics()).memory
    for _ in range(30_000):
        deaf.post(m.Statistics)
    with anyio.fail_after(30):
        await kernel.ping()
        assert (await kernel.run({"a": "1"})).status == "ok"

    async def dropped() -> bool:
        statistics = await kernel.statistics()
        return statistics.stuck == 1 and len(statistics.sessions) == 1

    await eventually(dropped)
    assert (await kernel.statistics()).memory < before + 32 * 1024 * 1024


async def test_large_answers_that_are_not_read_cost_a_bounded_number_of_bytes(kernel: KernelClient, bare):
    await kernel.run({"a": "def f(): pass\nf.__doc__ = 'word ' * 100_000"})
    before = (await kernel.statistics()).memory
    deaf = bare(kernel.connection, rcvhwm=1)
    await deaf.greet()
    for _ in range(200):
        deaf.post(m.Inspect, "f", 1)

    async def dropped() -> bool:
        return (await kernel.statistics()).stuck == 1

    await eventually(dropped)
    # Its other requests are answered before this one.
    assert await kernel.inspect("f", 1)
    assert (await kernel.statistics()).memory < before + 96 * 1024 * 1024


async def test_a_frontend_that_reads_gets_many_large_answers(kernel: KernelClient, bare):
    await kernel.run({"a": "def f(): pass\nf.__doc__ = 'word ' * 50_000"})
    asking = bare(kernel.connection)
    await asking.greet()
    for answer in [await asking.reply(id) for id in [asking.post(m.Inspect, "f", 1) for _ in range(200)]]:
        assert isinstance(answer, m.Inspection)


async def test_children_of_cells_leave_the_kernel_descriptors_for_frontends(start_process):
    source = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
import anyio
from cellwire.protocol import connect, launch_kernel
CHILDREN = '''
import os, subprocess
reading, writing = os.pipe()
command = ["sh", "-c", "read -r word; echo line"]
children = [subprocess.Popen(command, stdin=reading) for _ in range(150)]
os.close(reading)
'''
async def main():
    async with launch_kernel() as kernel:
        await kernel.run({"a": CHILDREN})
        for _ in range(5):
            async with connect(kernel.connection_file) as other:
                await other.run({"b": "1"})
        await kernel.run({"c": "os.close(writing); print({child.wait() for child in children})"})
        text = "".join(cell.console.text() for cell in kernel.notebook.cells.values())
        print(*map(text.count, ("line", "{0}", "too many child processes")), flush=True)
anyio.run(main)
"""
    process = start_process(source)
    assert await anyio.to_thread.run_sync(process.stdout.readline) == "150 1 1\n"
    assert process.wait(PATIENCE) == 0


CROWD = """
import os, resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from cellwire.protocol.blocking import connect, launch_kernel

with launch_kernel() as kernel:
    path = kernel.connection.endpoint.removeprefix("ipc://")
    crowd = []
    for _ in range(1000):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.setblocking(False)
        try:
            stranger.connect(path)
        except BlockingIOError:
            stranger.close()
        else:
            crowd.append(stranger)
    assert len(crowd) < 200
    # There is room for a runner and for children.
    kernel.restart_runner()
    source = "import subprocess\\nfor _ in range(3): subprocess.run(['echo', 'child'])"
    assert kernel.run({"a": source}).status == "ok"
    assert kernel.notebook.cells["a"].console.text() == 3 * "child\\n"
    for stranger in crowd:
        stranger.close()
    with connect(kernel.connection_file) as other:
        assert other.run({"b": "1"}).status == "ok"
    place = os.path.dirname(path)
assert not os.path.exists(place)
print("right")
"""


async def test_frontends_leave_the_kernel_descriptors_for_itself_and_for_children(start_process):
    process = start_process(CROWD)
    output = await anyio.to_thread.run_sync(process.stdout.read, abandon_on_cancel=True)
    assert "right" in output


BURST = """
import os, socket, sys, threading
from cellwire.protocol.blocking import connect, launch_kernel

CHILDREN = '''
import subprocess
children = [subprocess.Popen(["echo", "line"]) for _ in range(300)]
print({child.wait() for child in children})
'''

def burst(barrier, crowd):
    barrier.wait()
    for _ in range(100):
        one = socket.socket(socket.AF_UNIX if ipc else socket.AF_INET)
        one.setblocking(False)
        one.connect_ex(address)
        crowd.append(one)

with launch_kernel(python=sys.argv[1], transport=sys.argv[2]) as kernel:
    scheme, _, address = kernel.connection.endpoint.partition("://")
    ipc = scheme == "ipc"
    if not ipc:
        host, _, port = address.rpartition(":")
        address = host, int(port)
    barrier, crowd = threading.Barrier(6), []
    threads = [threading.Thread(target=burst, args=(barrier, crowd)) for _ in range(5)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for _ in range(20):
        kernel.ping()
    for thread in threads:
        thread.join()
    assert kernel.run({"a": "6 * 7"}).status == "ok"
    if ipc:
        assert kernel.run({"b": CHILDREN}).status == "ok"
        text = kernel.notebook.cells["b"].console.text()
        assert (text.count("line"), text.count("{0}")) == (300, 1), text
    for one in crowd:
        one.close()
    with connect(kernel.connection_file) as other:
        assert other.run({"c": "1"}).status == "ok"
print("right")
"""


@pytest.mark.parametrize(("transport", "limit"), [("ipc", 64), ("ipc", 128), ("tcp", 128)])
async def test_a_burst_of_connections_does_not_end_a_kernel_with_few_descriptors(
    transport, limit, start_process, tmp_path
):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n {limit}\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    process = start_process(BURST, str(python), transport)
    output = await anyio.to_thread.run_sync(process.stdout.read, abandon_on_cancel=True)
    assert "right" in output
