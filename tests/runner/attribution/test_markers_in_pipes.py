"""The console's two pipes: the cell and the order of text, in whatever way it is written."""

import os
from collections.abc import Callable
from itertools import count
from typing import Any

from cellwire.protocol.markers import MarkedReader, Marker
from cellwire.runner.attribution.console import _MarkedSink
from cellwire.runner.output.emitter import CallbackSink, Emitter
from support.interruption import interruption

NONCE = b"\0" + b"fifteen bytes!!"

Console = Callable[[str], Any]


def test_c_code_and_raw_writes_belong_to_the_cell_that_runs(console: Console) -> None:
    written = console("""
        import ctypes
        libc = ctypes.CDLL(None)
        with cell("a") as a:
            print("1")
            os.write(1, b"2\\n")
            libc.printf(b"3\\n")
            print("4")
            os.system("echo 5")
            os.write(2, b"oops\\n")
        with cell("b"):
            with inside(a):
                print("6")
                os.write(1, b"raw\\n")
            print("b")
    """)
    assert written.out("a") == "1\n2\n3\n4\n5\n6\n"
    assert written.err("a") == "oops\n"
    assert written.out("b") == "raw\nb\n"


def test_text_that_belongs_to_no_cell_goes_to_the_notebook(console: Console) -> None:
    written = console("""
        print("before any cell")
        with cell("a"):
            print("a")
        print("after")
    """)
    assert written.out("", 0) == "before any cell\nafter\n"
    assert written.out("a") == "a\n"


def test_more_than_a_pipe_holds_arrives_whole_from_python_and_from_c_with_the_gil_held(
    console: Console,
) -> None:
    written = console("""
        import ctypes
        with cell("a"):
            print("x" * 5_000_000)
            text = b"y" * 5_000_000
            assert ctypes.PyDLL(None).write(1, text, len(text)) == len(text)
            sys.stdout.buffer.write(b"z" * 5_000_000)
    """)
    assert written.out("a") == "x" * 5_000_000 + "\n" + "y" * 5_000_000 + "z" * 5_000_000


def test_bytes_that_are_not_text_and_split_characters_pass_unchanged(console: Console) -> None:
    written = console("""
        with cell("a"):
            for byte in "äöü€".encode():
                os.write(1, bytes([byte]))
            sys.stdout.buffer.write(b"\\xff")
    """)
    assert written.out("a") == "äöü€\ufffd"


def test_clear_console_empties_both_streams_of_the_calling_cell_only(console: Console) -> None:
    written = console("""
        with cell("a") as a:
            print("old")
            print("old", file=sys.stderr)
        with cell("b"):
            print("b")
            with inside(a):
                clear_console()
                print("new")
    """)
    assert (written.out("a"), written.err("a"), written.out("b")) == ("new\n", "", "b\n")


def test_lines_of_many_threads_of_two_cells_are_whole_and_in_order(console: Console) -> None:
    written = console("""
        import threading
        def work(number):
            for index in range(500):
                print(number, index)
        threads = []
        for name in "ab":
            with cell(name):
                for number in range(4):
                    threads.append(threading.Thread(target=work, args=(number,)))
                    threads[-1].start()
        for thread in threads:
            thread.join()
    """)
    for name in "ab":
        seen: dict[str, list[int]] = {}
        for line in written.out(name).splitlines():
            number, index = line.split()
            seen.setdefault(number, []).append(int(index))
        assert seen == {str(number): list(range(500)) for number in range(4)}


def test_a_redirected_descriptor_receives_the_text_of_c_code_and_no_marker(console: Console) -> None:
    written = console("""
        import tempfile
        with cell("a") as a:
            pass
        with cell("b"), tempfile.TemporaryFile() as file:
            saved = os.dup(1)
            os.dup2(file.fileno(), 1)
            os.write(1, b"redirected\\n")
            with inside(a):
                print("a")
            print("b")
            os.dup2(saved, 1)
            os.close(saved)
            os.write(1, b"back\\n")
            file.seek(0)
            assert file.read() == b"redirected\\n"
    """)
    assert written.status == 0
    assert (written.out("a"), written.out("b")) == ("a\n", "b\nback\n")


