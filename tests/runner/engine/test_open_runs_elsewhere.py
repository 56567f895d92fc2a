"""Other requests go on while cells run elsewhere, on a place whose workers are threads."""

import asyncio

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.messages import Cell
from support.elsewhere import as_cells, there
from support.thread_place import CLIENT, signals

#: A cell that waits elsewhere until the test opens its gate.
WAIT = "import time\nwhile not signals['go'].is_set(): time.sleep(0.001)\n"


@pytest.fixture
def book(threads_book):
    return threads_book


async def started(book, *cells, running="a"):
    """Start a run, and return its task when the cell `running` is executed."""
    task = asyncio.create_task(book.engine.run(as_cells(*cells)))
    while running not in book.replica.cells or book[running].status != "running":
        await asyncio.sleep(0.001)
    return task


def test_a_cell_here_runs_while_another_is_executed_elsewhere(book, workers):
    async def act():
        first = await started(book, there("a", WAIT + "x = 1"), ("b", "x + 1"))
        for number in range(5):
            finished = await book.engine.run({"c": f"{number}"})
            assert (finished.status, book.texts("c")) == ("ok", [str(number)])
        assert (book["a"].status, book["b"].status) == ("running", "queued")
        signals["go"].set()
        return await first

    assert book.do(act()).status == "ok"
    assert book.texts("b") == ["2"]
    assert [event.run for event in book.emitted(e.RunFinished)] == [3, 4, 5, 6, 7, 2]


def test_later_requests_get_values_of_a_cell_on_its_way_there_and_here(book, workers):
    async def act():
        first = await started(book, there("a", WAIT + "x = 1"))
        second = asyncio.create_task(book.engine.run([there("b", "y = x + 1\ny")]))
        third = asyncio.create_task(book.engine.run({"c": "x * 10"}))
        while "c" not in book.replica.cells or book["c"].status != "queued":
            await asyncio.sleep(0.001)
        signals["go"].set()
        return [finished.status for finished in await asyncio.gather(first, second, third)]

    assert book.do(act()) == ["ok", "ok", "ok"]
    assert (book.texts("b"), book.texts("c")) == (["2"], ["10"])
    assert workers().fetched == ["x"]


def test_a_change_of_what_a_cell_elsewhere_was_sent_interrupts_it(book):
    book.run({"p": "p = 1"})

    async def act():
        first = await started(book, there("a", WAIT + "x = p\nx"))
        second = asyncio.create_task(book.engine.run({"p": "p = 2"}))
        assert (await first).status == "interrupted"
        signals["go"].set()
        return await second

    assert book.do(act()).status == "ok"
    assert book.texts("a") == ["2"]


def test_a_cell_elsewhere_that_is_deleted_is_interrupted_and_leaves_nothing(book, workers):
    async def act():
        first = await started(book, there("a", "x = 1\n" + WAIT), ("b", "'b'"))
        await book.engine.delete(["a"])
        return await first

    assert book.do(act()).status == "interrupted"
    assert "x" not in book.engine.elsewhere
    assert workers().executed == ["a"]
    assert book.texts("b") == ["'b'"]


def test_a_change_of_the_client_interrupts_what_runs_on_it(book):
    async def act():
        first = await started(book, there("a", WAIT + "x = 1\nx"))
        second = asyncio.create_task(book.engine.run([Cell(CLIENT.id, CLIENT.source + "\n# again")]))
        assert (await first).status == "interrupted"
        signals["go"].set()
        return await second

    assert book.do(act()).status == "ok"
    assert book.texts("a") == ["1"]


def test_each_cell_finds_its_own_version_of_what_is_made_elsewhere(book):
    book.run({"one": "v = 1", "r": "v"})

    async def act():
        first = await started(book, there("a", WAIT + "v = v + 10"))
        second = asyncio.create_task(book.engine.run({"end": "v"}))
        third = asyncio.create_task(book.engine.run(["r"]))
        while book.replica.runs[-1].cells != ["r"]:
            await asyncio.sleep(0.001)
        signals["go"].set()
        return [finished.status for finished in await asyncio.gather(first, second, third)]

    assert book.do(act()) == ["ok", "ok", "ok"]
    assert (book.texts("r"), book.texts("end")) == (["1"], ["11"])


def test_what_is_sent_is_not_changed_by_a_later_request(book):
    book.run({"p": "p = [1]"})

    async def act():
        first = await started(book, there("a", WAIT + "x = p\nx"))
        await book.engine.run({"c": "p.append(2)"})
        second = asyncio.create_task(book.engine.run([there("b", "p")]))
        signals["go"].set()
        return await first, await second

    assert [finished.status for finished in book.do(act())] == ["ok", "ok"]
    assert book.texts("a") == ["[1]"]
    assert book.texts("b") == ["[1, 2]"]


def test_an_interrupt_ends_cells_here_and_there_of_all_runs(book):
    async def act():
        first = await started(book, there("a", WAIT))
        second = await started(book, there("b", WAIT), running="b")
        third = asyncio.create_task(book.engine.run([there("c", "'c'")]))
        while "c" not in book.replica.cells or book["c"].status != "queued":
            await asyncio.sleep(0.001)
        book.engine.interrupt()
        return [(await task).status for task in (first, second, third)]

    statuses = book.do(act())
    assert statuses[:2] == ["interrupted", "interrupted"]
    assert [book[cell].status for cell in "ab"] == ["interrupted", "interrupted"]
    assert book["c"].status in ("interrupted", "cancelled")


def test_a_worker_that_dies_under_an_open_run_ends_its_cell_alone(book, workers):
    async def act():
        first = await started(book, there("a", WAIT))
        second = await started(book, there("b", WAIT + "1"), running="b")
        workers().kill("a")
        finished = await first
        signals["go"].set()
        return finished, await second

    first, second = book.do(act())
    assert (first.status, first.failed, second.status) == ("error", ["a"], "ok")
    assert book["a"].error.kind == "WorkerDied"
