"""`sys.stdout` and `sys.stderr` as user code and libraries use them."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from cellwire.runner.attribution.streams import ConsoleStream
from cellwire.runner.output.emitter import CallbackSink, Emitter


class Fixture:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.stream = ConsoleStream(
            "stdout", Emitter(CallbackSink(lambda event: self.written.append(event[1])))
        )

    @property
    def text(self) -> str:
        return b"".join(self.written).decode()


@pytest.fixture
def it() -> Fixture:
    return Fixture()


def test_it_looks_like_a_text_file(it: Fixture) -> None:
    stream = it.stream
    assert isinstance(stream, io.TextIOBase)
    assert (stream.name, stream.mode, stream.encoding) == ("<stdout>", "w", "utf-8")
    assert (stream.fileno(), stream.isatty(), stream.closed) == (1, False, False)
    assert (stream.writable(), stream.readable(), stream.seekable()) == (True, False, False)
    assert stream.newlines is None
    assert stream.write_through
    with pytest.raises(io.UnsupportedOperation):
        stream.read()
    with pytest.raises(io.UnsupportedOperation):
        stream.tell()


def test_write_returns_the_number_of_characters_and_refuses_anything_but_text(it: Fixture) -> None:
    assert it.stream.write("äö") == 2
    assert it.stream.write("") == 0
    with pytest.raises(TypeError, match="must be str, not bytes"):
        it.stream.write(b"x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        it.stream.write(None)  # pyright: ignore[reportArgumentType]
    it.stream.writelines(["a", "b"])
    assert it.text == "äöab"


def test_bytes_go_through_the_buffer(it: Fixture) -> None:
    buffer = it.stream.buffer
    assert buffer.write(b"1") == 1
    assert buffer.write(bytearray(b"22")) == 2
    assert buffer.write(memoryview(b"333")[::2]) == 2
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        buffer.write("4")
    buffer.flush()
    assert (buffer.fileno(), buffer.mode, buffer.writable(), buffer.readable()) == (1, "wb", True, False)
    assert it.text == "12233"


def test_lone_surrogates_do_not_raise(it: Fixture) -> None:
    it.stream.write("a\ud800b")
    assert it.text == "a\\ud800b"


def test_reconfigure_changes_errors_and_attributes(it: Fixture) -> None:
    it.stream.reconfigure(errors="replace", line_buffering=False, write_through=True, newline="")
    it.stream.write("\ud800")
    assert (it.text, it.stream.errors, it.stream.line_buffering) == ("?", "replace", False)
    it.stream.reconfigure(encoding="latin-1")
    assert it.stream.encoding == "latin-1"
    it.stream.write("ä")
    assert it.text == "?ä"
    with pytest.raises(LookupError):
        it.stream.reconfigure(encoding="no such encoding")


def test_closing_and_wrapping_do_not_silence_it(it: Fixture) -> None:
    it.stream.close()
    wrapper = io.TextIOWrapper(it.stream.buffer, encoding="utf-8", write_through=True)
    wrapper.write("wrapped ")
    wrapper.close()
    io.TextIOWrapper(it.stream.detach(), encoding="utf-8").close()
    with it.stream as stream:
        stream.write("in a with ")
    it.stream.write("still there")
    assert it.text == "wrapped in a with still there"


def test_text_and_bytes_written_by_two_cells_do_not_mix(console: Callable[[str], Any]) -> None:
    written = console("""
        import logging, warnings, faulthandler
        with cell("a") as a:
            print("1", 2, None, sep="-", end="!\\n", flush=True)
        with cell("b") as b:
            with inside(a):
                print("2")
                sys.stdout.buffer.write(b"3\\n")
                logging.warning("logged")
                warnings.warn("warned")
                sys.__stdout__.write("the interpreter's own\\n")
            print("b")
            print("b", file=sys.stderr)
            faulthandler.dump_traceback()
    """)
    assert written.out("a") == "1-2-None!\n2\n3\n"
    assert written.err("a").startswith("WARNING:root:logged\n")
    assert "UserWarning: warned" in written.err("a")
    assert written.out("b") == "the interpreter's own\nb\n"
    assert written.err("b").startswith("b\nCurrent thread")
