"""`print_at_once` does what `print` does, in one write where that makes no other difference."""

import builtins
import inspect
import io
import pickle
import sys
import threading
from typing import Any

import pytest
from cellwire.runner.attribution.printing import print_at_once, report_at_once

_print = builtins.print


class Stream(io.StringIO):
    wants_whole_lines = True

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str, /) -> int:
        self.calls.append(text)
        return super().write(text)

    def flush(self) -> None:
        self.calls.append("flush")


class Printing:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __str__(self) -> str:
        print_at_once("inner", file=self.stream)
        return "outer"


class Broken:
    def __str__(self) -> str:
        raise ValueError("broken")


CASES: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("a",), {}),
    (("a", 1, 2.5, None, True, b"x"), {}),
    (("a", "b"), {"sep": ""}),
    (("a", "b"), {"sep": None, "end": None}),
    (("a", "b"), {"sep": "-", "end": "!"}),
    (("a",), {"end": "", "flush": True}),
    ((["a", {"b": 1}], object), {}),
]


@pytest.mark.parametrize(("args", "options"), CASES)
def test_the_text_is_the_same(args: tuple[Any, ...], options: dict[str, Any]) -> None:
    expected, stream = io.StringIO(), Stream()
    _print(*args, file=expected, **options)
    print_at_once(*args, file=stream, **options)
    assert stream.getvalue() == expected.getvalue()


def test_plain_values_are_written_at_once() -> None:
    stream = Stream()
    print_at_once("a", 1, None, sep=", ", end=".\n", file=stream, flush=True)
    assert stream.calls == ["a, 1, None.\n", "flush"]


def test_a_conversion_prints_or_raises_at_the_same_point_as_with_print() -> None:
    for args in ((Printing,), ("before", Printing, "after")):
        expected, stream = Stream(), Stream()
        _print(*(Printing(expected) if arg is Printing else arg for arg in args), file=expected)
        print_at_once(*(Printing(stream) if arg is Printing else arg for arg in args), file=stream)
        assert stream.getvalue() == expected.getvalue()
    for args in ((Broken(),), ("before", Broken())):
        expected, stream = Stream(), Stream()
        for function, file in ((_print, expected), (print_at_once, stream)):
            with pytest.raises(ValueError, match="broken"):
                function(*args, file=file)
        assert stream.getvalue() == expected.getvalue()


@pytest.mark.parametrize("options", [{"sep": 1}, {"end": b""}, {"nonsense": 1}])
def test_errors_are_the_same(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as expected:
        _print("a", file=Stream(), **options)
    with pytest.raises(TypeError) as actual:
        print_at_once("a", file=Stream(), **options)
    if "nonsense" not in options:
        assert str(actual.value) == str(expected.value)


def test_other_streams_are_left_to_the_built_in_print(capsys: pytest.CaptureFixture[str]) -> None:
    print_at_once("a", 1)
    assert capsys.readouterr().out == "a 1\n"
    with pytest.raises(AttributeError):
        print_at_once("a", file=object())


def test_standard_output_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    print_at_once("nowhere")


def test_it_has_the_name_and_the_docstring_of_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "print", print_at_once)
    assert pickle.loads(pickle.dumps(print_at_once)) is print_at_once
    assert inspect.getdoc(print_at_once) == inspect.getdoc(_print)
    assert print_at_once.__name__ == "print"


def test_the_report_of_a_thread_that_failed_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", report_at_once)
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    thread = threading.Thread(target=lambda: 1 / 0, name="dividing")
    thread.start()
    thread.join()
    (text,) = stream.calls
    assert text.startswith("Exception in thread dividing:\nTraceback")
    assert text.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_other_streams_are_left_to_the_hook_of_python(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "__excepthook__", seen.append)
    monkeypatch.setattr(threading, "excepthook", report_at_once)
    monkeypatch.setattr(sys, "stderr", stream)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert [args.exc_type for args in seen] == [ZeroDivisionError]
