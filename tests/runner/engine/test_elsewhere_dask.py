"""Cells on a real Dask cluster of two workers, with TLS."""

import asyncio
import os
import random

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.messages import Cell
from support import dask_cluster
from support.dask_cluster import CLIENT
from support.elsewhere import as_cells, there
from support.waiting import PATIENCE, wait_until

WAIT = """
import os, time
def wait(path):
    end = time.time() + 60
    while not os.path.exists(path) and time.time() < end: time.sleep(0.01)
    return os.path.exists(path)
def touch(path): open(path, 'a').write('x')
"""


@pytest.fixture(scope="module")
def client():
    with dask_cluster.cluster() as client:
        yield client


@pytest.fixture
def book(make_book, client):
    book = make_book(redefine="allow")
    run(book, CLIENT, ("wait", WAIT))
    yield book
    book.delete(*book.replica.order)


def run(book, *cells):
    return book.run(as_cells(*cells))


async def running(book, cells, condition):
    """Start a run and return its task when `condition` holds."""
    given = as_cells(*cells)
    task = asyncio.ensure_future(book.engine.run(given))
    while not condition():
        await asyncio.sleep(0.005)
    return task


def interrupted(book, cells, condition, times=1, known=True):
    """Run cells and interrupt them when `condition` holds, and it is known that the first of them runs."""

    async def action():
        first = cells[0].id
        task = await running(
            book, cells, lambda: condition() and (not known or book.statuses.get(first) == "running")
        )
        for number in range(times):
            if number:
                await asyncio.sleep(0.3)
            book.engine.interrupt()
        return await task

    return book.do(action())


def test_values_text_items_and_errors_come_as_if_the_cell_ran_here(book):
    run(
        book,
        ("x", "x = 20\n_base = 1\ndef add(n):\n    return n + _base\nclass P: pass"),
        ("cw", "import cellwire as cw"),
        there("y", "print('one')\ny = add(x)\ncw.output.append('two')\nprint('three')\ny"),
        there("z", "p = P()\nz = y * 2\ntype(p) is P, z"),
        ("here", "z + 1, isinstance(p, P)"),
        there("bad", "1 / 0"),
        ("below", "bad = z"),
        there("halt", "cw.stop(True, 'halt')"),
        there("missing", "nowhere"),
        there("later", "import asyncio\nawait asyncio.sleep(0, 7)"),
        there("state", "cw.state(1)"),
        there("asks", "input('? ')"),
        there("debugs", "breakpoint()"),
    )  # fmt: skip
    assert book["y"].console.text() == "one\nthree\n"
    assert book.texts("y") == ["'two'", "21"]
    assert book.texts("z") == ["(True, 42)"]
    assert book.texts("here") == ["(43, True)"]
    assert book["bad"].error.kind == "ZeroDivisionError"
    assert book["bad"].error.traceback.splitlines()[1] == '  File "<cell bad>", line 1, in <module>'
    assert (book["halt"].status, book.texts("halt")) == ("stopped", ["'halt'"])
    assert book["missing"].error.message == "name 'nowhere' is not defined"
    assert book.texts("later") == ["7"]
    assert book["state"].error.message.startswith("cw.state() is for cells that run in the notebook's own")
    assert book["asks"].error.message.startswith(
        "input() is for cells that run in the notebook's own process"
    )
    assert book["debugs"].error.message.startswith("a debugger needs a person, but this cell runs on tls://")
    assert book.emitted(e.CellStarted, cell="y")[0].where.startswith("tls://")
    kinds = [type(event).__name__ for event in book.events if getattr(event, "cell", "") == "y"]
    assert (kinds[0], kinds[-1]) == ("CellStarted", "CellFinished")


def test_many_lines_arrive_in_order(book):
    run(book, there("a", "for n in range(20_000): print(n)"))
    assert book["a"].console.text().split() == [str(n) for n in range(20_000)]


