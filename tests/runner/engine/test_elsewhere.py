"""Cells that run elsewhere, on a place whose workers are threads: what holds for every place."""

import asyncio

import pytest
from cellwire.protocol import events as e
from cellwire.protocol.messages import Cell
from support.elsewhere import as_cells, there
from support.thread_place import CLIENT, signals
from support.waiting import PATIENCE


@pytest.fixture
def book(threads_book):
    return threads_book


def run(book, *cells):
    return book.run(as_cells(*cells))


def test_a_cell_runs_where_the_variable_says_and_what_it_defines_stays_there(book, workers):
    run(book, ("x", "x = 20"), there("y", "y = x + 1\nprint('there')\ny"), there("z", "z = 2 * y\nz"))
    assert book.texts("y") == ["21"]
    assert book["y"].console.text() == "there\n"
    assert book.texts("z") == ["42"]
    assert book["y"].on == "client"
    assert workers().executed == ["y", "z"]
    assert workers().fetched == []
    assert not {"y", "z"} & set(book.globals)
    started = [event for event in book.events if type(event) is e.CellStarted and event.cell == "y"]
    assert [event.where for event in started] == ["worker-0"]


def test_a_cell_here_fetches_the_values_that_it_names_and_no_others(book, workers):
    run(book, there("a", "a = 1\nother = [2]\nthird = 3"), ("b", "a + third"))
    assert book.texts("b") == ["4"]
    assert workers().fetched == ["a", "third"]
    run(book, ("c", "a * 10"))
    assert book.texts("c") == ["10"]
    assert workers().fetched == ["a", "third"]
    run(book, there("a", "a = 5\nother = [2]\nthird = 3"))
    assert book.texts("c") == ["50"]


def test_a_place_that_is_edited_or_fails_takes_its_cells_along(book, workers):
    run(book, there("a", "a = 1\na"))
    run(book, Cell(CLIENT.id, CLIENT.source + "\n# another"))
    assert book.ran == ["client", "a"]
    run(book, Cell(CLIENT.id, "client = 1 / 0"))
    assert book.statuses == {"client": "error", "a": "cancelled"}
    assert book["a"].error.message == "not run because cell 'client' failed (ZeroDivisionError)"


def test_where_a_cell_runs_is_part_of_its_source(book):
    run(book, there("a", "a = 1\na"))
    revision = book["a"].revision
    run(book, Cell("a", "a = 1\na"))
    assert (book["a"].revision, book["a"].on, book["a"].refs) == (revision + 1, "", [])
    assert "a" in book.globals
    run(book, there("a", "a = 1\na"))
    assert (book["a"].on, book["a"].refs) == ("client", ["client"])
    assert "a" not in book.globals
    book.run(["a"])
    assert book["a"].on == "client"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell("a", "1", on="nowhere"), "cell 'a' is to run on `nowhere`, which is missing"),
        (Cell("a", "1", on="_private"), "cell 'a' is to run on `_private`, which is missing"),
        (Cell("a", "1", on="number"), "is to run on `number`, but a builtins.int is not a place"),
        (Cell("a", "1", on="far"), "cell 'a' is to run on `far`, which is elsewhere"),
    ],
)
def test_a_variable_that_is_no_place_is_an_error_of_the_cell(book, cell, message):
    run(book, ("n", "number = 1"), there("far", "far = 1"), cell, ("after", "2"))
    assert book["a"].error.kind == "CannotSend"
    assert message in book["a"].error.message
    assert book["a"].error.hint
    assert book["after"].status == "ok"
    assert book["a"].outputs[-1].data["text/plain"].startswith("CannotSend: ")


def test_a_place_without_a_connection_is_an_error_of_the_cell(book, workers):
    workers().connected = False
    run(book, there("a", "1"), there("b", "2"))
    assert book["a"].error.message == "there is no connection to the workers"
    assert book["a"].error.hint == "run the cell that makes the client again"
    workers().connected = True
    book.run(["a"])
    assert book["a"].status == "ok"


