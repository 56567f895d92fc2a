"""Values as msgpack, whatever user code has put into them.

The common way is in C from end to end, without a line of Python in between, so nothing can change the
value meanwhile. Only what it refuses (exotic objects, integers beyond 64 bits, lone surrogates,
cycles, keys that are no text) is copied into plain data first, with text for what has no form of its own.
"""

from typing import Any, cast

import msgspec

_encode = msgspec.msgpack.Encoder().encode

#: Types that are encoded as bytes.
_BYTES = (bytes, bytearray, memoryview)

#: Containers nested deeper than this are shown as text.
_DEPTH = 64


def encode(value: Any) -> bytes:
    """Return the msgpack of a message or event; text in it that is not Unicode is escaped."""
    try:
        return _encode(value)
    except (UnicodeError, TypeError, OverflowError, ValueError, RecursionError):
        return _encode(plain(msgspec.to_builtins(value, builtin_types=_BYTES, enc_hook=plain)))


def encode_bundle(bundle: dict[str, Any]) -> bytes:
    """Return the msgpack of a mime bundle, or of metadata: maps with text keys, at every depth.

    Never raises because of what is in it.
    """
    try:
        return _encode(msgspec.to_builtins(bundle, str_keys=True, builtin_types=_BYTES))
    except Exception:
        return _encode(plain(bundle))


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy of `value` made of None, bool, int, float, str, bytes, list and dict with text keys."""
    match value:
        case None | bool() | float():
            return value
        case str():
            return _text(value)
        case int() if -(1 << 63) <= value < 1 << 64:
            return int(value)
        case bytes() | bytearray() | memoryview():
            return bytes(cast(bytes, value))
        case dict() if depth < _DEPTH:
            items = list(cast(dict[Any, Any], value).items())
            return {
                _text(key) if isinstance(key, str) else shown(key): plain(v, depth + 1) for key, v in items
            }
        case list() | tuple() | set() | frozenset() if depth < _DEPTH:
            return [plain(each, depth + 1) for each in list(cast(list[Any], value))]
        case _:
            return shown(value)


def shown(value: object) -> str:
    """Return `repr(value)`, or something in its place where that fails."""
    try:
        return _text(repr(value))
    except Exception as error:
        return f"<{type(value).__qualname__} whose repr raised {type(error).__qualname__}>"


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
