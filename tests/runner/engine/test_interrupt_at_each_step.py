"""A run is interrupted at each of its steps in turn: at every line of cells, of the engine and of asyncio."""

import asyncio
import gc
import os
import signal
import sys

import pytest
from cellwire.protocol import events as e
from cellwire.runner import engine
from support.waiting import wait_until

STEPPED = (
    "<cell",
    engine.__file__,
    os.path.join(os.path.dirname(engine.__file__), "execution") + os.sep,
    os.path.dirname(asyncio.__file__) + os.sep,
)
#: Notes each exception that reaches the cell, and cleans up for long enough to be struck a second time.
CLEANING_UP = """
try:
{body}
except BaseException as error:
    hits.append((name, type(error).__name__))
    {clean}
    for _i in range(5): pass
    raise
"""


def cell(name, body, clean="pass"):
    body = "\n".join("    " + line for line in body.splitlines())
    return CLEANING_UP.format(body=body, clean=clean).replace("name,", f"{name!r},") + f"\n{name} = 1\n{name}"


SLEEP = "await asyncio.sleep(0)"
NOTEBOOKS = {
    "a cell": {"a": cell("a", "for _i in range(3): pass"), "b": "a"},
    "an async cell": {"a": cell("a", f"{SLEEP}\n{SLEEP}", SLEEP)},
    "cells that overlap": {
        "a": cell("a", SLEEP, SLEEP),
        "b": cell("b", f"{SLEEP}\n{SLEEP}", SLEEP),
        "c": cell("c", "a"),
    },
    "a cell that waits for tasks": {
        "a": cell("a", "await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0, 1))", SLEEP)
    },
    "a cell that wakes another": {
        "a": cell("a", "_f = asyncio.get_running_loop().create_future()\nqueue.append(_f)\nawait _f"),
        "b": cell("b", f"while not queue: {SLEEP}\nqueue.pop().set_result(1)"),
    },
    "a state and its reader": {"a": cell("a", "set_(lambda value: value + 1)"), "b": cell("b", "get()")},
}
BEFORE = "import asyncio\nimport cellwire as cw\nhits, queue = [], []\nget, set_ = cw.state(0)"


@pytest.fixture
def book(make_book):
    book = make_book()
    stepped = book.stepped = []
    before = signal.signal(
        signal.SIGINT, lambda _, frame: book.engine.interrupt(stepped.pop() if stepped else frame)
    )
    # What other tests have left is not finalized in a step of this one, where nothing can be raised.
    gc.collect()
    gc.disable()
    yield book
    # A signal that repeats the last one belongs to this engine.
    wait_until(lambda: not book.engine.interrupts.repeating)
    gc.enable()
    signal.signal(signal.SIGINT, before)


def interrupted_at(book, cells, step):
    """Run `cells`, interrupted at its step number `step`; return its end, None if there is no such step."""
    left = [step]

    def count(frame, event, argument):
        if not frame.f_code.co_filename.startswith(STEPPED):
            return None
        left[0] -= 1
        if left[0] == 0:
            sys.settrace(None)
            book.stepped.append(frame)
            os.kill(os.getpid(), signal.SIGINT)
        return count

    async def traced():
        sys.settrace(count)
        try:
            return await book.engine.run(cells)
        finally:
            sys.settrace(None)

    finished = book.do(traced())
    return None if left[0] > 0 else finished


# What a cell was about to await when it was interrupted.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("cells", NOTEBOOKS.values(), ids=NOTEBOOKS.keys())
def test_an_interrupt_at_any_step_ends_the_run_and_strikes_each_cell_once(book, cells):
    book.run({"before": BEFORE})
    hits = book.globals["hits"]
    step = 0
    while (finished := interrupted_at(book, cells, step := step + 1)) is not None:
        assert sorted(book.ran) == sorted(event.cell for event in book.emitted(e.CellFinished)), step
        statuses = {id: book[id].status for id in cells}
        assert {"running", "queued", "error"}.isdisjoint(statuses.values()), (step, statuses)
        ends = {event.status for event in book.emitted(e.RunFinished)}
        assert ends <= {"ok", "interrupted"}, (step, finished)
        if not {"interrupted", "cancelled"}.isdisjoint(statuses.values()) or hits:
            assert "interrupted" in ends, (step, statuses, hits)
        assert len({name for name, _ in hits}) == len(hits), (step, hits)
        hits.clear()
        book.globals["queue"].clear()
        assert book.run({"after": "'after'"}).status == "ok", step
        assert book.texts("after") == ["'after'"]
    assert step > 100
    assert finished is None
    assert book.run(cells).status == "ok"
