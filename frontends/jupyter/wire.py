"""Jupyter's messages as frames: read, checked, written, signed. No sockets.

A message is `[identity ...] <IDS|MSG> signature header parent_header metadata content [buffer ...]`. The four
parts are JSON, and the signature is a hexadecimal HMAC of them, empty if there is no key. The bytes of a
header are kept, since they become the parent header of every answer to the message.
"""

import hmac
import math
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, cast

import msgspec

DELIMITER = b"<IDS|MSG>"
#: The version of Jupyter's messaging protocol.
VERSION = "5.5"
NO_PARENT = b"{}"
#: How many signatures are remembered, to refuse a repeated message.
_SIGNATURES = 65536

#: What may hold a number that msgpack has no room for, and how many brackets may be nested too deeply.
_LONG_NUMBER = re.compile(rb"\d{19}")
_BRACKETS = 200
#: Levels of nesting that are kept free for those who wrap it, or read it where more calls are on the stack.
_RESERVE = 100

_encode = msgspec.json.Encoder().encode
_encode_compactly = msgspec.msgpack.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any] | None).decode


class UnreadableMessage(Exception):
    """Raised when frames are not a message, were not signed with the key, or came before."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a client."""

    #: The routing frames for a reply.
    identities: list[bytes]
    #: The bytes of its header, the parent header of its answers.
    header_bytes: bytes
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: list[bytes]

    @property
    def type(self) -> str:
        """The type of the message, such as `execute_request`."""
        return str(self.header.get("msg_type", ""))

    @property
    def session(self) -> str:
        """The page or process of the client."""
        return str(self.header.get("session", ""))


class Wire:
    """Reads and writes the messages of one kernel process."""

    def __init__(self, key: bytes, digest: str = "sha256") -> None:
        """Raise ValueError if there is no hash function `digest`."""
        self._mac = hmac.new(key, digestmod=digest) if key else None
        #: The session in all headers that this process writes.
        self.session = os.urandom(16).hex()
        self._prefix = f"{self.session}_{os.getpid()}_"
        self._numbers = count(1)
        self._seen: dict[bytes, None] = {}
        #: How many messages were refused.
        self.refused = 0
        #: The identifier of the last message that was written.
        self.last_written = ""

    def read(self, frames: Sequence[bytes]) -> Message:
        """Return the message in `frames`.

        Raises: UnreadableMessage.
        """
        try:
            return self._read(list(frames))
        except UnreadableMessage:
            self.refused += 1
            raise

    def write(
        self,
        kind: str,
        content: Any,
        parent: bytes = NO_PARENT,
        metadata: Mapping[str, Any] | None = None,
        buffers: Iterable[bytes] = (),
    ) -> list[bytes]:
        """Return the frames of a new message, from the delimiter on.

        `parent` is the encoded header of the message that this one answers.
        """
        self.last_written = f"{self._prefix}{next(self._numbers)}"
        header = {
            "msg_id": self.last_written,
            "msg_type": kind,
            "username": "kernel",
            "session": self.session,
            "date": now(),
            "version": VERSION,
        }
        parts = [_encode(header), parent, _encode(metadata) if metadata else b"{}", _encode(content)]
        return [DELIMITER, self._sign(parts), *parts, *buffers]

    def _read(self, frames: list[bytes]) -> Message:
        try:
            start = frames.index(DELIMITER)
            signature, header, parent, metadata, content = frames[start + 1 : start + 6]
        except ValueError:
            raise UnreadableMessage("it has too few frames") from None
        parts = [header, parent, metadata, content]
        if self._mac is not None:
            if not hmac.compare_digest(signature, self._sign(parts)):
                raise UnreadableMessage("its signature is wrong: another key signed it, or none")
            if signature in self._seen:
                raise UnreadableMessage("it came before")
            self._seen[signature] = None
            if len(self._seen) > _SIGNATURES:
                del self._seen[next(iter(self._seen))]
        decoded = [_read_part(part) for part in parts]
        return Message(frames[:start], header, *decoded, buffers=frames[start + 6 :])

    def _sign(self, parts: Iterable[bytes]) -> bytes:
        if self._mac is None:
            return b""
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()


def now() -> str:
    """Return the time in the format of headers."""
    seconds = time.time()
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1e6):06d}Z"


@lru_cache(1)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _read_part(part: bytes) -> dict[str, Any]:
    """Return one part of a message as it can be passed on to the runner.

    Raises: UnreadableMessage.
    """
    try:
        try:
            decoded: dict[str, Any] = _decode(part) or {}
        except msgspec.DecodeError:
            import json

            # Half of a pair that stands for one character: a page may send a text that was cut there.
            text = json.dumps(json.loads(part), ensure_ascii=False).encode("utf-8", "replace")
            decoded = _decode(text) or {}
        if _LONG_NUMBER.search(part):
            decoded = cast(dict[str, Any], _with_room(decoded))
        if part.count(b"[") + part.count(b"{") > _BRACKETS:
            _encode_deeply(decoded, _RESERVE)
    except RecursionError:
        raise UnreadableMessage("it is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableMessage(str(error)) from None
    return decoded


def _with_room(value: Any) -> Any:
    """Return `value` with numbers of more than 64 bits as JavaScript has them."""
    if isinstance(value, dict):
        return {name: _with_room(each) for name, each in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_with_room(each) for each in cast(list[Any], value)]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return float(value) if abs(value) < 1 << 1023 else math.inf if value > 0 else -math.inf
    return value


def _encode_deeply(value: Any, levels: int) -> None:
    """Raise RecursionError if `value` cannot be encoded so many levels deeper than it is."""
    for _ in range(levels):
        value = [value]
    _encode_compactly(value)
