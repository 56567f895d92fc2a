"""The JSON Schema of everything on the wire, for authors of frontends in other languages.

`python -m cellwire.protocol.schema` writes it to standard output; `docs/schema.json` is its stored
copy, and a test compares the two. The wire is msgpack, whose maps, arrays and scalars are those of JSON.
It has binary data too, but only inside an item's mime bundle.
"""

import inspect
import sys
from typing import Any, get_args

import msgspec

from . import messages
from .connection import Connection, Settings
from .events import Event

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema: a definition for each message, and the unions `Request`, `Reply` and `Event`."""
    unions: dict[str, Any] = {"Request": messages.Request, "Reply": messages.Reply, "Event": Event}
    carriers = (messages.Batch, messages.Snapshot)
    roots = [*unions.values(), *carriers, Settings, Connection]
    _, definitions = msgspec.json.schema_components(roots, ref_template="#/$defs/{name}")
    for name, union in unions.items():
        refs = sorted(_definition_name(member) for member in get_args(union))
        definitions[name] = {"oneOf": [{"$ref": f"#/$defs/{ref}"} for ref in refs]}
    for definition in definitions.values():
        # Python 3.13 strips the indentation of docstrings and older ones do not.
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return {
        "$schema": _DIALECT,
        "title": f"cellwire wire protocol {messages.PROTOCOL}",
        "$defs": dict(sorted(definitions.items())),
    }


def _definition_name(member: Any) -> str:
    """Return the key of a union member in the definitions; a generic event has its argument in it."""
    arguments = get_args(member)
    if not arguments:
        return str(member.__name__)
    return f"{member.__origin__.__name__}_{arguments[0].__name__}_"


def text() -> str:
    """Return the schema as it is stored."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
