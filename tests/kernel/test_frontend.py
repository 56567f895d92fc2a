"""One frontend's cursor, over a socket that is a function."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from cellwire.kernel.frontend import Frontend, FrontendGone
from cellwire.kernel.snapshot import Overtaken
from cellwire.kernel.store import Store
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits
from cellwire.protocol.messages import Batch, Done, FromKernel, Snapshot

LIMITS = Limits(window_bytes=1000, batch_bytes=200)


class Socket:
    """Takes messages as long as there is room."""

    def __init__(self) -> None:
        self.room = 10**6
        self.gone = False
        self.taken: list[tuple[FromKernel, int, int]] = []

    def send(self, identity: bytes, frames: Sequence[bytes]) -> bool:
        if self.gone:
            raise FrontendGone
        if len(self.taken) >= self.room:
            return False
        body = msgspec.msgpack.decode(frames[0], type=FromKernel)
        self.taken.append((body, len(frames), sum(map(len, frames))))
        return True

    @property
    def messages(self) -> list[Any]:
        return [body for body, _, _ in self.taken]

    @property
    def bytes(self) -> int:
        return sum(size for body, _, size in self.taken if isinstance(body, Batch | Snapshot))

    def events(self) -> list[Any]:
        return [event for body in self.messages if isinstance(body, Batch) for event in body.events]


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def store() -> Store:
    made = Store("epoch", 1 << 20)
    made.add(e.RunnerStarted(1, 1))
    return made


@pytest.fixture
def frontend(socket: Socket, store: Store) -> Frontend:
    made = Frontend(b"frontend", "control", "test", LIMITS, socket.send, Overtaken())
    made.open(store, "epoch", store.log.last)
    return made


def accept(store: Store, count: int) -> None:
    for number in range(count):
        store.add(e.RunAccepted(number))


def pump(frontend: Frontend, store: Store, now: float = 0.0) -> None:
    while frontend.pump(store, 2, now):
        pass


def test_a_frontend_that_holds_the_current_state_is_sent_what_happens_next(frontend, store, socket):
    accept(store, 2)
    pump(frontend, store)
    assert socket.messages == [Batch(2, [e.RunAccepted(0), e.RunAccepted(1)])]


def test_a_frontend_of_another_epoch_is_sent_the_state_and_then_the_log(frontend, store, socket):
    frontend.open(store, "another", 1)
    accept(store, 1)
    pump(frontend, store)
    snapshot, batch = socket.messages
    assert snapshot == Snapshot("epoch", 1, True, True, snapshot.events)
    assert batch == Batch(2, [e.RunAccepted(0)])


def test_a_frontend_that_is_ahead_of_the_log_is_sent_the_state(frontend, store, socket):
    frontend.open(store, "epoch", 99)
    pump(frontend, store)
    assert [type(message) for message in socket.messages] == [Snapshot]


def test_a_state_is_sent_in_parts_of_which_the_first_and_last_are_marked(frontend, store, socket):
    store.add(e.GraphChanged([e.CellDeclared(f"cell {number}") for number in range(10)]))
    frontend.open(store, "", 0)
    for _ in range(20):
        pump(frontend, store)
        frontend.acknowledge(socket.bytes)
    marks = [(message.first, message.last) for message in socket.messages]
    assert len(marks) > 3
    assert marks == [(True, False), *[(False, False)] * (len(marks) - 2), (False, True)]


def test_no_more_than_the_window_and_one_message_is_unacknowledged(frontend, store, socket):
    accept(store, 1000)
    pump(frontend, store)
    assert 1000 <= socket.bytes <= 1000 + 250
    assert frontend.statistics(store.log.last).unacknowledged == socket.bytes
    sent = socket.bytes
    frontend.acknowledge(100)
    pump(frontend, store)
    assert sent < socket.bytes <= 1100 + 250


def test_every_event_arrives_once_and_in_order_whatever_the_pace(frontend, store, socket):
    accept(store, 500)
    while len(socket.events()) < 500:
        frontend.acknowledge(socket.bytes)
        pump(frontend, store)
    assert [event.run for event in socket.events()] == list(range(500))
    assert not frontend.caught_up(store.log.last)
    frontend.acknowledge(socket.bytes)
    assert frontend.caught_up(store.log.last)


def test_acknowledging_more_than_was_sent_or_less_than_before_changes_nothing(frontend, store, socket):
    accept(store, 10)
    pump(frontend, store)
    frontend.acknowledge(socket.bytes + 1)
    assert frontend.acknowledged == 0
    frontend.acknowledge(socket.bytes)
    frontend.acknowledge(5)
    frontend.acknowledge(-5)
    assert frontend.acknowledged == socket.bytes


def test_a_frontend_that_falls_behind_the_log_is_sent_the_state(socket):
    store = Store("epoch", 2000)
    frontend = Frontend(b"frontend", "control", "test", LIMITS, socket.send, Overtaken())
    frontend.open(store, "epoch", 0)
    accept(store, 1000)
    pump(frontend, store)
    frontend.acknowledge(socket.bytes)
    while not frontend.caught_up(store.log.last):
        pump(frontend, store)
        frontend.acknowledge(socket.bytes)
    assert isinstance(socket.messages[0], Snapshot)
    assert frontend.statistics(store.log.last).snapshots == 1
    assert frontend.statistics(store.log.last).behind == 0


def test_a_large_event_travels_in_a_frame_of_its_own(frontend, store, socket):
    accept(store, 1)
    store.add(e.ConsoleWritten("", 0, "stdout", "x" * 300))
    accept(store, 1)
    pump(frontend, store)
    assert [(len(body.events), frames) for body, frames, _ in socket.taken] == [(1, 1), (0, 2), (1, 1)]
    assert [body.first_seq for body, _, _ in socket.taken] == [2, 3, 4]


def test_what_the_socket_refuses_is_sent_later_and_only_once(frontend, store, socket):
    socket.room = 0
    accept(store, 3)
    pump(frontend, store)
    assert frontend.blocked
    assert not frontend.caught_up(store.log.last)
    accept(store, 2)
    socket.room = 10
    pump(frontend, store)
    assert [event.run for event in socket.events()] == [0, 1, 2, 0, 1]
    assert not frontend.blocked


def test_replies_go_ahead_of_events_that_were_refused(frontend, store, socket):
    socket.room = 0
    accept(store, 1)
    pump(frontend, store)
    frontend.reply((msgspec.msgpack.encode(Done("first")),))
    frontend.reply((msgspec.msgpack.encode(Done("second")),))
    socket.room = 10
    pump(frontend, store)
    assert socket.messages == [Done("first"), Done("second"), Batch(2, [e.RunAccepted(0)])]


def test_a_held_reply_travels_with_the_next_events_and_ahead_of_them(frontend, store, socket):
    frontend.open(store, "epoch", 1)
    store.add(e.RunAccepted(1))
    assert frontend.is_behind(store)
    assert frontend.reply((msgspec.msgpack.encode(Done("held")),), held=True)
    assert frontend.reply((msgspec.msgpack.encode(Done("behind it")),))
    assert socket.messages == []
    frontend.pump(store, 1, 0.0)
    held, behind, batch = socket.messages
    assert (held, behind, batch.events) == (Done("held"), Done("behind it"), [e.RunAccepted(1)])
    assert not frontend.is_behind(store)


def test_too_many_unread_replies_are_refused(frontend, socket):
    socket.room = 0
    done = (msgspec.msgpack.encode(Done("x")),)
    assert sum(frontend.reply(done) for _ in range(2000)) == 1024


def test_a_dropped_frontend_is_sent_its_notice_and_nothing_else(frontend, store, socket):
    socket.room = 0
    accept(store, 3)
    pump(frontend, store)
    frontend.reply((msgspec.msgpack.encode(Done("lost")),))
    frontend.drop((msgspec.msgpack.encode(Done("notice")),))
    assert not frontend.flush()
    socket.room = 10
    assert frontend.flush()
    assert socket.messages == [Done("notice")]


def test_a_full_window_counts_from_when_it_was_full_until_an_acknowledgement(frontend, store, socket):
    accept(store, 1000)
    pump(frontend, store, now=5.0)
    pump(frontend, store, now=6.0)
    assert frontend.full_since == 5.0
    frontend.acknowledge(1)
    assert frontend.full_since is None


def test_a_socket_that_refuses_counts_as_a_full_window(frontend, store, socket):
    socket.room = 0
    accept(store, 1)
    pump(frontend, store, now=5.0)
    pump(frontend, store, now=6.0)
    assert frontend.full_since == 6.0
    socket.room = 10
    pump(frontend, store, now=7.0)
    assert frontend.full_since is None


def test_a_second_hello_forgets_the_events_under_way(frontend, store, socket):
    socket.room = 0
    accept(store, 3)
    pump(frontend, store)
    frontend.open(store, "epoch", 3)
    socket.room = 10
    pump(frontend, store)
    assert socket.messages == [Batch(4, [e.RunAccepted(2)])]


def test_a_probe_finds_out_that_a_frontend_has_left(frontend, store, socket):
    frontend.probe(store)
    assert socket.messages == [Batch(2, [])]
    socket.gone = True
    with pytest.raises(FrontendGone):
        frontend.probe(store)


def test_a_probe_in_the_middle_of_a_state_is_a_part_of_it(frontend, store, socket):
    store.add(e.GraphChanged([e.CellDeclared(f"cell {number}") for number in range(10)]))
    frontend.open(store, "", 0)
    frontend.probe(store)
    assert socket.messages == [], "the first part is about to be sent anyway"
    pump(frontend, store)
    frontend.probe(store)
    assert socket.messages[-1] == Snapshot("epoch", 2)


def test_probes_need_no_acknowledgement(frontend, store, socket):
    accept(store, 1)
    pump(frontend, store)
    frontend.acknowledge(socket.bytes)
    frontend.probe(store)
    assert frontend.caught_up(store.log.last)


@pytest.fixture
def slow(socket: Socket) -> tuple[Store, Overtaken, list[Frontend]]:
    """A store, and two frontends that took the first part of its state; then the log overtook that state."""
    store = Store("epoch", 2000)
    store.add(e.GraphChanged([e.CellDeclared(f"cell {number}") for number in range(50)]))
    overtaken = Overtaken()
    frontends = [Frontend(b"", "control", "", LIMITS, socket.send, overtaken) for _ in range(2)]
    for frontend in frontends:
        frontend.open(store, "", 0)
        pump(frontend, store)
    accept(store, 200)
    socket.taken.clear()
    return store, overtaken, frontends


def test_one_frontend_goes_on_with_a_state_that_the_log_has_overtaken(slow, socket):
    store, _, (first, second) = slow
    for frontend, snapshot in ((first, Snapshot("epoch", 1)), (second, Snapshot("epoch", 201, True))):
        pump(frontend, store)
        assert socket.taken == []
        frontend.acknowledge(1000)
        pump(frontend, store)
        assert msgspec.structs.replace(socket.messages[0], events=[]) == snapshot
        socket.taken.clear()


def test_the_next_one_may_go_on_when_the_first_has_left(slow, socket):
    store, _, frontends = slow
    pump(frontends[0], store)
    del frontends[0]
    pump(frontends[0], store)
    frontends[0].acknowledge(1000)
    pump(frontends[0], store)
    assert not socket.messages[0].first


def test_a_probe_of_a_frontend_that_has_to_begin_again_is_a_part_of_its_state(slow, socket):
    store, _, (first, second) = slow
    for frontend in (first, second):
        pump(frontend, store)
        frontend.probe(store)
    assert socket.messages == [Snapshot("epoch", 1), Snapshot("epoch", 1)]


def test_the_bytes_of_unread_replies_are_counted(frontend, store, socket):
    socket.room = 0
    reply = (msgspec.msgpack.encode(Done("x")),)
    for _ in range(3):
        frontend.reply(reply)
    assert frontend.reply_bytes == 3 * len(reply[0])
    socket.room = 2
    pump(frontend, store)
    assert frontend.reply_bytes == len(reply[0])
    frontend.drop(reply * 2)
    assert frontend.reply_bytes == 2 * len(reply[0])


def test_a_greeting_repeated_at_once_copies_no_state_again(frontend, store):
    frontend.open(store, "", 0)
    frontend.open(store, "", 0)
    assert frontend.statistics(store.log.last).snapshots == 1
    accept(store, 1)
    frontend.open(store, "", 0)
    assert frontend.statistics(store.log.last).snapshots == 2


def test_large_replies_wait_while_too_many_bytes_of_them_are_in_the_socket(frontend, store, socket):
    left: list[bool] = []

    def large() -> Any:
        number = len(left)
        left.append(False)
        return (msgspec.msgpack.encode(Done("x" * 400_000)),), lambda: left[number]

    assert all(frontend.reply(*large()) for _ in range(4))
    assert len(socket.taken) == 2
    assert frontend.blocked
    pump(frontend, store)
    assert len(socket.taken) == 2
    left[0] = True
    pump(frontend, store)
    assert len(socket.taken) == 3
    left[:] = [True] * 4
    pump(frontend, store)
    assert len(socket.taken) == 4
    assert not frontend.blocked