def test_output_arrives_in_order_and_before_the_end(book):
    source = """
import cellwire as cw
print("first")
handle = cw.output.append("one")
print("second")
handle.replace("ONE")
with cw.progress_bar(total=2) as bar:
    bar.update()
    bar.update()
cw.output.append("two").remove()
print("third")
"value"
"""
    run(book, there("a", source))
    kinds = [type(event).__name__ for event in book.events if getattr(event, "cell", "") == "a"]
    assert kinds[0] == "CellStarted"
    assert kinds[-1] == "CellFinished"
    assert book["a"].console.text() == "first\nsecond\nthird\n"
    assert [text.splitlines()[0] for text in book.texts("a")][0::2] == ["'ONE'", "'value'"]
    shown = [getattr(part, "text", None) or part.data["text/plain"] for part in book["a"].in_order()]
    assert shown[:3] == ["first\n", "'ONE'", "second\n"]
    assert shown[-2:] == ["third\n", "'value'"]


def test_a_cell_is_queued_until_a_worker_has_it(book):
    first = "signals['began'].set()\nsignals['go'].wait(30)"
    cells = [there(name, first) for name in ("a", "b", "c")]

    async def look():
        task = asyncio.ensure_future(book.engine.run(cells))
        while [book.engine.notebook.cells.get(name) for name in "abc"].count(None):
            await asyncio.sleep(0)
        while [book["a"].status, book["b"].status].count("running") < 2:
            await asyncio.sleep(0.001)
        status = book["c"].status
        signals["go"].set()
        await task
        return status

    assert book.do(look()) == "queued"
    assert set(book.statuses.values()) == {"ok"}


def test_independent_cells_overlap_without_being_asked(book):
    run(
        book,
        there("a", "signals['a'].set()\nmet = signals['b'].wait(30)\nmet"),
        there("b", "signals['b'].set()\nmeet = signals['a'].wait(30)\nmeet"),
    )
    assert book.texts("a") == book.texts("b") == ["True"]


def test_a_chain_goes_on_while_a_cell_here_holds_the_runner(book):
    run(
        book,
        there("a", "a = 1"),
        ("here", "signals['chain'].wait(30)"),
        there("b", "b = a + 1"),
        there("c", "c = b + 1\nsignals['chain'].set()\nc"),
        ("end", "c"),
    )
    assert book.texts("here") == ["True"]
    assert book.texts("end") == ["3"]


def test_a_cell_does_not_overtake_one_that_may_change_what_it_is_sent(book):
    run(book, ("x", "xs = [1]"), ("m", "xs.append(2)"), there("n", "len(xs)"))
    assert book.texts("n") == ["2"]
    run(book, ("x", "xs = [1]"), there("n", "len(xs)"), ("m", "xs.append(2)"))


def test_a_cell_here_that_comes_later_does_not_change_what_is_sent_before(book):
    run(book, ("x", "xs = [1]"), there("n", "len(xs)"), ("m", "xs.append(2)"), there("o", "len(xs)"))
    assert [book.texts("n"), book.texts("o")] == [["1"], ["2"]]


def test_a_value_is_sent_once_until_a_cell_here_may_have_changed_it(book, workers):
    run(book, ("x", "xs = [1]"), there("a", "len(xs)"), there("b", "len(xs)"))
    assert workers().sent == ["xs"]
    run(book, ("m", "xs.append(2)"), there("c", "len(xs)"))
    assert workers().sent == ["xs", "xs"]
    assert book.texts("c") == ["2"]


def test_versions_of_a_name_are_those_of_the_notebook(book, workers):
    run(
        book,
        ("one", "df = [1]"),
        there("two", "df = df + [2]\ndf"),
        there("three", "df = df + [3]\ndf"),
        ("four", "df = df + [4]\ndf"),
        there("five", "df + [5]"),
    )
    assert book.texts("two") == ["[1, 2]"]
    assert book.texts("four") == ["[1, 2, 3, 4]"]
    assert book.texts("five") == ["[1, 2, 3, 4, 5]"]
    for cell in ("three", "two", "five"):
        before = book.texts(cell)
        book.run([cell])
        assert book.texts(cell) == before
    run(book, ("look", "df"))
    assert book.texts("look") == ["[1, 2, 3, 4]"]
    book.delete("four")
    assert book.texts("look") == ["[1, 2, 3]"]
    assert book.texts("five") == ["[1, 2, 3, 5]"]


