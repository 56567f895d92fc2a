"""The ring of encoded events."""

import pytest
from cellwire.kernel.log import OVERHEAD, Log, LogStatistics
from hypothesis import given
from hypothesis import strategies as st


def test_events_are_numbered_from_one_and_read_back_in_order():
    log = Log(1000)
    assert [log.append(b"a"), log.append(b"b"), log.append(b"c")] == [1, 2, 3]
    assert log.read(1, 1000) == [b"a", b"b", b"c"]
    assert log.read(3, 1000) == [b"c"]


def test_a_read_stops_before_the_limit_is_passed():
    log = Log(10_000)
    for event in (b"aaaa", b"bbbb", b"cccc"):
        log.append(event)
    assert log.read(1, 8) == [b"aaaa", b"bbbb"]
    assert log.read(1, 11) == [b"aaaa", b"bbbb"]
    assert log.read(1, 12) == [b"aaaa", b"bbbb", b"cccc"]


def test_an_event_larger_than_the_limit_is_read_alone():
    log = Log(10_000)
    for event in (b"small", b"x" * 100, b"small"):
        log.append(event)
    assert log.read(1, 50) == [b"small"]
    assert log.read(2, 50) == [b"x" * 100]
    assert log.read(3, 50) == [b"small"]


def test_the_oldest_events_are_forgotten_at_the_bound():
    log = Log(3 * (10 + OVERHEAD))
    for number in range(5):
        log.append(b"%010d" % number)
    assert (log.first, log.last) == (3, 5)
    assert log.read(3, 1000) == [b"%010d" % number for number in (2, 3, 4)]
    assert log.statistics() == LogStatistics(events=3, size=log.size, bound=3 * (10 + OVERHEAD), forgotten=2)


def test_the_newest_event_is_kept_even_if_it_is_larger_than_the_bound():
    log = Log(100)
    log.append(b"small")
    log.append(b"x" * 1000)
    assert (log.first, log.last) == (2, 2)
    assert log.read(2, 10) == [b"x" * 1000]
    log.append(b"small")
    assert (log.first, log.last) == (3, 3)


@pytest.mark.parametrize("count", [20_000])
def test_the_list_of_a_full_log_does_not_grow(count: int):
    log = Log(100 * (8 + OVERHEAD))
    for number in range(count):
        log.append(b"%08d" % number)
    assert len(log._events) < 10_000
    assert log.read(log.last - 1, 1000) == [b"%08d" % (count - 2), b"%08d" % (count - 1)]


@given(st.lists(st.binary(max_size=40)), st.integers(50, 2000), st.integers(1, 200))
def test_reading_on_from_the_first_gives_every_kept_event_once(events: list[bytes], bound: int, limit: int):
    log = Log(bound)
    for event in events:
        log.append(event)
    found: list[bytes] = []
    while log.first + len(found) <= log.last:
        part = log.read(log.first + len(found), limit)
        assert len(part) == 1 or sum(map(len, part)) <= limit
        found += part
    assert found == events[log.first - 1 :]
    assert log.size == sum(len(event) + OVERHEAD for event in found)
