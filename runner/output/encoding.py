"""Values as msgpack, whatever user code has put into them.

The common case runs in C from end to end, without a line of Python in between, so nothing can change the
value meanwhile. Only what it refuses (exotic objects, integers beyond 64 bits, lone surrogates, cycles,
keys that are not text) is copied into plain data first, with text for what has no form of its own.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from .reports import qualname_of_class

_encode = msgspec.msgpack.Encoder().encode

#: Containers inside each other, counted from a bundle. Decoders in other processes have limits of their own,
#: which depend on how deep their caller is; what they cannot decode is lost to them.
_DEEPEST = 200
_TOO_DEEP = f"<not sent: it is nested more than {_DEEPEST} deep>"
#: Types that are encoded as bytes.
_BYTES = (bytes, bytearray, memoryview)


def encode(value: Any) -> bytes:
    """Return the msgpack of a message or event; text in it that is not Unicode is escaped."""
    try:
        return _encode(value)
    except (UnicodeError, TypeError, OverflowError, ValueError, RecursionError):
        return _encode(as_plain(msgspec.to_builtins(value, builtin_types=_BYTES, enc_hook=as_plain)))


def encode_bundle(bundle: dict[str, Any]) -> bytes:
    """Return the msgpack of a mime bundle, or of metadata: maps with text keys, at every depth.

    Never raises because of what is in it: if one value contains itself, all are encoded as text. A value that
    is nested too deeply is replaced by text that says so.
    """
    try:
        plain = msgspec.to_builtins(bundle, str_keys=True, builtin_types=_BYTES)
        encoded = _encode(plain)
        # Each level takes a byte at least, so that most bundles need no look at what is in them.
        return encoded if len(encoded) <= _DEEPEST else _encode_shallow(plain, encoded)
    except Exception:
        pass
    try:
        plain = as_plain(bundle)
        return _encode_shallow(plain, _encode(plain))
    except Exception:
        return _encode({safe_str(mime): safe_str(content) for mime, content in bundle.items()})


def _encode_shallow(bundle: dict[str, Any], encoded: bytes) -> bytes:
    """Return `encoded`, the msgpack of a bundle of plain data, without what is nested too deeply."""
    if _is_deep(bundle):
        return _encode({mime: _TOO_DEEP if _is_deep([value]) else value for mime, value in bundle.items()})
    return encoded


def _is_deep(value: Any) -> bool:
    """Whether plain data that is known to be finite is nested more than `_DEEPEST` deep."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner: list[Iterable[Any]] = [part.values() if type(part) is dict else part for part in level]
        level = [part for parts in inner for part in parts if type(part) is dict or type(part) is list]
        if not level:
            return False
    return True


def as_plain(value: Any) -> Any:
    """Return a copy of `value` made of None, bool, int, float, str, bytes, list and dict with text keys.

    Raises: RecursionError if `value` contains itself.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return safe_str(value)
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 64 else safe_str(int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, _BYTES):
        return bytes(cast("bytes", value))
    # Containers are copied first: another thread may change them.
    if isinstance(value, dict):
        items = list(cast("dict[Any, Any]", value).items())
        return {safe_str(key): as_plain(item) for key, item in items}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_plain(item) for item in list(cast("Iterable[Any]", value))]
    # numpy's scalars and arrays, and what follows their example: one call gives Python's own types.
    tolist: Any = getattr(cast("type[Any]", type(value)), "tolist", None)
    return safe_str(value) if tolist is None else as_plain(tolist(value))


def safe_str(value: object) -> str:
    """Return `value` as text, which for a subclass of str is its content; says so where `str()` fails."""
    try:
        text = value if isinstance(value, str) else str(value)
        return escape_surrogates(str.__str__(text))
    except Exception as error:
        kind, raised = qualname_of_class(type(value)), qualname_of_class(type(error))
        return f"<{kind} object; its str raised {raised}>"


def escape_surrogates(text: str) -> str:
    """Return `text` with lone surrogates, which UTF-8 does not have, written as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
