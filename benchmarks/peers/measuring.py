"""The workloads, written once against `frontend.Frontend`; each returns plain figures.

Every workload launches a kernel of its own and ends it. Times are seconds on the frontend's clock,
from the request to the moment at which the frontend has decoded the last message of the answer. What
arrived is counted afterwards: a fast kernel that loses something fails its workload.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from frontend import Frontend
from memory import memory_of
from saved_notebooks import run_and_keep, save_to_result

Figures = dict[str, Any]
clock = time.perf_counter


class Incomplete(Exception):
    """Raised when a frontend has not got what the workload has sent."""


@asynccontextmanager
async def launched(kind: type[Frontend], redefine: bool = False) -> AsyncIterator[Frontend]:
    """A frontend of a fresh kernel; the cells must not fail."""
    if redefine:
        kind = type(f"Redefining{kind.__name__}", (kind,), {"redefine": True})
    kernel = await kind.launch()
    try:
        yield kernel
        if kernel.failure():
            raise Incomplete(kernel.failure())
    finally:
        await kernel.close()


def expect(what: str, wanted: int, found: int) -> None:
    """Raises: Incomplete if `found` is not `wanted`."""
    if found != wanted:
        raise Incomplete(f"{found:,} of {wanted:,} {what} arrived")


async def timed(kernel: Frontend, cells: dict[str, str]) -> float:
    """Return the seconds that a run takes."""
    start = clock()
    await kernel.run(cells)
    return clock() - start


async def launch(kind: type[Frontend], times: int) -> Figures:
    """From nothing to the result of the first cell."""
    seconds: list[float] = []
    for _ in range(times):
        start = clock()
        async with launched(kind) as kernel:
            await kernel.run({"a": "1 + 1"})
            seconds.append(clock() - start)
            expect("results", 1, kernel.items())
    return {"seconds": seconds}


async def round_trip(kind: type[Frontend], times: int, frontends: int = 1) -> Figures:
    """The same trivial cell again and again."""
    async with launched(kind) as kernel:
        if frontends > 1:
            await kernel.attach(frontends - 1)
        for _ in range(20):
            await kernel.run({"a": "1 + 1"})
        before = kernel.received
        seconds = [await timed(kernel, {"a": "1 + 1"}) for _ in range(times)]
        return {"seconds": seconds, "bytes": (kernel.received - before) / times}


#: A cell that sends every message of a comm back.
ECHO = """
from comm import get_comm_manager
def opened(comm, message):
    comm.on_msg(lambda message: comm.send(message["content"]["data"]))
get_comm_manager().register_target("echo", opened)
"""


async def comm(kind: type[Frontend], times: int) -> Figures:
    """Messages of a comm that come back, as a slider's do."""
    async with launched(kind) as kernel:
        await kernel.run({"a": ECHO})
        await kernel.open_comm("echo")
        seconds: list[float] = []
        for number in range(20 + times):
            start = clock()
            await kernel.echo(number)
            seconds.append(clock() - start)
        return {"seconds": seconds[20:]}


#: Cells that keep the interpreter for 2.5 seconds: in Python code, and in a call that never gives up the GIL.
BUSY = {
    "idle": "1 + 1",
    "loop": """
import time
end = time.monotonic() + 2.5
while time.monotonic() < end:
    pass
""",
    "gil": """
import time
start = time.perf_counter()
sum(range(5_000_000))
speed = 5_000_000 / (time.perf_counter() - start)
sum(range(int(speed * 2.5)))
""",
}


async def control(kind: type[Frontend], times: int, busy: str) -> Figures:
    """A control request while the kernel's interpreter is `busy` (a key of `BUSY`)."""
    async with launched(kind) as kernel:
        for _ in range(20):
            await kernel.ping()
        await kernel.begin({"a": BUSY[busy]})
        begun = clock()
        # Requests are sent between 0.3 and 2 seconds after the cell: well within what keeps it busy.
        await asyncio.sleep(0.3)
        seconds: list[float] = []
        while len(seconds) < times and (start := clock()) < begun + 2:
            await kernel.ping()
            seconds.append(clock() - start)
        await kernel.finish()
        return {"seconds": seconds}


async def chain(kind: type[Frontend], cells: int, times: int) -> Figures:
    """Edit the head of a chain; all of it runs again. Seconds are for each cell."""
    sources = {f"c{i}": f"x{i} = x{i - 1} + 1" for i in range(1, cells)}
    async with launched(kind) as kernel:
        await kernel.run({"c0": "x0 = 0"} | sources)
        seconds = [await timed(kernel, {"c0": f"x0 = {n}"}) / cells for n in range(1, times + 1)]
        await kernel.run({f"c{cells}": f"x{cells - 1}"})
        return {"seconds": seconds}


