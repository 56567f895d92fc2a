"""A run whose last cells await gives its turn away: what other requests find meanwhile, and what they touch.

Cells wait for events of the test; order is drawn with these, never with time.
"""

import asyncio

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.messages import Cell
from cellwire.runner.engine import Engine

GATES = "import asyncio\ng, h = asyncio.Event(), asyncio.Event()\nlog = []"
#: A cell that waits until the test opens its gate.
SLOW = "await g.wait()\nx = 1"


@pytest.fixture
def book(make_book):
    book = make_book(redefine="allow")
    book.run({"s": GATES})
    return book


class Open:
    """A run that has given its turn away, and others that a test starts meanwhile."""

    def __init__(self, book):
        self.book = book
        self.engine = book.engine

    async def start(self, cells, *, running="a"):
        """Start a run, and return its task when the cell `running` runs."""
        task = asyncio.create_task(self.engine.run(cells))
        await self.until(lambda: self.status(running) == "running")
        return task

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0)

    def status(self, cell):
        state = self.engine.notebook.cells.get(cell)
        return state and state.status

    def open(self, gate="g"):
        self.book.globals[gate].set()


@pytest.fixture
def opened(book):
    return Open(book)


def ends(book):
    return [(event.run, event.status) for event in book.emitted(e.RunFinished)]


def test_a_cell_that_does_not_depend_on_what_awaits_runs_meanwhile(book, opened):
    async def act():
        first = await opened.start({"a": SLOW})
        second = await opened.engine.run({"b": "2"})
        assert (second.status, book.texts("b"), opened.status("a")) == ("ok", ["2"], "running")
        opened.open()
        return await first

    assert book.do(act()).status == "ok"
    assert ends(book) == [(3, "ok"), (2, "ok")]
    assert book.globals["x"] == 1


def test_what_a_cell_awaits_is_shown_in_it_whatever_runs_meanwhile(book, opened):
    async def act():
        first = await opened.start({"a": "print('a1')\nawait g.wait()\nprint('a2')\n'a'"})
        await opened.engine.run({"b": "print('b')\nopen = g.set()\n'b'"})
        await first

    book.do(act())
    assert (book.texts("a"), book.texts("b")) == (["'a'"], ["'b'"])


def test_a_cell_that_reads_what_awaits_waits_for_it(book, opened):
    async def act():
        first = await opened.start({"a": SLOW})
        second = asyncio.create_task(opened.engine.run({"b": "x + 1"}))
        await opened.until(lambda: opened.status("b") == "queued")
        third = await opened.engine.run({"c": "3"})
        assert third.status == "ok"
        assert not second.done()
        opened.open()
        return await first, await second

    first, second = book.do(act())
    assert (first.status, second.status) == ("ok", "ok")
    assert book.texts("b") == ["2"]
    assert ends(book)[0][0] == 4


def test_cells_of_the_first_run_that_wait_run_when_their_turn_has_come(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "y = x + 1", "c": "y + 1"})
        await opened.engine.run({"d": "4"})
        assert (opened.status("b"), opened.status("c")) == ("queued", "queued")
        opened.open()
        return await first

    assert book.do(act()).status == "ok"
    assert book.texts("c") == ["3"]


@pytest.mark.parametrize("mode", ["autorun", "lazy"])
def test_a_request_that_changes_a_cell_that_awaits_interrupts_it(book, opened, mode):
    book.mode(mode)

    async def act():
        first = await opened.start({"a": SLOW, "b": "x"})
        second = await opened.engine.run({"a": "x = 5"})
        return await first, second

    first, second = book.do(act())
    assert (first.status, second.status) == ("interrupted", "ok")
    assert first.reason == "a later request concerns cell 'a', which was running"
    assert book.globals["x"] == 5
    assert book.statuses["a"] == "ok"
    if mode == "autorun":
        assert book.texts("b") == ["5"]
    else:
        # It was asked for, and has waited for cell a.
        assert (book["b"].status, book.texts("b")) == ("ok", ["5"])


