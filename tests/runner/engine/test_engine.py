import asyncio
import pickle
import sys

import anyio
import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol.events import CellDeclared
from cellwire.protocol.messages import Cell, RunCells
from cellwire.protocol.mime_types import ERROR_MIME
from cellwire.runner.engine import Engine

CHAIN = {"a": "x = 1", "b": "y = x + 1\ny", "c": "z = y * 10\nz", "d": "w = 7"}


def test_cells_run_in_order_and_show_their_last_expression(book):
    finished = book.run(CHAIN)
    assert finished == e.RunFinished(1)
    assert book.ran == ["a", "b", "c", "d"]
    assert book.texts("b") == ["2"]
    assert book.texts("a") == []
    assert book.globals["z"] == 20


def test_a_run_is_told_in_this_order(book):
    book.run({"a": "x = 1\nx"})
    assert [type(event) for event in book.events] == [
        e.GraphChanged,
        e.RunPlanned,
        e.CellStarted,
        e.OutputAppended,
        e.CellFinished,
        e.RunFinished,
    ]
    (change,) = book.emitted(e.GraphChanged)
    assert change == e.GraphChanged([e.CellDeclared("a", "x = 1\nx", 1, ["x"], [])])
    (finished,) = book.emitted(e.CellFinished, cell="a", run=1, status="ok")
    assert finished.duration > 0


def test_an_edit_runs_what_depends_on_it_and_nothing_else(book):
    book.run(CHAIN)
    book.run({"b": "y = x + 2\ny"})
    assert book.ran == ["b", "c"]
    assert book.texts("c") == ["30"]
    assert book.emitted(e.RunPlanned) == [e.RunPlanned(2, ["b", "c"])]
    assert [declared.id for change in book.emitted(e.GraphChanged) for declared in change.cells] == ["b"]


def test_a_cell_runs_after_one_below_it_that_defines_what_it_reads(book):
    book.run({"a": "x + 1", "b": "x = 1"})
    assert book.ran == ["b", "a"]
    assert book.replica.order == ["a", "b"]


def test_the_same_sources_again_change_nothing_but_run_again(book):
    book.run(CHAIN)
    book.run({"b": CHAIN["b"]})
    assert book.ran == ["b", "c"]
    assert not book.emitted(e.GraphChanged)
    assert book["b"].revision == 1


def test_definitions_of_a_cell_are_gone_before_it_runs_again(book):
    book.run({"a": "x = 1\ny = 2", "b": "'x' in globals(), 'y' in globals()"})
    book.run({"a": "before = 'x' in globals()\ny = 3"})
    assert book.globals["before"] is False
    assert "x" not in book.globals
    assert book.globals["y"] == 3


def test_names_may_move_between_cells_within_one_request(book):
    book.run({"a": "x = 1", "b": "y = 2", "c": "x, y"})
    book.run({"a": "y = 3", "b": "x = 4"})
    assert book.texts("c") == ["(4, 3)"]


def test_deleting_a_cell_takes_its_names_and_its_readers_fail_with_a_word_on_why(book):
    book.run(CHAIN)
    finished = book.delete("a")
    assert finished.failed == ["b"]
    assert book.emitted(e.CellsDeleted) == [e.CellsDeleted(["a"])]
    assert "a" not in book.replica.cells
    assert "x" not in book.globals
    assert book["b"].error.message == "name 'x' is not defined: cell 'a', which defined it, has been deleted"
    assert book.statuses == {"b": "error", "c": "cancelled", "d": "ok"}


def test_what_was_bound_before_an_error_stays_and_descendants_are_cancelled(book):
    finished = book.run({"a": "x = 1\n1 / 0", "b": "x", "c": "2"})
    assert (finished.status, finished.failed) == ("error", ["a"])
    assert book.globals["x"] == 1
    assert book.statuses == {"a": "error", "b": "cancelled", "c": "ok"}
    assert book["b"].error.cells == ["a"]
    assert "'a' failed (ZeroDivisionError)" in book["b"].error.message


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "Exception"])
def test_whatever_a_cell_raises_is_its_own_error(book, name):
    finished = book.run({"a": f"raise {name}('hm')", "b": "3"})
    assert finished.failed == ["a"]
    assert (book["a"].error.kind, book["a"].error.message) == (name, "hm")
    assert book.texts("b") == ["3"]


def test_cancelled_error_is_an_error_like_any_other(book):
    book.run({"a": "import asyncio\nraise asyncio.CancelledError", "b": "3"})
    assert book.statuses == {"a": "error", "b": "ok"}


