"""The receiving side without sockets: order, gaps, snapshots and acknowledgement."""

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol.client.replica import ACKNOWLEDGE_BYTES, REMEMBERED_RUNS, Gap, Replica
from cellwire.protocol.limits import Limits
from cellwire.protocol.messages import Batch, Snapshot, Welcome
from cellwire.protocol.notebook import CellState
from hypothesis import given
from hypothesis import strategies as st


def restored(seq: int = 0, *events: e.Event) -> Replica:
    """Return a replica that was greeted and has applied a snapshot."""
    replica = Replica()
    replica.window_opened(Welcome("1", "e1", seq))
    replica.apply_message(Snapshot("e1", seq, True, True, [e.NotebookRestored(), *events]), [], 0)
    return replica


def written(replica: Replica) -> str:
    return replica.notebook.console.text()


def text(value: str) -> e.ConsoleWritten:
    return e.ConsoleWritten("", 0, "stdout", value)


def test_a_batch_continues_the_copy():
    replica = restored(4)
    assert replica.apply_message(Batch(5, [text("a"), text("b")]), [], 10) == [text("a"), text("b")]
    assert (replica.epoch, replica.seq, written(replica)) == ("e1", 6, "ab")


def test_events_in_further_frames_follow_those_of_the_batch():
    replica = restored()
    replica.apply_message(Batch(1, [text("a")]), [text("b"), text("c")], 10)
    assert (replica.seq, written(replica)) == (3, "abc")


def test_events_known_already_are_applied_once():
    replica = restored()
    replica.apply_message(Batch(1, [text("a"), text("b")]), [], 10)
    assert replica.apply_message(Batch(1, [text("a")]), [], 10) == []
    assert replica.apply_message(Batch(2, [text("b"), text("c")]), [], 10) == [text("c")]
    assert (replica.seq, written(replica)) == (3, "abc")


def test_a_gap_is_refused_and_nothing_after_it_is_applied():
    replica = restored()
    replica.apply_message(Batch(1, [text("a")]), [], 10)
    with pytest.raises(Gap, match="holds event 1, and the next one received is 3"):
        replica.apply_message(Batch(3, [text("c")]), [], 10)
    assert (replica.seq, written(replica)) == (1, "a")
    replica.apply_message(Batch(2, [text("b")]), [], 10)
    assert written(replica) == "ab"


def test_a_batch_without_events_changes_nothing_and_is_counted():
    replica = restored()
    assert replica.apply_message(Batch(1), [], ACKNOWLEDGE_BYTES) == []
    assert replica.acknowledgement() == ACKNOWLEDGE_BYTES


def test_a_snapshot_is_seen_whole_or_not_at_all():
    replica = restored()
    before = replica.notebook
    assert (
        replica.apply_message(Snapshot("e2", 9, True, False, [e.NotebookRestored(mode="lazy")]), [], 10) == []
    )
    assert replica.notebook is before
    assert (replica.epoch, replica.seq) == ("e1", 0)
    events = replica.apply_message(Snapshot("e2", 9, False, True), [text("new")], 10)
    assert events == [e.NotebookRestored(mode="lazy"), text("new")]
    assert (replica.epoch, replica.seq, written(replica)) == ("e2", 9, "new")
    assert replica.notebook.mode == "lazy"


def test_a_snapshot_that_begins_again_forgets_its_first_attempt():
    replica = Replica()
    replica.apply_message(Snapshot("e1", 3, True, False, [text("first")]), [], 10)
    replica.apply_message(Snapshot("e1", 5, True, True, [text("second")]), [], 10)
    assert (replica.seq, written(replica)) == (5, "second")


def test_an_incomplete_snapshot_is_not_continued_after_a_greeting():
    replica = Replica()
    replica.apply_message(Snapshot("e1", 3, True, False, [text("first")]), [], 10)
    replica.window_opened(Welcome("1", "e1", 3))
    with pytest.raises(Gap, match="beginning"):
        replica.apply_message(Snapshot("e1", 3, False, True, [text("rest")]), [], 10)
    assert written(replica) == ""


def test_a_batch_in_the_middle_of_a_snapshot_is_a_gap():
    replica = restored()
    replica.apply_message(Snapshot("e1", 3, True, False), [], 10)
    with pytest.raises(Gap):
        replica.apply_message(Batch(1, [text("a")]), [], 10)


def test_it_is_caught_up_when_it_holds_what_the_kernel_had_at_the_greeting():
    replica = Replica()
    assert not replica.caught_up
    replica.window_opened(Welcome("1", "e1", 5))
    replica.apply_message(Snapshot("e1", 4, True, True), [], 10)
    assert not replica.caught_up
    replica.apply_message(Batch(5, [text("a")]), [], 10)
    assert replica.caught_up


