"""Whatever user code puts into a bundle can be sent and read."""

import datetime
import math
from typing import Any

import msgspec
import pytest
from cellwire.protocol.events import OutputsCleared
from cellwire.runner.output.encoding import encode, encode_bundle, plain, shown


class Odd:
    def __repr__(self) -> str:
        return "odd"


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")


cyclic: list[Any] = []
cyclic.append(cyclic)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"text/plain": "x"}, {"text/plain": "x"}),
        ({"text/plain": "x", "image/png": b"\x89"}, {"text/plain": "x", "image/png": b"\x89"}),
        ({"a": [1, 2.5, None, True, {"b": (1, 2)}]}, {"a": [1, 2.5, None, True, {"b": [1, 2]}]}),
        ({"a": "\ud800"}, {"a": "\\ud800"}),
        ({"\ud800": 1}, {"\\ud800": 1}),
        ({"a": 1 << 64}, {"a": str(1 << 64)}),
        ({"a": [Odd(), Broken()]}, {"a": ["odd", "<Broken whose repr raised ValueError>"]}),
        ({"a": {(1, 2): 3}}, {"a": {"(1, 2)": 3}}),
        ({1: "x"}, {"1": "x"}),
        ({"a": {1: 2, None: 3}}, {"a": {"1": 2, "None": 3}}),
        ({"a": bytearray(b"1"), "b": memoryview(b"2")}, {"a": b"1", "b": b"2"}),
        ({"a": {Odd}}, {"a": [repr(Odd)]}),
    ],
)
def test_a_bundle_is_read_as(given: dict[Any, Any], read: dict[str, Any]) -> None:
    assert msgspec.msgpack.decode(encode_bundle(given), type=dict[str, Any]) == read


def test_a_bundle_that_contains_itself_ends_somewhere() -> None:
    read = msgspec.msgpack.decode(encode_bundle({"a": cyclic}))
    depth = 0
    while isinstance(read, (list, dict)):
        (read,) = read.values() if isinstance(read, dict) else read  # pyright: ignore
        depth += 1
    assert (read, 10 < depth < 100) == ("[[...]]", True)


def test_what_has_a_form_of_its_own_keeps_it() -> None:
    moment = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    read = msgspec.msgpack.decode(encode_bundle({"a": moment, "b": math.inf}))
    assert read == {"a": "2020-01-01T00:00:00Z", "b": math.inf}


def test_events_with_text_that_is_not_unicode_keep_their_form() -> None:
    encoded = encode(OutputsCleared("\ud800", 3))
    assert msgspec.msgpack.decode(encoded, type=OutputsCleared) == OutputsCleared("\\ud800", 3)


def test_plain_values_are_copies() -> None:
    inner = [1]
    copy = plain({"a": inner})
    inner.append(2)
    assert copy == {"a": [1]}


def test_what_is_shown_is_unicode() -> None:
    assert shown(type("X", (), {"__repr__": lambda self: "\ud800"})()) == "\\ud800"