async def rereads(kind: type[Frontend], cells: int, times: int) -> Figures:
    """Edit the head of a chain of cells that all define one name again. Seconds are for each cell."""
    sources = {f"c{i}": "x = x + 1" for i in range(1, cells)}
    async with launched(kind, redefine=True) as kernel:
        await kernel.run({"c0": "x = 0"} | sources)
        seconds = [await timed(kernel, {"c0": f"x = {n}"}) / cells for n in range(1, times + 1)]
        await kernel.run({"end": f"assert x == {times + cells - 1}"})
        return {"seconds": seconds}


async def embedded(kind: type[Frontend], notebooks: int, cells: int, times: int) -> Figures:
    """Run a cell again that embeds notebooks which have not changed. Seconds are for each notebook."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(notebooks):
            chain = (f"x{i} = {f'x{i - 1} + 1' if i else number}\nx{i}" for i in range(cells))
            Path(folder, f"{number}.py").write_text("".join(f"# %%\n{source}\n" for source in chain))
        embed = f"for number in range({notebooks}): cw.embed(f'{folder}/{{number}}.py')"
        async with launched(kind) as kernel:
            await kernel.run({"imports": "import cellwire as cw", "embed": embed})
            seconds = [await timed(kernel, {"embed": embed}) / notebooks for _ in range(times)]
            expect("items", notebooks * cells, kernel.items())
            return {"seconds": seconds}


async def wide(kind: type[Frontend], cells: int) -> Figures:
    """Register and run independent cells, which a frontend submits at once."""
    async with launched(kind) as kernel:
        await kernel.run({"warm": "1 + 1"})
        before = kernel.received
        seconds = await timed(kernel, {f"c{i}": f"x{i} = {i}" for i in range(cells)})
        return {"seconds": [seconds], "bytes": (kernel.received - before) / cells}


async def leaf(kind: type[Frontend], cells: int, times: int) -> Figures:
    """Edit one cell on which nothing depends."""
    sources = {f"c{i}": f"x{i} = x0 + {i}" for i in range(1, cells)}
    async with launched(kind) as kernel:
        await kernel.run({"c0": "x0 = 0"} | sources)
        before = kernel.received
        leaves = [f"c{cells - 1 - n}" for n in range(times)]
        seconds = [await timed(kernel, {c: f"x{c[1:]} = x0 - 1"}) for c in leaves]
        return {"seconds": seconds, "bytes": (kernel.received - before) / times}


async def redefined_leaf(kind: type[Frontend], cells: int, times: int) -> Figures:
    """Edit one cell on which nothing depends, among cells that all define the same two names."""
    source = "df = [{}]\nfor i in range(3):\n    df = [*df, i]"
    async with launched(kind, redefine=True) as kernel:
        await kernel.run({f"c{n}": source.format(n) for n in range(cells)})
        before = kernel.received
        leaves = [f"c{cells // 2 - n}" for n in range(times)]
        seconds = [await timed(kernel, {c: source.format(-1)}) for c in leaves]
        return {"seconds": seconds, "bytes": (kernel.received - before) / times}


def append_cell(kind: type[Frontend], threads: int, each: int) -> str:
    """Return a cell whose threads append short texts."""
    return f"""
{kind.imports}
import threading
def work(thread):
    for number in range({each}):
        {kind.append}(f"{{thread}}:{{number}}")
