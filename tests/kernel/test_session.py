"""One frontend's cursor, over a socket that is a function."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from cellwire.kernel.record import Record
from cellwire.kernel.session import Departed, Session
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
            raise Departed
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
def record() -> Record:
    made = Record("epoch", 1 << 20)
    made.add(e.RunnerStarted(1, 1))
    return made


@pytest.fixture
def session(socket: Socket, record: Record) -> Session:
    made = Session(b"frontend", "control", "test", LIMITS, socket.send)
    made.open(record, "epoch", record.log.last)
    return made


def accept(record: Record, count: int) -> None:
    for number in range(count):
        record.add(e.RunAccepted(number))


def pump(session: Session, record: Record, now: float = 0.0) -> None:
    while session.pump(record, 2, now):
        pass


def test_a_frontend_that_holds_the_present_state_is_sent_what_happens_next(session, record, socket):
    accept(record, 2)
    pump(session, record)
    assert socket.messages == [Batch(2, [e.RunAccepted(0), e.RunAccepted(1)])]


def test_a_frontend_of_another_epoch_is_sent_the_state_and_then_the_log(session, record, socket):
    session.open(record, "another", 1)
    accept(record, 1)
    pump(session, record)
    snapshot, batch = socket.messages
    assert snapshot == Snapshot("epoch", 1, True, True, snapshot.events)
    assert batch == Batch(2, [e.RunAccepted(0)])


def test_a_frontend_that_is_ahead_of_the_log_is_sent_the_state(session, record, socket):
    session.open(record, "epoch", 99)
    pump(session, record)
    assert [type(message) for message in socket.messages] == [Snapshot]


def test_a_state_is_sent_in_parts_of_which_the_first_and_last_are_marked(session, record, socket):
    record.add(e.GraphChanged([e.CellDeclared(f"cell {number}") for number in range(10)]))
    session.open(record, "", 0)
    for _ in range(20):
        pump(session, record)
        session.acknowledge(socket.bytes)
    marks = [(message.first, message.last) for message in socket.messages]
    assert len(marks) > 3
    assert marks == [(True, False), *[(False, False)] * (len(marks) - 2), (False, True)]


def test_no_more_than_the_window_and_one_message_is_unacknowledged(session, record, socket):
    accept(record, 1000)
    pump(session, record)
    assert 1000 <= socket.bytes <= 1000 + 250
    assert session.statistics(record.log.last).unacknowledged == socket.bytes
    sent = socket.bytes
    session.acknowledge(100)
    pump(session, record)
    assert sent < socket.bytes <= 1100 + 250


def test_every_event_arrives_once_and_in_order_whatever_the_pace(session, record, socket):
    accept(record, 500)
    while len(socket.events()) < 500:
        session.acknowledge(socket.bytes)
        pump(session, record)
    assert [event.run for event in socket.events()] == list(range(500))
    assert not session.caught_up(record.log.last)
    session.acknowledge(socket.bytes)
    assert session.caught_up(record.log.last)


def test_acknowledging_more_than_was_sent_or_less_than_before_changes_nothing(session, record, socket):
    accept(record, 10)
    pump(session, record)
    session.acknowledge(socket.bytes + 1)
    assert session.acknowledged == 0
    session.acknowledge(socket.bytes)
    session.acknowledge(5)
    session.acknowledge(-5)
    assert session.acknowledged == socket.bytes


def test_a_frontend_that_falls_off_the_log_is_sent_the_state(socket):
    record = Record("epoch", 2000)
    session = Session(b"frontend", "control", "test", LIMITS, socket.send)
    session.open(record, "epoch", 0)
    accept(record, 1000)
    pump(session, record)
    session.acknowledge(socket.bytes)
    while not session.caught_up(record.log.last):
        pump(session, record)
        session.acknowledge(socket.bytes)
    assert isinstance(socket.messages[0], Snapshot)
    assert session.statistics(record.log.last).snapshots == 1
    assert session.statistics(record.log.last).behind == 0


def test_a_large_event_travels_in_a_frame_of_its_own(session, record, socket):
    accept(record, 1)
    record.add(e.ConsoleWritten("", 0, "stdout", "x" * 300))
    accept(record, 1)
    pump(session, record)
    assert [(len(body.events), frames) for body, frames, _ in socket.taken] == [(1, 1), (0, 2), (1, 1)]
    assert [body.first_seq for body, _, _ in socket.taken] == [2, 3, 4]


def test_what_the_socket_refuses_is_sent_later_and_only_once(session, record, socket):
    socket.room = 0
    accept(record, 3)
    pump(session, record)
    assert session.blocked
    assert not session.caught_up(record.log.last)
    accept(record, 2)
    socket.room = 10
    pump(session, record)
    assert [event.run for event in socket.events()] == [0, 1, 2, 0, 1]
    assert not session.blocked


def test_replies_go_ahead_of_events_that_were_refused(session, record, socket):
    socket.room = 0
    accept(record, 1)
    pump(session, record)
    session.reply((msgspec.msgpack.encode(Done("first")),))
    session.reply((msgspec.msgpack.encode(Done("second")),))
    socket.room = 10
    pump(session, record)
    assert socket.messages == [Done("first"), Done("second"), Batch(2, [e.RunAccepted(0)])]


def test_too_many_replies_that_nobody_reads_are_refused(session, socket):
    socket.room = 0
    done = (msgspec.msgpack.encode(Done("x")),)
    assert sum(session.reply(done) for _ in range(2000)) == 1024


def test_a_full_window_counts_from_when_it_was_full_until_an_acknowledgement(session, record, socket):
    accept(record, 1000)
    pump(session, record, now=5.0)
    pump(session, record, now=6.0)
    assert session.full_since == 5.0
    session.acknowledge(1)
    assert session.full_since is None


def test_a_socket_that_refuses_counts_as_a_full_window(session, record, socket):
    socket.room = 0
    accept(record, 1)
    pump(session, record, now=5.0)
    pump(session, record, now=6.0)
    assert session.full_since == 6.0
    socket.room = 10
    pump(session, record, now=7.0)
    assert session.full_since is None


def test_greeting_again_forgets_what_was_under_way(session, record, socket):
    socket.room = 0
    accept(record, 3)
    pump(session, record)
    session.open(record, "epoch", 3)
    socket.room = 10
    pump(session, record)
    assert socket.messages == [Batch(4, [e.RunAccepted(2)])]


def test_a_probe_finds_out_that_a_frontend_has_left(session, record, socket):
    session.probe(record)
    assert socket.messages == [Batch(2, [])]
    socket.gone = True
    with pytest.raises(Departed):
        session.probe(record)


def test_a_probe_in_the_middle_of_a_state_is_a_part_of_it(session, record, socket):
    record.add(e.GraphChanged([e.CellDeclared(f"cell {number}") for number in range(10)]))
    session.open(record, "", 0)
    session.probe(record)
    assert socket.messages == [], "the first part is about to be sent anyway"
    pump(session, record)
    session.probe(record)
    assert socket.messages[-1] == Snapshot("epoch", 2)


def test_probes_need_no_acknowledgement(session, record, socket):
    accept(record, 1)
    pump(session, record)
    session.acknowledge(socket.bytes)
    session.probe(record)
    assert session.caught_up(record.log.last)
