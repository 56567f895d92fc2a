"""Large and hostile output: what was written arrives at every frontend, complete and in order."""

import json
import struct
from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient, Limits, connect, launch_kernel
from support.replicas import replicas_agree
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

#: Quantities in default runs are fractions of those of `make soak`.
soak = pytest.mark.soak


def texts(client: KernelClient, cell: str = "a") -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def out(client: KernelClient, cell: str = "a") -> str:
    return client.notebook.cells[cell].console.text("stdout")


async def value(client: KernelClient, expression: str) -> Any:
    """Return the value of an expression, sent as JSON."""
    await client.run({"look": f"import json\njson.dumps({expression})"})
    (text,) = texts(client, "look")
    return json.loads(text[1:-1].encode().decode("unicode_escape"))


DYING = """
import ctypes, mmap, os, signal, struct, threading, time
import cellwire as cw
with open({path!r}, "r+b") as file:
    returned = mmap.mmap(file.fileno(), 0)
enough = threading.Event()
def write(number):
    for step in range(1, 1_000_000):
        cw.output.append((number, step))
        struct.pack_into("=i", returned, 8 * number, step)
        print(number, step)
        struct.pack_into("=i", returned, 8 * number + 4, step)
        if step == 1250:
            finished.release()
finished = threading.Semaphore(0)
for number in range(4):
    threading.Thread(target=write, args=(number,)).start()
for number in range(4):
    finished.acquire()
{death}
"""
DEATHS = {
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "exit status 7": "os._exit(7)",
    "SIGSEGV": "ctypes.string_at(0)",
}


@pytest.mark.parametrize("words", DEATHS)
async def test_every_write_that_returned_before_the_runner_died_reaches_every_frontend(
    words, kernel: KernelClient, tmp_path
):
    path = tmp_path / "returned"
    path.write_bytes(bytes(32))
    async with connect(kernel.connection_file) as other:
        finished = await kernel.run({"a": DYING.format(path=str(path), death=DEATHS[words])})
        assert finished.status == "error"
        await until(kernel, lambda it: it.runner.condition == "dead")
        assert words in kernel.notebook.runner.reason
        await replicas_agree(kernel, other)
    counts = struct.unpack("=8i", path.read_bytes())
    assert min(counts) >= 1249
    items: dict[int, list[int]] = {number: [] for number in range(4)}
    lines: dict[int, list[int]] = {number: [] for number in range(4)}
    for text, into in (
        *((t, items) for t in texts(kernel)),
        *((t, lines) for t in out(kernel).splitlines()),
    ):
        number, step = text.strip("()").replace(",", " ").split()
        into[int(number)].append(int(step))
    for number in range(4):
        for into, count in ((items, counts[2 * number]), (lines, counts[2 * number + 1])):
            assert into[number] == list(range(1, len(into[number]) + 1))
            # A write that had not returned when the runner died may have arrived too.
            assert count <= len(into[number]) <= count + 1


INTRUDING = """
import gc, signal
import cellwire as cw
counts = dict(freed=0, struck=0)
class Loud:
    def __init__(self):
        self.itself = self
    def __del__(self):
        counts["freed"] += 1
        print("freed", counts["freed"])
        cw.output.append(f"freed {counts['freed']}")
def struck(*_):
    counts["struck"] += 1
    number = counts["struck"]
    print("struck", number)
    cw.output.append(f"struck {number}")
before = gc.get_threshold()
gc.set_threshold(7)
signal.signal(signal.SIGALRM, struck)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(2000):
    Loud()
    print("written", number + 1)
    cw.output.append(f"written {number + 1}")
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_DFL)
gc.set_threshold(*before)
gc.collect()
counts["written"] = 2000
"""


async def test_destructors_and_signal_handlers_that_write_during_a_write_lose_nothing(
    kernel: KernelClient,
):
    assert (await kernel.run({"a": INTRUDING})).status == "ok"
    counts = await value(kernel, "counts")
    assert counts["freed"] == 2000
    assert counts["struck"] > 0
    for found in (out(kernel).splitlines(), [text.strip("'") for text in texts(kernel)]):
        assert len(found) == sum(counts.values())
        for who, count in counts.items():
            numbers = [int(text.split()[1]) for text in found if text.startswith(who)]
            # A handler may be interrupted by the next one before it writes.
            assert (sorted(numbers) if who == "struck" else numbers) == list(range(1, count + 1))


LINE = "ünïcödé €uro 😀\n"
CHILD = """
import os, sys
data = {line!r}.encode() * {lines}
# Pieces end anywhere, also inside a character.
for start in range(0, len(data), 40_961):
    piece = data[start : start + 40_961]
    while piece:
        piece = piece[os.write(1, piece) :]
"""
AMPLE = Limits(console_chars=200_000_000)


@pytest.mark.parametrize("size", [10_000_000, pytest.param(100_000_000, marks=soak)])
async def test_much_text_of_a_child_process_arrives_whole(size, tmp_path):
    lines = size // len(LINE.encode())
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(line=LINE, lines=lines))
    source = f"""
import subprocess, sys
print("begin")
subprocess.run([sys.executable, {str(script)!r}])
print("end")
"""
    async with launch_kernel(limits=AMPLE) as kernel:
        await kernel.run({"a": source})
        text = out(kernel)
        assert len(text) == len("begin\n") + len(LINE) * lines + len("end\n")
        assert text == "begin\n" + LINE * lines + "end\n"


async def test_c_code_that_holds_the_gil_can_write_more_than_a_pipe_holds(kernel: KernelClient):
    source = """
import ctypes, os
held = ctypes.PyDLL(None)
held.write.restype = ctypes.c_ssize_t
print("begin")
assert held.write(1, b"x" * 1_999_999 + b"\\n", 2_000_000) == 2_000_000
held.printf(b"%s\\n", b"y" * 1_000_000)
print("end")
"""
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": source})).status == "ok"
    assert out(kernel) == "begin\n" + "x" * 1_999_999 + "\n" + "y" * 1_000_000 + "\nend\n"