threads = [{kind.thread}(target=work, args=(n,)) for n in range({threads})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


async def appends(kind: type[Frontend], threads: int, count: int, frontends: int = 1) -> Figures:
    """Append from threads until every frontend's copy is complete.

    `flatness` is what the last tenth took over what the first took, as they arrived.
    """
    each = count // threads
    async with launched(kind) as kernel:
        if frontends > 1:
            await kernel.attach(frontends - 1)
        await kernel.run({"a": "1 + 1"})
        memory = memory_of(kernel.pid)
        items, before = kernel.items(), kernel.received
        await kernel.watch("b")
        start = clock()
        await kernel.run({"b": append_cell(kind, threads, each)})
        if frontends > 1:
            await kernel.settle("b", each * threads)
        seconds = clock() - start
        expect("items", each * threads, kernel.items() - items)
        return {
            "seconds": [seconds],
            "rate": each * threads / seconds,
            "bytes": kernel.received - before,
            "flatness": flatness(kernel.arrivals, each * threads),
            "memory_before": memory,
            "memory": memory_of(kernel.pid),
        }


def flatness(arrivals: list[tuple[float, int]], count: int) -> float | None:
    """Return what the last tenth of `count` items took over what the first tenth took."""
    if len(arrivals) < 10:
        return None

    def at(items: float) -> float:
        earlier = arrivals[0]
        for later in arrivals:
            if later[1] >= items:
                share = (items - earlier[1]) / max(later[1] - earlier[1], 1)
                return earlier[0] + share * (later[0] - earlier[0])
            earlier = later
        return arrivals[-1][0]

    first = at(count / 10) - at(1)
    return (at(count) - at(count * 0.9)) / first if first > 0 else None


async def printed(kind: type[Frontend], lines: int) -> Figures:
    """Print lines, one call each."""
    source = f"for i in range({lines}):\n    print('line', i)"
    wanted = sum(len(f"line {i}\n") for i in range(lines))
    async with launched(kind) as kernel:
        await kernel.run({"a": "1 + 1"})
        before, text = kernel.received, kernel.characters()
        seconds = await timed(kernel, {"b": source})
        expect("characters", wanted, kernel.characters() - text)
        return {"seconds": [seconds], "bytes": kernel.received - before}


async def child_output(kind: type[Frontend], megabytes: float) -> Figures:
    """A child process writes lines; `rate` is in megabytes a second."""
    count = int(megabytes * 1e6)
    source = f"""
import subprocess
subprocess.run("yes 'a line of text as a program in a notebook prints it' | head -c {count}", shell=True)
"""
    async with launched(kind) as kernel:
        await kernel.run({"a": "1 + 1"})
        before, text = kernel.received, kernel.characters()
        seconds = await timed(kernel, {"b": source})
        expect("characters", count, kernel.characters() - text)
        return {"seconds": [seconds], "bytes": kernel.received - before, "rate": megabytes / seconds}


def figure_cell(kind: type[Frontend], size: int) -> str:
    """Return a cell that defines `figure()`, an image of `size` bytes that is never the same twice."""
    return f"""
{kind.imports}
import os
noise = os.urandom({size})
def figure():
    return {kind.image}(b"\\x89PNG\\r\\n\\x1a\\n" + os.urandom(8) + noise)
"""


async def figures(kind: type[Frontend], count: int, size: int) -> Figures:
    """A cell for each figure, all submitted at once."""
    async with launched(kind) as kernel:
        await kernel.run({"prelude": figure_cell(kind, size)})
        items, before = kernel.items(), kernel.received
        seconds = await timed(kernel, {f"f{i}": "figure()" for i in range(count)})
        expect("figures", count, kernel.items() - items)
        return {"seconds": [seconds], "bytes": kernel.received - before}


async def late_join(kind: type[Frontend], cells: int, megabytes: float) -> Figures:
    """Attach a frontend to a large state."""
    size = int(megabytes * 1e6 / cells)
    async with launched(kind) as kernel:
        await kernel.run({"prelude": figure_cell(kind, size)})
        await kernel.run({f"f{i}": "figure()" for i in range(cells)})
        seconds: list[float] = []
        received = 0
        for _ in range(3):
            start = clock()
            received = await kernel.join()
            seconds.append(clock() - start)
        return {"seconds": seconds, "bytes": received}


async def memory(kind: type[Frontend], runs: int) -> Figures:
    """Resident memory of all processes of a kernel, after its first result and after many runs."""
    async with launched(kind) as kernel:
        await kernel.run({"a": "1 + 1"})
        start = memory_of(kernel.pid)
        for n in range(runs):
            await kernel.run({"a": f"x = {n}\nx"})
        return {"memory": start, "memory_after_runs": memory_of(kernel.pid), "runs": runs}


async def measure_with(kind: type[Frontend], workload: str, **parameters: Any) -> Figures:
    """Return the figures of the workload of that name."""
    return await WORKLOADS[workload](kind, **parameters)


async def job(kind: type[Frontend], cells: int, python: str) -> Figures:
    """Run a notebook by the commands of the peer, with the interpreter `python`, and save it."""
    return await run_and_keep(kind.saving, cells, python)


async def watch(kind: type[Frontend], cells: int, times: int) -> Figures:
    """Save a file that the command of the peer follows."""
    return await save_to_result(kind.watching, cells, times)


WORKLOADS: dict[str, Callable[..., Awaitable[Figures]]] = {
    function.__name__: function
    for function in (
        appends,
        chain,
        child_output,
        control,
        comm,
        embedded,
        figures,
        job,
        late_join,
        launch,
        leaf,
        memory,
        printed,
        redefined_leaf,
        rereads,
        round_trip,
        watch,
        wide,
    )
}
