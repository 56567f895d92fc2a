"""A runner process as the operating system sees it."""

import os
import resource
import select
import signal
import sys

import pytest
from cellwire.kernel.process import RunnerProcess, describe_exit
from support.processes import children_of, is_alive, wait_until_gone


@pytest.fixture
def start():
    started: list[RunnerProcess] = []

    def run(source: str) -> RunnerProcess:
        process = RunnerProcess([sys.executable, "-c", source])
        started.append(process)
        return process

    yield run
    for process in started:
        if process.link.fileno() >= 0:
            process.kill()
            try:
                os.waitpid(process.pid, 0)
            except ChildProcessError:
                pass
            os.waitpid(process.close(), 0)


def wait(process: RunnerProcess) -> int:
    """Return the wait status of a process that ends by itself."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    status = process.poll()
    assert status is not None
    return status


def read(fd: int) -> bytes:
    """Return everything that comes through `fd`."""
    data = b""
    while select.select([fd], [], []) and (piece := os.read(fd, 65536)):
        data += piece
    return data


def is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def close(process: RunnerProcess) -> None:
    os.waitpid(process.close(), 0)


def test_the_process_has_two_links_two_console_pipes_and_no_other_descriptor(start):
    process = start(
        "import os, socket, sys\n"
        "link = socket.socket(fileno=int(sys.argv[1]))\n"
        "link.sendall(b'link')\n"
        "os.write(1, b'out'); os.write(2, b'err')\n"
        "os.write(1, b' ' + ' '.join(os.listdir('/proc/self/fd')).encode())\n"
    )
    ours = {int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) < 3 or is_inheritable(int(fd))}
    status = wait(process)
    assert os.waitstatus_to_exitcode(status) == 0
    assert process.link.recv(100) == b"link"
    word, *theirs = read(process.stdout).split()
    assert word == b"out"
    # The two links, the trace, and the descriptor that lists the directory.
    assert len({int(fd) for fd in theirs} - ours) == 4
    assert read(process.stderr) == b"err"
    close(process)


def test_the_process_leads_a_session_of_its_own_and_reads_nothing(start):
    process = start("import os; print(os.getpid() == os.getsid(0) == os.getpgid(0), repr(os.read(0, 10)))")
    wait(process)
    assert read(process.stdout) == b"True b''\n"
    close(process)


def test_an_interrupt_before_there_is_a_handler_is_harmless(start):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = RunnerProcess(
            [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"]
        )
    finally:
        signal.signal(signal.SIGINT, before)
    process.interrupt(0)
    assert os.waitstatus_to_exitcode(wait(process)) == 0
    assert read(process.stdout) == b"1\n", "SIG_IGN"
    close(process)


def test_killing_ends_the_children_too(start):
    process = start(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "print(child.pid, flush=True)\n"
        "while True: pass\n"
    )
    select.select([process.stdout], [], [])
    child = int(os.read(process.stdout, 100))
    process.kill()
    status = wait(process)
    assert process.reason(status) == "the runner was killed by SIGKILL"
    wait_until_gone(child)
    close(process)


def test_the_trace_of_a_crash_is_part_of_the_reason(start):
    process = start(
        "import faulthandler, os, signal, sys\n"
        "faulthandler.enable(int(sys.argv[3]))\n"
        "def crash(): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "crash()\n"
    )
    reason = process.reason(wait(process))
    assert reason.startswith("the runner was killed by SIGSEGV\n\nFatal Python error: Segmentation fault")
    assert "in crash" in reason
    close(process)


def test_a_process_that_runs_has_not_ended(start):
    assert start("while True: pass").poll() is None


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "the runner ended with exit status 0"),
        (3 << 8, "the runner ended with exit status 3"),
        (signal.SIGSEGV | 0x80, "the runner was killed by SIGSEGV"),
        (signal.SIGRTMIN + 3, f"the runner was killed by signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_how_a_process_ended_is_said_in_words(status, text):
    assert describe_exit(status) == text


def test_a_kill_from_outside_is_distinguished_from_the_kernels_own():
    assert "memory" in describe_exit(signal.SIGKILL)
    assert "memory" not in describe_exit(signal.SIGKILL, killed=True)


def test_nothing_is_left_open_and_the_guardian_ends(start):
    before = len(os.listdir("/proc/self/fd"))
    process = start("pass")
    wait(process)
    guardian = process.close()
    os.waitpid(guardian, 0)
    assert not is_alive(guardian)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_runner_that_cannot_be_started_for_want_of_descriptors_leaves_nothing(start):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before, children = os.listdir("/proc/self/fd"), children_of(os.getpid())
    lowest = os.dup(0)
    os.close(lowest)
    failures = 0
    try:
        for room in range(30):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + room, limits[1]))
            try:
                process = start("pass")
            except OSError:
                failures += 1
            else:
                break
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    wait(process)
    close(process)
    assert failures
    assert os.listdir("/proc/self/fd") == before
    # Also one that has ended and was not waited for is a child.
    assert set(children_of(os.getpid())) <= set(children)


def test_a_program_that_does_not_exist_leaves_nothing_open():
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        RunnerProcess(["/does/not/exist"])
    assert len(os.listdir("/proc/self/fd")) == before
