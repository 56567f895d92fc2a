"""Accepted runs that have not finished."""

import pytest
from cellwire.kernel.run_queue import QueuedRun, QueueStatistics, RunQueue
from cellwire.protocol.messages import Cell, RunCells, RunStale


@pytest.fixture
def queue() -> RunQueue:
    return RunQueue(bound=3, largest=100)


def number(run: QueuedRun | None) -> int | None:
    return run and run.number


def test_runs_are_numbered_and_begin_in_order_one_at_a_time(queue: RunQueue):
    assert [queue.accept(RunStale("a"), 1), queue.accept(RunStale("b"), 1)] == [1, 2]
    assert number(queue.begin()) == 1
    assert queue.begin() is None
    queue.finish(1)
    assert number(queue.begin()) == 2
    queue.finish(2)
    assert queue.begin() is None
    assert len(queue) == 0


def test_a_run_of_the_runners_own_does_not_end_the_one_in_progress(queue: RunQueue):
    queue.accept(RunStale("a"), 1)
    queue.begin()
    queue.finish(-1)
    queue.finish(-2)
    assert number(queue.in_progress) == 1
    assert queue.last_own == -2


def test_dropping_removes_what_waits_and_leaves_what_runs(queue: RunQueue):
    for name in "abc":
        queue.accept(RunStale(name), 1)
    queue.begin()
    assert queue.drop() == [3, 2]
    assert number(queue.in_progress) == 1
    assert queue.accept(RunStale("d"), 1) == 4
    assert queue.statistics() == QueueStatistics(depth=2, bound=3, size=2, dropped=2)


def test_there_is_no_room_beyond_the_number_of_runs_or_their_bytes(queue: RunQueue):
    assert queue.has_room(1000), "the only request may be of any size"
    queue.accept(RunStale("a"), 60)
    assert queue.has_room(40)
    assert not queue.has_room(41)
    queue.accept(RunStale("b"), 1)
    queue.accept(RunStale("c"), 1)
    assert not queue.has_room(1)
    queue.begin()
    queue.finish(1)
    assert queue.has_room(90)


def test_a_cell_is_declared_as_long_as_a_run_that_submits_it_is_not_finished(queue: RunQueue):
    queue.accept(RunCells("a", [Cell("x"), Cell("y")]), 1)
    queue.accept(RunCells("b", [Cell("x")]), 1)
    queue.begin()
    queue.finish(1)
    assert queue.declares("x")
    assert not queue.declares("y")
    queue.drop()
    assert not queue.declares("x")


def test_a_run_is_over_when_it_and_all_before_it_have_finished(queue: RunQueue):
    for name in "abc":
        queue.accept(RunStale(name), 1)
    queue.begin()
    assert not queue.is_over(1)
    queue.finish(1)
    assert queue.is_over(1)
    assert not queue.is_over(2)
    queue.drop()
    assert queue.is_over(3)
    assert not queue.is_over(4)


def test_an_own_run_is_over_when_it_or_a_later_one_has_finished(queue: RunQueue):
    assert not queue.is_over(-1)
    queue.finish(-1)
    assert queue.is_over(-1)
    assert not queue.is_over(-2)


def test_a_run_that_gives_its_turn_away_is_not_over_when_later_ones_are(queue: RunQueue):
    for name in "abc":
        queue.accept(RunStale(name), 1)
    queue.begin()
    queue.give_turn(1)
    assert (number(queue.begin()), queue.newest) == (2, 2)
    queue.finish(2)
    assert (queue.newest, len(queue)) == (1, 2)
    assert (queue.is_over(1), queue.is_over(2)) == (False, True)
    assert number(queue.begin()) == 3
    queue.finish(1)
    assert (queue.newest, queue.is_over(1), len(queue)) == (3, True, 1)
    queue.finish(3)
    assert (queue.newest, len(queue), queue.statistics().size) == (0, 0, 0)


def test_only_the_run_in_progress_can_give_its_turn_away(queue: RunQueue):
    queue.accept(RunStale("a"), 1)
    queue.begin()
    queue.finish(1)
    queue.give_turn(1)
    assert (queue.newest, len(queue), queue.open) == (0, 0, {})
