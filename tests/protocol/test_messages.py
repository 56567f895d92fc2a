"""Rules that keep old and new versions readable to each other, checked on a corpus of old messages."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import CellError, CellState, Item


def _store() -> ModuleType:
    path = Path(__file__).parent / "corpus" / "store.py"
    spec = importlib.util.spec_from_file_location("cellwire_corpus_store", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


store = _store()
CORPUS = store.stored()
STRUCTS = sorted(
    {get_origin(member) or member for union in store.UNIONS.values() for member in store.members(union)},
    key=lambda struct: struct.__name__,
)
#: Structs inside messages, which have no tag.
PARTS = [
    e.CellDeclared,
    m.Cell,
    m.Completion,
    m.Variable,
    m.SessionStatistics,
    Item,
    CellError,
    CellState,
    Limits,
]
named = pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
old = pytest.mark.parametrize(("union", "name", "body"), CORPUS, ids=[f"{one[0]}-{one[1]}" for one in CORPUS])


def says(new: object, old: object) -> bool:
    """Return whether `new` says all that `old` said: structs in a message may have got fields since."""
    if isinstance(new, dict) and isinstance(old, dict):
        return old.keys() <= new.keys() and all(says(new[key], old[key]) for key in old)
    if isinstance(new, list) and isinstance(old, list):
        return len(new) == len(old) and all(map(says, new, old))
    return new == old


@old
def test_an_old_message_is_read_unchanged(union: str, name: str, body: bytes):
    message = msgspec.msgpack.decode(body, type=store.UNIONS[union])
    assert type(message).__name__ == name
    assert says(msgspec.msgpack.decode(msgspec.msgpack.encode(message)), msgspec.msgpack.decode(body))


@old
def test_new_fields_come_after_the_old_ones_and_have_defaults(union: str, name: str, body: bytes):
    message = msgspec.msgpack.decode(body, type=store.UNIONS[union])
    tag, *fields = msgspec.msgpack.decode(body)
    now = msgspec.structs.fields(type(message))
    assert tag == "type"
    assert [field.name for field in now[: len(fields)]] == fields
    assert not any(field.required for field in now[len(fields) :])


def test_every_message_is_in_the_corpus():
    missing = {
        (union, (get_origin(member) or member).__name__)
        for union, kind in store.UNIONS.items()
        for member in store.members(kind)
    } - {(union, name) for union, name, _ in CORPUS}
    assert not missing, "add them: python tests/protocol/corpus/store.py"


@named
def test_a_message_is_frozen_and_tagged_with_its_name(struct: Any):
    assert struct.__struct_config__.frozen
    assert struct.__struct_config__.tag_field == "type"
    assert struct.__struct_config__.tag == struct.__name__


def test_parts_of_messages_are_untagged_maps():
    for part in PARTS:
        assert part.__struct_config__.tag is None
        assert not part.__struct_config__.array_like


@named
def test_every_message_has_a_docstring(struct: Any):
    assert struct.__doc__
    assert struct.__doc__.strip().endswith((".", "`"))


@named
def test_an_unknown_field_is_ignored(struct: Any):
    body = next(body for _, name, body in CORPUS if name == struct.__name__)
    newer = msgspec.msgpack.encode({**msgspec.msgpack.decode(body), "added_later": [1, {"a": b"x"}]})
    assert msgspec.msgpack.decode(newer, type=struct) == msgspec.msgpack.decode(body, type=struct)


def test_a_name_means_one_message_in_both_directions():
    names = [struct.__name__ for struct in STRUCTS]
    assert len(names) == len(set(names))


def test_every_request_begins_with_its_id_except_the_one_without_a_reply():
    for request in store.members(m.Request):
        first = msgspec.structs.fields(request)[0].name
        assert first == ("received" if request is m.Acknowledge else "id")


def test_every_reply_begins_with_the_id_of_its_request():
    for reply in get_args(m.Reply):
        assert msgspec.structs.fields(reply)[0].name == "id"


def test_a_default_is_not_sent():
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(e.CellFinished("a", 1))) == {
        "type": "CellFinished",
        "cell": "a",
        "run": 1,
    }


def test_an_object_that_is_not_a_request_is_not_decoded():
    for wrong in ({"type": "Nonsense", "id": "1"}, {"id": "1"}, [], 5, {"type": "RunCells", "id": 5}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode(wrong), type=m.Request)
