"""The one function that changes a notebook: what each event does, and what no event may do."""

from typing import Any, NoReturn

import msgspec
import pytest
from cellwire.kernel.snapshot import SnapshotReader
from cellwire.protocol import events as e
from cellwire.protocol.notebook import (
    CellError,
    CellState,
    Console,
    ConsoleChunk,
    Notebook,
    PendingInput,
    RunnerState,
    RunState,
)
from cellwire.protocol.reducer import CHUNK_CHARS, append_text, apply, drop_text
from hypothesis import given, settings
from hypothesis import strategies as st
from support.histories import declared, drawn_events, histories, item


def notebook_of(*events: Any) -> Notebook:
    notebook = Notebook()
    for event in events:
        apply(notebook, event)
    return notebook


@pytest.fixture
def running() -> Notebook:
    """Return cells `a` and `b`; `a` is running in run 1 and has two items and some text."""
    return notebook_of(
        declared("a", "b"),
        e.RunAccepted(1),
        e.RunPlanned(1, ["a", "b"]),
        e.CellStarted("a", 1, 1000.5),
        e.OutputAppended("a", 1, item(1)),
        e.OutputAppended("a", 1, item(2)),
        e.ConsoleWritten("a", 1, "stdout", "out"),
        e.ConsoleWritten("a", 1, "stderr", "err"),
    )


# Cells and their order


def test_new_cells_stand_at_the_end_in_the_order_given():
    notebook = notebook_of(declared("b", "a"), declared("c", "a"))
    assert notebook.order == ["b", "a", "c"]


def test_an_edited_cell_keeps_its_place_and_its_outputs(running):
    apply(running, e.GraphChanged([e.CellDeclared("a", "new", 2, ["x"], ["y"])]))
    cell = running.cells["a"]
    assert (cell.source, cell.revision, cell.defs, cell.refs) == ("new", 2, ["x"], ["y"])
    assert len(cell.outputs) == 2
    assert running.order == ["a", "b"]


def test_an_order_applies_to_the_ids_and_to_the_cells():
    notebook = notebook_of(declared("a", "b", "c"), e.GraphChanged(order=["c", "a", "b"]))
    assert notebook.order == list(notebook.cells) == ["c", "a", "b"]


def test_an_order_neither_adds_nor_loses_nor_repeats_a_cell():
    notebook = notebook_of(declared("a", "b", "c"), e.GraphChanged(order=["c", "x", "c", "a"]))
    assert notebook.order == list(notebook.cells) == ["c", "a", "b"]


def test_an_order_may_place_cells_of_the_same_event():
    notebook = notebook_of(declared("a"), e.GraphChanged([e.CellDeclared("b")], ["b", "a"]))
    assert notebook.order == ["b", "a"]


def test_deleting_a_cell_removes_everything_it_had(running):
    apply(running, e.CellsDeleted(["a", "never there"]))
    assert running.order == ["b"]
    assert list(running.cells) == ["b"]
    apply(running, e.OutputAppended("a", 1, item(3)))
    apply(running, e.ConsoleWritten("a", 1, "stdout", "late"))
    assert list(running.cells) == ["b"]


def test_a_cell_with_the_id_of_a_deleted_one_starts_empty(running):
    apply(running, e.CellsDeleted(["a"]))
    apply(running, declared("a"))
    assert running.cells["a"] == CellState("a", "source of a", 1)
    apply(running, e.OutputAppended("a", 1, item(3)))
    assert running.cells["a"].outputs == []


def test_cells_are_marked_stale_and_fresh_and_unknown_ids_are_ignored():
    notebook = notebook_of(declared("a", "b"), e.CellsMarked(["b", "x"]))
    assert [cell.stale for cell in notebook.cells.values()] == [False, True]
    apply(notebook, e.CellsMarked(["b"], False))
    assert not notebook.cells["b"].stale


def test_cells_are_disabled_and_enabled():
    notebook = notebook_of(declared("a", "b"), e.CellsConfigured(["a", "x"], True))
    assert [cell.disabled for cell in notebook.cells.values()] == [True, False]
    apply(notebook, e.CellsConfigured(["a"], False))
    assert not notebook.cells["a"].disabled


def test_the_mode_is_the_last_one_chosen():
    assert notebook_of(e.ModeChanged("lazy")).mode == "lazy"
    assert notebook_of(e.ModeChanged("lazy"), e.ModeChanged("autorun")).mode == "autorun"


