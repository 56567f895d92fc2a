"""Any bundle that user code makes can be sent and read."""

import datetime
import enum
import math
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy
import pytest
from cellwire.protocol.events import OutputsCleared
from cellwire.runner.output.encoding import as_plain, encode, encode_bundle, safe_str


class Odd:
    def __repr__(self) -> str:
        return "odd"


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"text/plain": "x"}, {"text/plain": "x"}),
        ({"text/plain": "x", "image/png": b"\x89"}, {"text/plain": "x", "image/png": b"\x89"}),
        ({"a": [1, 2.5, None, True, {"b": (1, 2)}]}, {"a": [1, 2.5, None, True, {"b": [1, 2]}]}),
        ({"a": "\ud800"}, {"a": "\\ud800"}),
        ({"\ud800": 1}, {"\\ud800": 1}),
        ({"a": 1 << 64}, {"a": str(1 << 64)}),
        ({"a": [Odd(), Broken()]}, {"a": ["odd", "<Broken object; its str raised ValueError>"]}),
        ({"a": {(1, 2): 3}}, {"a": {"(1, 2)": 3}}),
        ({1: "x"}, {"1": "x"}),
        ({"a": {1: 2, None: 3}}, {"a": {"1": 2, "None": 3}}),
        ({"a": bytearray(b"1"), "b": memoryview(b"2")}, {"a": b"1", "b": b"2"}),
        ({"a": {Odd}}, {"a": [repr(Odd)]}),
    ],
)
def test_a_bundle_is_read_as(given: dict[Any, Any], read: dict[str, Any]) -> None:
    assert msgspec.msgpack.decode(encode_bundle(given), type=dict[str, Any]) == read


@pytest.mark.parametrize("copies", [1, 2])
def test_where_a_value_contains_itself_all_are_text(copies: int) -> None:
    endless: list[Any] = []
    endless.extend([endless] * copies)
    read = msgspec.msgpack.decode(encode_bundle({"a": endless, "b": [1], "c": "x"}))
    assert read == {"a": f"[{', '.join(['[...]'] * copies)}]", "b": "[1]", "c": "x"}
    with pytest.raises(RecursionError):
        as_plain(endless)


def test_a_value_with_a_form_in_msgpack_keeps_it() -> None:
    moment = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    read = msgspec.msgpack.decode(encode_bundle({"a": moment, "b": math.inf}))
    assert read == {"a": "2020-01-01T00:00:00Z", "b": math.inf}


def test_events_with_text_that_is_not_unicode_keep_their_form() -> None:
    encoded = encode(OutputsCleared("\ud800", 3))
    assert msgspec.msgpack.decode(encoded, type=OutputsCleared) == OutputsCleared("\\ud800", 3)


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (numpy.float32(0.5), 0.5),
        (numpy.int64(3), 3),
        (numpy.bool_(True), True),
        (numpy.arange(3), [0, 1, 2]),
        (numpy.array(["2024-01-01"], "datetime64[D]"), ["2024-01-01"]),
        (Colour.RED, 1),
        ((1, {2}), [1, [2]]),
        ({1: {None: numpy.str_("x")}}, {"1": {"None": "x"}}),
        (10**30, "1" + 30 * "0"),
        (-(10**30), "-1" + 30 * "0"),
        (datetime.date(2024, 1, 1), "2024-01-01"),
        (1 + 2j, "(1+2j)"),
        (memoryview(b"ab"), b"ab"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_value_that_msgpack_does_not_take_becomes_plain(value: object, plain: object) -> None:
    result = as_plain(value)
    assert result == plain
    assert type(result) is type(plain)
    encode_bundle({"application/json": result})


def test_nan_stays_a_number() -> None:
    assert math.isnan(as_plain(numpy.float64("nan")))


def test_plain_values_are_copies() -> None:
    inner = [1]
    copy = as_plain({"a": inner})
    inner.append(2)
    assert copy == {"a": [1]}


def test_text_of_a_value_is_unicode() -> None:
    assert safe_str(type("X", (), {"__repr__": lambda self: "\ud800"})()) == "\\ud800"


class Name(str):
    def __str__(self) -> str:
        return "another text"


def test_a_subclass_of_str_is_its_content() -> None:
    assert as_plain({Name("key"): Name("value")}) == {"key": "value"}
    assert type(as_plain(Name("value"))) is str


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}, lambda inner: (inner,)])
def test_what_is_nested_too_deeply_is_left_out_and_says_so(wrap: Any) -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = wrap(value)
        return value

    kept, deep = nested(100), nested(101)
    bundle = msgspec.msgpack.decode(
        encode_bundle({"application/json": deep, "application/x": kept, "text/plain": "t"})
    )
    assert "nested more than 100 deep" in bundle["application/json"]
    assert bundle["text/plain"] == "t"
    assert bundle["application/x"] == msgspec.msgpack.decode(encode_bundle({"x": kept}))["x"] != ""
    # A list is deep wherever in it the deep part is.
    assert "left out" in msgspec.msgpack.decode(encode_bundle({"x": [1, "a", {}, nested(100)]}))["x"]


def test_a_value_of_any_depth_gives_an_item(recursion_limit: None) -> None:
    value: Any = 1
    for _ in range(3000):
        value = [value]
    assert "left out" in msgspec.msgpack.decode(encode_bundle({"x": value}))["x"]


@pytest.fixture
def recursion_limit() -> Iterator[None]:
    """A stack as large as a cell may make it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)