def test_stop_ends_a_cell_quietly_with_its_output(book):
    source = "from cellwire import stop\ntry:\n  stop(True, 'enough')\nexcept Exception: pass\nx = 1"
    finished = book.run(
        {"a": source, "b": "x", "c": "from cellwire.runner.api.stop import stop as halt\nhalt([])\n5"}
    )
    assert finished == e.RunFinished(1)
    assert book.statuses == {"a": "stopped", "b": "cancelled", "c": "ok"}
    assert book.texts("a") == ["'enough'"]
    assert book["b"].error.message == "not run because cell 'a' stopped"


def test_partial_results_stay_beside_the_error(book):
    source = "from cellwire.runner.api.output import output\noutput.append('part')\n1 / 0"
    book.run({"a": source})
    assert book.texts("a")[0] == "'part'"
    error = book["a"].outputs[1].data[ERROR_MIME]
    assert error["kind"] == "ZeroDivisionError"
    assert book.texts("a")[1] == book["a"].error.traceback == error["traceback"]


def test_lazy_mode_marks_downstream_stale_and_runs_stale_ancestors_first(book):
    book.run(CHAIN)
    book.mode("lazy")
    book.run({"a": "x = 5"})
    assert book.ran == ["a"]
    assert book.emitted(e.CellsMarked) == [e.CellsMarked(["b", "c"])]
    assert book.texts("c") == ["20"]
    book.run(["c"])
    assert book.ran == ["b", "c"]
    assert book.texts("c") == ["60"]
    assert book.stale == []


def test_in_lazy_mode_a_requested_cell_does_not_skip_what_lies_between(book):
    book.run(CHAIN)
    book.mode("lazy")
    book.run({"a": "x = 5", "c": "z = y\nz"})
    assert book.ran == ["a", "b", "c"]


def test_sync_declares_and_runs_nothing(book):
    book.sync({"a": "x = 1", "b": "x"})
    assert book.ran == []
    assert book.stale == ["a", "b"]
    assert book.statuses == {"a": "idle", "b": "idle"}
    book.run(["b"])
    assert book.ran == ["a", "b"]


def test_a_synced_edit_takes_the_names_that_the_cell_defines_no_longer(book):
    book.run(CHAIN)
    book.sync({"a": "v = 1"})
    assert "x" not in book.globals
    assert book.stale == ["a", "b", "c"]


def test_run_stale_runs_what_is_stale(book):
    book.run(CHAIN)
    book.sync({"d": "w = 8"})
    book.run_stale()
    assert book.ran == ["d"]


def test_a_disabled_cell_and_its_descendants_are_stale_instead_of_run(book):
    book.run(CHAIN)
    book.disable("b")
    assert (book["b"].disabled, book.stale) == (True, [])
    book.run({"a": "x = 2"})
    assert book.ran == ["a"]
    assert book.stale == ["b", "c"]
    book.run(["c"])
    assert book.ran == []
    book.enable("b")
    assert book.ran == ["b", "c"]
    assert book.stale == []


def test_enabling_what_is_not_stale_runs_nothing(book):
    book.run(CHAIN)
    book.disable("b")
    book.enable("b")
    assert book.ran == []


def test_import_cells_that_gain_an_import_run_only_readers_of_what_is_new(book):
    book.run({"i": "import math", "a": "math.pi", "b": "string.digits", "c": "1"})
    assert book["b"].status == "error"
    book.run({"i": "import math, string"})
    assert book.ran == ["i", "b"]
    assert book["b"].status == "ok"
    book.run({"i": "import cmath as math, string"})
    assert book.ran == ["i", "a"]
    book.run(["i"])
    assert book.ran == ["i"]


def test_readers_of_imports_that_failed_run_again_when_the_imports_succeed(book):
    book.run({"i": "import math", "a": "math.pi", "b": "b = 1"})
    book.run({"i": "import math\nimport no_such_module"})
    assert book.statuses == {"i": "error", "a": "ok", "b": "ok"}
    assert book.stale == ["a"]
    book.run({"i": "import math"})
    assert book.statuses == {"i": "ok", "a": "ok", "b": "ok"}
    assert (book.ran, book.stale) == (["i", "a"], [])


def test_the_order_is_told_only_where_it_is_not_the_old_one_with_new_cells_behind(book):
    book.run({"a": "", "b": ""})
    book.run({"a": "1", "c": ""})
    assert [change.order for change in book.emitted(e.GraphChanged)] == [["a", "c", "b"]]
    book.run({"d": "", "f": ""})
    assert [change.order for change in book.emitted(e.GraphChanged)] == [None]
    assert book.replica.order == ["a", "c", "b", "d", "f"]
    book.sync({"f": "", "a": "1"})
    assert book.replica.order == book.engine.notebook.order
    assert book.replica.order.index("f") < book.replica.order.index("a")


def test_the_order_is_told_when_cells_with_errors_move(book):
    book.run({"a": "x = 1", "b": "x = 1"})
    book.run({"b": "", "a": "", "c": ""})
    assert book.replica.order == ["b", "a", "c"]


