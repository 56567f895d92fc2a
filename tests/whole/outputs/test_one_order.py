"""Text and items of a cell stand in the order in which they were written, in every copy."""

from collections.abc import Sequence

import msgspec
import pytest
from cellwire.protocol import KernelClient, connect
from cellwire.protocol import events as e
from cellwire.protocol.notebook import CellState, ConsoleChunk

pytestmark = pytest.mark.anyio

STREAMS = ("stdout", "stderr")


def parts(cell: CellState) -> list[str]:
    """Return what the cell shows: text with its stream, and the text of items, in order."""
    return [
        f"{part.stream}: {part.text}" if isinstance(part, ConsoleChunk) else part.data["text/plain"]
        for part in cell.in_order()
    ]


async def shown(kernel: KernelClient, source: str, cell: str = "a") -> list[str]:
    assert (await kernel.run({cell: source})).status == "ok"
    return parts(kernel.notebook.cells[cell])


async def test_printed_lines_and_items_alternate_as_written(kernel: KernelClient):
    source = (
        "import cellwire as cw\nfor i in range(500):\n    print(i)\n    cw.output.append(i)\nprint('end')"
    )
    events = kernel.events()
    expected = [text for i in range(500) for text in (f"stdout: {i}\n", str(i))]
    assert await shown(kernel, source) == [*expected, "stdout: end\n"]
    logged: list[str] = []
    while len(logged) < len(expected):
        for event in await events.receive():
            if isinstance(event, e.ConsoleWritten):
                logged.append(f"stdout: {event.text}")
            elif isinstance(event, e.OutputAppended):
                logged.append(event.item.data["text/plain"])
    assert logged[: len(expected)] == expected, "the log has the same order"


async def test_both_streams_and_the_items_have_one_order(kernel: KernelClient):
    source = """
import sys
import cellwire as cw
for i in range(200):
    print("out", i)
    print("err", i, file=sys.stderr)
    if i % 3 == 0:
        cw.output.append(i)
    sys.stderr.buffer.write(b"more\\n")
    sys.stdout.write("last\\n")
"""
    expected: list[str] = []
    for i in range(200):
        first = f"stdout: out {i}\n"
        if expected:
            first = expected.pop() + f"out {i}\n"
        expected += [first, f"stderr: err {i}\n"]
        if i % 3 == 0:
            expected += [str(i), "stderr: more\n"]
        else:
            expected[-1] += "more\n"
        expected.append("stdout: last\n")
    assert await shown(kernel, source) == expected


async def test_clearing_the_items_and_the_text_comes_in_its_order(kernel: KernelClient):
    source = """
import cellwire as cw
for i in range(100):
    print("old", i)
    cw.output.append(i)
    cw.output.clear()
    cw.output.clear_console()
"""
    events = kernel.events()
    await shown(kernel, source)
    logged: list[str] = []
    while "CellFinished" not in logged:
        logged += [type(event).__name__ for event in await events.receive()]
    one = ["ConsoleWritten", "OutputAppended", "OutputsCleared", "ConsoleCleared"]
    assert [name for name in logged if name in one] == one * 100


async def test_short_lines_to_both_streams_in_turn_are_all_kept(kernel: KernelClient):
    source = "import sys\nfor i in range(20_000):\n    print(i)\n    print(i, file=sys.stderr)"
    assert await shown(kernel, source) == [f"{stream}: {i}\n" for i in range(20_000) for stream in STREAMS]


def ordered(texts: Sequence[str], thread: int) -> list[int]:
    """Return the numbers that a thread wrote, in their order."""
    return [int(number) for text in texts for name, number in [text.split()] if int(name) == thread]


async def test_what_each_thread_writes_stays_in_its_order(kernel: KernelClient):
    source = """
import sys, threading
import cellwire as cw
def work(thread):
    for i in range(0, 300, 3):
        print(thread, i)
        cw.output.append(cw.mime({"text/plain": f"{thread} {i + 1}"}))
        print(thread, i + 2, file=sys.stderr)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    assert (await kernel.run({"a": source})).status == "ok"
    texts: list[str] = []
    for part in kernel.notebook.cells["a"].in_order():
        texts += (part.text if isinstance(part, ConsoleChunk) else part.data["text/plain"]).splitlines()
    for thread in range(8):
        assert ordered(texts, thread) == list(range(300))


async def test_text_of_c_code_comes_before_the_items_after_it_and_after_the_text_before_it(
    kernel: KernelClient,
):
    source = """
