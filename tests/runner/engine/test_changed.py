"""Objects that change: what reads the changed attribute follows."""

from typing import Any

import pytest
from cellwire.runner.api.state import object_change
from cellwire.runner.execution.state_updates import PendingUpdates

SLIDER = {"s": "class Slider:\n    value = 1\n    other = 2\n    __hash__ = None\nslider = Slider()"}


@pytest.fixture
def slider(book):
    book.run(SLIDER | {"r": "slider.value * 10", "shown": "slider", "o": "slider.other", "d": "1"})
    return book.globals["slider"]


def change(book, slider, *values, attribute="value"):
    """Give `slider` these values, one after the other, and let what follows run."""

    async def move():
        for value in values:
            slider.value = value
            book.engine.changed(slider, [attribute])
        await book.engine.sync({})

    book.do(move())


def test_cells_that_read_what_has_changed_follow_and_no_others(book, slider):
    change(book, slider, 5)
    assert book.ran == ["r"]
    assert book.texts("r") == ["50"]


def test_the_descendants_of_a_reader_follow(book, slider):
    book.run({"f": "def double(): return 2 * slider.value", "c": "double()"})
    change(book, slider, 5)
    assert sorted(book.ran) == ["c", "f", "r"]
    assert book.texts("c") == ["10"]


def test_a_cell_that_changes_an_object_is_followed_by_its_readers_and_does_not_run_again(book, slider):
    book.engine.globals["report"] = book.engine.changed
    book.run({"w": "slider.value = slider.value + 1\nreport(slider, ['value'])"})
    assert book.ran == ["w", "r"]
    assert book.texts("r") == ["20"]


def test_many_changes_run_a_reader_once_for_the_newest(book, slider):
    change(book, slider, *range(50))
    assert book.ran == ["r"]
    assert book.texts("r") == ["490"]


def test_an_attribute_that_nothing_reads_runs_nothing(book, slider):
    change(book, slider, 5, attribute="description")
    assert book.ran == []


def test_a_change_by_a_thread_that_is_slower_than_the_loop_does_not_hide_the_next_one(book, slider):
    woken = []

    class Loop:
        """Calls back before the thread that asks for it goes on."""

        def call_soon_threadsafe(self, callback, context):
            callback()
            return True

    updates = PendingUpdates(book.engine.program, book.engine._namespace, lambda: woken.append(bool(updates)))
    loop: Any = Loop()
    updates.wake_on(loop)
    for _ in range(2):
        updates.add(object_change(slider, ["value"]))
        assert updates.drain().keys() == {"r"}
    assert woken == [True, True]
