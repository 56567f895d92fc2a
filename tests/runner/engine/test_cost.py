"""What a request costs, counted in calls and bytes and not timed."""

import asyncio
import json
import subprocess
import sys

import msgspec
import pytest
from cellwire.runner.engine import Engine


def notebook(size):
    """Return a chain beside a fan: every cell reads from the first, a tenth from its predecessor too."""
    cells = {"first": "x = 1"}
    cells |= {f"c{n}": f"y{n} = x + {n}" + (f" + y{n - 1}" if n % 10 else "") for n in range(size)}
    return cells


async def counted(action):
    """Return how many functions, Python's and C's, `action` calls."""
    count = [0]

    def profile(frame, event, argument):
        if event in ("call", "c_call"):
            count[0] += 1

    sys.setprofile(profile)
    try:
        await action()
    finally:
        sys.setprofile(None)
    return count[0]


def calls(book, action):
    """Return what `action` costs in `book`."""
    return book.do(counted(action))


@pytest.fixture(scope="module")
def sizes():
    return (100, 10_000)


@pytest.mark.parametrize(
    "action",
    [
        lambda engine: engine.run({"c7": "y7 = 7"}),
        lambda engine: engine.run({"c9": "1 / 0"}),
        lambda engine: engine.run({"new": "x"}),
        lambda engine: engine.sync({"c19": "y19 = 1"}),
        lambda engine: engine.run({"c9": "y9 = "}),
        lambda engine: engine.run({"c9": "y8 = 1"}),
        lambda engine: engine.delete(["c19"]),
        lambda engine: engine.configure(["c19"], disabled=True),
        lambda engine: engine.run(["c7"]),
    ],
    ids=["edit", "error", "new", "sync", "syntax", "conflict", "delete", "disable", "again"],
)
def test_a_request_costs_what_it_affects_and_not_the_notebook(make_book, action, sizes):
    costs = []
    for size in sizes:
        book = make_book()
        book.do(book.engine.sync(notebook(size)))
        book.mode("lazy")
        book.run(["c7", "c9"])
        costs.append(calls(book, lambda book=book: action(book.engine)))
        events = b"".join(msgspec.msgpack.encode(event) for event in book.events)
        assert len(events) <= 2048
    assert costs[1] <= costs[0] * 1.1 + 20


def test_registering_costs_the_same_for_each_cell(make_book):
    small, large = make_book(), make_book()
    few = calls(small, lambda: small.engine.sync(notebook(1_000)))
    many = calls(large, lambda: large.engine.sync(notebook(10_000)))
    assert many <= few * 11


def test_an_edit_of_the_root_of_a_chain_costs_the_same_for_each_cell_below(make_book):
    costs = []
    for size in (100, 1_000):
        book = make_book()
        book.run({f"c{n}": f"y{n} = y{n - 1} + 1" if n else "y0 = 0" for n in range(size)})
        costs.append(calls(book, lambda book=book: book.engine.run({"c0": "y0 = 1"})))
        assert len(book.ran) == size
    assert costs[1] <= costs[0] * 11


def test_an_edit_in_the_middle_of_a_fan_costs_what_is_below_it(make_book):
    costs = []
    for bystanders in (100, 10_000):
        book = make_book()
        fan = {"root": "r = 1", "middle": "m = r"} | {f"leaf{n}": f"l{n} = m" for n in range(50)}
        book.do(book.engine.sync(fan | {f"other{n}": f"o{n} = r" for n in range(bystanders)}))
        book.run(["middle"])
        costs.append(calls(book, lambda book=book: book.engine.run({"middle": "m = r + 1"})))
        assert len(book.ran) == 51
    assert costs[1] <= costs[0] * 1.1 + 20


def test_an_edit_of_a_leaf_among_many_is_told_in_a_few_bytes(book):
    book.run(notebook(2000))
    book.run({"c1999": "y1999 = x"})
    assert book.ran == ["c1999"]
    assert sum(len(msgspec.msgpack.encode(event)) for event in book.events) <= 1024


TRIVIAL_RUN = """
import asyncio, json, socket, sys
from cellwire.protocol.messages import Cell, RunCells
from cellwire.runner.output.emitter import Emitter, LinkSink
from cellwire.runner.engine import Engine

writes, calls = [], []

class Link(LinkSink):
    def write_iterator(self, segment, start):
        writes.append(len(segment))
        return super().write_iterator(segment, start)

def profile(frame, event, argument):
    if event in ("call", "c_call"):
        calls.append(argument)

async def main():
    ours, theirs = socket.socketpair()
    engine = Engine(Emitter(Link(ours)), keep_outputs=False)
    again = RunCells("", [Cell("a", "1 + 1")])
    await engine.execute(1, again)
    await engine.execute(2, again)
    writes.clear()
    sys.setprofile(profile)
    await engine.execute(3, again)
    sys.setprofile(None)

asyncio.run(main())
print(json.dumps([len(calls), writes]))
"""


def test_a_trivial_run_takes_few_calls_and_writes_to_the_link_twice():
    # In a process of its own: what other tests have imported, matplotlib for one, is looked at too.
    done = subprocess.run(
        [sys.executable, "-c", TRIVIAL_RUN], check=True, capture_output=True, text=True, timeout=60
    )
    calls, writes = json.loads(done.stdout)
    # What is said before user code runs, and what is said after it: 81 and 156 bytes.
    assert len(writes) == 2
    assert sum(writes) <= 260
    # 270 with Python 3.11, fewer with newer ones.
    assert calls <= 270


def test_the_engine_needs_no_library_but_msgspec():
    program = (
        "import asyncio, sys\n"
        "from cellwire.runner.engine import Engine\n"
        "engine = Engine(lambda event: None)\n"
        "asyncio.run(engine.run({'a': 'import asyncio\\nx = await asyncio.sleep(0, 1)', 'b': 'x'}))\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('anyio', 'zmq', 'matplotlib')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_notebook_whose_cells_all_run_here_loads_nothing_of_places():
    program = (
        "import asyncio, sys\n"
        "from cellwire.runner.engine import Engine\n"
        "engine = Engine(lambda event: None, redefine='allow')\n"
        "asyncio.run(engine.run({'a': 'import asyncio\\nx = await asyncio.sleep(0, 1)', 'b': 'x = x + 1'}))\n"
        "print(*[name for name in sys.modules if 'places' in name or 'elsewhere' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_only_what_is_asked_for_is_held_by_the_engine_without_outputs():
    engine = Engine(lambda event: None, keep_outputs=False)
    asyncio.run(engine.run({"a": "x = 1\nx"}))
    assert engine.notebook.cells["a"].outputs == []
    assert engine.notebook.cells["a"].status == "ok"
