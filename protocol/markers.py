"""Markers inside a console pipe, which say to which cell the text after them belongs.

All text written to one standard stream of a runner goes through one pipe, from any code. A marker is
the runner's nonce, a length (2 bytes, big-endian) and that many bytes of msgpack. The kernel cuts the
pipe at the markers. The nonce is 16 random bytes known to the two processes alone.
"""

import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from .errors import ProtocolError

_LENGTH = struct.Struct(">H")
#: As it is before user code can replace it.
_encode = msgspec.msgpack.encode

MarkerKind = Literal["cell", "clear", "pipe_opened", "pipe_drained", "after"]


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """What a marker says at its place in a console pipe.

    `cell`: the text from here on belongs to this run of this cell (an empty cell: to none).
    `clear`: this stream of the cell's console is empty; the owner of the text stays.
    `pipe_opened`: the text of the child's pipe number `pipe` comes after the text before this marker.
    `pipe_drained`: the text in the child's pipe number `pipe` comes before the text after this marker.
    `after`: the text after this marker was written when the link had taken `link` bytes; and if `turn` is
    not 0, after the text of the other stream's `after` markers with a smaller `(link, turn)`.
    """

    kind: MarkerKind
    cell: str = ""
    run: int = 0
    pipe: int = 0
    link: int = 0
    turn: int = 0


def encode_marker(nonce: bytes, marker: Marker) -> bytes:
    """Return `marker` as the bytes for the pipe."""
    body = _encode(marker)
    return nonce + _LENGTH.pack(len(body)) + body


class MarkedReader:
    """Cuts the bytes of one pipe into text and markers, in whatever pieces they arrive."""

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self._held: bytes = b""
        self._decoder = msgspec.msgpack.Decoder(Marker)

    def feed(self, data: bytes) -> Iterator[bytes | Marker]:
        """Return complete text and markers in order; the start of a marker is held until its rest arrives.

        Raises: ProtocolError if anything but a marker follows the nonce.
        """
        data = self._held + data
        self._held = b""
        start = 0
        while (found := data.find(self._nonce, start)) >= 0:
            if found > start:
                yield data[start:found]
            body = found + len(self._nonce) + _LENGTH.size
            if len(data) < body or len(data) < body + self._length(data, body):
                self._held = data[found:]
                return
            start = body + self._length(data, body)
            try:
                yield self._decoder.decode(data[body:start])
            except msgspec.DecodeError as error:
                raise ProtocolError(f"a console marker does not decode: {error}") from error
        end = len(data) - self._partial(data, start)
        self._held = data[end:]
        if end > start:
            yield data[start:end]

    def finish(self) -> bytes:
        """Return the bytes still held when the pipe has ended: the start of a marker without its rest."""
        held, self._held = self._held, b""
        return held

    def _length(self, data: bytes, body: int) -> int:
        return int(_LENGTH.unpack_from(data, body - _LENGTH.size)[0])

    def _partial(self, data: bytes, start: int) -> int:
        """Return how many bytes at the end of `data` could be the beginning of the nonce."""
        for size in range(min(len(self._nonce) - 1, len(data) - start), 0, -1):
            if self._nonce.startswith(data[-size:]):
                return size
        return 0
