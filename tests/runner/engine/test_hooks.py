import sys
from typing import Any

from cellwire.protocol import events as e
from cellwire.runner.attribution.context import NO_VALUE
from cellwire.runner.dataflow.plan import Plan
from cellwire.runner.execution.hooks import Hooks


def test_hooks_are_called_in_order_around_runs_and_cells(make_book):
    calls = []
    hooks = Hooks(
        preparation=[lambda plan: calls.append(("plan", plan.run, list(plan.cells)))],
        pre_execution=[lambda execution: calls.append(("before", execution.cell, execution.status))],
        post_execution=[lambda execution: calls.append(("after", execution.cell, execution.status))],
        on_finish=[lambda finished: calls.append(("end", finished.run))],
    )
    book = make_book(hooks=hooks)
    book.run({"a": "1", "b": "1 / 0"})
    assert calls == [
        ("plan", 1, ["a", "b"]),
        ("before", "a", "running"),
        ("after", "a", "ok"),
        ("before", "b", "running"),
        ("after", "b", "error"),
        ("end", 1),
    ]


def test_a_hook_sees_value_and_error_and_they_are_gone_afterwards(book):
    seen, executions = [], []

    def look(execution):
        executions.append(execution)
        seen.append((execution.value, type(execution.error)))

    book.engine.hooks.post_execution.append(look)
    book.run({"a": "42", "b": "x = 1", "c": "1 / 0"})
    assert seen == [(42, type(None)), (NO_VALUE, type(None)), (NO_VALUE, ZeroDivisionError)]
    assert {(execution.value, execution.error) for execution in executions} == {(NO_VALUE, None)}


def test_a_hook_that_raises_is_reported_and_stops_nobody(book, capsys):
    def broken(subject):
        raise RuntimeError("no good")

    later = []
    for hooks in (
        book.engine.hooks.preparation,
        book.engine.hooks.pre_execution,
        book.engine.hooks.post_execution,
        book.engine.hooks.on_finish,
    ):
        hooks += [broken, later.append]
    assert book.run({"a": "5"}).status == "ok"
    assert book.texts("a") == ["5"]
    assert [type(subject).__name__ for subject in later] == ["Plan", "Execution", "Execution", "RunFinished"]
    assert capsys.readouterr().err.count("RuntimeError: no good") == 4


def test_a_hook_may_exit_or_interrupt_and_stops_nobody(book, capsys):
    def leave(subject):
        raise SystemExit

    book.engine.hooks.post_execution.insert(0, leave)
    assert book.run({"a": "5"}).status == "ok"
    assert book.texts("a") == ["5"]
    assert "SystemExit" in capsys.readouterr().err


def test_a_hook_before_the_others_may_change_the_value(book):
    def double(execution):
        if isinstance(execution.value, int):
            execution.value *= 2

    book.engine.hooks.post_execution.insert(0, double)
    book.run({"a": "21"})
    assert book.texts("a") == ["42"]


def test_preparation_hooks_get_the_plan(book):
    plans = []
    book.engine.hooks.preparation.append(plans.append)
    book.run({"a": "x = 1", "b": "x"})
    book.mode("lazy")
    book.run({"a": "x = 2"})
    assert plans[0] == Plan(1, ["a", "b"], [])
    assert plans[-1] == Plan(3, ["a"], ["b"])


def test_hooks_run_in_the_context_of_their_cell(book):
    from cellwire.runner.attribution.context import current_execution

    cells: list[str] = []

    def note_cell(_: Any) -> None:
        execution = current_execution.get()
        assert execution is not None
        cells.append(execution.cell)

    book.engine.hooks.post_execution.append(note_cell)
    book.run({"a": "1", "b": "import asyncio\nawait asyncio.sleep(0)"})
    assert cells == ["a", "b"]
    assert current_execution.get() is None


def test_a_value_of_none_gives_no_item(book):
    book.run({"a": "None", "b": "3;", "c": "x = 1"})
    assert [book.texts(cell) for cell in "abc"] == [[], [], []]
    assert not book.emitted(e.OutputAppended)


def test_what_a_cell_traces_with_ends_with_its_code(book):
    trace = "import sys as _sys\ndef _trace(*_): raise RuntimeError('traced')\n_sys.settrace(_trace)"
    finished = book.run({"a": trace, "b": f"import asyncio\n{trace}\nawait asyncio.sleep(0)", "c": "1"})
    assert "cellwire itself" not in finished.reason
    assert book["a"].status == "ok"
    # It is asked about the function that is called, and fails that.
    assert book["b"].error.kind == "RuntimeError"
    assert book["c"].status == "ok"
    assert sys.gettrace() is None
