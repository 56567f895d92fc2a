"""Interrupts as they come: SIGINT to this process, whose handler calls the engine."""

import asyncio
import os
import signal
import threading

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.interrupt_word import interrupt_word
from support.waiting import PATIENCE

KILL = "import os, signal\ndef interrupt(): os.kill(os.getpid(), signal.SIGINT)\n"


@pytest.fixture
def book(make_book):
    """Return a notebook whose SIGINT handler is the engine's."""
    book = make_book()
    before = signal.signal(signal.SIGINT, lambda _, frame: book.engine.interrupt(frame))
    yield book
    signal.signal(signal.SIGINT, before)


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_the_running_cell_ends_interrupted_and_the_rest_never_runs(book):
    finished = book.run({"k": KILL, "a": "interrupt()\nwhile True: pass\nx = 1", "b": "x", "c": "3"})
    assert (finished.status, finished.failed, finished.reason) == ("interrupted", [], "interrupted")
    assert book.statuses == {"k": "ok", "a": "interrupted", "b": "cancelled", "c": "cancelled"}
    assert book["c"].error.message == "interrupted before it ran"
    assert book["a"].error.kind == "Interrupted"
    assert 'File "<cell a>", line 1' in book["a"].error.traceback
    assert book.stale == ["a", "b", "c"]


def test_requests_after_an_interrupt_run(book):
    book.run({"k": KILL, "a": "interrupt()"})
    assert book.run({"a": "x = 1\nx"}).status == "ok"
    assert book.texts("a") == ["1"]
    book.run({"a": "interrupt()", "b": "2"})
    book.run_stale()
    assert book["b"].status == "cancelled"


def test_an_interrupt_is_harmless_when_idle(book):
    async def nothing():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)

    book.do(nothing())
    assert book.events == []
    assert book.run({"a": "1"}).status == "ok"


def test_a_run_that_was_interrupted_before_it_began_runs_nothing(book):
    book.engine.interrupts.word = [interrupt_word(1, 1, 1)]
    finished = book.run({"a": "1"})
    assert finished == e.RunFinished(1, "interrupted", [], "interrupted")
    assert (book.ran, book.stale) == ([], ["a"])
    book.run_stale()
    assert book.texts("a") == ["1"]


def test_a_signal_that_came_just_before_the_main_thread_began_to_wait_is_sent_again(book):
    interrupts = book.engine.interrupts
    word = interrupts.word = [0]

    def lose():
        word[0] = interrupt_word(1, 1, 1)
        interrupts.make_sure(lambda: True)

    book.globals["lose"] = lose
    waits = "import threading\nlock = threading.Lock()\nlock.acquire()\nlose()\nlock.acquire()"
    assert book.run({"a": waits}).status == "interrupted"
    assert book["a"].error.kind == "Interrupted"


def test_a_signal_that_user_code_handles_is_not_sent_again(book, monkeypatch):
    interrupts = book.engine.interrupts
    word = interrupts.word = [0]
    asked, sent = threading.Event(), []
    monkeypatch.setattr("cellwire.runner.execution.interrupts.pthread_kill", lambda *_: sent.append(True))

    def is_ours():
        asked.set()
        return False

    word[0] = interrupt_word(1, 1, 1)
    interrupts.make_sure(is_ours)
    assert asked.wait(PATIENCE)
    word[0] = 0
    assert sent == []


def test_keyboard_interrupt_that_the_cell_raises_itself_is_an_error(book):
    finished = book.run({"a": "raise KeyboardInterrupt", "b": "1"})
    assert (finished.status, book.statuses) == ("error", {"a": "error", "b": "ok"})


def test_a_cell_that_catches_the_interrupt_ends_well_and_the_rest_is_dropped(book):
    finished = book.run(
        {
            "k": KILL,
            "a": "try:\n  interrupt()\n  while True: pass\nexcept KeyboardInterrupt: pass\n4",
            "b": "1",
        }
    )
    assert finished.status == "interrupted"
    assert book.texts("a") == ["4"]
    assert book.statuses == {"k": "ok", "a": "ok", "b": "cancelled"}


def test_the_formatting_of_a_value_can_be_interrupted(book):
    endless = "class Endless:\n  def __repr__(self):\n    interrupt()\n    while True: pass\n"
    book.run({"k": KILL + endless, "a": "Endless()", "b": "1"})
    assert book.statuses == {"k": "ok", "a": "interrupted", "b": "cancelled"}


def test_cells_that_await_are_cancelled_and_may_clean_up(book):
    book.run({"k": KILL + "import asyncio\nlog = []"})
    book.run(
        {
            "a": "try: await asyncio.sleep(100)\nfinally:\n  await asyncio.sleep(0)\n  log.append('clean')",
            "b": "await asyncio.sleep(0)\ninterrupt()\nawait asyncio.sleep(100)",
            "c": "await asyncio.sleep(100)\nx = 1",
            "d": "x",
        }
    )
    assert book.globals["log"] == ["clean"]
    assert book.statuses == {
        "k": "ok",
        "a": "interrupted",
        "b": "interrupted",
        "c": "interrupted",
        "d": "cancelled",
    }
    assert sorted(book.stale) == ["a", "b", "c", "d"]


