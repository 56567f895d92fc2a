"""Memory, threads and other requests on a real Dask cluster: clusters of their own, each a few seconds."""

import asyncio
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import dask.config
import pytest
from cellwire.protocol.messages import Cell
from distributed import Client
from support import dask_cluster
from support.dask_cluster import CLIENT
from support.elsewhere import there
from support.waiting import PATIENCE

#: Megabytes of the array that is not to come here.
LARGE = 300


@pytest.fixture
def open_book(make_book):
    """Return a function that returns a notebook with a client."""
    books = []

    def make():
        books.append(make_book(redefine="allow"))
        books[-1].run([CLIENT])
        return books[-1]

    return make


def reset_peak():
    """Let the peak of memory be what is used by now, where the system can forget it."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak():
    """Return the most megabytes that this process has had."""
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def large_array_stays(book, megabytes):
    book.run([there("warm", "import numpy as np\nwarm = np.ones(10)"), there("warmer", "warm.sum()")])
    reset_peak()
    before = peak()
    made = f"import numpy as np\nbig = np.ones({megabytes} * 2**17)\nbig"
    cells = [there("a", made), there("b", "total = float(big.sum())"), there("c", "big[:3] + big.mean()")]
    book.run([*cells, Cell("d", "total")])
    assert book.texts("d") == [str(float(megabytes * 2**17))]
    assert peak() - before < 30
    assert book.engine.elsewhere["big"].nbytes == megabytes * 2**20


def test_a_large_array_leaves_the_peak_of_this_process_as_it_was(open_book):
    with dask_cluster.cluster(security=None):
        large_array_stays(open_book(), LARGE)


@pytest.mark.soak
def test_an_array_of_a_gigabyte_leaves_the_peak_of_this_process_as_it_was(open_book):
    with dask_cluster.cluster(security=None, memory_limit="4GB"):
        large_array_stays(open_book(), 1024)


def test_two_threads_of_a_worker_keep_text_states_and_interrupts_apart(open_book, tmp_path):
    with dask_cluster.cluster(security=None, n_workers=1, threads_per_worker=2):
        book = open_book()
        meet = (
            "import os, time\ndef meet(mine, other):\n    open(mine, 'w').close()\n"
            "    end = time.time() + 30\n"
            "    while not os.path.exists(other) and time.time() < end: time.sleep(0.01)\n"
            "    return os.path.exists(other)"
        )
        first, second = str(tmp_path / "first"), str(tmp_path / "second")
        cells = [
            Cell("meet", meet),
            there("a", f"print('a1')\nmet = meet({first!r}, {second!r})\nprint('a2')\nmet, os.getpid()"),
            there("b", f"print('b1')\nmet_b = meet({second!r}, {first!r})\nprint('b2')\nmet_b, os.getpid()"),
        ]
        book.run(cells)
        assert book.texts("a") == book.texts("b")
        assert book.texts("a")[0].startswith("(True, ")
        assert [book[cell].console.text() for cell in "ab"] == ["a1\na2\n", "b1\nb2\n"]
        os.remove(first)

        async def act():
            loop = "n = 0\nwhile not os.path.exists({0!r}): time.sleep(0.01)\nn = 1\nn"
            task = asyncio.create_task(book.engine.run([there("c", "while True: pass")]))
            while "c" not in book.replica.cells or book["c"].status != "running":
                await asyncio.sleep(0.005)
            other = asyncio.create_task(book.engine.run([there("d", loop.format(first))]))
            while "d" not in book.replica.cells or book["d"].status != "running":
                await asyncio.sleep(0.005)
            # The edit interrupts the one thread and not the other.
            await book.engine.run([there("c", "'edited'")])
            assert book["d"].status == "running"
            Path(first).touch()
            return (await task).status, (await other).status

        assert book.do(act()) == ("interrupted", "ok")
        assert (book.texts("c"), book.texts("d")) == (["'edited'"], ["1"])


def hosted(dask_worker):
    """Return how many runs of cells a worker keeps."""
    from cellwire.runner.places.dask import worker

    return len(worker._host_of(dask_worker)._last)


def keeps(client: Any) -> list[int]:
    """Return how many runs of cells each worker keeps."""
    return [*client.run(hosted).values()]


def test_a_worker_retires_the_cells_of_a_client_that_has_gone(open_book, tmp_path):
    with dask_cluster.cluster(security=None, n_workers=1) as client, Client(client.cluster) as other:
        kept, book = open_book(), open_book()
        left, retired = str(tmp_path / "left"), tmp_path / "retired"
        threads = (
            "import cellwire as cw, time\ndef work():\n    while not cw.current_thread().should_exit:\n"
            f"        time.sleep(0.01)\n    open({left!r}, 'w').close()\ncw.Thread(target=work).start()"
        )
        on_retire = f"import cellwire as cw\ncw.on_retire(lambda: open({str(retired)!r}, 'w').close())"
        address = client.scheduler.address
        book.run([Cell("own", f"from distributed import Client\nown = Client({address!r})")])
        book.run([Cell("a", threads, on="own"), Cell("b", on_retire, on="own")])
        kept.run([there("a", "1")])
        assert [book[cell].status for cell in "ab"] == ["ok", "ok"]
        assert keeps(other) == [3]
        book.globals["own"].close()
        end = time.monotonic() + PATIENCE
        while not (os.path.exists(left) and retired.exists() and keeps(other) == [1]):
            assert time.monotonic() < end
            time.sleep(0.01)
        kept.run([there("b", "2")])
        assert kept.texts("b") == ["2"]


def test_values_that_a_worker_has_spilled_come_back(open_book):
    with (
        dask.config.set({"distributed.worker.memory.target": 0.1}),
        dask_cluster.cluster(security=None, n_workers=1, memory_limit="1GB") as client,
    ):
        book = open_book()
        cells = [there(f"c{n}", f"import numpy as np\nv{n} = np.full(5_000_000, {n}.0)") for n in range(4)]
        book.run(cells)

        def spilled(dask_worker):
            return len(dask_worker.data.slow)

        assert sum(client.run(spilled).values()) >= 2
        book.run(
            [there("sum", "[float(v.mean()) for v in (v0, v1, v2, v3)]"), Cell("here", "float(v0.max())")]
        )
        assert book.texts("sum") == ["[0.0, 1.0, 2.0, 3.0]"]
        assert book.texts("here") == ["0.0"]


def test_a_cell_that_takes_more_memory_than_its_worker_has_is_told_why_it_ended(open_book):
    with dask_cluster.cluster(security=None, n_workers=1, memory_limit="300MB") as client:
        book = open_book()
        hoard = (
            "import time\nkept = []\nwhile True:\n    kept.append(b'x' * 20_000_000)\n    time.sleep(0.02)"
        )
        book.run([there("a", hoard), Cell("b", "kept"), Cell("c", "'goes on'")])
        error = book["a"].error
        assert error.kind == "WorkerDied"
        assert error.message.endswith("has gone: its nanny ended it, since it used too much memory")
        assert error.hint == "give the workers more memory, or work on less at a time"
        assert (book["b"].status, book.texts("c")) == ("cancelled", ["'goes on'"])
        client.wait_for_workers(1, timeout=PATIENCE)
        book.run([there("a", "kept = 5")])
        assert book.texts("b") == ["5"]


def test_other_cells_run_while_one_is_on_the_cluster_and_an_edit_ends_it(open_book, tmp_path):
    with dask_cluster.cluster(security=None, n_workers=1):
        book = open_book()
        began = tmp_path / "began"

        async def act():
            source = f"open({str(began)!r}, 'w').close()\nimport time\nwhile True: time.sleep(0.01)"
            first = asyncio.create_task(book.engine.run([there("a", source), Cell("b", "'b'")]))
            while not began.exists():
                await asyncio.sleep(0.005)
            others = [await book.engine.run({"c": f"{number}"}) for number in range(10)]
            assert {finished.status for finished in others} == {"ok"}
            assert not first.done()
            start = time.monotonic()
            second = await book.engine.run([there("a", "x = 1\nx")])
            assert time.monotonic() - start < PATIENCE
            return (await first).status, second.status

        assert book.do(act()) == ("interrupted", "ok")
        assert book.texts("a") == ["1"]