def test_a_name_that_a_cell_may_leave_as_it_is_keeps_its_version(book):
    run(book, ("a", "x = 1"), there("b", "if False:\n    x = 2"), there("c", "x"), ("d", "x"))
    assert [book.texts("c"), book.texts("d")] == [["1"], ["1"]]
    run(book, there("b", "if True:\n    x = 2"))
    assert [book.texts("c"), book.texts("d")] == [["2"], ["2"]]


def test_a_name_that_a_cell_deletes_is_gone_below_it(book):
    run(book, there("a", "x = 1"), there("b", "del x"), there("c", "x"))
    assert book["c"].error.kind == "NameError"
    assert book["c"].error.message == (
        "name 'x' is not defined: cell 'a' defines it, but cell 'b' deletes it"
    )


def test_in_redefine_live_names_have_the_value_that_was_set_last(make_book, workers):
    book = make_book(redefine="live")
    run(book, CLIENT, there("a", "x = [1]"), there("b", "x = x + [2]"), ("c", "x = x + [3]\nx"))
    assert book.texts("c") == ["[1, 2, 3]"]
    run(book, there("b", "x = x + [2]"), there("d", "x"))
    assert book.texts("d") == ["[1, 2, 3, 2]"]
    run(book, there("d", "del x"), ("e", "'x' in globals()"))
    assert book.texts("e") == ["False"]


def test_an_error_is_described_where_it_was_raised_and_cancels_what_depends_on_it(book):
    run(book, there("a", "x = 1\nprint('before')\n1 / 0"), there("b", "x"), ("c", "x"), ("d", "4"))
    error = book["a"].error
    assert (error.kind, error.line) == ("ZeroDivisionError", 3)
    assert error.traceback.splitlines()[1] == '  File "<cell a>", line 3, in <module>'
    assert "cellhost" not in error.traceback
    assert book["a"].console.text() == "before\n"
    assert book.statuses == {"client": "ok", "a": "error", "b": "cancelled", "c": "cancelled", "d": "ok"}
    assert book["b"].error.message == "not run because cell 'a' failed (ZeroDivisionError)"
    assert book.emitted(e.RunFinished)[0].failed == ["a"]


def test_what_a_cell_has_defined_before_it_failed_stays(book):
    run(book, there("a", "x = [1]\n1 / 0"))
    run(book, ("look", "import cellwire as cw\ncw.fetch('x')"))
    assert book.texts("look") == ["[1]"]


def test_a_cell_that_stops_shows_its_output_and_cancels_what_depends_on_it(book):
    run(book, there("a", "import cellwire as cw\ncw.stop(True, 'halt')\nx = 1"), ("b", "x"))
    assert (book["a"].status, book.texts("a")) == ("stopped", ["'halt'"])
    assert book["b"].status == "cancelled"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing", "name 'missing' is not defined"),
        ("x", "name 'x' is not defined: cell 'b' should define it, but did not when it ran"),
        ("_own", "name '_own' is not defined: names that begin with an underscore are private to their cell"),
        ("eval('far')", "name 'far' is not defined: cell 'b' defines it, and its value is on worker-0"),
    ],
)
def test_a_name_that_is_missing_there_is_explained_here(book, source, message):
    run(book, there("b", "far = 1\nif False:\n    x = 1"))
    run(book, there("a", source))
    assert book["a"].error.message.startswith(message)
    assert book.texts("a")[-1].rstrip().endswith(book["a"].error.message)


def test_a_value_elsewhere_is_found_by_fetch_and_not_by_chance(book):
    run(book, there("a", "w = 7"))
    run(
        book,
        ("b", "eval('w')"),
        ("c", "globals()['w']"),
        ("d", "import cellwire as cw\ncw.fetch('w')"),
        ("e", "cw.fetch('nothing')"),
        there("g", "cw.fetch('w')"),
    )  # fmt: skip
    assert book["b"].error.message == (
        "name 'w' is not defined: cell 'a' defines it, and its value is on worker-0: it is fetched for a "
        "cell whose code names it; elsewhere cw.fetch('w') returns it"
    )
    assert book["c"].error.kind == "KeyError"
    assert book.texts("d") == ["7"]
    assert book["e"].error.message == "cw.fetch: there is no variable 'nothing', here or elsewhere"
    assert book["g"].error.message == "cw.fetch: no value of 'w' is elsewhere"


