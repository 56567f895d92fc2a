"""When the events of the log are sent; over a socket to which nobody is connected."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import zmq
from cellwire.kernel.frontends import Frontends
from cellwire.kernel.store import Store
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits


class Sender:
    """Frontends, and a clock that stands still."""

    def __init__(self, socket: "zmq.Socket[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("cellwire.kernel.frontends.time", SimpleNamespace(monotonic=lambda: self.now))
        self.store = Store("epoch", 1 << 20)
        self._frontends = Frontends(
            socket, self.store, Limits(), authenticated=False, on_frontend_count=lambda count: None
        )

    def held(self) -> bool:
        """Whether the events that were added last are held."""
        return 0 < self._frontends.turn(lambda identity, role, body: None) < 1


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        yield Sender(socket, monkeypatch)


def test_what_no_frontend_waits_for_is_held_a_moment(sender: Sender) -> None:
    sender.store.add(e.CellStarted("a", 1, 0.0))
    assert sender.held()
    sender.now += 0.002
    assert not sender.held()


def test_what_a_frontend_waits_for_is_not_held(sender: Sender) -> None:
    sender.store.add(e.CellStarted("a", 1, 0.0))
    sender.store.add(e.RunFinished(1, "ok"))
    assert not sender.held()


def test_text_is_held_only_if_something_was_just_sent(sender: Sender) -> None:
    text = e.ConsoleWritten("a", 1, "stdout", "text")
    sender.store.add(text)
    assert not sender.held()
    sender.now += 0.0005
    sender.store.add(text)
    assert sender.held()
    sender.now += 0.0006
    assert not sender.held()
