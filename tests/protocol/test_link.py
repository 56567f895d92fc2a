"""Frames between kernel and runner, in whatever pieces a stream delivers them."""

from itertools import pairwise

import msgspec
import pytest
from cellwire.protocol import link
from cellwire.protocol import messages as m
from cellwire.protocol.errors import ProtocolError
from cellwire.protocol.events import CellDeclared
from cellwire.protocol.limits import Limits
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 200), max_size=12))
def test_frames_come_out_whole_and_in_order_however_the_stream_is_cut(bodies, cuts):
    stream = b"".join(map(link.frame, bodies))
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = link.FrameReader()
    received: list[bytes] = []
    for start, end in pairwise(places):
        received += reader.feed(stream[start:end])
    assert received == bodies


def test_a_frame_is_returned_as_soon_as_it_is_complete():
    reader = link.FrameReader()
    whole = link.frame(b"first") + link.frame(b"second")
    assert list(reader.feed(whole[:-1])) == [b"first"]
    assert list(reader.feed(whole[-1:])) == [b"second"]


def test_an_empty_frame_is_a_frame():
    assert list(link.FrameReader().feed(link.frame(b""))) == [b""]


def test_frames_do_not_share_the_buffer_that_they_came_from():
    reader = link.FrameReader()
    buffer = bytearray(link.frame(b"abc"))
    (body,) = reader.feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert body == b"abc"


def test_an_impossible_length_is_refused_at_once():
    reader = link.FrameReader()
    with pytest.raises(ProtocolError, match="4294967295 bytes"):
        reader.feed(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "instruction",
    [
        link.Configure(2, b"\0" + b"n" * 15, Limits(items=5), "lazy", -3, [CellDeclared("a", "1", 3)], ["a"]),
        link.Execute(1, m.RunCells("r", [m.Cell("a", "1")])),
        link.Execute(2, m.SetMode("r", "lazy")),
        link.Answer("i1", "text"),
        link.NoFrontend("1-1"),
        link.Probe(7),
        link.Exit(),
        m.Complete("q", "os.", 3),
        m.Inspect("q", "os", 2),
        m.Variables("q"),
    ],
    ids=lambda instruction: type(instruction).__name__,
)
def test_an_instruction_arrives_as_it_was_sent(instruction):
    encoded = msgspec.msgpack.encode(instruction)
    assert msgspec.msgpack.decode(encoded, type=link.Instruction | link.Control) == instruction


def test_a_report_arrives_as_it_was_sent():
    for report in (link.Alive(3), link.PipeOpened("a", 1, "stderr", 9)):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=link.Report) == report
