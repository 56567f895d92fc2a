"""Tests that take minutes, run by `make soak`: a long life, and the other fault tests at full size."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import msgspec
import pytest
from cellwire.protocol import Limits, connect, launch_kernel
from support.processes import children_of, descriptors_of
from support.waiting import running

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

RUNS = int(os.environ.get("CELLWIRE_RUNS", 300_000))
#: Runs between an attach, an interrupt and, every tenth time, a restart.
ROUND = 5000
#: Runs that wait at the same time.
AT_ONCE = 250
MEGABYTE = 1024 * 1024
FULL_SIZE = {
    "CELLWIRE_OPERATIONS": "500000",
    "CELLWIRE_FRAMES": "200000",
    "CELLWIRE_JUNK": "10000",
    "CELLWIRE_TIME_LIMIT": "900",
}


async def test_many_runs_attaches_interrupts_and_restarts_leave_memory_and_processes_as_they_were():
    async with launch_kernel(limits=Limits(ring_bytes=MEGABYTE)) as kernel:
        await kernel.run({"a": "x = 0", "b": "x"})
        begun = None
        for first in range(0, RUNS, ROUND):
            for batch in range(first, first + ROUND, AT_ONCE):
                async with anyio.create_task_group() as tasks:
                    for number in range(batch, batch + AT_ONCE):
                        tasks.start_soon(kernel.run, {"a": f"x = {number}\nprint(x)"})
            assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == str(first + ROUND - 1)
            await kernel.run({"c": "while True: pass"}, wait=False)
            await running(kernel, "c")
            await kernel.interrupt()
            await kernel.wait_idle()
            await kernel.delete(["c"])
            if first // ROUND % 10 == 0:
                await kernel.restart_runner()
                await kernel.run_stale()
            async with connect(kernel.connection_file) as fresh:
                assert msgspec.msgpack.encode(fresh.notebook) == msgspec.msgpack.encode(kernel.notebook)
            statistics = await kernel.statistics()
            now = (
                statistics.memory,
                descriptors_of(kernel.connection.pid),
                len(children_of(kernel.connection.pid)),
            )
            if first == 2 * ROUND:
                begun = now
        assert begun is not None
        assert now[0] < begun[0] + 16 * MEGABYTE
        assert now[1] <= begun[1] + 2
        assert now[2] == begun[2]
        assert (statistics.malformed, statistics.stuck) == (0, 0)


def test_the_other_fault_tests_pass_at_full_size():
    here = Path(__file__)
    others = [str(path) for path in sorted(here.parent.glob("test_*.py")) if path != here]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *others],
        env={**os.environ, **FULL_SIZE},
        cwd=here.parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:]
