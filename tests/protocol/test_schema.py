"""The stored schema is that of the code, and its references lead somewhere."""

from pathlib import Path

from cellwire.protocol import schema

STORED = Path(__file__).parents[2] / "docs" / "schema.json"


def test_the_stored_schema_is_that_of_the_code():
    assert STORED.read_text() == schema.text(), (
        "the wire has changed: run `python -m cellwire.protocol.schema > docs/schema.json`"
    )


def test_every_reference_in_the_schema_has_a_definition():
    definitions = schema.schema()["$defs"]

    def references(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"].removeprefix("#/$defs/")
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    named = set(references(definitions))
    assert named
    assert named <= set(definitions)
