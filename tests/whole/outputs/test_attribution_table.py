"""Where output goes: each line of the table in docs/outputs.md, in a real kernel, with two cells.

Cell `a` starts the source. Cell `b` runs after it and prints, lets the source write, waits until that has
written, and prints again. For what cannot write while another cell runs, the roles are swapped: `b` comes
first and leaves a thread, and `a` writes, lets that thread write, and writes again. `s`, which both read,
holds what they wait for each other with.
"""

import os
import re
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol.notebook import Stream
from support.waiting import until

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[3] / "docs" / "outputs.md"

#: The second column of the table, and the cell of the test that it means.
PLACES = {
    "its cell": "a",
    "the cell that runs": "b",
    "the cell that frees it": "b",
    "the notebook": "",
    "its value": None,
}


class Source(msgspec.Struct):
    """One source of output."""

    #: What `a` does. `say` writes as soon as `b` lets it, `wait` and `tell` are its first and last step.
    start: str
    #: What `a` and `b` wait for each other with.
    kind: Literal["threads", "awaited threads", "tasks", "processes", "main"] = "threads"
    #: More code for the cell that both read.
    shared: str = ""
    #: What `b` does, if not the usual.
    other: str = ""
    stream: Stream = "stdout"
    text: str = "from a\n"


SHARED = """
import ctypes, faulthandler, gc, logging, os, signal, subprocess, sys, threading, warnings
import asyncio, concurrent.futures, multiprocessing, multiprocessing.pool
import anyio, anyio.to_thread
import cellwire as cw
go, done = threading.Event(), threading.Event()
def wait():
    assert go.wait(30)
def tell():
    done.set()
def say():
    wait()
    print("from a")
    tell()
def let():
    go.set()
    assert done.wait(30)
"""
TASKS = """
may, has = asyncio.Event(), asyncio.Event()
async def say_async():
    await may.wait()
    print("from a")
    has.set()
def say_now():
    print("from a")
    has.set()
async def let_async():
    may.set()
    await has.wait()
"""
# Opening a named pipe waits for the other end, in any process and in any language.
PROCESSES = """
GO, DONE = {go!r}, {done!r}
SHELL = "read _ < " + GO + "; echo from a; echo > " + DONE
def say_there():
    open(GO).close()
    print("from a", flush=True)
    open(DONE, "w").close()
SPAWNED = "open(GO).close(); print('from a', flush=True); open(DONE, 'w').close()"
def let_there():
    open(GO, "w").close()
    open(DONE).read()
"""
SPEAKING = {
    "threads": "let()",
    "awaited threads": "go.set()\nassert await asyncio.to_thread(done.wait, 30)",
    "tasks": "await let_async()",
    "processes": "let_there()",
}
FORKED = (
    "multiprocessing.get_context({!r}).Process(target=exec, args=(SPAWNED, dict(GO=GO, DONE=DONE))).start()"
)

