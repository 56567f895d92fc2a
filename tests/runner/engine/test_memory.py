"""Nothing of a cell outlives the cell: values, exceptions, tracebacks and frames go when it goes.

The collector is off, so whatever is freed here was in no cycle.
"""

import gc
import sys
import weakref

import pytest

THING = "class Thing: pass\n"
FAULT = "class Fault(Exception): pass\n"


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def watched(book):
    """Return the weak references that cells add to with `watch(thing)`."""
    references = []
    book.globals["watch"] = lambda thing: references.append(weakref.ref(thing)) or thing
    return references


def dead(references):
    assert references
    return all(reference() is None for reference in references)


def test_the_last_value_is_not_kept(book, watched):
    book.run({"t": THING, "a": "watch(Thing())"})
    assert dead(watched)


def test_the_last_value_of_a_cell_that_awaits_is_not_kept(book, watched):
    book.run({"t": THING, "a": "import asyncio\nawait asyncio.sleep(0)\nwatch(Thing())"})
    assert dead(watched)


@pytest.mark.parametrize("pause", ["", "import asyncio\nawait asyncio.sleep(0)\n"], ids=["sync", "async"])
def test_an_exception_is_kept_for_debuggers_until_its_cell_runs_again(book, watched, pause):
    book.run(
        {
            "t": THING + FAULT,
            "a": f"{pause}def f():\n    local = watch(Thing())\n    raise watch(Fault(local))\nf()",
        }
    )
    assert book["a"].status == "error"
    assert type(sys.last_value).__name__ == "Fault"
    assert sys.last_value is not None
    assert sys.last_traceback is not None
    assert sys.last_traceback is sys.last_value.__traceback__
    # The frames are those of user code, from the first on.
    assert sys.last_traceback.tb_frame.f_code.co_filename == "<cell a>"
    book.run({"a": "1"})
    assert dead(watched)
    assert not hasattr(sys, "last_value")


def test_the_error_that_debuggers_find_is_the_last_one(book, watched):
    book.run({"t": FAULT, "a": "raise watch(Fault('a'))", "b": "raise watch(Fault('b'))"})
    assert str(sys.last_value) == "b"
    assert [reference() is None for reference in watched] == [True, False]
    book.run({"a": "1"})
    assert str(sys.last_value) == "b"
    book.delete("b")
    assert dead(watched)


def test_the_output_of_stop_is_not_kept(book, watched):
    book.run({"t": THING, "a": "from cellwire.runner.api.stop import stop\nstop(True, watch(Thing()))"})
    assert dead(watched)


def test_definitions_are_freed_before_the_cell_runs_again(book, watched):
    book.run({"t": THING, "a": "x = watch(Thing())"})
    assert not dead(watched)
    book.globals["count"] = lambda: sum(reference() is not None for reference in watched)
    book.run({"a": "left = count()"})
    assert book.globals["left"] == 0


@pytest.mark.parametrize(
    "source", ["x = watch(Thing())", "_x = watch(Thing())", "x = [watch(Thing()) for _ in range(3)]"]
)
def test_deletion_frees_what_a_cell_had(book, watched, source):
    book.run({"t": THING, "a": source})
    assert not dead(watched)
    book.delete("a")
    assert dead(watched)


def test_cancellation_frees_what_a_cell_had(book, watched):
    book.run({"t": THING, "a": "y = 1", "b": "y\nx = watch(Thing())"})
    book.run({"a": "y = 1 / 0"})
    assert book["b"].status == "cancelled"
    assert dead(watched)


def test_a_syntax_error_frees_what_the_cell_had(book, watched):
    book.run({"t": THING, "a": "x = watch(Thing())"})
    book.run({"a": "x ="})
    assert dead(watched)


def test_the_executions_of_old_runs_are_freed(book, watched):
    source = (
        "from cellwire.runner.attribution.context import current_execution\nwatch(current_execution.get());"
    )
    book.run({"a": source})
    assert not dead(watched)
    book.run({"a": "1"})
    assert dead(watched)


def test_a_value_that_a_state_held_is_freed_when_it_is_set(book, watched):
    book.run(
        {
            "t": THING,
            "s": "from cellwire.runner.api.state import state\nget, set_ = state(watch(Thing()))",
            "r": "get()",
        }
    )
    book.run({"w": "set_(0)"})
    assert dead(watched)
    book.delete("s", "r", "w")


def test_a_late_writer_finds_its_list_retired(book):
    book.run(
        {
            "a": "from cellwire.runner.attribution.context import current_execution as current\n"
            "me = current.get()"
        }
    )
    late = book.globals["me"]
    book.run({"a": "1"})
    assert (late.over, late.retired) == (True, True)
    late.outputs.append({"text/plain": "late"})
    assert book.texts("a") == ["1"]