def test_a_request_for_what_it_depends_on_interrupts_a_cell_that_awaits(book, opened):
    book.run({"p": "p = 1"})

    async def act():
        first = await opened.start({"a": "log.append(p)\nawait g.wait()\np"})
        opened.open()
        second = await opened.engine.run({"p": "p = 2"})
        return await first, second

    first, second = book.do(act())
    assert (first.status, second.status) == ("interrupted", "ok")
    assert book.globals["log"] == [1, 2]
    assert book.texts("a") == ["2"]


def test_a_cell_that_is_asked_for_again_while_it_awaits_begins_again(book, opened):
    async def act():
        first = await opened.start({"a": "log.append(1)\n" + SLOW})
        second = asyncio.create_task(opened.engine.run(["a"]))
        finished = await first
        await opened.until(lambda: opened.status("a") == "running")
        opened.open()
        return finished, await second

    first, second = book.do(act())
    assert (first.status, second.status) == ("interrupted", "ok")
    assert book.globals["log"] == [1, 1]
    assert book["a"].status == "ok"


def test_a_cell_that_awaits_is_interrupted_when_it_is_deleted(book, opened):
    clean = "try:\n  await g.wait()\nfinally:\n  left = 1"

    async def act():
        first = await opened.start({"a": clean, "b": "left"})
        second = await opened.engine.delete(["a"])
        return await first, second

    first, second = book.do(act())
    assert first.status == "interrupted"
    assert "left" not in book.globals
    assert (second.failed, book["b"].error.kind) == (["b"], "NameError")


def test_a_change_that_runs_nothing_ends_what_awaits_and_drops_what_waits_for_it(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "x", "c": "await h.wait()"})
        await opened.engine.sync({"a": "x = 2"})
        assert opened.status("c") == "running"
        opened.open("h")
        return await first

    assert book.do(act()).status == "interrupted"
    assert book.stale == ["a", "b"]
    assert book.statuses == {"s": "ok", "a": "interrupted", "b": "cancelled", "c": "ok"}


def test_a_cell_that_waits_and_is_changed_without_being_run_is_dropped(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "y = x", "c": "y"})
        await opened.engine.sync({"b": "y = x + 1"})
        opened.open()
        return await first

    finished = book.do(act())
    assert finished.status == "interrupted"
    assert finished.reason == "a later request concerns cell 'b', which has not run"
    assert book.statuses == {"s": "ok", "a": "ok", "b": "cancelled", "c": "cancelled"}
    assert book.stale == ["b", "c"]


def test_a_cell_that_waits_and_is_asked_for_again_belongs_to_the_later_run(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "x"})
        second = asyncio.create_task(opened.engine.run({"b": "x * 10"}))
        await opened.until(lambda: opened.engine.notebook.runs[-1].cells == ["b"])
        opened.open()
        return await first, await second

    first, second = book.do(act())
    assert (first.status, second.status) == ("ok", "ok")
    assert (book["b"].run, book.texts("b")) == (3, ["10"])


def test_an_added_import_interrupts_no_reader_of_the_others(book, opened):
    book.run({"i": "import math"})

    async def act():
        first = await opened.start({"a": "await g.wait()\nmath.pi"})
        second = await opened.engine.run({"i": "import math, json", "j": "json.dumps(1)"})
        assert opened.status("a") == "running"
        opened.open()
        return await first, second

    first, second = book.do(act())
    assert (first.status, second.status) == ("ok", "ok")


def test_a_new_definer_above_interrupts_a_reader_that_awaits(book, opened):
    book.run({"p": "v = 1"})

    async def act():
        first = await opened.start({"a": "log.append(v)\nawait g.wait()"})
        opened.open()
        cells = [Cell("p", "v = 1"), Cell("q", "v = 2"), Cell("a", book["a"].source)]
        await opened.engine.sync(cells)
        second = await opened.engine.run_stale()
        return await first, second

    first, second = book.do(act())
    assert (first.status, second.status) == ("interrupted", "ok")
    assert book.globals["log"] == [1, 2]


