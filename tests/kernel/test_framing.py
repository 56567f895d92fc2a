"""Messages built around encoded events, read by an ordinary decoder."""

import msgspec
import pytest
from cellwire.kernel import framing
from cellwire.protocol.events import ConsoleWritten, Event, RunAccepted
from cellwire.protocol.messages import Batch, FromKernel, Snapshot

LIMIT = 1 << 16


def decode(frames: list[bytes]) -> tuple[FromKernel, list[Event]]:
    body = msgspec.msgpack.decode(frames[0], type=FromKernel)
    return body, [msgspec.msgpack.decode(frame, type=Event) for frame in frames[1:]]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 65_535, 65_536])
@pytest.mark.parametrize("first", [1, 127, 128, 1 << 16, 1 << 40])
def test_a_batch_holds_its_events_whatever_their_number(count: int, first: int):
    encoded = [msgspec.msgpack.encode(RunAccepted(1))] * count
    body, further = decode(framing.batch(first, encoded, LIMIT))
    assert body == Batch(first, [RunAccepted(1)] * count)
    assert further == []


def test_a_large_event_is_a_frame_of_its_own_and_is_not_copied():
    event = msgspec.msgpack.encode(ConsoleWritten("", 0, "stdout", "x" * LIMIT))
    frames = framing.batch(7, [event], LIMIT)
    assert frames[1] is event
    body, further = decode(frames)
    assert body == Batch(7, [])
    assert further == [ConsoleWritten("", 0, "stdout", "x" * LIMIT)]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_a_snapshot_says_where_it_begins_and_ends(first: bool, last: bool):
    encoded = [msgspec.msgpack.encode(RunAccepted(number)) for number in range(3)]
    body, _ = decode(framing.snapshot("epoch", 300, first, last, encoded, LIMIT))
    assert body == Snapshot("epoch", 300, first, last, [RunAccepted(number) for number in range(3)])
