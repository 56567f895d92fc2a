"""A kernel process from its first line to its exit."""

import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.connection import read_connection_file
from cellwire.protocol.limits import Limits
from support.processes import children_of, wait_until_gone


def directory(kernel) -> Path:
    return Path(kernel.connection.endpoint.removeprefix("ipc://")).parent


COMMAND = [sys.executable, "-P", "-m", "cellwire.kernel"]


def start(
    *, stdin: int | None = None, settings: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[bytes]:
    if stdin is not None:
        return subprocess.run(COMMAND, stdin=stdin, capture_output=True)
    return subprocess.run(COMMAND, input=json.dumps(settings).encode() + b"\n", capture_output=True)


def test_a_missing_line_of_settings_is_one_clear_line_and_status_2():
    done = start(stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert "settings" in line
    assert "standard input" in line


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b'{"transport": "pigeon"}\n', b"[]\n", b'{"limits": {"window_bytes": 0}}\n'],
)
def test_settings_that_cannot_be_read_are_one_clear_line_and_status_2(line, tmp_path):
    (tmp_path / "settings").write_bytes(line)
    with open(tmp_path / "settings") as file:
        done = start(stdin=file.fileno())
    assert done.returncode == 2
    assert len(done.stderr.decode().splitlines()) == 1
    assert "settings" in done.stderr.decode()


def test_a_connection_file_that_cannot_be_written_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    settings = tmp_path / "settings"
    settings.write_text(json.dumps({"connection_file": "/does/not/exist/file"}) + "\n")
    with open(settings) as file:
        done = start(stdin=file.fileno())
    assert done.returncode == 2
    assert "/does/not/exist" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == [settings]


def test_the_connection_file_is_private_and_says_what_standard_output_says(launch, tmp_path):
    file = tmp_path / "connection.json"
    kernel = launch(connection_file=str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory(kernel).stat().st_mode) == 0o700
    assert read_connection_file(file) == kernel.connection
    assert kernel.connection.file == str(file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_place_where_others_can_replace_files_is_not_used(launch, attach, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    (shared / "below").mkdir(parents=True)
    shared.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    monkeypatch.setenv("TMPDIR", str(shared / "below"))
    kernel = launch()
    assert isinstance(attach(kernel).ask(m.Ping), m.Pong)
    assert not directory(kernel).is_relative_to(shared)


def test_a_connection_file_that_others_could_replace_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    done = start(settings={"connection_file": str(tmp_path / "file")})
    assert done.returncode == 2
    assert "sticky bit" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "192.0.2.7", "127.0.0.1:http", "127.0.0.1:99999", "[::]:0", "nowhere"]
)
def test_an_address_at_which_no_frontend_finds_the_kernel_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = start(settings={"transport": "tcp", "address": address})
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert repr(address) in line
    assert "address of this machine" in line
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = start(settings={"transport": "tcp", "address": f"127.0.0.1:{other.getsockname()[1]}"})
    assert done.returncode == 2
    assert "address already in use; give another port" in done.stderr.decode()


def test_a_kernel_listens_at_the_address_and_port_that_are_given(launch, attach):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kernel = launch(transport="tcp", address=f"127.0.0.1:{port}")
    assert kernel.connection.endpoint == f"tcp://127.0.0.1:{port}"
    assert isinstance(attach(kernel, kernel.connection.client).ask(m.Ping), m.Pong)


def test_a_connection_file_takes_the_place_of_no_other_file(tmp_path):
    thesis, link = tmp_path / "thesis.tex", tmp_path / "link"
    thesis.write_text("years of work")
    link.symlink_to(tmp_path / "nowhere")
    for taken in (thesis, link):
        done = start(settings={"connection_file": str(taken)})
        assert done.returncode == 2
        assert str(taken) in done.stderr.decode()
    assert thesis.read_text() == "years of work"
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, thesis]


def test_a_connection_file_takes_the_place_of_an_empty_and_of_an_older_one(launch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    older = launch(connection_file=str(file))
    newer = launch(connection_file=str(file))
    assert read_connection_file(file) == newer.connection
    older.close()
    assert read_connection_file(file) == newer.connection
    newer.close()
    assert not file.exists()


def test_files_that_the_kernel_did_not_make_are_left_when_it_ends(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    kernel = launch()
    place = directory(kernel)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "socket").touch()
    (tmp_path / "precious" / "thesis.tex").touch()
    place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path / "precious")
    kernel.process.terminate()
    assert kernel.wait() == 0
    assert sorted(path.name for path in place.iterdir()) == ["socket", "thesis.tex"]
    assert list((tmp_path / "moved").iterdir()) == []
    assert str(place) in kernel.process.stderr.read().decode()