# Acknowledgement


def test_few_bytes_are_not_acknowledged_and_many_are_once():
    replica = restored()
    replica.apply_message(Batch(1, [text("a")]), [], ACKNOWLEDGE_BYTES - 1)
    assert replica.acknowledgement() is None
    replica.apply_message(Batch(2, [text("a")]), [], 1)
    assert replica.acknowledgement() == ACKNOWLEDGE_BYTES
    assert replica.acknowledgement() is None


def test_repeated_events_count_because_the_kernel_sent_them():
    replica = restored()
    replica.apply_message(Batch(1, [text("a")]), [], 10)
    replica.apply_message(Batch(1, [text("a")]), [], ACKNOWLEDGE_BYTES)
    assert replica.acknowledgement() == ACKNOWLEDGE_BYTES + 10


def test_a_greeting_starts_the_count_from_zero():
    replica = restored()
    replica.apply_message(Batch(1, [text("a")]), [], ACKNOWLEDGE_BYTES)
    replica.window_opened(Welcome("1", "e1", 1))
    assert replica.acknowledgement() is None
    replica.apply_message(Batch(2, [text("a")]), [], ACKNOWLEDGE_BYTES + 3)
    assert replica.acknowledgement() == ACKNOWLEDGE_BYTES + 3


def test_a_small_window_is_acknowledged_by_quarters():
    replica = Replica()
    replica.window_opened(Welcome("1", "e1", 0, limits=Limits(window_bytes=4000)))
    replica.apply_message(Snapshot("e1", 0, True, True), [], 999)
    assert replica.acknowledgement() is None
    replica.apply_message(Batch(1, [text("a")]), [], 1)
    assert replica.acknowledgement() == 1000


def test_everything_is_acknowledged_when_the_kernel_closes():
    replica = restored()
    replica.apply_message(Batch(1, [text("a"), e.KernelClosing("enough")]), [], 7)
    assert replica.closing == e.KernelClosing("enough")
    assert replica.acknowledgement() == 7
    assert replica.acknowledgement() is None


# Ends of runs


def test_the_end_of_a_run_is_known_when_its_event_is_applied():
    replica = restored()
    replica.apply_message(Batch(1, [e.RunAccepted(1)]), [], 10)
    assert replica.run_outcome(1, 1) is None
    replica.apply_message(Batch(2, [e.RunFinished(1, "error", ["a"])]), [], 10)
    assert replica.run_outcome(1, 1) == e.RunFinished(1, "error", ["a"])


def test_a_run_accepted_after_the_state_of_the_copy_has_not_ended():
    assert restored(4).run_outcome(1, 5) is None


def test_a_run_without_the_number_of_its_acceptance_ends_with_its_event():
    assert restored(4).run_outcome(1, 0) is None


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("ok", e.RunFinished(3)),
        ("error", e.RunFinished(3, "error", ["a"])),
        ("interrupted", e.RunFinished(3, "interrupted")),
    ],
)
def test_an_end_that_a_snapshot_skipped_is_read_from_the_cells(status, ended):
    cells = [CellState("a", run=3, status=status), CellState("b", run=2, status="error")]
    replica = restored(9, *map(e.CellRestored, cells))
    assert replica.run_outcome(3, 5) == ended


def test_a_run_that_a_snapshot_lists_is_in_progress():
    replica = Replica()
    replica.apply_message(Snapshot("e1", 9, True, True, [e.NotebookRestored(runs=[e.RunPlanned(3)])]), [], 10)
    assert replica.run_outcome(3, 5) is None


def test_only_the_last_ends_of_runs_are_remembered():
    replica = restored()
    events: list[e.Event] = [e.RunFinished(run, "dropped") for run in range(1, REMEMBERED_RUNS + 2)]
    replica.apply_message(Batch(1, events), [], 10)
    assert replica.run_outcome(1, 0) is None
    assert replica.run_outcome(2, 0) == e.RunFinished(2, "dropped")


# Whatever is repeated or cut


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 8)), max_size=30))
def test_any_deliveries_with_repeats_and_gaps_give_a_prefix_of_the_log(deliveries):
    log: list[e.Event] = [text(f"{number} ") for number in range(1, 40)]
    replica = restored()
    for first, count in deliveries:
        before = replica.seq
        try:
            replica.apply_message(Batch(first, log[first - 1 : first - 1 + count]), [], 10)
        except Gap:
            assert first > before + 1
    expected = restored()
    expected.apply_message(Batch(1, log[: replica.seq]), [], 10)
    assert msgspec.msgpack.encode(replica.notebook) == msgspec.msgpack.encode(expected.notebook)
