import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cellwire.protocol.messages import Complete, Error, Introspection, Variables
from cellwire.runner.introspection import introspector as module
from cellwire.runner.introspection.introspector import TOO_SLOW, Introspector
from support.waiting import PATIENCE

FAILURES = [ValueError, SystemExit, KeyboardInterrupt, MemoryError]


class Asked:
    """An introspector whose answer is the texts of `values`, or what `complete` returns."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.complete: Callable[[], Any] = lambda: "completed"
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.introspector = Introspector(self._answer, self._replies.put)

    def _answer(self, request: Introspection, describe: Callable[[object], str]) -> Any:
        return self.complete() if isinstance(request, Complete) else [describe(each) for each in self.values]

    def reply(self) -> Any:
        return self._replies.get(timeout=PATIENCE)

    def look_until_given_up(self) -> None:
        worker = self.introspector._worker
        while self.introspector._worker is worker:
            self.introspector.check()


class Waits:
    """A value whose `repr` waits until the test is over, or until it is released."""

    def __init__(self) -> None:
        self.asked, self.released, self.answered = threading.Event(), threading.Event(), threading.Event()

    def __repr__(self) -> str:
        self.asked.set()
        assert self.released.wait(PATIENCE)
        self.answered.set()
        return "finished"


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def waits() -> Iterator[Waits]:
    value = Waits()
    yield value
    value.released.set()


def test_a_value_that_is_not_finished_in_time_is_left_out_and_the_others_are_shown(
    asked: Asked, waits: Waits
) -> None:
    asked.values = [1, waits, 2]
    asked.introspector.ask(Variables("a"))
    asked.introspector.ask(Complete("b"))
    assert waits.asked.wait(PATIENCE)
    # Signal 1: the thread waits for the value.
    asked.look_until_given_up()
    assert asked.reply() == ["1", TOO_SLOW, "2"]
    assert asked.reply() == "completed"
    # It is not asked again while a thread still waits for it, so this answer comes without a look.
    asked.introspector.ask(Variables("c"))
    assert asked.reply() == ["1", TOO_SLOW, "2"]
    # Signal 2: the value answers after all.
    waits.released.set()
    while asked.introspector._slow:
        time.sleep(0)
    asked.introspector.ask(Variables("d"))
    assert asked.reply() == ["1", "finished", "2"]


def test_what_takes_too_long_without_a_value_is_refused_and_the_next_request_is_answered(
    asked: Asked, waits: Waits
) -> None:
    asked.complete = lambda: repr(waits)
    asked.introspector.ask(Complete("a"))
    asked.introspector.ask(Variables("b"))
    assert waits.asked.wait(PATIENCE)
    asked.look_until_given_up()
    refusal = asked.reply()
    assert isinstance(refusal, Error)
    assert (refusal.id, "takes too long" in refusal.message) == ("a", True)
    assert asked.reply() == []
    waits.released.set()
    assert waits.answered.wait(PATIENCE)
    asked.introspector.ask(Variables("c"))
    # The late answer of the thread that was given up is not sent.
    assert asked.reply() == []


def test_a_thread_that_goes_on_from_value_to_value_is_not_given_up(asked: Asked) -> None:
    values = [Waits() for _ in range(10)]
    asked.values = values
    asked.introspector.ask(Variables("a"))
    for value in values:
        assert value.asked.wait(PATIENCE)
        asked.introspector.check()
        value.released.set()
    assert asked.reply() == ["finished"] * 10


@pytest.mark.parametrize("failure", FAILURES)
def test_a_request_that_raises_is_refused_and_the_next_one_answered(
    failure: type[BaseException], asked: Asked
) -> None:
    def complete() -> Any:
        raise failure

    asked.complete = complete
    for name in "ab":
        asked.introspector.ask(Complete(name))
        refusal = asked.reply()
        assert (refusal.id, failure.__name__ in refusal.message) == (name, True)
    asked.introspector.ask(Variables("c"))
    assert asked.reply() == []


def test_without_a_thread_to_be_had_a_request_is_refused(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(module, "start_new_thread", refuse)
        asked.introspector.ask(Complete("a"))
        assert asked.reply().message.endswith("can't start new thread")
        assert not asked.introspector.busy
    asked.introspector.ask(Complete("b"))
    assert asked.reply() == "completed"