def test_modules_cross_by_name(book, tmp_path):
    run(
        book,
        there("a", "import json\nfrom os import path"),
        ("b", "json.dumps([1]), path.sep"),
        ("c", "import math"),
        there("d", "math.pi > 3"),
    )
    assert book.texts("b") == ["('[1]', '/')"]
    assert book.texts("d") == ["True"]


def test_functions_and_classes_cross_by_value_with_the_names_that_they_use(book):
    run(
        book,
        ("a", "_base = 10\ndef add(n):\n    return n + _base\nclass P:\n    def __init__(self): self.n = 1"),
        there("b", "p = P()\nadd(p.n), type(p) is P"),
        ("c", "isinstance(p, P), add(p.n)"),
        there("d", "_hidden = 5\nclass Q: pass\ndef q():\n    return _hidden\nqs = [Q()]"),
        ("e", "q(), isinstance(qs[0], Q)"),
    )
    assert book.texts("b") == ["(11, True)"]
    assert book.texts("c") == ["(True, 11)"]
    assert book.texts("e") == ["(5, True)"]


def test_changes_in_place_are_seen_by_no_other_cell(book):
    run(
        book,
        there("a", "import numpy as np, pandas as pd\nxs = [1]\ns = {1}\nd = {}\narray = np.zeros(2)\n"
              "frame = pd.DataFrame({'n': [1]})\nalso = xs"),
        there("b", "same = xs is also\nxs.append(2)\ns.add(2)\nd['k'] = 1\nframe['m'] = 2\nsame"),
        there("c", "array[0] = 1"),
        there("d", "xs, s, d, list(frame.columns)"),
        there("f", "array += 1\narray"),
        there("g", "xs, d"),
    )  # fmt: skip
    assert book.texts("b") == ["True"]
    assert book["c"].error.message == "assignment destination is read-only"
    assert book.texts("d") == ["([1], {1}, {}, ['n'])"]
    assert book.texts("f") == ["array([1., 1.])"]


def test_a_value_that_does_not_pickle_is_an_error_of_the_cell_that_needs_it(book):
    run(
        book,
        ("a", "import threading\nlock = threading.Lock()"),
        there("b", "lock"),
        there("c", "gen = (n for n in range(3))\nfine = 5"),
        there("d", "sum(gen)"),
        ("e", "next(gen)"),
        ("f", "fine"),
    )
    assert book["b"].error.kind == "CannotSend"
    assert book["b"].error.message.startswith("`lock` of cell 'a' cannot be sent: lock (")
    assert book.texts("d") == ["3"]
    assert book["e"].error.kind == "CannotFetch"
    assert book["e"].error.message.startswith("`gen` of cell 'c' cannot be fetched: ")
    assert book.texts("f") == ["5"]


def test_a_state_arrives_as_its_value_and_is_set_from_there(book):
    run(
        book,
        ("s", "import cellwire as cw\nget, set_ = cw.state(1)"),
        there("a", "set_(lambda n: n + get() * 10)\nget()"),
        ("b", "get()"),
        there("c", "get() + 100"),
    )
    assert book.texts("a") == ["1"]
    assert book.texts("b") == ["11"]
    assert book.texts("c") == ["111"]
    run(book, ("d", "set_(5)"))
    assert book.texts("c") == ["155"]
    run(book, there("e", "cw.state(1)"))
    assert book["e"].error.message.startswith(
        "cw.state() is for cells that run in the notebook's own process"
    )


def test_a_cell_that_awaits_runs_there_as_well(book):
    run(book, there("a", "import asyncio\nx = await asyncio.sleep(0, 5)\nx"), ("b", "x"))
    assert book.texts("a") == book.texts("b") == ["5"]


def test_input_is_refused_with_a_reason(book):
    import builtins
    import sys

    from cellwire.runner.attribution.input import install_input

    before = builtins.input, sys.stdin
    install_input(lambda event: None)
    try:
        run(book, there("a", "input('name? ')"))
    finally:
        builtins.input, sys.stdin = before
    assert book["a"].error.message == (
        "input() is for cells that run in the notebook's own process, and this one runs on worker-0"
    )