SOURCES = {
    # In the cell itself
    "`print`, with all its arguments": Source(
        "print('fro', '', sep='m', end=' ', flush=True)\n"
        "let()\n"
        "print('a', file=sys.stdout)\n"
        "print('not here', file=sys.stderr)",
        "main",
    ),
    "`sys.stdout.write`, `sys.stdout.buffer.write`": Source(
        "sys.stdout.write('from')\nlet()\nsys.stdout.buffer.write(b' a\\n')", "main"
    ),
    "`logging`": Source(
        "logging.basicConfig(format='%(message)s', force=True)\n"
        "def log():\n    wait()\n    logging.warning('from a')\n    tell()\n"
        "threading.Thread(target=log).start()",
        other="print('b begins')\nlet()\nlogging.warning('from b')\nprint('b ends')",
        stream="stderr",
    ),
    "`warnings`": Source(
        "def warn():\n    wait()\n    warnings.warn('from a')\n    tell()\n"
        "threading.Thread(target=warn).start()",
        stream="stderr",
        text="UserWarning: from a",
    ),
    # Threads
    "`threading.Thread`": Source("threading.Thread(target=say).start()"),
    "a subclass of `Thread`": Source(
        "class Speaker(threading.Thread):\n    def run(self):\n        say()\nSpeaker().start()"
    ),
    "`threading.Timer`": Source("threading.Timer(0, say).start()"),
    "a daemon thread": Source("threading.Thread(target=say, daemon=True).start()"),
    "a thread that a thread starts": Source(
        "threading.Thread(target=lambda: threading.Thread(target=say).start()).start()"
    ),
    "`cw.Thread`": Source("cw.Thread(target=say).start()"),
    "`_thread.start_new_thread`": Source("import _thread\n_thread.start_new_thread(say, ())"),
    "what ends a thread with an exception": Source(
        "def fail():\n"
        "    wait()\n"
        "    threading.Thread(target=tell_at_its_end, args=(threading.current_thread(),)).start()\n"
        "    raise ValueError('from a')\n"
        "def tell_at_its_end(thread):\n"
        "    thread.join()\n"
        "    tell()\n"
        "threading.Thread(target=fail).start()",
        stream="stderr",
        text="ValueError: from a\n",
    ),
    # Pools of threads
    "`ThreadPoolExecutor`: `submit`, `map`, callbacks": Source(
        "executor.submit(int).add_done_callback(lambda _: say())",
        shared="executor = concurrent.futures.ThreadPoolExecutor(1)\nexecutor.submit(int).result()",
        other="print('b begins')\nlet()\nlist(executor.map(print, ['b ends']))",
    ),
    "`multiprocessing.pool.ThreadPool`": Source(
        "pool.apply_async(say)",
        shared="pool = multiprocessing.pool.ThreadPool(1)\npool.apply(int)",
        other="print('b begins')\nlet()\npool.map(print, ['b ends'])",
    ),
    # asyncio and anyio
    "an `asyncio` task": Source("task = asyncio.create_task(say_async())", "tasks"),
    "`loop.call_soon`, `call_later`": Source(
        "task = asyncio.get_running_loop().call_later(0, say_now)", "tasks"
    ),
    "`asyncio.to_thread`": Source("task = asyncio.create_task(asyncio.to_thread(say))", "awaited threads"),
    "`loop.run_in_executor`": Source(
        "task = asyncio.get_running_loop().run_in_executor(None, say)", "awaited threads"
    ),
    "what ends a task with an exception": Source(
        "async def fail():\n"
        "    await may.wait()\n"
        "    raise ValueError('from a')\n"
        "task = asyncio.create_task(fail())\n"
        "task.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(has.set))\n"
        "del task",
        "tasks",
        stream="stderr",
        text="ValueError: from a\n",
    ),
    "what ends a callback of the loop with an exception": Source(
        "def fail():\n"
        "    asyncio.get_running_loop().call_soon(has.set)\n"
        "    raise ValueError('from a')\n"
        "may.set()\n"
        "asyncio.get_running_loop().call_soon(fail)",
        "tasks",
        stream="stderr",
        text="ValueError: from a\n",
    ),
    "an anyio task group": Source(
        "async with anyio.create_task_group() as group:\n    group.start_soon(say_async)", "tasks"
    ),
    "`anyio.to_thread.run_sync`": Source("await anyio.to_thread.run_sync(say)", "awaited threads"),
    "`asyncio.create_subprocess_exec`": Source(
        "child = await asyncio.create_subprocess_exec('sh', '-c', SHELL)",
        "processes",
        other="print('b begins')\nawait asyncio.to_thread(let_there)\nawait child.wait()\nprint('b ends')",
    ),
    # Processes
    "`subprocess.Popen`": Source("child = subprocess.Popen(['sh', '-c', SHELL])", "processes"),
    "`subprocess.run`, `call`, `check_call`": Source(
        "threading.Thread(target=lambda: subprocess.run(['sh', '-c', SHELL])).start()", "processes"
    ),
    "`subprocess.check_output`, pipes of your own": Source(
        "def read():\n    global value\n    value = subprocess.check_output(['sh', '-c', SHELL], text=True)\n"
        "value = ''\nreader = threading.Thread(target=read)\nreader.start()",
        "processes",
        other="print('b begins')\nlet_there()\nreader.join()\nassert value == 'from a\\n'\nprint('b ends')",
    ),
    "`os.system`": Source("threading.Thread(target=lambda: os.system(SHELL)).start()", "processes"),
    "`os.posix_spawn`": Source("os.posix_spawn('/bin/sh', ['sh', '-c', SHELL], os.environ)", "processes"),
    "`os.fork`": Source("if os.fork() == 0:\n    say_there()\n    os._exit(0)", "processes"),
    "`multiprocessing`, by `fork`": Source(FORKED.format("fork"), "processes"),
    "`multiprocessing`, by `spawn`": Source(FORKED.format("spawn"), "processes"),
    "`multiprocessing`, by `forkserver`": Source(FORKED.format("forkserver"), "processes"),
    "`multiprocessing.Pool`, `ProcessPoolExecutor`": Source(
        "workers = multiprocessing.get_context('fork').Pool(1)",
        other="print('b begins')\nworkers.apply(print, ['from a'])\nprint('b ends')\n"
        "workers.close()\nworkers.join()",
    ),
    # Beneath Python
    "`os.write(1, …)` in a cell": Source("os.write(1, b'from')\nlet()\nos.write(1, b' a\\n')", "main"),
    "`os.write(1, …)` in a thread": Source(
        "def write():\n    wait()\n    os.write(1, b'from a\\n')\n    tell()\n"
        "threading.Thread(target=write).start()"
    ),
    "`os.write(1, …)` in a task": Source(
        "await may.wait()\nos.write(1, b'from a\\n')\nhas.set()",
        "tasks",
    ),
    "C code in a cell": Source(
        "ctypes.CDLL(None).write(1, b'from', 4)\nlet()\nctypes.CDLL(None).printf(b' %s\\n', b'a')", "main"
    ),
    "C code in a cell, with the GIL held": Source(
        "ctypes.PyDLL(None).write(1, b'from', 4)\nlet()\nctypes.PyDLL(None).printf(b' %s\\n', b'a')", "main"
    ),
    "C code in a thread": Source(
        "def write():\n    wait()\n    ctypes.CDLL(None).write(1, b'from a\\n', 7)\n    tell()\n"
        "threading.Thread(target=write).start()"
    ),
    "`sys.__stdout__`": Source(
        "def write():\n    wait()\n    sys.__stdout__.write('from a\\n')\n    tell()\n"
        "threading.Thread(target=write).start()"
    ),
    "`faulthandler.dump_traceback`": Source(
        "def dump():\n    wait()\n    faulthandler.dump_traceback(all_threads=False)\n    tell()\n"
        "threading.Thread(target=dump).start()",
        stream="stderr",
        text=" in dump\n",
    ),
    # At unpredictable moments
    "`__del__`, weakref callbacks": Source(
        "class Loud:\n    def __del__(self):\n        print('from a')\n"
        "loud = Loud()\nloud.itself = loud\ndel loud",
        other="print('b begins')\ngc.collect()\nprint('b ends')",
    ),
    "a signal handler": Source(
        "signal.signal(signal.SIGUSR1, lambda *_: print('from a'))",
        other="print('b begins')\nos.kill(os.getpid(), signal.SIGUSR1)\nprint('b ends')",
    ),
    # Without a cell
    "a thread that C code starts, code in an empty `contextvars.Context()`": Source(
        "body = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: say())\n"
        "ctypes.CDLL(None).pthread_create(ctypes.byref(ctypes.c_ulong()), None, body, None)"
    ),
    "a thread started under `cw.detached()`": Source(
        "with cw.detached():\n    threading.Thread(target=say).start()"
    ),
    "a process started under `cw.detached()`": Source(
        "with cw.detached():\n    child = subprocess.Popen(['sh', '-c', SHELL])", "processes"
    ),
}