def test_text_is_whole_although_user_code_made_the_pipe_non_blocking(console: Console) -> None:
    written = console("""
        with cell("a"):
            os.set_blocking(1, False)
            print("x" * 3_000_000)
    """)
    assert written.out("a") == "x" * 3_000_000 + "\n"


def test_printed_text_survives_the_process(console: Console) -> None:
    for end in ("os.kill(os.getpid(), 9)", "os._exit(1)", "ctypes.string_at(0)"):
        written = console(f"""
            import ctypes
            with cell("a") as a:
                for index in range(2000):
                    print(index)
                    a.outputs.append({{"text/plain": str(index)}})
                sys.stdout.write("no end of line")
                {end}
        """)
        assert written.status != 0
        assert written.out("a") == "".join(f"{index}\n" for index in range(2000)) + "no end of line"
        assert written.texts == [str(index) for index in range(2000)]


def test_an_object_that_prints_when_it_is_deleted_can_be_deleted_anywhere(console: Console) -> None:
    written = console("""
        import gc
        class Dying:
            def __init__(self):
                self.cycle = self
            def __del__(self):
                print("dying")
                outputs.append({"text/plain": "dying"})
        with cell("a") as a:
            outputs = a.outputs
            gc.set_threshold(5)
            for index in range(3000):
                Dying()
                print("alive", index)
                outputs.append({"text/plain": f"alive {index}"})
            gc.collect()
    """)
    assert written.status == 0, written.err("a")
    lines = written.out("a").splitlines()
    items = written.texts
    for texts in (lines, items):
        assert texts.count("dying") == 3000
        assert [text for text in texts if text != "dying"] == [f"alive {index}" for index in range(3000)]


def test_a_signal_handler_that_prints_can_run_anywhere(console: Console) -> None:
    written = console("""
        import signal
        count = 0
        def handler(number, frame):
            global count
            count += 1
            print(f"signal {count}")
            outputs.append({"text/plain": f"signal {count}"})
        with cell("a") as a:
            outputs = a.outputs
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
            for index in range(20000):
                print("line", index)
                outputs.append({"text/plain": f"item {index}"})
            signal.setitimer(signal.ITIMER_REAL, 0)
            print("count", count)
    """)
    assert written.status == 0, written.err("a")
    lines = written.out("a").splitlines()
    count = int(lines.pop().split()[1])
    assert count > 100
    assert [line for line in lines if "line" in line] == [f"line {index}" for index in range(20000)]
    # A signal may interrupt the handler of the one before, which then prints later.
    assert sorted(line for line in lines if "signal" in line) == sorted(
        f"signal {n + 1}" for n in range(count)
    )
    items = written.texts
    assert [item for item in items if "item" in item] == [f"item {index}" for index in range(20000)]
    assert sum("signal" in item for item in items) == count


def test_text_has_its_marker_whatever_a_signal_handler_raises() -> None:
    """The printing of a text is interrupted at each place in turn, until none is left."""
    ours, theirs = os.pipe()
    link = Emitter(CallbackSink(lambda event: None))
    console = Emitter(_MarkedSink(theirs, NONCE, link, count(1)))
    reader = MarkedReader(NONCE)
    at, interrupted = 0, True
    while interrupted:
        at += 1
        link.emit(at)
        with interruption(at, "emitter.py", "console.py") as raised:
            console.emit((None, b"first"))
        interrupted = bool(raised)
        console.emit((None, b"second"))
        marker, *rest = reader.feed(os.read(ours, 1 << 16))
        assert isinstance(marker, Marker)
        assert (marker.kind, marker.link) == ("after", link.written)
        texts = [piece for piece in rest if isinstance(piece, bytes)]
        assert b"".join(texts) in (b"firstsecond", b"second")
    assert at > 5
    os.close(ours)
    os.close(theirs)
