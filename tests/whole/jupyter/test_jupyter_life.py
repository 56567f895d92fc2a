"""How kernels of Jupyter start, are interrupted, crash, restart and end, and how they are reached."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.manager import KernelManager
from support.jupyter import Jupyter, attach, idle, start, started
from support.processes import children_of, wait_until_gone
from support.waiting import PATIENCE, wait_until

_SERVER = """
import sys, time
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="cellwire")
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready()
if "busy" in sys.argv:
    client.execute("while True: pass")
print(manager.provisioner.pid, flush=True)
time.sleep(1000)
"""

#: A module `zmq` that waits at a gate and then makes room for the real one.
_SLOW_ZMQ = """
import sys
open({gate!r}).read()
sys.path.remove({place!r})
del sys.modules["zmq"]
import zmq
"""


@pytest.fixture
def fresh() -> Iterator[Jupyter]:
    with started() as kernel:
        yield kernel


def process_of(manager: KernelManager) -> "subprocess.Popen[bytes]":
    """Return the process of a kernel, which a local provisioner has started."""
    provisioner: Any = manager.provisioner
    return provisioner.process


def pid_of(kernel: Jupyter) -> int:
    return process_of(kernel.manager).pid


@contextmanager
def launched(file: str, **options: Any) -> "Iterator[tuple[subprocess.Popen[str], BlockingKernelClient]]":
    """Start a kernel with a connection file; return its process, and a client once it is ready."""
    command = [sys.executable, "-P", "-m", "cellwire.frontends.jupyter", "-f", file]
    with subprocess.Popen(command, text=True, **options) as process:
        client = BlockingKernelClient(connection_file=file)
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            yield process, client
        finally:
            client.stop_channels()
            client.context.destroy(linger=0)
            process.kill()


def refused_without_keys(address: str) -> bool:
    """Return whether a kernel turns a subscriber away that does not encrypt."""
    context = zmq.Context()
    stranger = context.socket(zmq.SUB)
    stranger.linger = 0
    stranger.subscribe(b"")
    monitor = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    stranger.connect(address)
    try:
        return bool(monitor.poll(30_000)) and not stranger.poll(0)
    finally:
        monitor.close()
        stranger.close()
        context.term()


def test_a_restart_has_the_same_ports_and_nothing_of_before(fresh: Jupyter) -> None:
    fresh.run("x = 1")
    before, ports = pid_of(fresh), fresh.manager.ports
    for now in (False, True):
        fresh.manager.restart_kernel(now=now)
        fresh.client.wait_for_ready(timeout=30)
        assert fresh.manager.ports == ports
        assert fresh.run("'x' in globals()").result == "False"
    wait_until_gone(before)


def test_a_restart_while_a_cell_runs_ends_it(fresh: Jupyter) -> None:
    running = fresh.execute("print('in', flush=True)\nwhile True: pass")
    fresh.until(running, lambda message: message["msg_type"] == "stream")
    before = [pid_of(fresh), *children_of(pid_of(fresh))]
    fresh.manager.restart_kernel()
    wait_until_gone(*before)
    fresh.client.wait_for_ready(timeout=30)
    assert fresh.run("1").result == "1"


def test_SIGINT_interrupts_the_cell_and_not_the_kernel(fresh: Jupyter) -> None:
    running = fresh.execute("print('in', flush=True)\nwhile True: pass")
    fresh.until(running, lambda message: message["msg_type"] == "stream")
    os.kill(pid_of(fresh), signal.SIGINT)
    assert fresh.ran(running).reply["ename"] == "KeyboardInterrupt"
    assert fresh.run("1").result == "1"
    # Without anything to interrupt it does nothing.
    os.kill(pid_of(fresh), signal.SIGINT)
    # What is answered came after the signal.
    fresh.ask("kernel_info_request")
    assert fresh.run("2").result == "2"


def test_two_hundred_lines_survive_a_segfault(fresh: Jupyter) -> None:
    fresh.run("kept = 1", cell="above")
    ran = fresh.run(
        "import ctypes\nkept\nfor i in range(200):\n    print('line', i)\nctypes.string_at(0)", cell="crash"
    )
    assert ran.text().splitlines() == [f"line {i}" for i in range(200)]
    assert ran.reply["status"] == "error"
    assert "SIGSEGV" in ran.reply["evalue"]
    [error] = ran.of("error")
    assert "SIGSEGV" in error["evalue"]


def test_after_a_crash_only_what_is_needed_runs(fresh: Jupyter) -> None:
    first = fresh.run("print('one ran')\none = 1", cell="one")
    other = fresh.run("print('two ran')\ntwo = 2", cell="two")
    fresh.run("import os\nos.kill(os.getpid(), 9)", cell="crash")
    assert fresh.run("one + 1", cell="reader").result == "2"
    again = fresh.until(first.id, idle)
    assert "one ran\n" in [message["content"].get("text") for message in again]
    assert not [m for m in fresh.news() if m["parent_header"].get("msg_id") == other.id]


def test_what_waits_behind_a_crash_is_aborted_and_the_kernel_goes_on(fresh: Jupyter, tmp_path: Path) -> None:
    go = tmp_path / "go"
    fresh.execute(f"import os\nwhile not os.path.exists({str(go)!r}): pass\nos._exit(3)")
    waiting = fresh.execute("print('no')")
    # Answered on the same channel, so the kernel has the request before it.
    fresh.ask("kernel_info_request")
    go.touch()
    assert fresh.ran(waiting).reply["status"] == "aborted"
    assert fresh.run("'alive'").result == "'alive'"
    assert fresh.manager.is_alive()


def test_history_reaches_across_sessions() -> None:
    with started() as first:
        first.run("'of the first session'")
    with started() as second:
        second.run("'of the second'")
        content = {"hist_access_type": "search", "pattern": "*session*", "n": 10, "raw": True}
        entries = second.ask("history_request", content)["history"]
        assert "'of the first session'" in [entry[2] for entry in entries]


def test_what_a_client_executes_that_answers_no_questions_is_not_written() -> None:
    with started() as first:
        first.run("'typed by a user'")
        first.run("'run by a program'", allow_stdin=False)
        content = {"hist_access_type": "search", "pattern": "*by a*", "n": 10, "raw": True}
        entries = first.ask("history_request", content)["history"]
        assert [entry[2] for entry in entries] == ["'typed by a user'", "'run by a program'"]
    with started() as second:
        entries = second.ask("history_request", content)["history"]
        assert [entry[2] for entry in entries] == ["'typed by a user'"]


@pytest.mark.parametrize("way", ["SIGKILL", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("busy", ["idle", "busy"])
def test_the_kernel_ends_with_its_server(way: str, busy: str) -> None:
    server = subprocess.Popen([sys.executable, "-c", _SERVER, busy], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    kernel = int(server.stdout.readline())
    processes = [kernel, *children_of(kernel)]
    server.send_signal(getattr(signal, way))
    server.wait()
    server.stdout.close()
    wait_until_gone(*processes)


def test_a_killed_kernel_leaves_no_runner(fresh: Jupyter) -> None:
    children = children_of(pid_of(fresh))
    os.kill(pid_of(fresh), signal.SIGKILL)
    wait_until_gone(*children)


def test_shutdown_is_answered_and_published(fresh: Jupyter) -> None:
    pid = pid_of(fresh)
    shut = fresh.send("control", "shutdown_request", {"restart": False})
    assert fresh.reply(shut, "control") == {"status": "ok", "restart": False}
    fresh.until(shut, lambda message: message["msg_type"] == "shutdown_reply")
    process_of(fresh.manager).wait()
    wait_until_gone(pid)


def test_a_connection_file_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "cellwire.frontends.jupyter"]
    for arguments, message in ((["-f", str(tmp_path / "absent")], "absent"), ([], "usage")):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert message in done.stderr


def test_keys_that_are_none_are_reported_without_a_traceback(tmp_path: Path) -> None:
    name, given = write_connection_file(str(tmp_path / "file.json"), key=b"secret")
    Path(name).write_text(json.dumps({**given, "curve_publickey": "x", "curve_secretkey": "y"}))
    command = [sys.executable, "-P", "-m", "cellwire.frontends.jupyter", "-f", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "cannot start: the CURVE keys in the connection file are none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it can be watched")
def test_standard_input_that_cannot_be_watched_is_no_fault(tmp_path: Path) -> None:
    name, _ = write_connection_file(str(tmp_path / "file.json"), key=b"secret")
    with launched(name, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as (process, client):
        client.shutdown()
        assert "Traceback" not in process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0


def test_ports_that_others_use_are_reported(fresh: Jupyter) -> None:
    command = [sys.executable, "-P", "-m", "cellwire.frontends.jupyter", "-f", fresh.manager.connection_file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert fresh.run("1").result == "1"


def test_it_listens_before_anything_slow_is_imported(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "zmq").mkdir()
    (tmp_path / "zmq" / "__init__.py").write_text(_SLOW_ZMQ.format(gate=str(gate), place=str(tmp_path)))
    manager = KernelManager(kernel_name="cellwire")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    try:
        ports = [
            int(str(port)) for name, port in manager.get_connection_info().items() if name.endswith("_port")
        ]
        assert len(ports) == 5
        wait_until(lambda: all(map(_accepts, ports)))
        assert process_of(manager).poll() is None
    finally:
        # Until here ZeroMQ was not imported.
        with open(gate, "w"):
            pass
    kernel = attach(manager)
    try:
        assert kernel.run("1 + 1").result == "2"
    finally:
        kernel.close()


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("ip", ["127.0.0.1", "localhost"])
def test_it_listens_where_a_connection_file_says_however_that_is_written(ip: str, tmp_path: Path) -> None:
    name, given = write_connection_file(str(tmp_path / "file.json"), key=b"secret")
    Path(name).write_text(json.dumps({**given, "ip": ip}, separators=(",", ":")))
    with launched(name) as (process, client):
        client.shutdown()
        assert process.wait(PATIENCE) == 0


def test_it_is_reached_over_ipc(tmp_path: Path) -> None:
    with started(transport="ipc", ip=str(tmp_path / "k")) as kernel:
        assert kernel.run("1 + 1").result == "2"
        assert len(list(tmp_path.glob("k-*"))) == 5
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=30)
        assert kernel.run("1 + 1").result == "2"


@pytest.mark.parametrize("policy", ["required", "auto"])
def test_all_channels_are_encrypted_where_the_server_offers_it(policy: str) -> None:
    with started(transport_encryption=policy) as kernel:
        assert kernel.run("print('secret')").text() == "secret\n"
        running = kernel.execute("input('secret? ')")
        assert kernel.input_request()["prompt"] == "secret? "
        kernel.client.input("x")
        kernel.ran(running)
        assert kernel.manager.get_connection_info().get("curve_publickey")
        assert refused_without_keys(kernel.manager._make_url("iopub"))
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=30)
        assert kernel.run("1").result == "1"


def test_the_first_result_does_not_wait_for_imports_of_jupyter() -> None:
    kernel = start()
    try:
        modules = kernel.run("import sys\nprint(*sys.modules)").text().split()
        assert not {"IPython.core", "ipykernel", "jupyter_client", "tornado", "zmq"} & set(modules)
    finally:
        kernel.close()


def test_plain_cells_do_not_import_ipython(fresh: Jupyter) -> None:
    for number, source in enumerate(
        (
            "x = 1",
            "x + 1",
            "'text'",
            "[1, 'two', None]",
            "print('said')",
            "def f(n):\n    'Documented.'\n    return n",
            "import asyncio\nawait asyncio.sleep(0)",
            "_i, In[1], 3 in Out",
        )
    ):
        assert fresh.run(source, cell=f"c{number}").reply["status"] == "ok"
    assert "f" in fresh.ask("complete_request", {"code": "f", "cursor_pos": 1})["matches"]
    assert fresh.ask("inspect_request", {"code": "f", "cursor_pos": 1})["found"]
    heavy = ("IPython.core", "traitlets", "ipykernel", "jupyter_client", "tornado", "zmq")
    assert fresh.run(f"import sys\n[name for name in {heavy} if name in sys.modules]").result == "[]"


def test_another_client_takes_over_after_the_first_has_gone(fresh: Jupyter) -> None:
    fresh.run("x = 5")
    fresh.client.stop_channels()
    other = attach(fresh.manager)
    assert other.run("x").result == "5"
    other.client.stop_channels()


def test_a_manager_notices_that_the_kernel_has_ended() -> None:
    manager = KernelManager(kernel_name="cellwire")
    manager.start_kernel()
    os.kill(process_of(manager).pid, signal.SIGKILL)
    wait_until(lambda: not manager.is_alive())
    manager.cleanup_resources()
    manager.context.destroy(linger=0)
