"""cellwire, driven with `cellwire.protocol`: what every frontend in Python uses.

`launch_kernel` and `KernelClient` as they are, with one limit raised (items of one cell). Bytes are
counted where the client takes messages off its socket. Further frontends are processes of their own
(`python cellwire_driver.py CONNECTION_FILE`) that follow and say when they have everything.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

from cellwire.protocol import KernelClient, Limits, connect, launch_kernel
from cellwire.protocol.client.dealer import Dealer
from frontend import Frontend
from measuring import measure_with
from serving import serve

#: How often an attached process looks whether it has everything, and how often items are counted.
GLANCE_SECONDS = 0.002


class CellwireFrontend(Frontend):
    """A cellwire kernel."""

    imports = "import cellwire as cw"
    append = "cw.output.append"
    thread = "cw.Thread"
    image = "(lambda png: cw.mime({'image/png': png, 'text/plain': 'a figure'}))"

    saving: ClassVar = {"cellwire": ["-m", "cellwire", "run", "--quiet", "{in}", "-o", "{out}"]}
    watching: ClassVar = ["-m", "cellwire", "run", "--watch", "{in}"]

    def __init__(self) -> None:
        super().__init__()
        self._kernel: KernelClient
        self._stack = AsyncExitStack()
        self._followers: list[subprocess.Popen[str]] = []
        self._counting: asyncio.Task[None] | None = None

    @classmethod
    async def launch(cls) -> Self:
        self = cls()
        Dealer.receive = _counting_for(self)
        redefine = "allow" if cls.redefine else "error"
        launched = launch_kernel(limits=Limits(items=1_000_000), redefine=redefine)
        self._kernel = await self._stack.enter_async_context(launched)
        return self

    async def begin(self, cells: dict[str, str]) -> None:
        await self._kernel.run(cells, wait=False)

    async def finish(self) -> None:
        await self._kernel.wait_idle()

    async def run(self, cells: dict[str, str]) -> None:
        await self._kernel.run(cells)
        if self._counting is not None:
            self._counting.cancel()

    async def ping(self) -> None:
        await self._kernel.ping()

    def items(self) -> int:
        return sum(len(cell.outputs) for cell in self._kernel.notebook.cells.values())

    def characters(self) -> int:
        consoles = [cell.console for cell in self._kernel.notebook.cells.values()]
        return sum(console.dropped + len(console.text()) for console in consoles)

    def failure(self) -> str:
        errors = [cell.error for cell in self._kernel.notebook.cells.values() if cell.error is not None]
        return f"{errors[0].kind}: {errors[0].message}" if errors else ""

    @property
    def pid(self) -> int:
        return self._kernel.connection.pid

    async def watch(self, cell: str) -> None:
        async def count() -> None:
            while True:
                state = self._kernel.notebook.cells.get(cell)
                if state is not None:
                    self.arrivals.append((time.perf_counter(), len(state.outputs)))
                await asyncio.sleep(GLANCE_SECONDS)

        self._counting = asyncio.create_task(count())

    async def attach(self, count: int) -> None:
        command = [sys.executable, __file__, self._kernel.connection_file]
        for _ in range(count):
            follower = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._followers.append(follower)
        for follower in self._followers:
            _line_from(follower)

    async def settle(self, cell: str, items: int) -> None:
        for follower in self._followers:
            assert follower.stdin is not None
            follower.stdin.write(f"{cell} {items}\n")
            follower.stdin.flush()
        for follower in self._followers:
            _line_from(follower)

    async def join(self) -> int:
        before = self.received
        async with connect(self._kernel.connection_file) as other:
            if other.notebook.cells.keys() != self._kernel.notebook.cells.keys():
                raise RuntimeError("the frontend that joined has not got everything")
            return self.received - before

    async def close(self) -> None:
        for follower in self._followers:
            with follower:
                follower.communicate()
        await self._stack.aclose()


_receive = Dealer.receive


def _counting_for(frontend: Frontend) -> Any:
    def receive(dealer: Dealer) -> Any:
        received = _receive(dealer)
        frontend.received += received[2]
        return received

    return receive


def _line_from(follower: subprocess.Popen[str]) -> None:
    assert follower.stdout is not None
    if not follower.stdout.readline():
        raise RuntimeError("an attached frontend has ended")


async def follow(connection_file: str) -> None:
    """Be one more frontend: say so, and for each line `CELL ITEMS` say when that many items are there."""
    async with connect(connection_file) as kernel:
        print("attached", flush=True)
        while question := (await asyncio.to_thread(sys.stdin.readline)).split():
            cell, items = question
            while cell not in kernel.notebook.cells or len(kernel.notebook.cells[cell].outputs) < int(items):
                await asyncio.sleep(GLANCE_SECONDS)
            print("complete", flush=True)


async def measure(workload: str, over: str = "", **parameters: Any) -> dict[str, Any]:
    """Return the figures of a workload, over Jupyter, in Lab's page or on a cluster if `over` says so."""
    if over == "cluster":
        from cluster import measure_cluster

        return await measure_cluster(**parameters)
    if over == "page":
        from jupyter_page import measure_page

        return measure_page(**parameters)
    if over != "jupyter":
        return await measure_with(CellwireFrontend, workload, **parameters)
    from cellwire.frontends.jupyter.kernelspecs import install
    from ipykernel_driver import IPythonFrontend

    with tempfile.TemporaryDirectory() as directory:
        # Where Jupyter looks first.
        install(Path(directory))
        os.environ["JUPYTER_PATH"] = os.environ["XDG_DATA_HOME"] = directory
        kind = type("JupyterFrontend", (IPythonFrontend,), {"kernel_name": "cellwire"})
        return await measure_with(kind, workload, **parameters)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(follow(sys.argv[1]))
    else:
        serve(measure, ["cellwire", "msgspec", "pyzmq"])
