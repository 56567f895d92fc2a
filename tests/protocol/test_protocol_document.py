"""docs/protocol.md shows every message, and every example in it is a real one."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from cellwire.protocol import messages
from cellwire.protocol.connection import Connection, Settings
from cellwire.protocol.events import Event

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
TYPES = {
    "Request": messages.Request,
    "Reply": messages.Reply,
    "Event": Event,
    "Batch": messages.Batch,
    "Snapshot": messages.Snapshot,
    "Settings": Settings,
    "Connection": Connection,
}
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_an_example_is_a_message_and_has_no_key_that_the_message_has_not(kind, example):
    decoded = msgspec.json.decode(example, type=TYPES[kind])
    for key in msgspec.json.decode(example).keys() - {"type"}:
        assert hasattr(decoded, key), key


@pytest.mark.parametrize("kind", ["Request", "Reply", "Event"])
def test_every_message_of_a_kind_has_an_example(kind):
    shown = {
        msgspec.json.decode(example)["type"] for example_kind, example in EXAMPLES if example_kind == kind
    }
    restored = set(re.findall(r'"type": "(\w+Restored)"', DOCUMENT.read_text()))
    names = {getattr(member, "__origin__", member).__name__ for member in get_args(TYPES[kind])}
    assert names - restored == shown
