"""The kernel with the real runner, in the situations where the two depend on each other."""

import os
import signal

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.limits import Limits
from support.processes import wait_until_gone

#: Holds the interpreter's lock until the process is killed.
HOLD = "import ctypes; ctypes.PyDLL(None).pause()"

THREADS = """
import threading
import cellwire as cw

def append(thread):
    for number in range(1000):
        handle = cw.output.append(f"{thread} {number}")
        if number % 10 == 0:
            handle.replace(f"{thread} {number} again")
        if number % 10 == 1:
            handle.remove()

threads = [threading.Thread(target=append, args=(thread,)) for thread in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""

#: Sixteen threads that append until they are interrupted.
ENDLESS = """
import threading
import cellwire as cw

ended = threading.Event()

def append():
    while not ended.is_set():
        cw.output.append("here").remove()

threads = [threading.Thread(target=append) for _ in range(16)]
for thread in threads: thread.start()
try:
    ended.wait()
finally:
    ended.set()
    for thread in threads: thread.join()
"""


@pytest.fixture
def kernel(launch):
    return launch(command=None)


@pytest.fixture
def frontend(kernel, attach):
    return attach(kernel)


def canonical(notebook) -> bytes:
    return msgspec.msgpack.encode(notebook, order="deterministic")


def started(frontend, source: str, cell: str = "a") -> int:
    """Return the number of a run of one cell that has started."""
    run = frontend.run(source, cell)
    frontend.until(lambda: any(event.run == run for event in frontend.of(e.CellStarted)))
    return run


def test_a_cell_that_depends_on_another_runs_again(frontend):
    frontend.finish(frontend.ask(m.RunCells, [m.Cell("a", "x = 1"), m.Cell("b", "x + 1")]).run)
    assert frontend.notebook.cells["b"].outputs[0].data["text/plain"] == "2"
    frontend.finish(frontend.run("x = 41"))
    assert frontend.notebook.cells["b"].outputs[0].data["text/plain"] == "42"


def test_sixteen_threads_leave_every_replica_equal(kernel, frontend, attach):
    late = attach(kernel)
    late.acknowledging = False
    frontend.finish(frontend.run(THREADS))
    late.acknowledging = True
    late.send(m.Acknowledge(late.received))
    latest = attach(kernel)
    for replica in (frontend, late, latest):
        replica.apply_pending()
    assert canonical(frontend.notebook) == canonical(late.notebook) == canonical(latest.notebook)
    assert len(frontend.notebook.cells["a"].outputs) == 16 * 900


def test_pings_are_answered_while_sixteen_threads_append(frontend):
    run = started(frontend, ENDLESS)
    frontend.until(lambda: frontend.of(e.OutputAppended))
    first = frontend.ask(m.Ping).seq
    frontend.until_reply(m.Ping, lambda pong: pong.seq > first + 1000)
    assert frontend.finished(run) is None
    frontend.ask(m.Interrupt)
    assert frontend.finish(run).status == "interrupted"


def test_printed_text_comes_before_the_end_of_the_cell(frontend):
    run = frontend.run("print('x' * 1_000_000)")
    frontend.finish(run)
    events = frontend.events
    written = [index for index, event in enumerate(events) if isinstance(event, e.ConsoleWritten)]
    finished = [index for index, event in enumerate(events) if isinstance(event, e.CellFinished)]
    assert written[-1] < finished[-1]
    assert len(frontend.notebook.cells["a"].console.text()) == 1_000_001


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time; time.sleep(3600)",
        "import subprocess; subprocess.run(['sleep', '3600'])",
    ],
)
def test_an_interrupt_ends_a_run_whatever_it_is_doing(frontend, source):
    run = started(frontend, source)
    frontend.ask(m.Interrupt)
    assert frontend.finish(run).status == "interrupted"


def test_a_runner_that_holds_the_gil_is_noticed_and_can_be_replaced(launch, attach):
    frontend = attach(launch(command=None, limits=Limits(unresponsive_seconds=0.5)))
    frontend.finish(frontend.run("'kept'", "before"))
    run = started(frontend, HOLD)
    frontend.until(lambda: frontend.notebook.runner.condition == "unresponsive")
    frontend.ask(m.RestartRunner)
    frontend.until(lambda: frontend.notebook.runner.generation == 2)
    assert frontend.finish(run).status == "error"
    cell = frontend.notebook.cells["before"]
    assert (cell.outputs[0].data["text/plain"], cell.stale) == ("'kept'", True)
    assert frontend.finish(frontend.run("1", "a")).status == "ok"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os._exit(3)", "exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_the_last_print_before_a_death_is_not_lost(frontend, source, words):
    run = frontend.run(f"print('last words')\n{source}")
    assert frontend.finish(run).status == "error"
    frontend.until(lambda: frontend.notebook.runner.condition == "dead")
    assert words in frontend.notebook.runner.reason
    assert frontend.notebook.cells["a"].console.text() == "last words\n"


@pytest.mark.parametrize("source", ["while True: pass", HOLD, "import os\nos.fork()\nwhile True: pass"])
def test_nothing_survives_a_kernel_that_is_killed(kernel, frontend, source):
    spawn = "import subprocess\nprint(subprocess.Popen(['sleep', '3600']).pid, flush=True)"
    started(frontend, f"{spawn}\n{source}")
    frontend.until(lambda: frontend.of(e.ConsoleWritten))
    child = int(frontend.of(e.ConsoleWritten)[0].text)
    os.kill(kernel.process.pid, signal.SIGKILL)
    kernel.wait()
    wait_until_gone(frontend.notebook.runner.pid)
    wait_until_gone(child)


def test_shutdown_lets_the_runner_exit_normally(kernel, frontend):
    frontend.finish(frontend.run("import atexit; atexit.register(print, 'goodbye', flush=True)"))
    frontend.ask(m.Shutdown)
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0
    assert "goodbye" in "".join(event.text for event in frontend.of(e.ConsoleWritten))
    assert frontend.of(e.RunnerDied) == frontend.of(e.CellsMarked) == []
    wait_until_gone(frontend.notebook.runner.pid)
