import asyncio
import contextvars
import io
import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cellwire.runner.api.output import output
from cellwire.runner.attribution.redirection import (
    begin_new_item,
    capture_stderr,
    capture_stdout,
    redirect_stderr,
    redirect_stdout,
    redirection,
)
from support.waiting import PATIENCE


def run_inherited(target: Callable[[], object]) -> threading.Thread:
    """Start a plain thread in a copy of this context, as the runner's `Thread.start` does."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,))
    thread.start()
    return thread


def test_captured_text_is_a_string_and_goes_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    original = sys.stdout
    with capture_stdout() as text:
        print("captured", end="")
        sys.stdout.writelines(["a", "b"])
        sys.stderr.write("not captured")
    print("after")
    assert text.getvalue() == "capturedab"
    assert capsys.readouterr() == ("after\n", "not captured")
    assert sys.stdout is original


def test_standard_error_is_captured_separately(capsys: pytest.CaptureFixture[str]) -> None:
    with capture_stdout() as out, capture_stderr() as err:
        print("out")
        print("err", file=sys.stderr)
    assert (out.getvalue(), err.getvalue()) == ("out\n", "err\n")
    assert capsys.readouterr() == ("", "")


def test_captures_nest(capsys: pytest.CaptureFixture[str]) -> None:
    with capture_stdout() as outer:
        print("1")
        with capture_stdout() as inner:
            print("2")
        print("3")
    assert (outer.getvalue(), inner.getvalue()) == ("1\n3\n", "2\n")


def test_an_error_inside_ends_the_capture(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(ZeroDivisionError), capture_stdout() as text:
        print("before")
        raise ZeroDivisionError
    print("after")
    assert text.getvalue() == "before\n"
    assert capsys.readouterr().out == "after\n"


def test_a_thread_started_inside_is_captured_and_another_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    inside = threading.Event()
    printed = threading.Event()

    def outsider() -> None:
        inside.wait(PATIENCE)
        print("outsider")
        printed.set()

    thread = threading.Thread(target=outsider)
    thread.start()
    with capture_stdout() as text:
        # Signal 1: the capture is open
        inside.set()
        # Signal 2: the outsider has printed during it
        assert printed.wait(PATIENCE)
        run_inherited(lambda: print("insider")).join(PATIENCE)
    thread.join(PATIENCE)
    assert text.getvalue() == "insider\n"
    assert capsys.readouterr().out == "outsider\n"


def test_a_thread_that_outlives_the_capture_prints_where_it_did_before() -> None:
    left = threading.Event()

    def late() -> None:
        print("early")
        printed.set()
        left.wait(PATIENCE)
        print("late")

    printed = threading.Event()
    with capture_stdout() as outer:
        with capture_stdout() as inner:
            thread = run_inherited(late)
            assert printed.wait(PATIENCE)
        # Signal 1: the inner capture is over
        left.set()
        thread.join(PATIENCE)
    assert (inner.getvalue(), outer.getvalue()) == ("early\n", "late\n")


def test_each_task_captures_its_own_text(capsys: pytest.CaptureFixture[str]) -> None:
    async def task(name: str, mine: asyncio.Event, others: asyncio.Event) -> str:
        with capture_stdout() as text:
            print(name, 1)
            mine.set()
            await others.wait()
            print(name, 2)
        return text.getvalue()

    async def main() -> tuple[str, str]:
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task("a", a, b), task("b", b, a))

    assert tuple(asyncio.run(main())) == ("a 1\na 2\n", "b 1\nb 2\n")
    assert capsys.readouterr().out == ""


def test_logging_to_the_current_stream_is_captured() -> None:
    with capture_stderr() as text:
        handler = logging.StreamHandler()
        logging.getLogger("captured").addHandler(handler)
        logging.getLogger("captured").warning("careful")
        logging.getLogger("captured").removeHandler(handler)
    assert text.getvalue() == "careful\n"


def test_redirected_text_is_an_item_between_the_others(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with redirect_stdout():
        print("before")
        print("still before")
        output.append("item")
        print("after")
    print("console")
    assert cell.texts == ["before\nstill before\n", "'item'", "after\n"]
    assert cell.outputs[0].metadata == {"stream": "stdout"}
    assert capsys.readouterr().out == "console\n"


def test_a_line_without_an_end_is_shown_before_other_output_and_at_the_end(cell: Any) -> None:
    with redirect_stdout():
        print("a", end="")
        assert cell.texts == []
        output.append(1)
        print("b", end="")
        sys.stdout.flush()
        assert cell.texts == ["a", "1", "b"]
        print("c", end="")
    assert cell.texts == ["a", "1", "bc"]


def test_redirected_text_has_arrived_when_print_returns(cell: Any) -> None:
    with redirect_stderr():
        print("now", file=sys.stderr)
        assert cell.texts == ["now\n"]
    assert cell.outputs[0].metadata == {"stream": "stderr"}


def test_the_cost_of_a_redirected_line_does_not_grow(cell: Any) -> None:
    with redirect_stdout():
        for number in range(2000):
            print(f"line {number}")
    assert "".join(cell.texts) == "".join(f"line {number}\n" for number in range(2000))
    sizes = [len(event.item.data["text/plain"]) for event in cell.events if hasattr(event, "item")]
    assert max(sizes) < 1100
    assert len(sizes) == 2000


def test_a_capture_inside_a_redirection_receives_the_text(cell: Any) -> None:
    with redirect_stdout():
        print("shown")
        with capture_stdout() as text:
            print("captured")
        print("shown again")
    assert cell.texts == ["shown\nshown again\n"]
    assert text.getvalue() == "captured\n"


def test_threads_that_print_into_one_redirection_lose_nothing(cell: Any) -> None:
    def write(name: str) -> None:
        for number in range(200):
            print(f"{name}{number}\n", end="")

    with redirect_stdout():
        threads = [run_inherited(lambda name=name: write(name)) for name in "abcd"]
        for thread in threads:
            thread.join(PATIENCE)
    lines = "".join(cell.texts).splitlines()
    assert len(lines) == 800
    for name in "abcd":
        assert [line for line in lines if line[0] == name] == [f"{name}{n}" for n in range(200)]


def test_text_of_a_destructor_comes_after_the_text_that_is_being_sent(cell: Any) -> None:
    class Noisy:
        def __del__(self) -> None:
            print("gone")

    class Outputs:
        """Drops a value that prints in the middle of the first append."""

        def append(self, *arguments: Any) -> Any:
            if noisy:
                noisy.pop()
            return original.append(*arguments)

    noisy = [Noisy()]
    original = cell.execution.outputs
    cell.execution.outputs = Outputs()
    with redirect_stdout():
        print("first")
    assert "".join(cell.texts) == "first\ngone\n"


def test_redirecting_outside_any_cell_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with redirect_stdout():
        print("plain")
    assert capsys.readouterr().out == "plain\n"


def test_a_stream_that_looks_for_redirections_itself_is_not_wrapped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Proxy(io.StringIO):
        follows_redirection = True

        def write(self, text: str) -> int:
            target = redirection("stdout")
            return super().write(text) if target is None else target.write(text)

    proxy = Proxy()
    monkeypatch.setattr(sys, "stdout", proxy)
    with capture_stdout() as text:
        assert sys.stdout is proxy
        print("captured")
    print("kept")
    begin_new_item()
    assert (text.getvalue(), proxy.getvalue()) == ("captured\n", "kept\n")


def test_captures_that_end_out_of_order_leave_the_stream_as_it_was() -> None:
    program = """
        import sys
        from cellwire.runner.attribution.redirection import capture_stdout
        original = sys.stdout
        a, b = capture_stdout(), capture_stdout()
        def one(text): print("b"); return text
        import contextvars
        here, there = contextvars.copy_context(), contextvars.copy_context()
        text_a = here.run(a.__enter__)
        text_b = there.run(b.__enter__)
        here.run(a.__exit__, None, None, None)
        there.run(print, "in b")
        there.run(b.__exit__, None, None, None)
        assert sys.stdout is original
        assert (text_a.getvalue(), text_b.getvalue()) == ("", "in b\\n")
        print("plain")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30
    )
    assert (result.stdout, result.stderr) == ("plain\n", "")


def test_plain_threads_and_pool_workers_of_a_runner_are_captured_where_they_were_started() -> None:
    program = """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        import cellwire as cw
        from cellwire.runner.attribution.threads import install_threads
        install_threads()
        def in_thread(text):
            thread = threading.Thread(target=print, args=(text,))
            thread.start()
            thread.join()
        pool = ThreadPoolExecutor(1)
        pool.submit(print, "before").result()
        with cw.capture_stdout() as text:
            in_thread("thread")
            pool.submit(print, "pool").result()
            with cw.detached():
                in_thread("detached")
        pool.submit(print, "after").result()
        assert text.getvalue() == "thread\\npool\\n", text.getvalue()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.stderr == ""
    assert result.stdout == "before\ndetached\nafter\n"
