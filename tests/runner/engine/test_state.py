import asyncio
import functools
import threading
from typing import Any

import pytest
from cellwire.protocol import events as e
from cellwire.runner.api.state import state

STATE = {"s": "from cellwire.runner.api.state import state\nget, set_ = state(0)"}


def runs(book):
    return [(event.run, event.cells) for event in book.emitted(e.RunPlanned)]


def test_readers_run_after_the_run_in_which_the_state_was_set(book):
    book.run(STATE | {"r": "get()", "rr": "def f(): return get() * 2", "d": "f()"})
    finished = book.run({"w": "set_(5)"})
    assert runs(book) == [(1 + 1, ["w"]), (-1, ["r", "rr", "d"])]
    assert (book.texts("r"), book.texts("d")) == (["5"], ["10"])
    assert book.events[-2:] == [e.RunFinished(-1), finished]
    assert book["r"].run == -1


def test_a_reader_that_runs_after_the_setter_anyway_runs_once(book):
    book.run(STATE | {"w": "set_(5)", "r": "get()"})
    assert book.ran == ["s", "w", "r"]
    assert book.texts("r") == ["5"]


def test_what_a_state_causes_may_cause_more_until_nothing_is_left_to_do(book):
    book.run(STATE | {"t": "get2, set2 = state(0)", "z": "get2()", "r": "set2(get())"})
    book.run({"w": "set_(3)"})
    assert runs(book)[1:] == [(-1, ["r"]), (-2, ["z"])]
    assert book.texts("z") == ["3"]


def test_the_cell_that_sets_does_not_run_again_unless_it_wants_to(book):
    book.run(STATE | {"w": "set_(get() + 1)"})
    assert book.ran == ["s", "w"]
    loops = "from cellwire.runner.api.state import state\nget, set_ = state(0, allow_self_loops=True)"
    book.run({"s": loops, "w": "if get() < 3: set_(get() + 1)\nget()"})
    assert book.texts("w") == ["3"]
    assert [run for run, _ in runs(book)] == [2, -1, -2, -3]


def test_setting_an_equal_value_runs_nothing(book):
    book.run(STATE | {"r": "get()"})
    book.run({"w": "set_(0)"})
    assert book.ran == ["w"]


def test_always_runs_readers_whatever_is_set(book):
    book.run(
        {"s": "from cellwire.runner.api.state import state\nget, set_ = state(0, always=True)", "r": "get()"}
    )
    book.run({"w": "set_(0)"})
    assert book.ran == ["w", "r"]


def test_comparison_that_gives_no_plain_bool_counts_as_identity():
    class Odd:
        def __eq__(self, other):
            return [True]

        def __hash__(self):
            return id(self)

    class Angry:
        def __eq__(self, other):
            raise RuntimeError

        def __hash__(self):
            return id(self)

    from cellwire.runner.api.state import equal

    odd, angry = Odd(), Angry()
    assert equal(odd, odd)
    assert not equal(odd, Odd())
    assert equal(angry, angry)
    assert not equal(angry, Angry())
    assert equal([1], [1])


def test_readers_are_found_by_whatever_global_name_the_getter_has(book):
    book.run(STATE | {"alias": "other = get", "r": "other()", "x": "get_ = 1"})
    book.run({"w": "set_(9)"})
    assert book.texts("r") == ["9"]
    assert "x" not in book.ran


def test_in_lazy_mode_readers_become_stale(book):
    book.run(STATE | {"r": "y = get()", "d": "y"})
    book.mode("lazy")
    book.run({"w": "set_(5)"})
    assert book.ran == ["w"]
    assert sorted(book.stale) == ["d", "r"]