def test_private_names_are_each_cells_own_and_go_with_it(book):
    book.run({"a": "_t = 1\ndef f(): return _t\nf()", "b": "_t = 2\n_t + f()"})
    assert book.texts("b") == ["3"]
    book.run({"a": "f = lambda: 5"})
    assert book.texts("b") == ["7"]
    book.delete("b")
    assert not [name for name in book.globals if name.endswith("_t")]


def test_functions_show_their_source_and_tracebacks_their_lines(book):
    book.run({"a": "import inspect\ndef f(n):\n    return 1 / n\ninspect.getsource(f)", "b": "f(0)"})
    assert "return 1 / n" in book.texts("a")[0]
    trace = book["b"].error.traceback
    assert 'File "<cell a>", line 3, in f\n    return 1 / n' in trace
    assert 'File "<cell b>", line 1' in trace
    assert "execute.py" not in trace


def test_a_requested_run_has_the_number_that_the_host_gives(book):
    finished = book.do(book.engine.execute(17, RunCells("", [Cell("a", "1")])))
    assert finished.run == 17
    assert book["a"].run == 17


def test_pickles_and_dataclasses_work_where_the_module_is_registered(make_book):
    main = sys.modules["__main__"]
    try:
        book = make_book(register_main=True)
        book.run({"a": "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n__name__"})
        assert book.texts("a") == ["'__main__'"]
        book.run({"b": "p = Point(3)"})
        assert pickle.loads(pickle.dumps(book.globals["p"])) == book.globals["p"]
    finally:
        sys.modules["__main__"] = main


def test_in_process_the_main_module_is_left_alone(book):
    main = sys.modules["__main__"]
    book.run({"a": "x = 1"})
    assert sys.modules["__main__"] is main
    assert not hasattr(main, "x")


@pytest.mark.parametrize("runner", [asyncio.run, anyio.run], ids=["asyncio", "anyio"])
def test_the_engine_works_under_either_runner(runner):
    events: list[object] = []

    async def main() -> None:
        engine = Engine(events.append)
        finished = await engine.run({"a": "import anyio\nx = 1\nawait anyio.sleep(0)", "b": "x"})
        assert finished == e.RunFinished(1)
        assert engine.notebook.cells["b"].status == "ok"

    runner(main) if runner is anyio.run else runner(main())
    assert events


def test_what_a_cell_sets_in_a_context_variable_is_there_for_later_cells(book):
    book.run({"a": "import decimal\ndecimal.setcontext(decimal.Context(prec=3))"})
    book.run({"b": "str(decimal.Decimal(1) / 3)"})
    assert book.texts("b") == ["'0.333'"]


def test_restored_cells_are_stale_and_silent(make_book):
    book = make_book()
    cells = [CellDeclared("a", "x = 1", 7), CellDeclared("b", "x"), CellDeclared("c", "x =")]
    book.engine.restore(cells, disabled=["b"], mode="lazy", last_own_run=-4)
    assert book.events == []
    notebook = book.engine.notebook
    assert notebook.order == ["a", "b", "c"]
    assert (notebook.mode, notebook.cells["b"].disabled, notebook.cells["a"].stale) == ("lazy", True, True)
    assert notebook.cells["c"].error.kind == "SyntaxError"
    assert notebook.cells["a"].revision == 7
    book.replica = msgspec.msgpack.decode(msgspec.msgpack.encode(notebook), type=type(notebook))
    book.run_stale()
    assert book.ran == ["a"]
    assert book.stale == ["b"]


def test_redefinition_mode_binds_readers_to_the_definer_that_was_current(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "df = 1", "b": "df + 10", "c": "df = 2", "d": "df + 20"})
    assert (book.texts("b"), book.texts("d")) == (["11"], ["22"])
    book.run({"c": "df = 3"})
    assert book.ran == ["c", "d"]
    book.run({"a": "df = 4"})
    assert book.ran == ["a", "b"]
    assert (book.texts("b"), book.texts("d")) == (["14"], ["23"])


def test_redefinition_mode_lets_a_cell_read_what_it_redefines(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "df = [3]", "b": "df = df + [4]", "c": "df"})
    assert book.texts("c") == ["[3, 4]"]
    book.run({"a": "df = [5]"})
    assert book.ran == ["a", "b", "c"]
    assert book.texts("c") == ["[5, 4]"]


def test_a_fault_of_our_own_does_not_leave_the_run_open(book, capsys):
    def broken(plan: object) -> None:
        raise RuntimeError("broken")

    book.engine._planner.program.declare = broken
    finished = book.run({"a": "1"})
    assert finished.status == "error"
    assert "bug" in finished.reason
    assert "RuntimeError: broken" in capsys.readouterr().err