@pytest.mark.parametrize(
    "act",
    [shutil.rmtree, lambda place: (place / "more").mkdir(), lambda place: (place / "socket").unlink()],
    ids=["the directory is gone", "something else is in it", "the socket is gone"],
)
def test_the_kernel_ends_in_order_whatever_became_of_its_directory(launch, act):
    kernel = launch()
    place = directory(kernel)
    act(place)
    kernel.process.terminate()
    assert kernel.wait() == 0
    text = kernel.process.stderr.read().decode()
    assert str(place) in text
    assert "Traceback" not in text
    shutil.rmtree(place, ignore_errors=True)


def test_a_killed_kernel_leaves_nothing(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    kernel = launch()
    children = children_of(kernel.connection.pid)
    kernel.process.kill()
    wait_until_gone(*children)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_a_killed_kernel_leaves_no_connection_file_elsewhere_but_that_of_another(launch, tmp_path, replaced):
    file = tmp_path / "my kernel.json"
    kernel = launch(connection_file=str(file))
    if replaced:
        file.write_bytes(file.read_bytes().replace(kernel.connection.epoch.encode(), b"another"))
    children = children_of(kernel.connection.pid)
    kernel.process.kill()
    wait_until_gone(*children)
    assert file.exists() == replaced


def test_a_killed_kernel_with_a_second_runner_leaves_nothing(launch, attach, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    kernel = launch()
    frontend = attach(kernel)
    frontend.ask(m.RestartRunner)
    frontend.until(lambda: frontend.notebook.runner.generation == 2)
    children = children_of(kernel.connection.pid)
    kernel.process.kill()
    wait_until_gone(*children)
    assert list(tmp_path.iterdir()) == []


def test_a_long_runtime_directory_is_not_used(launch, attach, tmp_path, monkeypatch):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert isinstance(attach(launch()).ask(m.Ping), m.Pong)


def test_nothing_but_the_connection_comes_on_standard_output(launch, attach):
    kernel = launch()
    assert isinstance(attach(kernel).ask(m.Shutdown), m.Done)
    assert kernel.process.stdout.read() == b""


def test_shutdown_is_answered_and_logged_and_leaves_nothing(launch, attach, tmp_path):
    kernel = launch(connection_file=str(tmp_path / "file"))
    frontend = attach(kernel)
    frontend.finish(frontend.run("1"))
    runner = frontend.notebook.runner.pid
    assert isinstance(frontend.ask(m.Shutdown), m.Done)
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0
    assert not directory(kernel).exists()
    assert list(tmp_path.iterdir()) == []
    wait_until_gone(runner)


@pytest.mark.parametrize("source", ["while True: pass", "import ctypes; ctypes.PyDLL(None).pause()"])
def test_shutdown_ends_a_busy_runner(launch, attach, source):
    kernel = launch()
    frontend = attach(kernel)
    running = frontend.run(source)
    waiting = frontend.run("1", "b")
    frontend.until(lambda: frontend.of(e.CellStarted))
    frontend.ask(m.Shutdown)
    assert frontend.finish(waiting).status == "dropped"
    assert frontend.finish(running).status == "interrupted"
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0
    assert not frontend.notebook.runs
    wait_until_gone(frontend.notebook.runner.pid)


def test_runs_are_refused_while_the_kernel_ends(launch, attach):
    frontend = attach(launch())
    frontend.run("import ctypes; ctypes.PyDLL(None).pause()")
    frontend.until(lambda: frontend.of(e.CellStarted))
    # All at once: the kernel waits only a moment for the runner, however slow this process is.
    frontend.post(m.Shutdown)
    refused = [frontend.post(kind) for kind in (m.RunStale, m.RestartRunner)]
    assert [frontend.reply_to(id).code for id in refused] == ["closing", "closing"]


def test_shutdown_drains_everything_to_frontends_that_keep_up(launch, attach):
    kernel = launch()
    frontend = attach(kernel)
    one = "link.frame(encode(e.OutputAppended(cell, run, Item(1, {'text/plain': 'x' * 40}))))"
    frontend.run(f"data = {one} * 200\nfor _ in range(250): runner.connection.sendall(data)")
    frontend.until(lambda: len(frontend.of(e.OutputAppended)) >= 50_000)
    frontend.finish(1)
    frontend.run(f"data = {one} * 200\nfor _ in range(250): runner.connection.sendall(data)")
    frontend.until(lambda: len(frontend.of(e.CellStarted)) == 2)
    frontend.ask(m.Shutdown)
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert frontend.snapshots <= 2
    assert frontend.finish(2) is not None
    assert kernel.wait() == 0


def test_a_kernel_ends_when_the_last_frontend_has_acknowledged_everything(launch, attach):
    kernel = launch(limits=Limits(drain_seconds=3600))
    frontend, slow = attach(kernel), attach(kernel)
    slow.acknowledging = False
    frontend.finish(frontend.run("write('x' * 10000)"))
    frontend.ask(m.Shutdown)
    for one in (frontend, slow):
        one.until(lambda: one.of(e.KernelClosing))  # noqa: B023
    assert isinstance(slow.ask(m.Ping), m.Pong), "the kernel waits for it"
    slow.send(m.Acknowledge(slow.received))
    assert kernel.wait() == 0


def test_a_stuck_frontend_does_not_keep_the_kernel_from_ending(launch, attach):
    kernel = launch(limits=Limits(drain_seconds=0.1))
    frontend, stuck = attach(kernel), attach(kernel)
    stuck.acknowledging = False
    frontend.finish(frontend.run("write('x' * 10000)"))
    frontend.ask(m.Shutdown)
    assert kernel.wait() == 0


def test_sigterm_is_an_orderly_shutdown(launch, attach):
    kernel = launch()
    frontend = attach(kernel)
    frontend.finish(frontend.run("1"))
    kernel.process.terminate()
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0
    assert not directory(kernel).exists()


def test_a_second_sigterm_ends_at_once(launch, attach):
    kernel = launch(limits=Limits(drain_seconds=3600))
    frontend = attach(kernel)
    frontend.acknowledging = False
    frontend.finish(frontend.run("1"))
    kernel.process.terminate()
    frontend.until(lambda: frontend.of(e.KernelClosing))
    kernel.process.terminate()
    assert kernel.wait() == 128 + signal.SIGTERM
    assert not directory(kernel).exists()
    wait_until_gone(frontend.notebook.runner.pid)


def test_the_end_of_the_launcher_ends_the_kernel(launch, attach):
    kernel = launch()
    frontend = attach(kernel)
    frontend.run("while True: pass")
    frontend.until(lambda: frontend.of(e.CellStarted))
    kernel.process.stdin.close()
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0
    wait_until_gone(frontend.notebook.runner.pid)


def test_a_detached_kernel_outlives_its_launcher(launch, attach):
    kernel = launch(detached=True)
    kernel.process.stdin.close()
    frontend = attach(kernel)
    assert frontend.finish(frontend.run("1")).status == "ok"
    frontend.ask(m.Shutdown)
    frontend.until(lambda: frontend.of(e.KernelClosing))
    assert kernel.wait() == 0


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import ctypes; ctypes.PyDLL(None).pause()",
        "os.fork() or [None for _ in iter(int, 1)]",
    ],
    ids=["busy", "stuck", "forked"],
)
def test_nothing_survives_a_kernel_that_is_killed(launch, attach, source):
    kernel = launch()
    frontend = attach(kernel)
    frontend.run(f"import subprocess; write(str(subprocess.Popen(['sleep', '3600']).pid))\n{source}")
    frontend.until(lambda: frontend.of(e.ConsoleWritten))
    child = int(frontend.of(e.ConsoleWritten)[0].text)
    kernel.process.kill()
    kernel.wait()
    wait_until_gone(frontend.notebook.runner.pid)
    wait_until_gone(child)


