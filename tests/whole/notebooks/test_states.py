"""States in notebooks: what a set runs again, and where that ends."""

from support.book import Book
from support.waiting import PATIENCE

SETUP = "import cellwire as cw\nget, set_ = cw.state(0)"


def test_a_state_may_be_set_by_the_cell_that_makes_it(strict: Book) -> None:
    strict.run(
        imports="import cellwire as cw",
        state="get, set_ = cw.state([1, 2])\nset_([2, 1])",
        reader="get()",
    )
    assert (strict.failed, strict.shows("reader")) == ({}, "[2, 1]")


def test_values_whose_equality_is_no_bool_are_compared_by_identity(strict: Book) -> None:
    strict.run(
        imports="import cellwire as cw, numpy as np",
        state="get, set_ = cw.state(np.array([1, 2]))",
        reader="get().tolist()",
        setter="set_(np.array([1, 2, 3]))",
    )
    assert (strict.failed, strict.shows("reader")) == ({}, "[1, 2, 3]")


def test_a_function_that_reads_and_sets_a_state_runs_its_caller_once(strict: Book) -> None:
    strict.run(
        setup=SETUP,
        advance="def advance():\n    n = get()\n    set_(n + 1)\n    return n + 1",
        shown="get()",
        call="advance()",
    )
    strict.client.wait_idle()
    assert (strict.shows("call"), strict.shows("shown")) == ("1", "1")
    first = strict["call"].run
    strict.run(other="'another run ends too'")
    assert strict["call"].run == first


def test_a_setter_calls_functions_and_methods_and_keeps_other_callables(strict: Book) -> None:
    strict.run(
        setup=SETUP, reader="repr(get())", model="class Model:\n    def __call__(self, old): return 'called'"
    )
    for source, shown in [
        ("set_(lambda old: old + 1)", "'1'"),
        ("set_(Model)", "Model'>"),
        ("set_(Model())", "Model object"),
        ("import functools\nset_(functools.partial(max, 1))", "functools.partial"),
        ("set_(5)", "'5'"),
    ]:
        strict.run(setter=source)
        strict.client.wait_idle()
        assert shown in strict.shows("reader"), source


def test_a_setters_cell_follows_itself_only_where_that_is_asked_for(strict: Book) -> None:
    count = "if get() < 3:\n    set_(get() + 1)\nget()"
    strict.run(setup=SETUP, count=count)
    strict.client.wait_idle()
    assert strict.shows("count") == "1"
    strict.run(setup="import cellwire as cw\nget, set_ = cw.state(0, allow_self_loops=True)")
    strict.client.wait_idle()
    assert strict.shows("count") == "3"


def test_a_thread_that_sets_a_state_after_the_run_has_its_readers_run(strict: Book) -> None:
    events = strict.client.events()
    strict.run(
        setup=SETUP,
        reader="get()",
        thread="import threading\ngo = threading.Event()\n"
        f"def later():\n    go.wait({PATIENCE})\n    set_(7)\nthreading.Thread(target=later).start()",
    )
    strict.run(signal="go.set()")
    for _ in events:
        if strict.shows("reader") == "7":
            break
