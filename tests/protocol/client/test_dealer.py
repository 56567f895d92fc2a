"""What a client's socket makes of frames."""

import inspect
import sys

import msgspec
import pytest
from cellwire.protocol.client.dealer import _decode
from cellwire.protocol.events import OutputAppended
from cellwire.protocol.notebook import Item


def test_a_message_is_decoded_however_deep_in_the_stack_the_caller_is():
    inner: object = 1
    for _ in range(190):
        inner = [inner]
    event = OutputAppended("a", 1, Item(1, {"text/plain": "", "application/json": inner}))
    data = msgspec.msgpack.encode(event)
    decoder = msgspec.msgpack.Decoder(OutputAppended[Item])

    def deep(frames: int) -> object:
        if frames:
            return deep(frames - 1)
        if sys.version_info < (3, 12):
            with pytest.raises(RecursionError):
                decoder.decode(data)
        return _decode(decoder, data)

    assert deep(sys.getrecursionlimit() - len(inspect.stack(0)) - 60) == event