def test_functional_updates_of_many_threads_are_all_counted():
    get, set_ = state(0)
    start = threading.Barrier(8)

    def count():
        start.wait(10)
        for _ in range(500):
            set_(lambda value: value + 1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert get() == 4000


def test_a_function_or_method_updates_a_state_and_any_other_callable_is_its_value():
    class Model:
        def __call__(self, old):
            raise AssertionError("it is a value")

        def next(self, old):
            return old + 1

        @classmethod
        def made(cls, old):
            return old + 2

    start: Any = 0
    get, set_ = state(start)
    for update in (lambda old: old + 1, Model().next, Model.made, abs):
        before = get()
        set_(update)
        assert get() == update(before)
    for value in (Model, Model(), functools.partial(abs), int):
        set_(value)
        assert get() is value


def test_a_setter_may_be_called_within_a_functional_update():
    get, set_ = state(1)
    set_(lambda value: (set_(5), get() + value)[1])
    assert get() == 6


async def finished(book, run):
    while not book.emitted(e.RunFinished, run=run):
        await asyncio.sleep(0)


@pytest.mark.parametrize("plain", [True, False])
def test_a_thread_that_sets_a_state_while_nothing_runs_starts_a_run(book, plain):
    book.run(STATE | {"r": "get()"})
    setter = book.globals["set_"]

    async def from_a_thread():
        threading.Thread(target=setter, args=(7,)).start() if plain else await asyncio.to_thread(setter, 7)
        await finished(book, -1)

    book.do(from_a_thread())
    assert book.texts("r") == ["7"]
    assert [type(event) for event in book.events[:1]] == [e.RunPlanned]


def test_a_background_task_sets_a_state(book):
    book.run(STATE | {"r": "get()", "g": "import asyncio\ngate = asyncio.Event()"})
    book.run(
        {"t": "async def later():\n    await gate.wait()\n    set_(4)\ntask = asyncio.create_task(later())"}
    )
    book.globals["gate"].set()
    book.do(finished(book, -1))
    assert book.texts("r") == ["4"]


def test_a_request_waits_for_what_it_needs_of_a_run_that_a_thread_has_started(book):
    book.run(STATE | {"r": "import asyncio\nawait asyncio.sleep(0)\nread = get()"})

    async def both():
        book.globals["set_"](7)
        while not book.emitted(e.CellStarted, run=-1):
            await asyncio.sleep(0)
        await book.engine.run({"n": "read"})

    book.do(both())
    ends = [event.run for event in book.emitted(e.RunFinished)]
    assert ends == [-1, 2]
    assert book.texts("n") == ["7"]


def test_an_interrupt_ends_a_state_that_never_settles(book):
    loops = "from cellwire.runner.api.state import state\nget, set_ = state(0, allow_self_loops=True)"
    hits = []

    def stop_it(execution):
        hits.append(execution.run)
        if len(hits) == 20:
            book.engine.interrupt()

    book.engine.hooks.pre_execution.append(stop_it)
    end = book.run({"s": loops, "w": "set_(get() + 1)"})
    assert end.status == "interrupted"
    assert len(hits) == 20
    assert book.replica.runs == []


def test_a_function_that_reads_and_sets_a_state_does_not_run_its_callers_for_ever(book):
    limit = []
    book.engine.hooks.pre_execution.append(
        lambda _: limit.append(1) or len(limit) < 50 or book.engine.interrupt()
    )
    finished = book.run(STATE | {"f": "def bump(): set_(get() + 1)", "c": "bump()", "r": "get()"})
    assert finished.status == "ok"
    assert book.globals["get"]() == 1
    assert book.texts("r") == ["1"]
    finished = book.run({"w": "set_(10)"})
    assert finished.status == "ok"
    assert book.globals["get"]() == 11
    assert book.texts("r") == ["11"]
    assert len(limit) < 15


def test_a_setter_and_a_getter_in_functions_of_another_cell_reach_the_readers(book):
    functions = "def read(): return get()\ndef write(value): set_(value)"
    book.run(STATE | {"f": functions, "r": "read()"})
    book.run({"w": "write(3)"})
    assert book.ran == ["w", "f", "r"]
    assert book.texts("r") == ["3"]


def test_without_an_engine_a_state_is_a_value():
    get, set_ = state([1])
    set_(lambda old: [*old, 2])
    assert get() == [1, 2]