import ctypes, os
import cellwire as cw
libc = ctypes.CDLL(None)
for i in range(100):
    cw.output.append(2 * i)
    print("p")
    libc.puts(b"c")
    os.write(1, b"w\\n")
    cw.output.append(2 * i + 1)
"""
    expected = [text for i in range(100) for text in (str(2 * i), "stdout: p\nc\nw\n", str(2 * i + 1))]
    assert await shown(kernel, source) == expected


async def test_text_of_a_child_comes_between_the_items_before_and_after_it(kernel: KernelClient):
    source = """
import subprocess
import cellwire as cw
for i in range(10):
    cw.output.append(2 * i)
    subprocess.run(["echo", "child"])
    cw.output.append(2 * i + 1)
"""
    expected = [text for i in range(10) for text in (str(2 * i), "stdout: child\n", str(2 * i + 1))]
    assert await shown(kernel, source) == expected


async def test_more_text_than_a_pipe_holds_keeps_its_place(kernel: KernelClient):
    source = """
import cellwire as cw
for i in range(2):
    print("x" * 30_000)
    cw.output.append(i)
    for _ in range(3):
        print("y" * 400_000)
    cw.output.append("-")
"""
    assert (await kernel.run({"a": source})).status == "ok"
    texts = [""]
    for part in kernel.notebook.cells["a"].in_order():
        if isinstance(part, ConsoleChunk):
            texts[-1] += part.text
        else:
            texts += [part.data["text/plain"], ""]
    lengths = [len(text) for text in texts[0::2]]
    assert texts[1::2] == [text for i in range(2) for text in (str(i), "'-'")]
    assert lengths == [30_001, 1_200_003] * 2 + [0]


async def test_removed_items_leave_the_text_in_its_order(kernel: KernelClient):
    source = """
import cellwire as cw
print("a")
first = cw.output.append(1)
print("b")
second = cw.output.append(2)
print("c")
second.remove()
print("d")
first.replace("one")
print("e")
cw.output.append(3)
print("f")
"""
    expected = ["stdout: a\n", "'one'", "stdout: b\n", "stdout: c\nd\ne\n", "3", "stdout: f\n"]
    assert await shown(kernel, source) == expected
    cleared = await shown(kernel, source + "cw.output.clear()\nprint('g')\ncw.output.append(4)")
    assert cleared == ["stdout: a\n", "stdout: b\n", "stdout: c\nd\ne\n", "stdout: f\ng\n", "4"]


async def test_text_after_an_item_arrives_although_nothing_follows(kernel: KernelClient):
    source = """
import threading
import cellwire as cw
go = threading.Event()
for i in range(100):
    cw.output.append(i)
    print(i)
go.wait()
"""
    events = kernel.events()
    await kernel.run({"a": source}, wait=False)
    cell = kernel.notebook.cells.get("a")
    while cell is None or not cell.console.text().endswith("\n99\n"):
        await events.receive()
        cell = kernel.notebook.cells.get("a")
    assert parts(cell)[-2:] == ["99", "stdout: 99\n"]
    await kernel.interrupt()
    await kernel.wait_idle()


async def test_a_late_frontend_has_the_same_order(own_kernel: KernelClient):
    source = """
import sys
import cellwire as cw
for i in range(50):
    print(i)
    handle = cw.output.append(i)
    print(i, file=sys.stderr)
    if i % 5 == 0:
        handle.remove()
"""
    await own_kernel.run({"a": source})
    async with connect(own_kernel.connection_file) as late:
        cell = late.notebook.cells["a"]
        assert parts(cell) == parts(own_kernel.notebook.cells["a"])
        assert len(parts(cell)) == 140
        assert msgspec.msgpack.encode(late.notebook) == msgspec.msgpack.encode(own_kernel.notebook)