# Runs


def test_a_run_is_listed_from_its_acceptance_to_its_end():
    notebook = notebook_of(e.RunAccepted(1), e.RunAccepted(2))
    assert notebook.runs == [RunState(1), RunState(2)]
    assert not notebook.idle
    apply(notebook, e.RunFinished(1))
    assert notebook.runs == [RunState(2)]
    apply(notebook, e.RunFinished(2, "dropped"))
    assert notebook.idle


def test_dropping_the_newest_of_many_runs_looks_at_no_other():
    class NeverSearched(list[RunState]):
        def __iter__(self) -> NoReturn:
            raise AssertionError("the cost grows with the number of waiting runs")

    notebook = notebook_of(*map(e.RunAccepted, range(1, 6)))
    notebook.runs = NeverSearched(notebook.runs)
    for run in (5, 4, 3):
        apply(notebook, e.RunFinished(run, "dropped"))
    assert [notebook.runs[0].run, notebook.runs[1].run, len(notebook.runs)] == [1, 2, 2]


def test_runs_may_finish_in_any_order():
    notebook = notebook_of(*(e.RunAccepted(run) for run in (1, 2, 3)))
    apply(notebook, e.RunFinished(2))
    assert [run.run for run in notebook.runs] == [1, 3]


def test_a_plan_queues_its_cells(running):
    assert running.runs == [RunState(1, ["a", "b"])]
    assert running.cells["b"].status == "queued"


def test_a_run_that_a_state_setter_caused_is_listed_from_its_plan_on():
    notebook = notebook_of(declared("a"), e.RunPlanned(-1, ["a"]))
    assert notebook.runs == [RunState(-1, ["a"])]
    assert not notebook.idle


def test_a_run_may_be_planned_again_with_more_cells():
    notebook = notebook_of(declared("a", "b"), e.RunAccepted(1), e.RunPlanned(1, ["a"]))
    apply(notebook, e.RunPlanned(1, ["a", "b"]))
    assert notebook.runs == [RunState(1, ["a", "b"])]


def test_a_cell_that_did_not_get_its_turn_is_cancelled_and_stale_and_keeps_its_outputs():
    notebook = notebook_of(
        declared("a"),
        e.CellStarted("a", 1),
        e.OutputAppended("a", 1, item(1)),
        e.CellFinished("a", 1),
        e.RunAccepted(2),
        e.RunPlanned(2, ["a", "deleted meanwhile"]),
        e.RunFinished(2, "interrupted"),
    )
    cell = notebook.cells["a"]
    assert (cell.status, cell.stale, cell.run) == ("cancelled", True, 1)
    assert cell.outputs == [item(1)]


def test_the_end_of_a_run_leaves_a_cell_queued_that_a_later_run_has_too():
    notebook = Notebook()
    for event in (e.GraphChanged([e.CellDeclared("a")]), e.RunPlanned(1, ["a"]), e.RunPlanned(2, ["a"])):
        apply(notebook, event)
    apply(notebook, e.RunFinished(1))
    assert notebook.cells["a"].status == "queued"
    apply(notebook, e.RunFinished(2))
    assert (notebook.cells["a"].status, notebook.cells["a"].stale) == ("cancelled", True)


def test_the_end_of_a_run_leaves_the_cells_of_other_runs_queued():
    notebook = notebook_of(
        declared("a", "b"), e.RunPlanned(1, ["a"]), e.RunPlanned(2, ["b"]), e.RunFinished(1)
    )
    assert (notebook.cells["a"].status, notebook.cells["b"].status) == ("cancelled", "queued")


def test_the_end_of_an_unknown_run_changes_nothing(running):
    before = msgspec.msgpack.encode(running)
    apply(running, e.RunFinished(99))
    assert msgspec.msgpack.encode(running) == before


# A cell's run


def test_a_started_cell_is_empty_and_no_longer_stale(running):
    apply(running, e.CellFinished("a", 1, "error", 2.0, CellError("ValueError", "no")))
    apply(running, e.CellsMarked(["a"]))
    apply(running, e.CellStarted("a", 2, 5.0))
    cell = running.cells["a"]
    assert cell == CellState("a", "source of a", 1, "running", run=2, started=5.0)


