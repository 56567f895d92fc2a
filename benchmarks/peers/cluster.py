"""Cells on a Dask cluster of two worker processes with one thread each, which only cellwire runs."""

import asyncio
import statistics
import time
from typing import Any

from cellwire.protocol import KernelClient, launch_kernel
from cellwire.protocol import events as e
from cellwire.protocol.messages import Cell
from memory import resident

Figures = dict[str, Any]
clock = time.perf_counter

_MAKE = """
from distributed import Client, LocalCluster
cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
client = Client(cluster)
"""
#: Prints the time a hundred times, once in ten milliseconds.
_TICKS = """
import time as _t
for _n in range(100):
    print(_t.time())
    _t.sleep(0.01)
"""
_LINES = "for _n in range(100_000): print('a line of text', _n)"
_APPENDS = "import cellwire as _cw\nfor _n in range(2_000): _cw.output.append(f'item {_n}')"
_LOOP = "while True: pass"
_SLEEP = "import time as _t\n_t.sleep(60)"
#: About a second of work, none of which is in this process's memory.
_WORK = "total{0} = 0\nfor _n in range(20_000_000): total{0} += _n"


async def measure_cluster(cells: int, times: int) -> Figures:
    """Return the figures of the workload, in seconds and bytes.

    `seconds` are those of a trivial cell, `delays` of printed lines until the frontend has them.
    """
    async with launch_kernel() as kernel:
        await _run(kernel, {"client": _MAKE})
        try:
            await _run(kernel, {"warm": "1"}, "client")
            figures: Figures = {"memory": resident(kernel.notebook.runner.pid)}
            figures["seconds"] = [
                await _timed(kernel, {"trivial": f"{number} + 1"}, "client") for number in range(times)
            ]
            chain = {f"c{i}": f"x{i} = {f'x{i - 1} + 1' if i else 0}" for i in range(cells)}
            figures["chain"] = await _timed(kernel, chain, "client")
            figures["fan"] = await _timed(kernel, {f"f{i}": f"y{i} = {i}" for i in range(cells)}, "client")
            figures["delays"] = await _delays(kernel)
            figures["lines"] = await _timed(kernel, {"lines": _LINES}, "client")
            _expect("lines", 100_000, kernel.notebook.cells["lines"].console.text().count("\n"))
            figures["appends"] = await _timed(kernel, {"appends": _APPENDS}, "client")
            _expect("items", 2_000, len(kernel.notebook.cells["appends"].outputs))
            figures["loop"] = statistics.median([await _interrupted(kernel, _LOOP) for _ in range(5)])
            figures["sleep"] = statistics.median([await _interrupted(kernel, _SLEEP) for _ in range(3)])
            work = {f"w{i}": _WORK.format(i) for i in range(4)}
            here = await _timed(kernel, work)
            figures["speed_up"] = here / await _timed(kernel, work, "client")
            return figures
        finally:
            await _run(kernel, {"end": "client.close()\ncluster.close()"})


async def _run(kernel: KernelClient, sources: dict[str, str], on: str = "") -> e.RunFinished:
    finished = await kernel.run([Cell(id, source, on=on) for id, source in sources.items()])
    if finished.status != "ok":
        raise RuntimeError(f"{finished}: {[kernel.notebook.cells[cell].error for cell in finished.failed]}")
    return finished


async def _timed(kernel: KernelClient, sources: dict[str, str], on: str = "") -> float:
    start = clock()
    await _run(kernel, sources, on)
    return clock() - start


async def _delays(kernel: KernelClient) -> list[float]:
    """Return the seconds from a `print` on a worker until the frontend has the text."""
    found: list[float] = []
    events = kernel.events()
    running = asyncio.create_task(_run(kernel, {"ticks": _TICKS}, "client"))
    while not running.done():
        for event in await events.receive():
            if isinstance(event, e.ConsoleWritten) and event.cell == "ticks":
                found += [time.time() - float(line) for line in event.text.split()]
            elif isinstance(event, e.RunFinished):
                await running
    events.close()
    if len(found) != 100:
        raise RuntimeError(f"{len(found)} of 100 lines arrived")
    return found


async def _interrupted(kernel: KernelClient, source: str) -> float:
    """Return the seconds from an interrupt until the run of `source` has ended."""
    events = kernel.events()
    running = asyncio.create_task(kernel.run([Cell("endless", source, on="client")]))
    async for event in events:
        if isinstance(event, e.CellStarted) and event.cell == "endless":
            break
    events.close()
    # The loop is reached by then.
    await asyncio.sleep(0.1)
    start = clock()
    await kernel.interrupt()
    finished = await running
    if finished.status != "interrupted":
        raise RuntimeError(f"the run that was interrupted ended so: {finished}")
    return clock() - start


def _expect(what: str, wanted: int, found: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{found:,} of {wanted:,} {what} arrived")
