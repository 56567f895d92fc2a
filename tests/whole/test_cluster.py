"""A real kernel, cells of which run on a cluster that does not belong to it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from cellwire.protocol import launch_kernel
from cellwire.protocol.messages import Cell
from support import dask_cluster
from support.waiting import PATIENCE, printed, running, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with dask_cluster.cluster(security=None, n_workers=1) as client:
        yield client.scheduler.address


def cells(address: str, source: str) -> list[Cell]:
    return [
        Cell("client", f"from distributed import Client\nclient = Client({address!r})"),
        Cell("a", source, on="client"),
    ]


async def test_the_cell_ends_with_its_runner_and_runs_there_again_after_a_restart(
    address: str, tmp_path: Path
) -> None:
    beats = tmp_path / "beats"
    source = f"import time\nwhile True:\n    open({str(beats)!r}, 'a').write('x')\n    time.sleep(0.01)"
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            await kernel.run(cells(address, source), wait=False)
            await running(kernel)
            while not beats.exists():
                await anyio.sleep(0.01)
            os.kill(kernel.notebook.runner.pid, signal.SIGKILL)
            await until(kernel, lambda book: book.runner.condition == "dead" and not book.runs)
            error = kernel.notebook.cells["a"].error
            assert error is not None
            assert error.kind == "RunnerDied"
            size = -1
            while size != (size := beats.stat().st_size):
                await anyio.sleep(1)
            await kernel.restart_runner()
            assert kernel.notebook.cells["a"].on == "client"
            await kernel.sync(cells(address, "x = 6\nx"))
            await kernel.run_stale()
            cell = kernel.notebook.cells["a"]
            assert (cell.status, [item.data["text/plain"] for item in cell.outputs]) == ("ok", ["6"])


async def test_a_notebook_goes_on_while_a_cell_is_on_the_cluster(address: str, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    source = f"import os, time\nprint('there')\nwhile not os.path.exists({go!r}): time.sleep(0.01)\nx = 5"
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            queued = await kernel.run([*cells(address, source), Cell("b", "x + 1")], wait=False)
            await printed(kernel, "there")
            for number in range(5):
                assert (await kernel.run({"c": f"{number}"})).status == "ok"
            assert [run.run for run in kernel.notebook.runs] == [queued.run]
            Path(go).touch()
            await kernel.wait_idle()
            assert [item.data["text/plain"] for item in kernel.notebook.cells["b"].outputs] == ["6"]
