"""A short text of a value, at a cost that does not grow with the value.

Standard collections are shown as far as their first entries: by their class's own methods, so that no
user code runs and nothing is copied. Everything else is asked for its `repr`.
"""

import collections
import inspect as inspection
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, cast

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
    kind = cast("type[Any]", type(value))
    form = _FORMS.get(kind.__repr__)
    if form is not None:
        return form(value, depth)
    if kind.__repr__ is int.__repr__ and int.bit_length(value) > _BITS:
        return f"<int of {int.bit_length(value):,} bits>"
    name, own = qualname(kind), vars(kind)
    # The method that `namedtuple` makes shows every entry whole.
    if "_fields" in own and "__repr__" in own and issubclass(kind, tuple):
        return f"{name}{_sequence('(', ')', tuple)(value, depth)}"
    return repr(value)


def _entries(entries: Iterable[str], size: int, depth: int) -> str:
    """Return the first of `entries`, of which there are `size`, beside each other."""
    if depth <= 0 and size:
        return "..."
    # A list, as the C loop that makes it lets no other thread change the collection meanwhile.
    shown = ", ".join(list(islice(entries, _ENTRIES)))
    return f"{shown}, ..." if size > _ENTRIES else shown


def _wrapped(value: Any, plain: Any, text: str) -> str:
    """Return `text`, and around it the name of a class that is not `plain` itself."""
    kind = cast("type[Any]", type(value))
    return text if kind is plain else f"{qualname(kind)}({text})"


def _sequence(opening: str, closing: str, plain: Any) -> Callable[[Any, int], str]:
    def form(value: Any, depth: int) -> str:
        first: list[Any] = list(islice(plain.__iter__(value), _ENTRIES))
        text = _entries((_short(entry, depth - 1) for entry in first), plain.__len__(value), depth)
        comma = "," if plain is tuple and len(first) == 1 else ""
        return f"{opening}{text}{comma}{closing}"

    return form


def _collection(value: Any, depth: int) -> str:
    plain: Any = next(kind for kind in _COLLECTIONS if issubclass(type(value), kind))
    text = _sequence("[" if plain is collections.deque else "{", "", plain)(value, depth)
    if text == "{":
        kind = cast("type[Any]", type(value))
        return f"{qualname(kind)}()"
    return _wrapped(value, set, text + ("]" if plain is collections.deque else "}"))


def _mapping(value: Any, depth: int) -> str:
    plain: Any = dict
    first: list[tuple[Any, Any]] = list(islice(plain.items(value), _ENTRIES))
    pairs = (f"{_short(key, depth - 1)}: {_short(item, depth - 1)}" for key, item in first)
    return _wrapped(value, dict, f"{{{_entries(pairs, plain.__len__(value), depth)}}}")


def _text(value: Any, _depth: int) -> str:
    plain: Any = next(kind for kind in _TEXTS if issubclass(type(value), kind))
    # Two more than are shown, so that what is left out is noticed.
    return plain.__repr__(plain.__getitem__(value, slice(0, _VALUE_CHARS + 2)))


_COLLECTIONS: tuple[Any, ...] = (set, frozenset, collections.deque)
_MAPPINGS: tuple[Any, ...] = (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)
_TEXTS: tuple[Any, ...] = (str, bytes, bytearray)

#: How values are shown whose class has this `repr`: subclasses with one of their own are asked themselves.
_FORMS: dict[Any, Callable[[Any, int], str]] = {
    vars(kind)["__repr__"]: form
    for kinds, form in (
        ((list,), _sequence("[", "]", list)),
        ((tuple,), _sequence("(", ")", tuple)),
        (_COLLECTIONS, _collection),
        (_MAPPINGS, _mapping),
        (_TEXTS, _text),
    )
    for kind in kinds
}