def test_the_step_of_an_awaiting_cell_that_never_ends_is_struck(book):
    book.run({"k": KILL, "a": "import asyncio\nawait asyncio.sleep(0)\ninterrupt()\nwhile True: pass"})
    assert book["a"].status == "interrupted"


def test_a_second_interrupt_abandons_a_cell_that_swallows_the_first(book):
    stubborn = (
        "import asyncio\ncancellations = []\n"
        "while True:\n"
        "  try:\n    await asyncio.sleep(100)\n"
        "  except asyncio.CancelledError as error:\n    cancellations.append(1)"
    )

    async def twice():
        running = asyncio.create_task(book.engine.run({"a": stubborn, "b": "1"}))
        await until(lambda: book.emitted(e.CellStarted, cell="b"))
        await until(lambda: book.engine.notebook.cells["b"].status == "ok")
        os.kill(os.getpid(), signal.SIGINT)
        await until(lambda: book.globals["cancellations"])
        assert not running.done()
        os.kill(os.getpid(), signal.SIGINT)
        return await running

    assert book.do(twice()).status == "interrupted"
    assert book.statuses == {"a": "interrupted", "b": "ok"}
    assert book.run({"c": "1"}).status == "ok"


def test_an_endless_background_task_is_cancelled_and_the_loop_goes_on(book):
    book.run({"k": KILL + "import asyncio"})
    endless = "async def endless():\n  interrupt()\n  while True: pass\n"
    book.run({"a": endless + "task = asyncio.create_task(endless())"})

    async def ended():
        await until(lambda: book.globals["task"].done())

    book.do(ended())
    assert book.globals["task"].cancelled()
    assert book.run({"b": "1"}).status == "ok"


def test_an_interrupt_between_cells_drops_those_that_follow(book):
    book.engine.hooks.post_execution.append(
        __import__("cellwire.runner.execution.hooks", fromlist=["protected"]).protected(
            lambda execution: os.kill(os.getpid(), signal.SIGINT)
        )
    )
    book.run({"a": "1", "b": "2"})
    assert book.statuses == {"a": "ok", "b": "cancelled"}


def test_threads_of_an_interrupted_cell_see_that_it_is_over(book):
    here = "from cellwire.runner.attribution.context import current_execution\nme = current_execution.get()\n"
    book.run({"k": KILL, "a": here + "interrupt()"})
    assert book.globals["me"].over is True
    assert book.globals["me"].retired is False


def test_a_task_that_user_code_cancels_before_its_cell_begins_leaves_the_cell_and_the_run_with_an_end(book):
    cancel = (
        "import asyncio\n"
        "def cancel():\n"
        "  for task in asyncio.all_tasks():\n"
        "    if task.get_coro().__qualname__.endswith('._fly'): task.cancel()\n"
        "asyncio.get_running_loop().call_soon(cancel)"
    )
    finished = book.run({"a": cancel, "b": "await asyncio.sleep(0)", "c": "await asyncio.sleep(0)"})
    assert finished.status == "interrupted"
    assert book.statuses == {"a": "ok", "b": "cancelled", "c": "cancelled"}
    assert book.run_stale().status == "ok"


@pytest.mark.parametrize("source", ["hits.append(1)", "import asyncio\nawait asyncio.sleep(100)"])
def test_a_cell_whose_hook_is_interrupted_before_its_code_does_not_run(book, source):
    book.run({"k": KILL + "hits = []"})
    book.engine.hooks.pre_execution.append(lambda execution: book.globals["interrupt"]())
    assert book.run({"a": source}).status == "interrupted"
    assert book.statuses["a"] == "interrupted"
    assert book.globals["hits"] == []


def test_an_interrupt_is_for_the_run_that_it_names_however_late_its_signal_comes(book):
    word = book.engine.interrupts.word = [0]
    book.run({"k": KILL + "def late(): word[0] = given; interrupt()"})
    book.globals["word"] = word
    # For the run before, whose end the kernel has not seen yet.
    book.globals["given"] = interrupt_word(1, 1, 1)
    assert book.run({"a": "late()"}).status == "ok"
    # For this one, twice, with one signal; the second signal comes later, and asks for nothing.
    book.globals["given"] = interrupt_word(3, 2, 3)
    assert book.run({"a": "late()"}).status == "interrupted"
    assert book.run({"a": "interrupt()"}).status == "ok"
    assert book.run({"a": "interrupt()"}).status == "interrupted"


def test_an_interrupt_that_the_run_finds_when_it_begins_is_not_struck_again_by_its_signal(book):
    word = book.engine.interrupts.word = [0]
    book.run({"k": KILL})
    word[0] = interrupt_word(2, 1, 1)
    assert book.run({"a": "1"}).status == "interrupted"
    assert book.run({"a": "interrupt()"}).status == "ok"


def test_an_interrupt_that_is_lost_in_a_finalizer_strikes_later_even_if_signals_merged(book, monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda failure: book.engine.interrupts.lost())
    word = book.engine.interrupts.word = [0]
    lasting = "class Lasting:\n  def __del__(self):\n    word[0] = given; interrupt()\n    while True: pass\n"
    book.run({"k": KILL + lasting})
    book.globals.update(word=word, given=interrupt_word(2, 2, 2))
    assert book.run({"a": "Lasting()\nwhile True: pass"}).status == "interrupted"
