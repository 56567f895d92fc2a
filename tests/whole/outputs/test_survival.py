"""Output in great quantity and in bad company: what has been written arrives everywhere, whole, in order."""

import json
import struct
from pathlib import Path
from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient, Limits, connect, launch_kernel
from cellwire.protocol import events as e
from support.replicas import replicas_agree
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

#: In default runs the quantities are fractions of what `make soak` uses.
soak = pytest.mark.soak


def texts(client: KernelClient, cell: str = "a") -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def out(client: KernelClient, cell: str = "a") -> str:
    return client.notebook.cells[cell].console.text("stdout")


async def value(client: KernelClient, expression: str) -> Any:
    """Return what a cell without outputs of its own finds, as JSON carries it."""
    await client.run({"look": f"import json\njson.dumps({expression})"})
    (text,) = texts(client, "look")
    return json.loads(text[1:-1].encode().decode("unicode_escape"))


CHANGES = """
import random, threading
import cellwire as cw
from cellwire.runner.attribution.context import current_execution
the_list = current_execution.get().outputs
def change(number):
    draw = random.Random(number)
    handles = []
    for step in range({operations} // 16):
        chance, value = draw.random(), (number, step)
        if chance < 0.5 or not handles:
            handles.append(cw.output.append(value))
        elif chance < 0.7:
            draw.choice(handles).replace(value)
        elif chance < 0.85:
            handles.pop(draw.randrange(len(handles))).remove()
        elif chance < 0.998:
            try:
                cw.output.replace_at_index(value, draw.randrange(50))
            except IndexError:
                pass
        elif chance < 0.999:
            cw.output.replace(value)
        else:
            cw.output.clear()
threads = [threading.Thread(target=change, args=(number,)) for number in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("operations", [20_000, pytest.param(100_000, marks=soak)])
async def test_16_threads_change_one_list_and_three_replicas_are_its_image(operations, own_kernel):
    events = own_kernel.events()
    async with connect(own_kernel.connection_file) as early:
        queued = await own_kernel.run({"a": CHANGES.format(operations=operations)}, wait=False)
        # Signal 1: the threads are at work when the third one joins.
        await until(own_kernel, lambda it: "a" in it.cells and it.cells["a"].outputs)
        async with connect(own_kernel.connection_file) as late:
            async for event in events:
                if isinstance(event, e.RunFinished) and event.run == queued.run:
                    assert event.status == "ok"
                    break
            await replicas_agree(own_kernel, early, late)
    ids = [item.id for item in own_kernel.notebook.cells["a"].outputs]
    assert ids == await value(own_kernel, "list(the_list._order)")


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
async def test_every_write_that_had_returned_when_the_runner_died_is_everywhere(words, kernel, tmp_path):
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
            # What was on its way when the runner died may have arrived too.
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


async def test_destructors_and_signal_handlers_that_write_in_the_middle_of_a_write_lose_nothing(kernel):
    assert (await kernel.run({"a": INTRUDING})).status == "ok"
    counts = await value(kernel, "counts")
    assert counts["freed"] == 2000
    assert counts["struck"] > 0
    for found in (out(kernel).splitlines(), [text.strip("'") for text in texts(kernel)]):
        assert len(found) == sum(counts.values())
        for who, count in counts.items():
            numbers = [int(text.split()[1]) for text in found if text.startswith(who)]
            # A handler may be struck by the next one before it has written.
            assert (sorted(numbers) if who == "struck" else numbers) == list(range(1, count + 1))


STORM = """
import signal, threading
import cellwire as cw
returned = dict(items=[], lines=[])
ready, over = threading.Semaphore(0), threading.Event()
def strike():
    for _ in range({strikes}):
        ready.acquire()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
def write(name, number):
    cw.output.append(f"{{name}} {{number}}")
    returned["items"].append(f"{{name}} {{number}}")
    print(name, number)
    returned["lines"].append(f"{{name}} {{number}}")
def accompany(name):
    number = 0
    while not over.wait(0.0005):
        number += 1
        write(name, number)
threads = [threading.Thread(target=accompany, args=(f"thread{{n}}",)) for n in range(2)]
for thread in (*threads, threading.Thread(target=strike)):
    thread.start()
count, number = -1, 0
struck = True
while count < {strikes}:
    try:
        # The next one strikes anywhere from here to the end of this block, and nowhere else.
        if struck:
            struck = False
            count += 1
            ready.release()
        while count < {strikes}:
            number += 1
            write("main", number)
    except KeyboardInterrupt:
        struck = True