def test_each_cell_finds_its_own_version_of_a_name_while_another_awaits_with_its_own(book, opened):
    book.run({"one": "v = 1", "r1": "v", "two": "v = 2"})

    async def act():
        first = await opened.start({"a": "before = v\nawait g.wait()\n(before, v)", "three": "v = 3"})
        # It stands above, and reads the first version: that waits until the second is not needed any more.
        second = asyncio.create_task(opened.engine.run({"r1": "v + 0"}))
        await opened.until(lambda: opened.status("r1") == "queued")
        await opened.engine.run({"n": "'n'"})
        opened.open()
        return await first, await second

    first, second = book.do(act())
    assert (first.status, second.status) == ("ok", "ok")
    assert book.texts("a") == ["(2, 2)"]
    assert book.texts("r1") == ["1"]
    assert book.globals["v"] == 3


def test_the_namespace_is_that_of_the_end_while_cells_await(book, opened):
    book.run({"one": "v = 1", "r": "v", "two": "v = 2"})

    async def act():
        first = await opened.start({"a": SLOW})
        await opened.engine.run(["r"])
        assert book.globals["v"] == 2
        opened.open()
        await first

    book.do(act())
    assert book.globals["v"] == 2


def test_an_interrupt_ends_all_runs_that_are_open(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "x"})
        second = await opened.start({"c": "await h.wait()"}, running="c")
        opened.engine.interrupt()
        results = await first, await second
        return *results, await opened.engine.run({"d": "4"})

    first, second, third = book.do(act())
    assert [first.status, second.status, third.status] == ["interrupted", "interrupted", "ok"]
    assert first.reason == "interrupted"
    assert book.statuses | {"s": "", "d": ""} == {
        "s": "",
        "a": "interrupted",
        "b": "cancelled",
        "c": "interrupted",
        "d": "",
    }
    assert book.stale == ["a", "b", "c"]


def test_an_interrupt_ends_what_awaits_and_the_cell_that_executes(book, opened):
    async def act():
        first = await opened.start({"a": SLOW})
        second = await opened.engine.run({"k": "interrupt()\nafter = 1", "l": "2"})
        return await first, second

    book.globals["interrupt"] = book.engine.interrupt
    first, second = book.do(act())
    assert (first.status, second.status) == ("interrupted", "interrupted")
    assert [book[cell].status for cell in "akl"] == ["interrupted", "interrupted", "cancelled"]
    assert book.stale == ["a", "k", "l"]
    assert "after" not in book.globals


def test_a_cell_that_is_interrupted_after_its_run_gave_the_turn_away_is_stale(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "x\ninterrupt()\nafter = 1"})
        opened.open()
        return await first

    book.globals["interrupt"] = book.engine.interrupt
    assert book.do(act()).status == "interrupted"
    assert (book["b"].status, book.stale) == ("interrupted", ["b"])
    assert "after" not in book.globals


def test_a_second_interrupt_ends_a_cell_that_a_request_could_not(book, opened):
    stubborn = "while True:\n  try: await g.wait()\n  except asyncio.CancelledError: log.append('no')"

    async def act():
        first = await opened.start({"a": stubborn})
        second = asyncio.create_task(opened.engine.run({"a": "1"}))
        await opened.until(lambda: book.globals["log"])
        opened.engine.interrupt()
        return await first, await second, await opened.engine.run({"a": "2"})

    statuses = [finished.status for finished in book.do(act())]
    assert statuses == ["interrupted", "interrupted", "ok"]
    assert book.texts("a") == ["2"]


def test_a_task_that_waits_for_the_end_of_an_open_run_and_is_cancelled_ends_it(book, opened):
    async def act():
        first = await opened.start({"a": SLOW, "b": "x"})
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await opened.engine.run({"c": "3"})

    assert book.do(act()).status == "ok"
    assert [book[cell].status for cell in "ab"] == ["interrupted", "cancelled"]


