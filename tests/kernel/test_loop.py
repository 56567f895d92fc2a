"""The loop: descriptors, timers and faults."""

import os
import sys
from collections.abc import Iterator

import pytest
from cellwire.kernel.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def forever() -> float:
    return float("inf")


def test_a_readable_descriptor_is_called_back(loop, pipe):
    reading, writing = pipe
    loop.watch(reading, loop.stop)
    os.write(writing, b"x")
    loop.run(forever)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it can be watched")
def test_what_cannot_be_watched_is_not_watched(loop, tmp_path):
    with open(tmp_path / "file", "w") as file:
        with pytest.raises(PermissionError):
            loop.watch(file.fileno(), loop.stop)
        loop.unwatch(file.fileno())


def test_timers_fire_in_the_order_of_their_times(loop):
    fired: list[str] = []
    loop.later(0.02, lambda: fired.append("second"))
    loop.later(0.01, lambda: fired.append("first"))
    loop.later(0.03, loop.stop)
    loop.run(forever)
    assert fired == ["first", "second"]


def test_a_cancelled_timer_does_not_fire(loop):
    fired: list[str] = []
    loop.later(0.0, lambda: fired.append("no")).cancel()
    loop.later(0.01, loop.stop)
    loop.run(forever)
    assert fired == []


def test_a_loop_that_stays_awake_notices_descriptors_and_timers(loop, pipe):
    reading, writing = pipe
    heard: list[str] = []
    loop.watch(reading, lambda: (heard.append("descriptor"), loop.stop()))
    loop.later(0.01, lambda: (heard.append("timer"), os.write(writing, b"x")))
    loop.stay_awake(3600)
    loop.run(forever)
    assert heard == ["timer", "descriptor"]


def test_a_loop_sleeps_when_it_has_been_awake_for_long_enough(loop, monkeypatch):
    waits: list[float | None] = []
    select = loop._selector.select
    monkeypatch.setattr(loop._selector, "select", lambda timeout: (waits.append(timeout), select(timeout))[1])
    loop.later(0.05, loop.stop)
    loop.stay_awake(0.01)
    loop.run(forever)
    awake = waits.index(next(wait for wait in waits if wait))
    assert awake > 1
    assert not any(waits[:awake])
    slept = waits[awake]
    assert slept is not None
    assert 0 < slept <= 0.04 + 0.001


def test_a_watch_that_an_earlier_callback_ended_is_not_called(loop, pipe):
    others = os.pipe()
    called: list[int] = []

    def end(this: int, other: int) -> None:
        called.append(this)
        loop.unwatch(other)
        loop.stop()

    for end_of_pipe in (pipe, others):
        os.write(end_of_pipe[1], b"x")
    loop.watch(pipe[0], lambda: end(pipe[0], others[0]))
    loop.watch(others[0], lambda: end(others[0], pipe[0]))
    loop.run(forever)
    assert len(called) == 1
    for fd in others:
        os.close(fd)


def test_a_turn_with_more_to_do_is_not_kept_waiting(loop):
    turns: list[int] = []

    def turn() -> float:
        turns.append(1)
        if len(turns) == 100:
            loop.stop()
        return 0.0

    loop.run(turn)
    assert len(turns) == 100


def test_a_fault_in_one_callback_does_not_end_the_others(loop, pipe, capfd):
    reading, writing = pipe
    os.write(writing, b"x")

    def fail() -> None:
        os.read(reading, 1)
        raise ValueError("a fault")

    loop.watch(reading, fail)
    loop.later(0.0, fail_at_once)
    loop.later(0.01, loop.stop)
    loop.run(forever)
    err = capfd.readouterr().err
    assert "a fault" in err
    assert "another fault" in err


def fail_at_once() -> None:
    raise ValueError("another fault")


def test_waiting_to_write_ends_when_there_is_nothing_to_write(loop):
    reading, writing = os.pipe()
    try:
        loop.watch(writing, lambda: None)
        loop.watch_both(writing, lambda: None, lambda: loop.watch_both(writing, lambda: None, None))
        loop.later(0.02, loop.stop)
        rounds: list[int] = []
        loop.run(lambda: rounds.append(1) or float("inf"))
        assert len(rounds) < 10
    finally:
        os.close(reading)
        os.close(writing)
