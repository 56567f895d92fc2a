"""Writes docs/javascript/wire.d.ts, the TypeScript types of everything on the wire, from docs/schema.json.

python docs/javascript/make_types.py
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parent.with_name("schema.json")
TYPES = Path(__file__).with_name("wire.d.ts")
HEAD = "// Written by make_types.py from docs/schema.json: everything on the wire.\n"
_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def types() -> str:
    """Return the content of `wire.d.ts`."""
    definitions: dict[str, Any] = json.loads(SCHEMA.read_text())["$defs"]
    return HEAD + "".join(declaration(_name(name), found) for name, found in definitions.items())


def declaration(name: str, schema: dict[str, Any]) -> str:
    """Return the declaration of one definition."""
    comment = "".join(_comment(schema.get("description", "")))
    if "properties" not in schema:
        return f"\n{comment}export type {name} = {written(schema)};\n"
    required = schema.get("required", ())
    fields = (
        f"  {key}{'' if key in required else '?'}: {written(field)};\n"
        for key, field in schema["properties"].items()
    )
    return f"\n{comment}export interface {name} {{\n{''.join(fields)}}}\n"


def written(schema: dict[str, Any]) -> str:
    """Return a schema as a type."""
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(map(written, alternatives))
    match schema.get("type"):
        case "array":
            inner = written(schema.get("items", {}))
            return f"{inner}[]" if inner.isidentifier() else f"({inner})[]"
        case "object":
            return f"Record<string, {written(schema.get('additionalProperties') or {})}>"
        case None:
            return "unknown"
        case kind:
            return _SIMPLE[kind]


def _name(key: str) -> str:
    # A generic class has its argument in its key: there is one of each.
    return key.partition("_")[0]


def _comment(text: str) -> Iterator[str]:
    if text:
        yield "/** " + "\n *  ".join(text.replace("*/", "*").splitlines()).replace(" *  \n", " *\n") + " */\n"


if __name__ == "__main__":
    TYPES.write_text(types())
    sys.stdout.write(f"{TYPES} is written\n")
