"""Messages as frames: what is read, what is refused, what is written."""

import json
from bisect import bisect

import msgspec
import pytest
from cellwire.frontends.jupyter.wire import DELIMITER, UnreadableMessage, Wire
from cellwire.protocol import link
from cellwire.protocol.messages import SendComm

_KEY = b"secret"


def _frames(kind: str = "x_request", **content: object) -> list[bytes]:
    return Wire(_KEY).write(kind, content)


def test_what_one_process_writes_another_one_with_the_key_reads() -> None:
    parent = json.dumps({"msg_id": "p"}).encode()
    frames = Wire(_KEY).write("x_request", {"a": "ä"}, parent, {"m": 1}, [b"buffer"])
    message = Wire(_KEY).read([b"one", b"two", *frames])
    assert message.identities == [b"one", b"two"]
    assert (message.type, message.content, message.metadata) == ("x_request", {"a": "ä"}, {"m": 1})
    assert message.parent == {"msg_id": "p"}
    assert message.buffers == [b"buffer"]
    assert json.loads(message.header_bytes) == message.header


def test_jupyter_reads_what_is_written_and_its_messages_are_read() -> None:
    from jupyter_client.session import Session

    session = Session(key=_KEY)
    ours = session.deserialize(_frames(n=1)[1:])
    assert ours["content"] == {"n": 1}
    assert ours["header"]["date"].tzinfo is not None
    theirs = session.serialize(session.msg("kernel_info_request", {"b": 2}))
    assert Wire(_KEY).read(theirs).content == {"b": 2}


def test_bytes_become_base64_as_jupyter_has_images() -> None:
    assert b'{"image/png":"UE5H"}' in Wire(b"").write("display_data", {"image/png": b"PNG"})


def test_a_message_comes_once() -> None:
    wire, frames = Wire(_KEY), _frames()
    wire.read(frames)
    with pytest.raises(UnreadableMessage, match="came before"):
        wire.read([b"another identity", *frames])
    assert wire.refused == 1


@pytest.mark.parametrize("signature", [b"", b"0" * 64, b"\xff"])
def test_a_wrong_or_missing_signature_is_refused(signature: bytes) -> None:
    wire, frames = Wire(_KEY), _frames()
    with pytest.raises(UnreadableMessage, match="signature"):
        wire.read([DELIMITER, signature, *frames[2:]])
    # The true one still counts.
    assert wire.read(frames).type == "x_request"


def test_every_part_is_signed() -> None:
    wire = Wire(_KEY)
    for part in range(2, 6):
        frames = _frames()
        frames[part] = b'{"changed":1}'
        with pytest.raises(UnreadableMessage, match="signature"):
            wire.read(frames)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"x"],
        [DELIMITER],
        [DELIMITER, b"", b"{}", b"{}", b"{}"],
        [DELIMITER, b"", b"[]", b"{}", b"{}", b"{}"],
    ],
)
def test_what_is_no_message_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(UnreadableMessage):
        Wire(b"").read(frames)


def test_without_a_key_nothing_is_signed_and_messages_may_repeat() -> None:
    frames = Wire(b"").write("x", {})
    assert frames[1] == b""
    wire = Wire(b"")
    assert wire.read(frames).header == wire.read(frames).header


def test_a_hash_function_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="unsupported"):
        Wire(_KEY, "md99")


def _read(content: bytes, parent: bytes = b"{}") -> dict[str, object]:
    parts = [b'{"msg_type":"x_request"}', parent, b"{}", content]
    return Wire(b"").read([DELIMITER, b"", *parts]).content


def test_a_missing_part_is_an_empty_one() -> None:
    assert _read(b"null", b"null") == {}


def test_half_a_character_costs_itself_alone() -> None:
    assert _read(rb'{"code": "a\ud800b\ud83d\ude00"}') == {"code": "a?b😀"}


def test_a_number_that_the_link_has_no_room_for_is_one_of_javascript() -> None:
    content = _read(b'{"a": [%d, {"b": -%d}], "c": %d, "d": "%d"}' % (10**30, 10**400, 2**63, 10**30))
    assert content == {"a": [1e30, {"b": float("-inf")}], "c": 2**63, "d": str(10**30)}


def test_the_runner_can_read_whatever_is_not_nested_too_deeply() -> None:
    def accepted(depth: int) -> bool:
        try:
            return bool(_read(b'{"a":' + b"[" * depth + b"1" + b"]" * depth + b"}"))
        except UnreadableMessage:
            return False

    deepest = bisect(range(100_000), False, key=lambda depth: not accepted(depth)) - 1
    assert deepest > 500
    data = _read(b'{"a":' + b"[" * deepest + b"1" + b"]" * deepest + b"}")
    message = SendComm("1", "comm", "msg", "", data, {}, [])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=link.Instruction) == message


@pytest.mark.parametrize("depth", [20_000, 200_000])
def test_what_is_nested_too_deeply_is_refused(depth: int) -> None:
    for before, after in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(UnreadableMessage, match="too deeply"):
            _read(b'{"a":' + before * depth + b"1" + after * depth + b"}")