def test_an_error_in_a_cell_that_awaited_is_that_of_its_run(book, opened):
    async def act():
        first = await opened.start({"a": "await g.wait()\nx = 1 / 0", "b": "x"})
        second = asyncio.create_task(opened.engine.run({"c": "x"}))
        await opened.until(lambda: opened.status("c") == "queued")
        opened.open()
        return await first, await second

    first, second = book.do(act())
    assert (first.status, first.failed) == ("error", ["a"])
    assert (second.status, second.failed) == ("ok", [])
    assert [book[cell].status for cell in "abc"] == ["error", "cancelled", "cancelled"]


STATE = "from cellwire.runner.api.state import state\nget, set_ = state(0)"


def test_a_state_that_is_set_meanwhile_is_followed_meanwhile(book, opened):
    book.run({"state": STATE, "r": "get()"})

    async def act():
        first = await opened.start({"a": SLOW})
        await opened.engine.run({"t": "set_(3)"})
        assert book.texts("r") == ["3"]
        opened.open()
        await first

    book.do(act())
    assert [run for run, _ in ends(book)] == [-1, 4, 3]


def test_a_state_that_a_cell_sets_which_awaits_is_followed_when_that_has_ended(book, opened):
    book.run({"state": STATE, "r": "get()"})

    async def act():
        first = await opened.start({"a": "set_(3)\nawait g.wait()"})
        await opened.engine.run({"t": "1"})
        assert book.texts("r") == ["0"]
        opened.open()
        await first

    book.do(act())
    assert book.texts("r") == ["3"]
    assert [run for run, _ in ends(book)] == [4, -1, 3]


def test_a_run_ends_after_those_that_its_states_have_caused_although_others_go_on(book, opened):
    book.run({"state": STATE, "r": "seen = get()\nif seen: await g.wait()"})

    async def act():
        first = asyncio.create_task(opened.engine.run({"t": "set_(3)"}))
        await opened.until(lambda: opened.status("r") == "running")
        second = await opened.engine.run({"b": "2"})
        assert not first.done()
        opened.open()
        return await first, second

    book.do(act())
    assert [run for run, _ in ends(book)] == [4, -1, 3]


def test_a_reader_that_awaits_begins_again_with_the_new_value(book, opened):
    book.run({"state": STATE, "r": "log.append(get())\nif get() == 1: await g.wait()"})

    async def act():
        first = asyncio.create_task(opened.engine.run({"t": "set_(1)"}))
        await opened.until(lambda: opened.status("r") == "running")
        second = await opened.engine.run({"u": "set_(2)"})
        return await first, second

    book.do(act())
    assert book.globals["log"] == [0, 1, 2]
    assert book["r"].status == "ok"


def test_cells_that_are_no_part_of_the_graph_run_one_after_the_other(book, opened):
    async def act():
        first = await opened.start([Cell("a", "await g.wait()\nlog.append('a')", loose=True)])
        second = asyncio.create_task(opened.engine.run([Cell("b", "log.append('b')", loose=True)]))
        third = asyncio.create_task(opened.engine.run({"c": "log.append('c')"}))
        await opened.until(lambda: opened.status("c") == "queued")
        opened.open()
        await asyncio.gather(first, second, third)

    book.do(act())
    assert book.globals["log"][0] == "a"


def test_the_last_setter_wins_where_names_have_one_value(make_book):
    book = make_book(redefine="live")
    book.run({"s": GATES})
    opened = Open(book)

    async def act():
        first = await opened.start({"a": SLOW})
        second = asyncio.create_task(opened.engine.run({"b": "x = 2"}))
        await opened.until(lambda: opened.status("b") == "queued")
        opened.open()
        await asyncio.gather(first, second)

    book.do(act())
    assert book.globals["x"] == 2


def test_start_returns_when_a_run_gives_its_turn_away(book):
    from cellwire.protocol.messages import RunCells

    async def act():
        engine: Engine = book.engine
        assert await engine.start(7, RunCells("", [Cell("a", SLOW)])) is None
        finished = await engine.start(8, RunCells("", [Cell("b", "g.set()")]))
        assert finished is not None
        while engine.notebook.runs:
            await asyncio.sleep(0)

    book.do(act())
    assert ends(book) == [(8, "ok"), (7, "ok")]
