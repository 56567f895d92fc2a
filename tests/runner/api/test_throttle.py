import math
import threading
import time

import pytest
from cellwire.runner.api import throttle as throttle_module
from cellwire.runner.api.throttle import Throttle
from support.waiting import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Counter:
    """A thing whose state is a number."""

    def __init__(self) -> None:
        self.sent_at = -math.inf
        self.state = 0
        self.sent: list[int] = []

    def send(self) -> None:
        self.sent.append(self.state)


def test_the_first_change_is_sent_at_once_and_later_ones_once_per_interval() -> None:
    clock, counter = Clock(), Counter()
    throttle = Throttle(clock, 1.0, threaded=False)
    for counter.state in range(1, 6):
        throttle.changed(counter)
    assert counter.sent == [1]
    clock.now += 0.5
    throttle.send_due()
    assert counter.sent == [1]
    clock.now += 0.5
    throttle.send_due()
    throttle.send_due()
    assert counter.sent == [1, 5]


def test_a_change_after_the_interval_is_sent_at_once() -> None:
    clock, counter = Clock(), Counter()
    throttle = Throttle(clock, 1.0, threaded=False)
    throttle.changed(counter)
    clock.now += 1.0
    throttle.changed(counter)
    assert counter.sent == [0, 0]


def test_one_thing_does_not_wait_for_another() -> None:
    clock, one, other = Clock(), Counter(), Counter()
    throttle = Throttle(clock, 1.0, threaded=False)
    throttle.changed(one)
    throttle.changed(one)
    throttle.changed(other)
    assert (one.sent, other.sent) == ([0], [0])


def test_sending_now_replaces_a_sending_that_waits() -> None:
    clock, counter = Clock(), Counter()
    throttle = Throttle(clock, 1.0, threaded=False)
    throttle.changed(counter)
    counter.state = 1
    throttle.changed(counter)
    throttle.send_now(counter)
    clock.now += 5
    throttle.send_due()
    assert counter.sent == [0, 1]


def test_a_change_while_the_last_one_is_sent_is_sent_too() -> None:
    clock = Clock()
    throttle = Throttle(clock, 1.0, threaded=False)

    class Restless(Counter):
        def send(self) -> None:
            super().send()
            if self.state < 2:
                self.state += 1
                throttle.changed(self)

    thing = Restless()
    throttle.changed(thing)
    for _ in range(3):
        clock.now += 1
        throttle.send_due()
    assert thing.sent == [0, 1, 2]


def test_the_last_change_is_sent_without_a_further_call() -> None:
    sent = threading.Event()

    class Waited(Counter):
        def send(self) -> None:
            super().send()
            if self.state == 9:
                sent.set()

    throttle, thing = Throttle(interval=0.01), Waited()
    for thing.state in range(10):
        throttle.changed(thing)
    assert sent.wait(PATIENCE)
    assert thing.sent[-1] == 9


def test_the_thread_ends_when_nothing_waits_and_starts_again() -> None:
    throttle, thing = Throttle(interval=0.01), Counter()
    for thing.state in range(3):
        throttle.changed(thing)
        throttle.changed(thing)
        while throttle._running:
            time.sleep(0)
        assert thing.sent[-1] == thing.state


@pytest.mark.parametrize("failure", [ValueError, SystemExit, KeyboardInterrupt, MemoryError])
def test_a_thing_that_cannot_be_sent_is_reported_and_holds_up_no_other(
    failure: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Counter):
        def send(self) -> None:
            if self.state:
                raise failure("mine")

    throttle, broken, thing = Throttle(interval=0.01), Broken(), Counter()
    for state in range(2):
        for each in (broken, thing):
            each.state = state
            throttle.changed(each)
    while throttle._running:
        time.sleep(0)
    assert thing.sent == [0, 1]
    assert capsys.readouterr().err.count(f"{failure.__name__}: mine") == 1
    # And the thread starts again.
    thing.state = 2
    throttle.changed(thing)
    throttle.changed(thing)
    while throttle._running:
        time.sleep(0)
    assert thing.sent[-1] == 2


def test_where_no_thread_can_be_started_changes_are_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(throttle_module, "start_new_thread", refuse)
    throttle, thing = Throttle(interval=1.0), Counter()
    for thing.state in range(3):
        throttle.changed(thing)
    assert thing.sent == [0, 1, 2]