def test_a_full_standard_error_does_not_hold_the_kernel_up(launch, attach):
    frontend = attach(launch())
    for _ in range(10):
        for _ in range(2000):
            frontend.socket.send(b"\xc1")
        frontend.ask(m.Ping)
    frontend.run("for _ in range(5000): runner.connection.sendall(link.frame(b'\\xc1'))")
    assert frontend.finish(1).status == "ok"


def test_an_idle_kernel_does_nothing(launch, attach):
    kernel = launch()
    frontend = attach(kernel)
    frontend.finish(frontend.run("1"))
    frontend.ask(m.Ping)

    def processor_time() -> float:
        times = psutil.Process(kernel.process.pid).cpu_times()
        return times.user + times.system

    before = processor_time()
    assert not frontend.socket.poll(500)
    assert processor_time() - before < 0.015, "one tick of the clock, where it has a hundred a second"


@pytest.fixture(params=["blocked", "ignored"])
def deaf_launch(launch, request):
    """Return `launch` from a process that blocks, or ignores, all signals."""
    if request.param == "blocked":
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield launch
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        yield launch
        signal.signal(signal.SIGCHLD, handler)


def test_signals_that_the_launcher_blocks_or_ignores_still_work(deaf_launch, attach):
    kernel = deaf_launch()
    frontend = attach(kernel)
    running = frontend.run("time.sleep(1000)")
    frontend.until(lambda: frontend.of(e.CellStarted))
    frontend.ask(m.Interrupt)
    assert frontend.finish(running).status == "interrupted"
    crashing = frontend.run("os.abort()")
    assert "SIGABRT" in frontend.finish(crashing).reason
    frontend.ask(m.RestartRunner)
    frontend.until(lambda: frontend.notebook.runner.condition == "ready")
    kernel.process.terminate()
    frontend.until(lambda: frontend.of(e.KernelClosing))