over.set()
for thread in threads:
    thread.join()
write("end", 1)
"""


@pytest.mark.parametrize("strikes", [2_000, pytest.param(10_000, marks=soak)])
async def test_a_storm_of_keyboard_interrupts_loses_tears_and_repeats_nothing(strikes, own_kernel):
    await own_kernel.run({"a": STORM.format(strikes=strikes)})
    cell = own_kernel.notebook.cells["a"]
    assert cell.status == "ok", cell.error
    returned = await value(own_kernel, "returned")
    for received, expected in (
        ([text.strip("'") for text in texts(own_kernel)], returned["items"]),
        (out(own_kernel).splitlines(), returned["lines"]),
    ):
        assert len(set(received)) == len(received)
        assert set(expected) <= set(received)
        latest: dict[str, int] = {}
        for text in received:
            name, number = text.split()
            assert int(number) > latest.get(name, 0)
            latest[name] = int(number)
        assert received[-1] == "end 1"
    await replicas_agree(own_kernel)


LINE = "ünïcödé €uro 😀\n"
CHILD = """
import os, sys
data = {line!r}.encode() * {lines}
# Pieces that end anywhere inside a character.
for start in range(0, len(data), 40_961):
    piece = data[start : start + 40_961]
    while piece:
        piece = piece[os.write(1, piece) :]
"""
AMPLE = Limits(console_chars=200_000_000)


@pytest.mark.parametrize("size", [10_000_000, pytest.param(100_000_000, marks=soak)])
async def test_a_great_deal_of_text_of_a_child_arrives_whole(size, tmp_path):
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


async def test_more_than_a_pipe_holds_is_written_by_c_code_that_holds_the_gil(kernel):
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


async def test_characters_are_put_together_wherever_another_cell_cuts_them(kernel):
    cells = {
        "b": "import threading\n"
        "cut, ready = threading.Semaphore(0), threading.Semaphore(0)\n"
        "def other():\n"
        "    for byte in '€😀é'.encode():\n"
        "        cut.acquire()\n"
        "        sys.stdout.buffer.write(bytes([byte]))\n"
        "        ready.release()\n"
        "import sys\n"
        "threading.Thread(target=other).start()",
        "a": "import os\n"
        "for byte in '😀€é'.encode():\n"
        "    os.write(1, bytes([byte]))\n"
        "    cut.release()\n"
        "    ready.acquire()\n",
    }
    await kernel.run(cells)
    assert (out(kernel, "a"), out(kernel, "b")) == ("😀€é", "€😀é")


async def test_bytes_that_are_no_text_are_replaced_and_cost_nothing_else(kernel):
    source = r"""
import os, subprocess, sys
sys.stdout.buffer.write(b"1 \xff\xfe\n")
os.write(1, b"2 \xe2\x82 \x00\n")
subprocess.run(["printf", r"3 \303\050\n"])
print("4", "\ud800")
os.write(1, b"5 \xf0\x9f")
"""
    await kernel.run({"a": source})
    # The end may be the beginning of a character, and is kept back until the runner ends.
    assert out(kernel) == "1 ��\n2 � \0\n3 �(\n4 \\ud800\n5 "
    await kernel.restart_runner()
    await until(kernel, lambda it: it.cells["a"].console.text("stdout").endswith("5 �"))


async def test_what_exceeds_a_limit_says_so_and_the_rest_is_there(tmp_path: Path):
    limits = Limits(console_chars=10_000, item_bytes=1_000, items=5)
    async with launch_kernel(limits=limits) as kernel:
        source = """
import cellwire as cw
for number in range(10_000):
    print(number)
cw.output.append("x" * 2_000)
for number in range(10):
    cw.output.append(number)
"""
        assert (await kernel.run({"a": source})).status == "ok"
        console = kernel.notebook.cells["a"].console
        written = "".join(f"{number}\n" for number in range(10_000))
        assert 9_000 < len(console.text()) <= 10_000
        assert console.text() == written[console.dropped :]
        first, *rest, last = texts(kernel)
        assert first == "[output of 2,018 bytes left out: limits.item_bytes is 1,000]"
        assert rest == ["0", "1", "2", "3"]
        assert last == "[further outputs left out: limits.items is 5]"
