"""What is joined, what waits for a server, and that its order stays; by a clock of the test's own."""

import heapq
import json
from collections import deque
from collections.abc import Callable
from itertools import count

import pytest
from cellwire.frontends.jupyter.publisher import Publisher
from cellwire.frontends.jupyter.wire import Wire

_PARENT = b'{"msg_id":"p"}'


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), callback))

    def pass_by(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, callback = heapq.heappop(self._due)
            callback()
        self.now = until


class Server:
    """What comes out, and what a server of Jupyter would drop of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counted: deque[tuple[float, int]] = deque()
        self._bytes = 0
        #: Kinds with the text, or the data of the message.
        self.received: list[tuple[str, str]] = []
        self.dropped = 0

    def send(self, channel: str, frames: list[bytes]) -> bool:
        kind, content = frames[0].decode(), json.loads(frames[6])
        self.received.append((kind, str(content.get("text", content.get("data", "")))))
        if kind == "status" and content["execution_state"] == "idle":
            self._counted.clear()
            self._bytes = 0
        if kind not in ("status", "comm_open", "execute_input"):
            size = sum(map(len, frames)) if kind == "stream" else 0
            while self._counted and self._counted[0][0] <= self._clock.now - 3:
                self._bytes -= self._counted.popleft()[1]
            self._counted.append((self._clock.now, size))
            self._bytes += size
            self.dropped += len(self._counted) / 3 > 1000 or self._bytes / 3 > 1_000_000
        return True

    def text(self) -> str:
        return "".join(text for kind, text in self.received if kind == "stream")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Server:
    return Server(clock)


def made(clock: Clock, server: Server, *, paced: bool) -> Publisher:
    """Return a publisher to which a client listens."""
    publisher = Publisher(Wire(b""), server.send, clock.later, paced=paced, clock=lambda: clock.now)
    publisher.welcome(b"")
    server.received.clear()
    return publisher


def test_the_first_text_goes_out_at_once_and_what_follows_it_is_joined(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=False)
    for i in range(5):
        publisher.write("stdout", f"{i}", _PARENT)
    assert server.received == [("stream", "0")]
    clock.pass_by(1)
    assert server.received == [("stream", "0"), ("stream", "1234")]


def test_text_is_joined_with_that_of_its_stream_and_request_alone(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=False)
    publisher.write("stdout", "a", _PARENT)
    publisher.write("stdout", "b", _PARENT)
    publisher.write("stderr", "c", _PARENT)
    publisher.write("stderr", "d", b"{}")
    clock.pass_by(1)
    assert [text for _, text in server.received] == ["a", "b", "c", "d"]


def test_a_message_comes_after_the_text_before_it(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=False)
    for i in range(3):
        publisher.write("stdout", f"{i}", _PARENT)
        publisher.publish("display_data", {"data": i}, _PARENT)
    assert [text for _, text in server.received] == ["0", "0", "1", "1", "2", "2"]


@pytest.mark.parametrize("paced", [False, True])
def test_a_flood_of_displays_loses_nothing_and_keeps_its_order(
    clock: Clock, server: Server, paced: bool
) -> None:
    publisher = made(clock, server, paced=paced)
    for i in range(10_000):
        publisher.publish("display_data", {"data": i}, _PARENT)
        publisher.write("stdout", f"{i}\n", _PARENT)
    publisher.status("idle", _PARENT)
    assert (len(server.received) < 3000) is paced
    clock.pass_by(60)
    texts = [text.strip() for _, text in server.received]
    assert texts == [f"{i}" for i in range(10_000) for _ in range(2)] + [""]
    assert (server.dropped == 0) is paced


def test_a_flood_of_text_stays_below_what_a_server_takes(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=True)
    piece = "x" * 65_536
    for _ in range(100):
        publisher.write("stdout", piece, _PARENT)
    clock.pass_by(30)
    assert server.text() == piece * 100
    assert server.dropped == 0


def test_text_that_waits_has_a_bound_and_says_what_is_missing(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=True)
    for i in range(1000):
        publisher.write("stdout", f"{i:06}" + "x" * 65_530, _PARENT)
    publisher.publish("display_data", {"data": "after"}, _PARENT)
    clock.pass_by(60)
    text = server.text()
    assert len(text) < 16 * 1024 * 1024
    assert "characters came too fast to be shown]" in text
    assert text.startswith("000000")
    assert text.rstrip("x").endswith("000999")
    assert server.received[-1] == ("display_data", "after")
    assert server.dropped == 0


def test_an_idle_kernel_begins_a_new_count(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=True)
    for _ in range(10):
        for i in range(1000):
            publisher.publish("display_data", {"data": i}, _PARENT)
        publisher.status("idle", _PARENT)
    assert len(server.received) == 10 * 1001
    assert server.dropped == 0


def test_everything_goes_out_at_the_end(clock: Clock, server: Server) -> None:
    publisher = made(clock, server, paced=True)
    for i in range(5000):
        publisher.publish("display_data", {"data": i}, _PARENT)
    publisher.write("stdout", "end", _PARENT)
    publisher.finish()
    assert len(server.received) == 5001
    assert server.received[-1] == ("stream", "end")


def test_what_is_published_waits_for_the_first_listener(clock: Clock, server: Server) -> None:
    publisher = Publisher(Wire(b""), server.send, clock.later, clock=lambda: clock.now)
    publisher.publish("display_data", {"data": 1}, _PARENT)
    clock.pass_by(0.5)
    assert server.received == []
    publisher.welcome(b"")
    publisher.publish("display_data", {"data": 2}, _PARENT)
    assert server.received[1:] == [("display_data", "1"), ("display_data", "2")]


def test_what_is_published_does_not_wait_for_ever(clock: Clock, server: Server) -> None:
    publisher = Publisher(Wire(b""), server.send, clock.later, clock=lambda: clock.now)
    publisher.publish("display_data", {"data": 1}, _PARENT)
    clock.pass_by(1)
    assert server.received == [("display_data", "1")]