def test_a_finished_cell_has_its_outcome_and_keeps_its_outputs_and_text(running):
    error = CellError("ZeroDivisionError", "division by zero", "Traceback ...")
    apply(running, e.CellFinished("a", 1, "error", 0.25, error))
    cell = running.cells["a"]
    assert (cell.status, cell.duration, cell.error, cell.started) == ("error", 0.25, error, 1000.5)
    assert len(cell.outputs) == 2
    assert cell.console.text() == "outerr"


def test_a_skipped_cell_keeps_nothing_of_its_previous_run(running):
    error = CellError("Cancelled", "b failed", cells=["b"])
    apply(running, e.CellSkipped("a", 2, "cancelled", error))
    cell = running.cells["a"]
    assert (cell.status, cell.run, cell.error, cell.outputs) == ("cancelled", 2, error, [])
    assert cell.console == Console()


@pytest.mark.parametrize(
    "late",
    [
        e.CellFinished("a", 1),
        e.OutputAppended("a", 1, item(9)),
        e.OutputReplaced("a", 1, item(1, "changed")),
        e.OutputRemoved("a", 1, 1),
        e.OutputsCleared("a", 1),
        e.ConsoleWritten("a", 1, "stdout", "late"),
        e.ConsoleTrimmed("a", 1, 1),
        e.ConsoleCleared("a", 1, "stdout"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_of_a_run_other_than_the_current_one_changes_nothing(running, late):
    for event in (
        e.CellStarted("a", 2),
        e.OutputAppended("a", 2, item(1)),
        e.ConsoleWritten("a", 2, "stdout", "now"),
    ):
        apply(running, event)
    before = msgspec.msgpack.encode(running)
    apply(running, late)
    apply(running, msgspec.structs.replace(late, run=3))
    apply(running, msgspec.structs.replace(late, cell="unknown"))
    assert msgspec.msgpack.encode(running) == before


def test_threads_may_write_after_their_cell_has_finished(running):
    apply(running, e.CellFinished("a", 1))
    apply(running, e.OutputAppended("a", 1, item(3)))
    assert [one.id for one in running.cells["a"].outputs] == [1, 2, 3]


# Outputs


def test_items_are_in_the_order_in_which_they_were_appended(running):
    assert running.cells["a"].outputs == [item(1), item(2)]


def test_a_replaced_item_keeps_its_place(running):
    apply(running, e.OutputReplaced("a", 1, item(1, "changed")))
    assert running.cells["a"].outputs == [item(1, "changed"), item(2)]


def test_items_are_found_after_another_one_is_removed(running):
    apply(running, e.OutputAppended("a", 1, item(7)))
    apply(running, e.OutputRemoved("a", 1, 2))
    apply(running, e.OutputReplaced("a", 1, item(7, "changed")))
    assert running.cells["a"].outputs == [item(1), item(7, "changed")]


@pytest.mark.parametrize("absent", [0, 3, 99])
def test_replacing_or_removing_a_missing_item_changes_nothing(running, absent):
    apply(running, e.OutputReplaced("a", 1, item(absent)))
    apply(running, e.OutputRemoved("a", 1, absent))
    assert running.cells["a"].outputs == [item(1), item(2)]


def test_clearing_empties_the_list_and_later_items_follow(running):
    apply(running, e.OutputsCleared("a", 1))
    assert running.cells["a"].outputs == []
    apply(running, e.OutputAppended("a", 1, item(3)))
    assert running.cells["a"].outputs == [item(3)]


def test_the_cost_of_finding_an_item_does_not_grow_with_the_list():
    looked_at: list[int] = []

    class Counting(msgspec.Struct, frozen=True):
        number: int

        @property
        def id(self) -> int:
            looked_at.append(self.number)
            return self.number

    notebook = notebook_of(declared("a"), e.CellStarted("a", 1))
    notebook.cells["a"].outputs = [Counting(number) for number in range(10_000)]  # type: ignore[misc]
    apply(notebook, e.OutputRemoved("a", 1, 17))
    assert len(notebook.cells["a"].outputs) == 9_999
    assert len(looked_at) < 20


def test_items_that_are_kept_as_bytes_are_found_by_their_id():
    class Opaque(msgspec.Struct, frozen=True):
        id: int
        data: msgspec.Raw
        metadata: msgspec.Raw = msgspec.Raw(b"\x80")

    decoder = msgspec.msgpack.Decoder(e.OutputAppended[Opaque] | e.OutputReplaced[Opaque])
    notebook = notebook_of(declared("a"), e.CellStarted("a", 1))
    for event in (e.OutputAppended("a", 1, item(1)), e.OutputReplaced("a", 1, item(1, "changed"))):
        apply(notebook, decoder.decode(msgspec.msgpack.encode(event)))
    same = notebook_of(declared("a"), e.CellStarted("a", 1), e.OutputAppended("a", 1, item(1, "changed")))
    assert msgspec.msgpack.encode(notebook) == msgspec.msgpack.encode(same)


# Console


def test_text_keeps_its_order_across_streams_and_can_be_read_by_stream(running):
    apply(running, e.ConsoleWritten("a", 1, "stdout", " more\r"))
    console = running.cells["a"].console
    assert console.text() == "outerr more\r"
    assert console.text("stdout") == "out more\r"
    assert console.text("stderr") == "err"


def test_text_of_no_cell_belongs_to_the_notebook():
    notebook = notebook_of(
        e.ConsoleWritten("", 0, "stderr", "detached"), e.ConsoleWritten("", 5, "stderr", "!")
    )
    assert notebook.console.text() == "detached!"


def test_adjacent_text_of_a_stream_is_joined_up_to_a_bound():
    console = Console()
    for _ in range(3 * CHUNK_CHARS):
        append_text(console, "stdout", "x")
    assert [len(chunk.text) for chunk in console.chunks] == [CHUNK_CHARS] * 3
    append_text(console, "stdout", "y" * (CHUNK_CHARS + 1))
    assert len(console.chunks) == 4


def test_trimming_drops_the_oldest_text_and_counts_it(running):
    apply(running, e.ConsoleTrimmed("a", 1, 4))
    console = running.cells["a"].console
    assert (console.text(), console.dropped) == ("rr", 4)
    apply(running, e.ConsoleTrimmed("a", 1, 2))
    assert (console.text(), console.dropped, console.chunks) == ("", 6, [])


def test_trimming_more_than_there_is_leaves_nothing():
    console = Console([ConsoleChunk("stdout", "abc")])
    drop_text(console, 10)
    assert (console.chunks, console.dropped) == ([], 10)


def test_chunks_left_by_trimming_are_joined_as_if_they_were_written_again():
    console = Console()
    for text in ("x" * CHUNK_CHARS, "abc", "y" * CHUNK_CHARS):
        append_text(console, "stdout", text)
    drop_text(console, 100)
    assert [len(chunk.text) for chunk in console.chunks] == [CHUNK_CHARS - 97, CHUNK_CHARS]


def test_clearing_a_stream_leaves_the_other_as_if_it_were_alone(running):
    apply(running, e.ConsoleWritten("a", 1, "stdout", " again"))
    apply(running, e.ConsoleCleared("a", 1, "stderr"))
    assert running.cells["a"].console.chunks == [ConsoleChunk("stdout", "out again")]
    apply(running, e.ConsoleCleared("a", 1, "stdout"))
    assert running.cells["a"].console.chunks == []


def test_text_is_joined_only_within_one_place_among_the_items():
    console = Console()
    for text, before in (("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)):
        append_text(console, "stdout", text, before)
    assert [(chunk.text, chunk.before) for chunk in console.chunks] == [("ab", 0), ("cd", 1), ("e", 2)]


def written(before: int, text: str) -> e.ConsoleWritten:
    return e.ConsoleWritten("a", 1, "stdout", text, before)


def appended(id: int) -> e.OutputAppended[Any]:
    return e.OutputAppended("a", 1, item(id))


def in_order(notebook: Notebook) -> list[Any]:
    """Return texts and ids of items of cell `a` in their order."""
    parts = notebook.cells["a"].in_order()
    return [part.text if isinstance(part, ConsoleChunk) else part.id for part in parts]


def test_text_and_items_can_be_read_in_the_order_in_which_they_were_written():
    history = [written(0, "x"), appended(0), appended(1), written(2, "y"), appended(2), written(3, "z")]
    notebook = notebook_of(declared("a"), e.CellStarted("a", 1), *history, appended(3))
    assert in_order(notebook) == ["x", 0, 1, "y", 2, "z", 3]
    apply(notebook, e.OutputRemoved("a", 1, 1))
    apply(notebook, e.OutputReplaced("a", 1, item(2, "changed")))
    assert in_order(notebook) == ["x", 0, "y", 2, "z", 3]
    apply(notebook, e.ConsoleTrimmed("a", 1, 1))
    assert in_order(notebook) == [0, "y", 2, "z", 3]
    apply(notebook, e.OutputsCleared("a", 1))
    apply(notebook, written(3, "!"))
    apply(notebook, appended(4))
    assert in_order(notebook) == ["y", "z!", 4]


# Input, runner, kernel


def test_an_input_is_pending_until_it_is_closed():
    notebook = notebook_of(e.InputRequested("i1", "a", "name? ", True), e.InputRequested("i2", "a"))
    assert notebook.inputs == [PendingInput("i1", "a", "name? ", True), PendingInput("i2", "a", "")]
    apply(notebook, e.InputClosed("i1"))
    apply(notebook, e.InputClosed("never requested"))
    assert [pending.id for pending in notebook.inputs] == ["i2"]


def test_a_runner_starts_stops_responding_responds_and_dies():
    notebook = notebook_of(e.RunnerStarted(1, 77))
    assert notebook.runner == RunnerState("ready", 1, 77)
    apply(notebook, e.RunnerChanged("unresponsive"))
    assert notebook.runner == RunnerState("unresponsive", 1, 77)
    apply(notebook, e.RunnerChanged("ready"))
    apply(notebook, e.RunnerDied("signal SIGSEGV"))
    assert notebook.runner == RunnerState("dead", 1, 77, "signal SIGSEGV")
    apply(notebook, e.RunnerStarted(2, 78))
    assert notebook.runner == RunnerState("ready", 2, 78)


def test_the_death_of_a_runner_keeps_outputs_and_removes_pending_inputs(running):
    apply(running, e.InputRequested("i1", "a"))
    apply(running, e.RunnerDied("exit status 1"))
    assert running.inputs == []
    assert len(running.cells["a"].outputs) == 2


def test_the_closing_of_the_kernel_changes_nothing(running):
    before = msgspec.msgpack.encode(running)
    apply(running, e.KernelClosing("asked to"))
    assert msgspec.msgpack.encode(running) == before


def test_an_object_that_is_not_an_event_is_refused():
    with pytest.raises(KeyError):
        apply(Notebook(), "CellStarted")


# Properties


@settings(max_examples=300)
@given(histories)
def test_events_in_any_order_apply_and_give_the_same_result_each_time(history):
    assert msgspec.msgpack.encode(notebook_of(*history)) == msgspec.msgpack.encode(notebook_of(*history))


@settings(max_examples=300)
@given(st.lists(st.booleans() | st.integers(0, 20), max_size=40))
def test_the_order_of_any_history_is_that_of_its_events(steps):
    """True appends an item, False writes text, a number removes the item with that id."""
    notebook = notebook_of(declared("a"), e.CellStarted("a", 1))
    expected: list[str] = []
    items = 0
    for step, choice in enumerate(steps):
        if choice is True:
            apply(notebook, appended(items))
            expected.append(f"[{items}]")
            items += 1
        elif choice is False:
            apply(notebook, written(items, f"<{step}>"))
            expected.append(f"<{step}>")
        else:
            apply(notebook, e.OutputRemoved("a", 1, choice))
            expected = [part for part in expected if part != f"[{choice}]"]
    found = [part if isinstance(part, str) else f"[{part}]" for part in in_order(notebook)]
    assert "".join(found) == "".join(expected)


@settings(max_examples=300)
@given(histories, st.lists(drawn_events, max_size=10))
def test_a_copy_made_from_a_snapshot_is_equal_to_the_byte_and_stays_so(history, later):
    notebook = notebook_of(*history)
    snapshot = SnapshotReader(notebook, len(history))
    copy = Notebook()
    decoder = msgspec.msgpack.Decoder(e.Event)
    while not snapshot.exhausted:
        for event in snapshot.read(100):
            apply(copy, decoder.decode(event))
    assert msgspec.msgpack.encode(copy) == msgspec.msgpack.encode(notebook)
    for event in later:
        apply(notebook, event)
        apply(copy, event)
    assert msgspec.msgpack.encode(copy) == msgspec.msgpack.encode(notebook)
