"""Messages that carry events, built around events that are already encoded.

msgpack is simple enough to write the few bytes around the events by hand, which saves decoding and
encoding each event again for each frontend. An event larger than a message may be is a frame of its
own after a body without events, so its bytes are not copied either.
"""

import struct
from collections.abc import Sequence

import msgspec

_pack_u16 = struct.Struct(">BH").pack
_pack_u32 = struct.Struct(">BI").pack
_integer = msgspec.msgpack.Encoder().encode

_BATCH = b"\x83\xa4type\xa5Batch\xa9first_seq"
_EVENTS = b"\xa6events"


def batch(first_seq: int, events: Sequence[bytes], limit: int) -> list[bytes]:
    """Return the frames of a `Batch`; an event larger than `limit` must be alone in it."""
    return _body(_BATCH + _integer(first_seq), events, limit)


def snapshot(
    epoch: str, seq: int, first: bool, last: bool, events: Sequence[bytes], limit: int
) -> list[bytes]:
    """Return the frames of a `Snapshot`; an event larger than `limit` must be alone in it."""
    head = b"".join(
        (
            b"\x86\xa4type\xa8Snapshot\xa5epoch",
            msgspec.msgpack.encode(epoch),
            b"\xa3seq",
            _integer(seq),
            b"\xa5first\xc3" if first else b"\xa5first\xc2",
            b"\xa4last\xc3" if last else b"\xa4last\xc2",
        )
    )
    return _body(head, events, limit)


def _body(head: bytes, events: Sequence[bytes], limit: int) -> list[bytes]:
    if len(events) == 1 and len(events[0]) > limit:
        return [head + _EVENTS + b"\x90", events[0]]
    return [b"".join((head, _EVENTS, _array(len(events)), *events))]


def _array(length: int) -> bytes:
    """Return the header of a msgpack array."""
    if length < 16:
        return bytes((0x90 | length,))
    return _pack_u16(0xDC, length) if length < 1 << 16 else _pack_u32(0xDD, length)
