"""Adds a sample of each message that is not in the corpus yet; never changes stored samples.

    python tests/protocol/corpus/store.py

A line holds the union that a message belongs to, its name, and its bytes in hexadecimal. Every field of
a sample differs from its default, so all fields are on the wire, in the order of the class.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from cellwire.protocol import events, messages
from msgspec import inspect

CORPUS = Path(__file__).with_name("protocol-1.txt")
UNIONS: dict[str, Any] = {
    "Event": events.Event,
    "FromKernel": messages.FromKernel,
    "Request": messages.Request,
}


def members(union: Any) -> Iterator[Any]:
    """Yield the structs of a union; a generic one with its argument."""
    for member in get_args(union):
        yield from members(member) if get_origin(member) is union else [member]


def stored() -> list[tuple[str, str, bytes]]:
    """Return the corpus: union, name and bytes of each message."""
    lines = CORPUS.read_text().splitlines() if CORPUS.exists() else []
    return [(union, name, bytes.fromhex(body)) for union, name, body in map(str.split, lines)]


def sample_field(field: inspect.Field) -> Any:
    match field.type:
        case inspect.BoolType():
            return field.default is not True
        case inspect.LiteralType(values):
            return next(value for value in sorted(values, key=str) if value != field.default)
        case _:
            return sample(field.type, field.name)


def sample(kind: Any, name: str = "") -> Any:
    """Return a value of the type in which no field has its default."""
    match kind:
        case inspect.StructType():
            return kind.cls(**{field.name: sample_field(field) for field in kind.fields})
        case inspect.StrType():
            return name
        case inspect.BytesType():
            return b"bytes"
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 0.125
        case inspect.ListType():
            return [sample(kind.item_type, name)]
        case inspect.DictType():
            return {"text/plain": "text", "image/png": b"\x89PNG", "application/json": {"a": [1, None]}}
        case inspect.UnionType():
            chosen = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
            return sample(chosen, name)
        case _:
            raise NotImplementedError(f"there is no sample for {kind}")


def main() -> None:
    known = {(union, name) for union, name, _ in stored()}
    with CORPUS.open("a") as file:
        for union, kind in UNIONS.items():
            for member in members(kind):
                name = (get_origin(member) or member).__name__
                if (union, name) not in known:
                    body = msgspec.msgpack.encode(sample(inspect.type_info(member)))
                    print(union, name, body.hex(), file=file)


if __name__ == "__main__":
    main()