def table() -> dict[str, str]:
    """Return what the document's table says: source to place."""
    section = DOCUMENT.read_text().split("\n## ")[1]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", section, re.M)
    return {source: place for source, place in rows if source != "source"}


def test_the_document_and_the_tests_name_the_same_sources():
    assert list(table()) == list(SOURCES)
    assert set(table().values()) == set(PLACES)


@pytest.mark.parametrize(("name", "place"), table().items(), ids=list(table()))
async def test_output_goes_where_the_document_says(
    name: str, place: str, kernel: KernelClient, tmp_path: Path
):
    source = SOURCES[name]
    pipes = {"go": str(tmp_path / "go"), "done": str(tmp_path / "done")}
    for path in pipes.values():
        os.mkfifo(path)
    shared = SHARED + TASKS + PROCESSES.format(**pipes) + source.shared
    if source.kind == "main":
        other, own = "threading.Thread(target=say).start()", source.start
        cells = {"s": shared.replace("from a", "from b"), "b": other, "a": own}
        expected = {"a": source.text, "b": "from b\n", "": ""}
    else:
        other = source.other or f"print('b begins')\n{SPEAKING[source.kind]}\nprint('b ends')"
        cells = {"s": shared, "a": f"print('a begins')\n{source.start}\n", "b": other}
        expected = {"a": "a begins\n", "b": "b begins\nb ends\n", "": ""}
        place_of_text = PLACES[place]
        if source.stream == "stdout" and place_of_text is not None:
            whole = {"a": "a begins\nfrom a\n", "b": "b begins\nfrom a\nb ends\n", "": "from a\n"}
            expected[place_of_text] = whole[place_of_text]
    before = len(kernel.notebook.console.text("stdout"))
    finished = await kernel.run(cells)
    assert finished.status == "ok", [cell.error for cell in kernel.notebook.cells.values()]

    def written(stream: Stream = source.stream) -> dict[str, str]:
        consoles = {id: cell.console.text(stream) for id, cell in kernel.notebook.cells.items() if id != "s"}
        return {**consoles, "": kernel.notebook.console.text(stream)[before if stream == "stdout" else 0 :]}

    if source.stream == "stderr":
        await until(kernel, lambda _: source.text in written()[PLACES[place] or ""])
        assert [cell for cell, text in written().items() if source.text in text] == [PLACES[place]]
    # A child's own pipe may be read a moment after its cell has ended; nothing else is.
    await until(
        kernel, lambda _: sum(map(len, written("stdout").values())) >= sum(map(len, expected.values()))
    )
    assert written("stdout") == expected