def test_hooks_of_others_are_called_here_without_the_value(book):
    seen = []
    book.engine.hooks.pre_execution.append(lambda execution: seen.append(("pre", execution.cell)))
    book.engine.hooks.post_execution.append(
        lambda execution: seen.append((execution.cell, execution.status, execution.where))
    )
    run(book, there("a", "1 + 1"), there("b", "1 / 0"), Cell("c", "3", on="nowhere"))
    assert sorted(seen) == [
        ("a", "ok", "worker-0"),
        ("b", "error", "worker-0"),
        ("c", "error", ""),
        ("pre", "a"),
        ("pre", "b"),
        ("pre", "c"),
    ]


def test_threads_belong_to_the_cell_until_it_runs_again(book, workers):
    source = """
import threading
def go():
    signals['go'].wait(30)
    print('late')
    signals['gone'].set()
threading.Thread(target=go).start()
"""
    run(book, there("a", source))
    run(book, there("a", "2"))
    assert workers().retired == ["a"]
    signals["go"].set()
    assert signals["gone"].wait(PATIENCE)
    assert book["a"].console.text() == ""


def test_a_cell_is_told_before_it_goes(book, workers):
    seen = []
    signals.seen = seen
    source = """
import cellwire as cw
for n in (1, 2):
    cw.on_retire(lambda n=n: signals.seen.append({!r} + str(n)))
"""
    run(book, ("here", source.format("here")), there("there", source.format("there")))
    assert seen == []
    book.run(["here", "there"])
    assert [name for name in seen if name.startswith("here")] == ["here2", "here1"]
    assert [name for name in seen if name.startswith("there")] == ["there2", "there1"]
    del seen[:]
    book.delete("here", "there")
    assert sorted(seen) == ["here1", "here2", "there1", "there2"]
    run(book, ("raises", "import cellwire as cw\ncw.on_retire(lambda: 1 / 0)"))
    run(book, ("raises", "3"))
    assert book["raises"].status == "ok"


def test_values_that_are_lost_make_their_cells_run_again_when_they_are_needed(book, workers):
    run(book, there("a", "x = 1"), there("b", "y = x + 1"), ("c", "z = 5"))
    workers().lose("x")
    book.do(asyncio.sleep(0))
    assert book.stale == ["a", "b"]
    assert book.replica.console.text() == "cellwire: x of cell 'a' went with the worker worker-0\n"
    run(book, ("d", "y"))
    assert book.ran == ["a", "b", "d"]
    assert book.texts("d") == ["2"]


def test_a_worker_that_dies_is_the_error_of_its_cell(book, workers):
    async def kill():
        task = asyncio.ensure_future(
            book.engine.run(
                [there("a", "signals['began'].set()\nsignals['never'].wait(30)"), there("b", "1")]
            )
        )
        await asyncio.to_thread(signals["began"].wait, PATIENCE)
        workers().kill("a")
        return await task

    finished = book.do(kill())
    assert finished.failed == ["a"]
    assert book["a"].error.kind == "WorkerDied"
    assert workers().executed.count("a") == 1
    signals["never"].set()


def test_values_elsewhere_are_listed_with_what_is_known_of_them(book):
    run(book, there("a", "x = [1, 2]"))
    value = book.engine.elsewhere["x"]
    assert (value.cell, value.type, value.text, value.where) == ("a", "list", "[1, 2]", "worker-0")
    assert value.summary.startswith("[1, 2] (")


def test_late_output_of_a_deleted_cell_is_dropped(book):
    run(
        book,
        there("a", "import threading\ndef go():\n    signals['go'].wait(30)\n    print('late')\n"
              "    signals['said'].set()\nthreading.Thread(target=go).start()"),
    )  # fmt: skip
    book.delete("a")
    book.events.clear()
    signals["go"].set()
    assert signals["said"].wait(PATIENCE)
    book.do(asyncio.sleep(0))
    assert book.emitted(e.ConsoleWritten) == []


# Interrupts

LOOP = "signals['{0}'].set()\nwhile not signals.over: pass"


def interrupted(book, cells, began):
    """Run `cells`, interrupt when the signals `began` are set, and return how that ended."""

    async def action():
        task = asyncio.ensure_future(
            book.engine.run([Cell(*cell) if isinstance(cell, tuple) else cell for cell in cells])
        )
        for name in began:
            assert await asyncio.to_thread(signals[name].wait, PATIENCE)
        book.engine.interrupt()
        return await task

    return book.do(action())


