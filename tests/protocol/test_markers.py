"""Console pipes are cut at their markers, in whatever pieces they are read."""

from itertools import pairwise

import pytest
from cellwire.protocol.errors import ProtocolError
from cellwire.protocol.markers import MarkedReader, Marker, encode_marker
from hypothesis import given
from hypothesis import strategies as st

NONCE = b"\0" + bytes(range(100, 115))

# Text that looks like the beginning of a nonce is the hard part.
_texts = st.binary(max_size=20) | st.integers(1, len(NONCE) - 1).map(lambda size: NONCE[:size])
_markers = st.builds(
    Marker,
    st.sampled_from(["cell", "clear", "pipe_opened", "pipe_drained"]),
    st.sampled_from(["", "a", "cell-ü", "x" * 300]),
    st.integers(-(2**40), 2**40),
    st.integers(0, 10**6),
)
_content = st.lists(_texts | _markers, max_size=8)


def joined(parts: list[bytes | Marker]) -> list[bytes | Marker]:
    """Return `parts` with adjacent text joined and empty text left out."""
    whole: list[bytes | Marker] = []
    for part in parts:
        if isinstance(part, bytes) and whole and isinstance(whole[-1], bytes):
            whole[-1] += part
        elif part != b"":
            whole.append(part)
    return whole


@given(_content, st.lists(st.integers(0, 400), max_size=12))
def test_text_and_markers_come_out_in_order_however_the_pipe_is_read(content, cuts):
    stream = b"".join(part if isinstance(part, bytes) else encode_marker(NONCE, part) for part in content)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = MarkedReader(NONCE)
    parts: list[bytes | Marker] = []
    for start, end in pairwise(places):
        parts += reader.feed(stream[start:end])
    parts.append(reader.finish())
    assert joined(parts) == joined(content)


def test_text_is_returned_as_soon_as_it_cannot_be_a_marker():
    reader = MarkedReader(NONCE)
    assert list(reader.feed(b"text" + NONCE[:3])) == [b"text"]
    assert list(reader.feed(b"!")) == [NONCE[:3] + b"!"]


def test_a_marker_is_held_until_its_last_byte_arrives():
    reader = MarkedReader(NONCE)
    marker = Marker("cell", "a", 3)
    stream = encode_marker(NONCE, marker)
    for size in range(len(stream) - 1):
        assert list(reader.feed(stream[size : size + 1])) == []
    assert list(reader.feed(stream[-1:])) == [marker]
    assert reader.finish() == b""


def test_an_incomplete_marker_is_text_at_the_end():
    reader = MarkedReader(NONCE)
    begun = encode_marker(NONCE, Marker("cell", "a", 3))[:-1]
    assert list(reader.feed(begun)) == []
    assert reader.finish() == begun
    assert reader.finish() == b""


def test_text_is_never_a_marker_without_the_nonce():
    other = b"\0" + bytes(15)
    forged = encode_marker(other, Marker("cell", "stranger", 1))
    reader = MarkedReader(NONCE)
    assert joined([*reader.feed(forged), reader.finish()]) == [forged]


def test_a_nonce_without_a_marker_is_an_error():
    with pytest.raises(ProtocolError, match="marker"):
        list(MarkedReader(NONCE).feed(NONCE + b"\0\x01\xc1"))