def test_progress_and_figures_are_made_where_the_cell_runs(book):
    source = (
        "import cellwire as cw\nfor _ in cw.progress_bar(range(3)): pass\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    )
    run(book, there("a", source))
    assert book["a"].status == "ok", book["a"].error
    assert "image/png" in book["a"].outputs[-1].data
    assert book.texts("a")[0].startswith("3/3") or "3" in book.texts("a")[0]


def test_a_state_is_set_from_there(book):
    run(
        book,
        ("s", "import cellwire as cw\nget, set_ = cw.state(1)"),
        there("a", "set_(lambda n: n + 10)"),
        ("b", "get()"),
        there("c", "get() + 100"),
    )
    assert [book.texts("b"), book.texts("c")] == [["11"], ["111"]]


def test_independent_cells_overlap(book, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run(
        book,
        there("a", f"touch({str(first)!r})\nwait({str(second)!r})"),
        there("b", f"touch({str(second)!r})\nwait({str(first)!r})"),
    )
    assert book.texts("a") == book.texts("b") == ["True"]


def test_a_chain_goes_on_while_a_cell_here_holds_the_runner(book, tmp_path):
    done = str(tmp_path / "done")
    here = f"""
from pathlib import Path
import time as _t
for _ in range(6000):
    if Path({done!r}).exists(): break
    _t.sleep(0.01)
Path({done!r}).exists()
"""
    run(
        book,
        there("a", "a = 1"),
        ("here", here),
        there("b", "b = a + 1"),
        there("c", f"open({done!r}, 'w').close()\nc = b + 1"),
        ("end", "c"),
    )  # fmt: skip
    assert book.texts("here") == ["True"]
    assert book.texts("end") == ["3"]


def test_a_large_value_stays_there(book, client):
    run(
        book,
        there("a", "import numpy as np\nbig = np.ones(5_000_000)"),
        there("b", "total = float(big.sum())"),
        ("c", "total"),
    )
    assert book.texts("c") == ["5000000.0"]
    assert "big" not in book.globals
    assert book.engine.elsewhere["big"].nbytes == 40_000_000
    run(
        book,
        ("d", "import numpy as np\nlocal = np.zeros(100_000)"),
        there("f", "local.shape, float(local.sum())"),
    )
    assert book.texts("f") == ["((100000,), 0.0)"]


def test_a_value_that_does_not_pickle_delays_no_other(book):
    run(
        book,
        there("a", "import sqlite3\nconnection = sqlite3.connect(':memory:')\nfine = 5"),
        ("b", "connection"),
        ("c", "fine"),
        ("d", "import threading\nlock = threading.Lock()"),
        there("f", "lock"),
        there("g", "fine + 1"),
    )
    assert book["b"].error.kind == "CannotFetch"
    assert book["b"].error.message.startswith("`connection` of cell 'a' cannot be sent to another process: ")
    assert "sqlite3.Connection" in book["b"].error.message
    assert book["f"].error.kind == "CannotSend"
    assert "`lock` of cell 'd' cannot be sent to another process: _thread.lock" in book["f"].error.message
    assert [book.texts("c"), book.texts("g")] == [["5"], ["6"]]


def test_a_module_that_the_workers_lack_is_named(book, tmp_path, monkeypatch):
    (tmp_path / "only_here_module.py").write_text("x = 5\ndef f(): return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    run(
        book,
        ("i", "import only_here_module\nfrom only_here_module import f"),
        there("a", "only_here_module.x"),
    )
    assert book["a"].error.kind == "ModuleNotFound"
    assert "`only_here_module` needs the module 'only_here_module', which is not installed on tls://" in (
        book["a"].error.message
    )
    assert "client.upload_file" in book["a"].error.hint
    run(book, there("b", "f()"))
    assert book["b"].error.kind == "ModuleNotFound"


@pytest.mark.parametrize("pause", [0, 0.2])
def test_a_cell_that_kills_its_worker_is_executed_once(book, tmp_path, pause, client):
    count = str(tmp_path / "count")
    source = (
        f"touch({count!r})\nx = 1\ntime.sleep({pause})\nimport signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    run(book, there("a", source), ("b", "x"), there("c", "x"))
    assert book["a"].error.kind == "WorkerDied"
    assert "has gone" in book["a"].error.message
    assert [book["b"].status, book["c"].status] == ["cancelled", "cancelled"]
    client.wait_for_workers(2, timeout=PATIENCE)
    run(book, there("a", "x = 2"))
    assert book.texts("b") == ["2"]
    assert os.path.getsize(count) == 1


@pytest.mark.soak
def test_a_worker_that_is_retired_under_a_cell_runs_it_once(make_book, tmp_path):
    count, go = str(tmp_path / "count"), str(tmp_path / "go")
    with dask_cluster.cluster() as client:
        book = make_book()
        run(book, CLIENT, ("wait", WAIT))

        async def action():
            cell = there("a", f"touch({count!r})\nwait({go!r})")
            task = await running(book, [cell], lambda: os.path.exists(count))
            while not (where := book.engine._scheduler.elsewhere._open["a"].flight.where):
                await asyncio.sleep(0.005)
            await asyncio.to_thread(client.retire_workers, [where], close_workers=True)
            return await task

        book.do(action())
        assert book["a"].error.kind == "WorkerDied"
        assert os.path.getsize(count) == 1


def test_values_that_go_with_their_worker_are_made_again_when_they_are_needed(book, client):
    run(book, there("a", "x = [1]"), there("b", "y = 2"))
    where = book.engine.elsewhere["x"].where
    client.run(os._exit, 1, workers=[where], on_error="ignore")
    book.do(asyncio.to_thread(wait_until, lambda: "a" in book.stale))
    assert "cellwire: x of cell 'a' went with the worker" in book.replica.console.text()
    client.wait_for_workers(2, timeout=PATIENCE)
    run(book, ("c", "x"))
    assert "a" in book.ran
    assert book.texts("c") == ["[1]"]


def test_an_interrupt_ends_a_loop_and_a_sleep(book, tmp_path):
    began = str(tmp_path / "began")
    loop = f"touch({began!r})\nwhile True: pass"
    assert (
        interrupted(book, [there("a", loop), there("b", "1")], lambda: os.path.exists(began)).status
        == "interrupted"
    )
    assert book["a"].status == "interrupted"
    assert 'File "<cell a>", line 2' in book["a"].error.traceback
    os.remove(began)
    interrupted(book, [there("a", f"touch({began!r})\ntime.sleep(30)")], lambda: os.path.exists(began))
    assert book["a"].error.message == "interrupted, but a call into C has not returned yet"
    run(book, there("a", "1"), there("b", "2"), there("c", "3"))
    assert [book.texts(name) for name in "abc"] == [["1"], ["2"], ["3"]]


def test_a_second_interrupt_ends_the_worker(book, tmp_path, client):
    began = str(tmp_path / "began")
    cell = there("a", f"touch({began!r})\nsum(range(10**12))")
    interrupted(book, [cell], lambda: os.path.exists(began), times=2)
    assert book["a"].status == "interrupted"
    assert "interrupted by ending the worker tls://" in book["a"].error.message
    client.wait_for_workers(2, timeout=PATIENCE)
    run(book, there("a", "1"))
    assert book.texts("a") == ["1"]


_MOMENTS = [
    number if number in (0, 2, 5, 9, 14) else pytest.param(number, marks=pytest.mark.soak)
    for number in range(15)
]


@pytest.mark.parametrize("moment", _MOMENTS)
def test_an_interrupt_at_any_moment_ends_all_cells(book, moment):
    started = [0]

    def later():
        started[0] += 1
        return started[0] > moment * 2 + 1

    cells = [there(f"q{number}", "for _ in range(3000): time.sleep(0.01)") for number in range(4)]
    assert interrupted(book, cells, later, known=False).status == "interrupted"
    assert {book[cell.id].status for cell in cells if cell.id in book.replica.cells} <= {
        "interrupted",
        "cancelled",
    }
    run(book, there("q0", "1"))
    assert (book["q0"].error, book.texts("q0")) == (None, ["1"])


def test_late_output_of_a_cell_that_runs_again_or_is_deleted_is_dropped(book, tmp_path):
    go = str(tmp_path / "go")
    source = (
        f"import threading\ndef late():\n    wait({go!r})\n    print('late')\n    touch({go!r} + '-said')\n"
        "threading.Thread(target=late).start()"
    )
    run(book, there("a", source), there("b", source.replace("-said", "-also")))
    run(book, there("a", "print('new')"))
    book.delete("b")
    open(go, "w").close()
    wait_until(lambda: os.path.exists(go + "-said") and os.path.exists(go + "-also"))
    run(book, there("c", "1"))
    assert book["a"].console.text() == "new\n"
    assert not [event for event in book.events if type(event) is e.ConsoleWritten]


def test_no_key_of_a_deleted_cell_is_left_on_the_scheduler(book):
    run(
        book,
        ("big", "big = bytes(100_000)"),
        there("a", "x = len(big)\ny = [x]"),
        ("b", "x, y"),
    )
    assert dask_cluster.names("cellwire-")
    book.delete("a", "b", "big")
    wait_until(lambda: dask_cluster.names("-a.") == [])
    wait_until(
        lambda: not [name for name in dask_cluster.names("cellwire-") if "-a." in name or "-big-" in name]
    )


def test_two_notebooks_use_one_cluster(book, make_book):
    other = make_book()
    run(other, CLIENT)
    run(book, there("a", "x = 'one'\nprint(x)"))
    run(other, there("a", "x = 'two'\nprint(x)"))
    run(book, ("b", "x"))
    run(other, ("b", "x"))
    assert [book.texts("b"), other.texts("b")] == [["'one'"], ["'two'"]]
    assert [book["a"].console.text(), other["a"].console.text()] == ["one\n", "two\n"]
    other.delete(*other.replica.order)


@pytest.mark.soak
def test_after_many_interrupts_the_worker_lives_and_the_next_cell_runs(book, tmp_path, client):
    before = set(client.scheduler_info(n_workers=-1)["workers"])
    for number in range(100):
        began = str(tmp_path / str(number))
        interrupted(
            book,
            [there("a", f"touch({began!r})\nwhile True: pass")],
            lambda began=began: os.path.exists(began),
        )
        assert book["a"].status == "interrupted"
    run(book, there("a", "5"))
    assert book.texts("a") == ["5"]
    assert set(client.scheduler_info(n_workers=-1)["workers"]) == before


@pytest.mark.soak
def test_an_end_of_the_scheduler_is_said(make_book):
    with dask_cluster.cluster(security=None, n_workers=1) as client:
        book = make_book()
        run(book, CLIENT)

        async def action():
            cell = there("a", "import time\ntime.sleep(30)")
            task = await running(
                book, [cell], lambda: book.replica.cells.get("a") and book["a"].status == "running"
            )
            await asyncio.to_thread(client.cluster.close)
            return await task

        book.do(action())
        assert book["a"].error.kind in ("ClusterLost", "WorkerDied")
        run(book, there("b", "1"))
        assert book["b"].error.message.startswith("there is no connection to tcp://")
        assert book["b"].error.hint == "run the cell that makes the client again"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_random_chains_are_the_same_as_here(book, seed):
    rng = random.Random(seed)
    sources = {}
    for number in range(12):
        reads = [f"v{rng.randrange(number)}" for _ in range(min(number, rng.randint(0, 3)))]
        sources[f"c{number}"] = (
            f"v{number} = {' + '.join([*reads, str(number)])}\nprint(v{number})\nv{number}"
        )
    book.run([Cell(id, text, on=rng.choice(["", "client"])) for id, text in sources.items()])
    placed = [book.texts(id) for id in sources]
    book.run([Cell(id, text) for id, text in sources.items()])
    assert [book.texts(id) for id in sources] == placed