def test_an_interrupt_ends_cells_that_run_elsewhere_and_drops_the_others(book):
    cells = [
        there("a", LOOP.format("a")),
        there("b", "signals['b'].set()\nawait __import__('asyncio').sleep(60)"),
        there("c", "x = 1"),
        there("d", "x"),
        ("e", "x"),
    ]
    finished = interrupted(book, cells, ["a", "b"])
    assert finished.status == "interrupted"
    assert {id: book[id].status for id in "abcde"} == {
        "a": "interrupted",
        "b": "interrupted",
        "c": "cancelled",
        "d": "cancelled",
        "e": "cancelled",
    }
    assert 'File "<cell a>", line 2' in book["a"].error.traceback
    assert book["c"].error.message == "interrupted before it ran"
    assert set("abcde") <= set(book.stale)
    book.run({"f": "6"})
    assert book.texts("f") == ["6"]
    signals.clear()
    run(book, there("a", "1"), there("c", "x = 1\nx"))
    assert book.texts("c") == ["1"]


def test_a_cell_sees_the_interrupt_and_may_clean_up(book):
    source = """
try:
    signals['a'].set()
    while not signals.over: pass
except KeyboardInterrupt:
    print('cleaned')
    raise
"""
    interrupted(book, [there("a", source)], ["a"])
    assert (book["a"].status, book["a"].console.text()) == ("interrupted", "cleaned\n")


def test_a_call_into_c_that_does_not_end_is_left_to_itself(book):
    interrupted(
        book, [there("a", "signals['a'].set()\nsignals['never'].wait()\nprint('late')\nx = 1")], ["a"]
    )
    assert book["a"].status == "interrupted"
    assert book["a"].error.message == "interrupted, but a call into C has not returned yet"
    signals["never"].set()
    assert book["a"].console.text() == ""


def test_a_second_interrupt_ends_the_worker(book):
    async def action():
        task = asyncio.ensure_future(
            book.engine.run([there("a", "signals['a'].set()\nsignals['never'].wait()")])
        )
        assert await asyncio.to_thread(signals["a"].wait, PATIENCE)
        book.engine.interrupt()
        await asyncio.sleep(0)
        book.engine.interrupt()
        return await task

    book.do(action())
    assert book["a"].error.message == "interrupted by ending the worker that ran it"
    signals["never"].set()


def test_an_interrupt_while_a_value_is_fetched_or_sent_drops_what_waits_for_it(book):
    slow = """
class Slow:
    def __reduce__(self):
        signals['slow'].set()
        signals['go'].wait()
        return Slow, ()
s = Slow()
"""
    run(book, there("a", slow), ("b", slow.replace("s =", "t =")))
    interrupted(book, [("c", "s"), ("d", "4")], ["slow"])
    assert (book["c"].status, book["c"].error.message) == ("cancelled", "interrupted before it ran")
    signals["go"].set()
    signals.clear()
    interrupted(book, [there("c", "t")], ["slow"])
    assert (book["c"].status, book["c"].error.message) == ("cancelled", "interrupted before it ran")
    signals["go"].set()
    run(book, there("c", "type(t).__name__"))
    assert book.texts("c") == ["'Slow'"]


@pytest.mark.parametrize("moment", range(15))
def test_an_interrupt_at_any_moment_ends_all_cells(book, moment):
    async def action():
        cells = [there(name, f"{name} = 0\nwhile not signals.over: {name} += 1") for name in "abcd"]
        task = asyncio.ensure_future(book.engine.run([*cells, Cell("e", "a")]))
        for _ in range(1 + moment * moment):
            await asyncio.sleep(0)
        book.engine.interrupt()
        return await task

    assert book.do(action()).status == "interrupted"
    assert {book[name].status for name in "abcde" if name in book.replica.cells} <= {
        "interrupted",
        "cancelled",
    }
    assert book.run({"f": "6"}).status == "ok"


def test_after_many_interrupts_the_next_cell_runs(book):
    for number in range(30):
        interrupted(book, [there("a", LOOP.format(number))], [str(number)])
        assert book["a"].status == "interrupted"
    run(book, there("a", "5"))
    assert book.texts("a") == ["5"]
