"""A short text of a value, at a cost that does not grow with the value.

Standard collections are shown as far as their first entries: by their class's own methods, so that no
user code runs and nothing is copied. Everything else is asked for its `repr`.
"""

import collections
import inspect as inspection
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

#: Characters of a value in a list of variables.
_VALUE_CHARS = 120
#: Entries of a collection that are shown, and how deep collections in it are.
_ENTRIES = 6
_DEPTH = 3
#: Bits of an integer that is shown with its digits.
_BITS = 4096

#: The qualified name of a class, whatever its metaclass says.
qualname: Callable[[type], str] = vars(type)["__qualname__"].__get__


def short_text(value: object) -> str:
    """Return a short text of `value`, however large it is and whatever its `repr` does."""
    kind = type(value)
    try:
        if inspection.getattr_static(kind, "shape", None) is not None and (shape := _shape(value)):
            return f"{qualname(kind)} of shape {shape}"
        text = _short(value, _DEPTH)
    except BaseException as error:
        return f"<repr raised {qualname(type(error))}{_message(error)}>"[:_VALUE_CHARS]
    return text if len(text) <= _VALUE_CHARS else f"{text[: _VALUE_CHARS - 1]}…"


def _message(error: BaseException) -> str:
    try:
        return f": {error}"
    except BaseException:
        return ""


def _shape(value: Any) -> str:
    """Return the dimensions of an array or a frame; empty for a scalar."""
    shape: Any = value.shape
    return " × ".join(map(str, shape))


def _short(value: Any, depth: int) -> str:
    """Return the `repr` of `value` as far as its first entries, if it is one of a standard collection."""
    kind = type(value)
    form = _FORMS.get(kind.__repr__)
    if form is not None:
        return form(value, depth)
    if kind.__repr__ is int.__repr__ and int.bit_length(value) > _BITS:
        return f"<int of {int.bit_length(value):,} bits>"
    # The method that `namedtuple` makes shows every entry whole.
    if issubclass(kind, tuple) and "_fields" in vars(kind) and "__repr__" in vars(kind):
        return f"{qualname(kind)}{_sequence('(', ')', tuple)(value, depth)}"
    return repr(value)


def _entries(entries: Iterable[str], size: int, depth: int) -> str:
    """Return the first of `entries`, of which there are `size`, beside each other."""
    if depth <= 0 and size:
        return "..."
    # A list, as the C loop that makes it lets no other thread change the collection meanwhile.
    shown = ", ".join(list(islice(entries, _ENTRIES)))
    return f"{shown}, ..." if size > _ENTRIES else shown


def _wrapped(value: object, plain: type, text: str) -> str:
    """Return `text`, and around it the name of a class that is not `plain` itself."""
    return text if type(value) is plain else f"{qualname(type(value))}({text})"


def _sequence(opening: str, closing: str, plain: type) -> Callable[[Any, int], str]:
    def form(value: Any, depth: int) -> str:
        first: list[Any] = list(islice(plain.__iter__(value), _ENTRIES))
        text = _entries((_short(entry, depth - 1) for entry in first), plain.__len__(value), depth)
        comma = "," if plain is tuple and len(first) == 1 else ""
        return f"{opening}{text}{comma}{closing}"

    return form


def _collection(value: Any, depth: int) -> str:
    plain: type = next(kind for kind in (set, frozenset, collections.deque) if issubclass(type(value), kind))
    text = _sequence("[" if plain is collections.deque else "{", "", plain)(value, depth)
    if not plain.__len__(value) and plain is not collections.deque:
        return f"{qualname(type(value))}()"
    return _wrapped(value, set, text + ("]" if plain is collections.deque else "}"))


def _mapping(value: Any, depth: int) -> str:
    first: list[tuple[Any, Any]] = list(islice(dict.items(value), _ENTRIES))
    pairs = (f"{_short(key, depth - 1)}: {_short(item, depth - 1)}" for key, item in first)
    return _wrapped(value, dict, f"{{{_entries(pairs, dict.__len__(value), depth)}}}")


def _text(value: Any, _depth: int) -> str:
    plain: Any = next(kind for kind in (str, bytes, bytearray) if issubclass(type(value), kind))
    # Two more than are shown, so that what is left out is noticed.
    return plain.__repr__(plain.__getitem__(value, slice(0, _VALUE_CHARS + 2)))


#: How values are shown whose class has this `repr`: subclasses with one of their own are asked themselves.
_FORMS: dict[Any, Callable[[Any, int], str]] = {
    list.__repr__: _sequence("[", "]", list),
    tuple.__repr__: _sequence("(", ")", tuple),
    **dict.fromkeys([set.__repr__, frozenset.__repr__, collections.deque.__repr__], _collection),
    **dict.fromkeys(
        [
            dict.__repr__,
            collections.Counter.__repr__,
            collections.defaultdict.__repr__,
            collections.OrderedDict.__repr__,
        ],
        _mapping,
    ),
    **dict.fromkeys([str.__repr__, bytes.__repr__, bytearray.__repr__], _text),
}
