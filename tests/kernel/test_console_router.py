"""Which cell console text belongs to, when it is logged, and how much of it is kept."""

import pytest
from cellwire.kernel.console_router import ConsoleRouter
from cellwire.kernel.run_queue import RunQueue
from cellwire.kernel.store import Store
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits
from cellwire.protocol.messages import RunStale
from cellwire.protocol.notebook import Item


class Desk:
    """Console text over a store in which cell `a` is known and run 1 is in progress."""

    def __init__(self, cap: int = 10_000) -> None:
        self.store = Store("epoch", 1 << 20)
        self.queue = RunQueue(10, 10)
        self.queue.accept(RunStale("1"), 1)
        self.queue.begin()
        self.store.add(e.GraphChanged([e.CellDeclared("a")]))
        self.text = ConsoleRouter(self.store, self.queue, Limits(console_chars=cap))

    def start(self, cell: str = "a", run: int = 1) -> None:
        self.store.add(e.CellStarted(cell, run))
        self.text.started(cell, run)

    def finish(self, run: int) -> None:
        self.queue.finish(run)
        self.text.finished(run)

    def read(self, cell: str = "a") -> str:
        return self.store.notebook.cells[cell].console.text()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_text_of_the_current_run_is_logged(desk: Desk):
    desk.start()
    seq = desk.store.log.last
    desk.text.write("a", 1, "stdout", "hello")
    assert desk.read() == "hello"
    assert desk.store.log.last == seq + 1


def test_text_of_no_cell_belongs_to_the_notebook(desk: Desk):
    desk.text.write("", 7, "stderr", "lost")
    assert desk.store.notebook.console.text("stderr") == "lost"


def test_text_that_comes_before_its_run_has_started_is_held_until_then(desk: Desk):
    desk.text.write("a", 1, "stdout", "early ")
    desk.text.write("a", 1, "stderr", "bird ")
    assert desk.read() == ""
    desk.start()
    desk.text.write("a", 1, "stdout", "late")
    assert desk.read() == "early bird late"


def test_text_of_a_cell_that_is_not_declared_yet_is_held(desk: Desk):
    desk.text.write("b", 1, "stdout", "early")
    desk.store.add(e.GraphChanged([e.CellDeclared("b")]))
    desk.start("b")
    assert desk.read("b") == "early"


def test_text_of_a_run_that_is_over_is_not_logged(desk: Desk):
    desk.start()
    desk.finish(1)
    desk.queue.accept(RunStale("2"), 1)
    desk.queue.begin()
    desk.start(run=2)
    seq = desk.store.log.last
    desk.text.write("a", 1, "stdout", "late")
    assert desk.store.log.last == seq
    assert not desk.text._held


def test_text_held_for_a_run_is_forgotten_when_the_run_has_finished(desk: Desk):
    desk.text.write("a", 1, "stdout", "never")
    desk.finish(1)
    assert not desk.text._held
    assert desk.text._held_chars == 0


def test_held_text_is_bounded(desk: Desk):
    for _ in range(100):
        desk.text.write("a", -1, "stdout", "x" * 1000)
    assert desk.text._held_chars <= 10_000


def test_clearing_empties_one_stream(desk: Desk):
    desk.start()
    desk.text.write("a", 1, "stdout", "out")
    desk.text.write("a", 1, "stderr", "err")
    desk.text.clear("a", 1, "stdout")
    assert desk.read() == "err"
    desk.text.clear("a", 2, "stderr")
    assert desk.read() == "err"


def test_a_clear_that_is_held_keeps_its_place(desk: Desk):
    desk.text.write("a", 1, "stdout", "before")
    desk.text.clear("a", 1, "stdout")
    desk.text.write("a", 1, "stdout", "after")
    desk.start()
    assert desk.read() == "after"


def test_the_oldest_text_is_trimmed_at_the_cap_and_counted():
    desk = Desk(cap=1000)
    desk.start()
    for number in range(500):
        desk.text.write("a", 1, "stdout", f"{number:09d}\n")
    console = desk.store.notebook.cells["a"].console
    kept = console.text()
    assert 900 <= len(kept) <= 1000
    assert len(kept) + console.dropped == 5000
    assert kept.endswith("000000499\n")


def test_one_text_larger_than_the_cap_keeps_its_end():
    desk = Desk(cap=1000)
    desk.start()
    desk.text.write("a", 1, "stdout", "x" * 200_000 + "end")
    assert desk.read().endswith("xend")
    assert len(desk.read()) <= 1000


def test_the_cap_holds_for_each_run_separately():
    desk = Desk(cap=1000)
    desk.start()
    desk.text.write("a", 1, "stdout", "x" * 900)
    desk.finish(1)
    desk.start(run=2)
    desk.text.write("a", 2, "stdout", "y" * 900)
    assert desk.read() == "y" * 900


def test_many_small_chunks_are_trimmed_like_many_characters():
    desk = Desk(cap=32 * 100)
    desk.start()
    for _ in range(1000):
        desk.text.write("a", 1, "stdout", "o")
        desk.text.write("a", 1, "stderr", "e")
    console = desk.store.notebook.cells["a"].console
    assert len(console.chunks) <= 100
    assert len(console.text()) + console.dropped == 2000


def appended(id: int) -> e.OutputAppended[Item]:
    return e.OutputAppended("a", 1, Item(id, {"text/plain": ""}))


def test_text_stands_after_the_items_that_were_logged_before_it(desk: Desk):
    desk.start()
    desk.text.write("a", 1, "stdout", "x")
    for id in (0, 1):
        desk.store.add(appended(id))
    desk.text.write("a", 1, "stdout", "y")
    desk.store.add(e.OutputRemoved("a", 1, 1))
    desk.text.write("a", 1, "stdout", "z")
    desk.text.write("", 0, "stdout", "of no cell")
    chunks = desk.store.notebook.cells["a"].console.chunks
    assert [(chunk.text, chunk.before) for chunk in chunks] == [("x", 0), ("yz", 2)]
    assert desk.store.notebook.console.chunks[0].before == 0


def test_each_item_may_have_text_of_its_own_however_many_there_are():
    desk = Desk(cap=32 * 100)
    desk.start()
    for id in range(1000):
        desk.store.add(appended(id))
        desk.text.write("a", 1, "stdout", "x")
    console = desk.store.notebook.cells["a"].console
    assert (len(console.chunks), console.dropped) == (1000, 0)
