"""The settings that a launcher sends a kernel, and the connection file that the kernel writes."""

import json

import msgspec
import pytest
from cellwire.protocol.connection import Connection, KeyPair, Settings, read_connection_file
from cellwire.protocol.errors import ConnectionFileError
from cellwire.protocol.limits import Limits

CONNECTION = Connection(
    "tcp://127.0.0.1:5555", "e1", 42, "0.1.0", "/x", "s" * 40, KeyPair("p" * 40, "q" * 40), KeyPair("v", "w")
)


def test_a_connection_file_is_read_as_it_was_written_and_says_where_it_is(tmp_path, monkeypatch):
    file = tmp_path / "copy.json"
    file.write_bytes(msgspec.json.encode(CONNECTION))
    read = msgspec.structs.replace(CONNECTION, file=str(file))
    assert read_connection_file(file) == read
    monkeypatch.chdir(tmp_path)
    assert read_connection_file("copy.json") == read


def test_a_connection_without_keys_does_not_mention_keys():
    bare = Connection("ipc:///x", "e1", 42, "0.1.0", "/x")
    assert b"key" not in msgspec.json.encode(bare)
    assert b"client" not in msgspec.json.encode(bare)


def test_fields_of_a_newer_kernel_are_ignored(tmp_path):
    file = tmp_path / "connection.json"
    file.write_bytes(msgspec.json.encode({**msgspec.to_builtins(CONNECTION), "added_later": 1}))
    assert read_connection_file(file) == msgspec.structs.replace(CONNECTION, file=str(file))


def test_the_error_for_a_missing_file_has_its_name_and_the_likely_reason(tmp_path):
    with pytest.raises(ConnectionFileError, match=r"nowhere\.json.*Is the kernel running"):
        read_connection_file(tmp_path / "nowhere.json")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"endpoint": 5}', b'{"shell_port": 5}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    file = tmp_path / "other.json"
    file.write_bytes(content)
    with pytest.raises(ConnectionFileError, match=r"other\.json is not a connection file"):
        read_connection_file(file)


def test_an_empty_object_is_the_default_settings():
    assert msgspec.json.decode(b"{}", type=Settings) == Settings("ipc", "", False, Limits())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window_bytes", 0),
        ("window_bytes", -1),
        ("request_bytes", 2**63),
        ("item_bytes", 2**30),
        ("ring_bytes", 2**64),
        ("stuck_seconds", 0.0),
        ("drain_seconds", -1.0),
        ("drain_seconds", float("inf")),
        ("unresponsive_seconds", float("nan")),
    ],
)
def test_a_limit_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"limits\.{name} is {value}: it must be "):
        Limits(**{name: value})
    if value == value and value < float("inf"):
        with pytest.raises(msgspec.ValidationError, match=rf"limits\.{name} is "):
            msgspec.json.decode(json.dumps({"limits": {name: value}}), type=Settings)


def test_a_limit_of_nothing_is_allowed_where_it_means_something():
    nothing = {"items": 0, "console_chars": 0, "drain_seconds": 0.0, "versions": 0}
    assert msgspec.to_builtins(Limits(**nothing)) == nothing


def test_settings_are_one_line():
    line = msgspec.json.encode(Settings("tcp", "a\nfile", True, Limits(items=3)))
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Settings) == Settings("tcp", "a\nfile", True, Limits(items=3))
