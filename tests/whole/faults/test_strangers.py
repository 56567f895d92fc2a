"""Without a key, a stranger can run nothing, read nothing and disturb no frontend."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack

import anyio
import psutil
import pytest
import zmq
from cellwire.kernel.authentication import new_key_pair
from cellwire.protocol import (
    Connection,
    KernelClient,
    RequestError,
    connect,
    launch_kernel,
    read_connection_file,
)
from cellwire.protocol import messages as m
from cellwire.protocol.connection import KeyPair
from support.processes import children_of
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio

SECRET = "the number is 271828"
CELLS = {"a": f"secret = {SECRET!r}\nsecret"}
#: Connections of nonsense; ten thousand in the soak.
JUNK = int(os.environ.get("CELLWIRE_JUNK", 1000))
#: Milliseconds within which an answer would arrive; tests wait this long to see that none does.
SILENCE = 300


@pytest.fixture
async def tcp():
    async with launch_kernel(transport="tcp") as client:
        await client.run(CELLS)
        yield client


def heard(frontend) -> list[bytes]:
    """Return the frames that a stranger receives."""
    frames = []
    while frontend.socket.poll(SILENCE):
        frames += frontend.socket.recv_multipart()
    return frames


async def works(client) -> bool:
    """Whether another frontend can attach and run a cell."""
    async with connect(client.connection_file) as other:
        finished = await other.run({"works": "6 * 7"})
        outputs = other.notebook.cells["works"].outputs
        return finished.status == "ok" and outputs[0].data["text/plain"] == "42"


def no_key(connection: Connection) -> tuple[KeyPair | None, str]:
    return None, ""


def unknown_client_key(connection: Connection) -> tuple[KeyPair | None, str]:
    return new_key_pair(), ""


def wrong_server_key(connection: Connection) -> tuple[KeyPair | None, str]:
    return connection.client, new_key_pair().public


def stolen_public_key(connection: Connection) -> tuple[KeyPair | None, str]:
    assert connection.client is not None
    return KeyPair(connection.client.public, new_key_pair().secret), ""


def stolen_public_key_of_the_server(connection: Connection) -> tuple[KeyPair | None, str]:
    return KeyPair(connection.server_key, new_key_pair().secret), ""


@pytest.mark.parametrize(
    "disguise",
    [no_key, unknown_client_key, wrong_server_key, stolen_public_key, stolen_public_key_of_the_server],
)
async def test_a_frontend_without_a_valid_key_is_neither_heard_nor_answered(
    tcp: KernelClient, bare, disguise
):
    keys, server_key = disguise(tcp.connection)
    stranger = bare(tcp.connection, keys, server_key)
    stranger.post(m.Hello)
    stranger.post(m.RunCells, [m.Cell("stranger", "1")])
    stranger.post(m.Shutdown)
    assert heard(stranger) == []
    assert await works(tcp)
    await tcp.wait_idle()
    assert set(tcp.notebook.cells) == {"a", "works"}
    statistics = await tcp.statistics()
    assert (statistics.malformed, statistics.refused) == (0, 0)


async def test_a_curve_server_that_is_not_the_kernel_learns_nothing(tcp: KernelClient, bare):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as impostor:
        impostor.linger = 0
        pair = new_key_pair()
        impostor.curve_server = True
        impostor.curve_secretkey = pair.secret.encode()
        port = impostor.bind_to_random_port("tcp://127.0.0.1")
        endpoint = Connection(f"tcp://127.0.0.1:{port}", "", 0, "", "", tcp.connection.server_key)
        bare(endpoint, tcp.connection.client).post(m.RunCells, [m.Cell("a", SECRET)])
        assert not impostor.poll(SILENCE)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_raw_bytes_and_half_open_handshakes_disturb_no_frontend(transport):
    async with launch_kernel(transport=transport) as kernel:
        await kernel.run(CELLS)
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
        junk = [
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0" * 4096,
            os.urandom(65536),
            greeting[:10],
            greeting,
            greeting + b"\x04\xc8\x05HELLO" + os.urandom(194),
            greeting + b"\x06" + b"\xff" * 8,
            # A frame that claims 2**62 bytes, after the greeting of an older version and of this one.
            b"\xff\0\0\0\0\0\0\0\1\x7f\x01\x05\x02" + b"\x40" + bytes(7),
            greeting.replace(b"CURVE", b"NULL\0") + b"\x02" + b"\x40" + bytes(7),
        ]
        with ExitStack() as stack:
            for data in junk:
                one = stack.enter_context(_raw(kernel.connection))
                try:
                    one.sendall(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass
            assert await works(kernel)
            await kernel.ping()
        assert await works(kernel)


def _raw(connection: Connection) -> socket.socket:
    scheme, _, address = connection.endpoint.partition("://")
    if scheme == "ipc":
        one = socket.socket(socket.AF_UNIX)
        one.connect(address)
        return one
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_many_connections_that_send_nonsense_leave_no_memory_behind(transport):
    async with launch_kernel(transport=transport) as kernel:
        await kernel.run(CELLS)
        before = await kernel.statistics()
        for _ in range(JUNK // 100):
            with ExitStack() as stack:
                for _ in range(100):
                    stack.enter_context(_raw(kernel.connection)).sendall(b"nonsense")
            await kernel.ping()
        assert await works(kernel)

        async def small() -> bool:
            return (await kernel.statistics()).memory < before.memory + 16 * 1024 * 1024

        await eventually(small)


@pytest.mark.parametrize(
    ("transport", "limit"),
    [
        # ZeroMQ aborts if it cannot accept a connection on ipc, so the kernel has to raise its limit.
        pytest.param("ipc", "(200, 4096)", id="ipc"),
        pytest.param("tcp", "(200, 200)", id="tcp"),
    ],
)
async def test_more_connections_than_descriptors_do_not_end_the_kernel(transport, limit, start_process):
    source = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, eval(sys.argv[2]))
import anyio
import msgspec
from cellwire.protocol import launch_kernel
async def main():
    async with launch_kernel(transport=sys.argv[1]) as kernel:
        print(kernel.connection_file, flush=True)
        sys.stdin.readline()
        for _ in range(20):
            await kernel.ping()
        if sys.argv[1] == "ipc":
            await kernel.restart_runner()
        finished = await kernel.run(
            {"a": "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"}
        )
        print(finished.status, kernel.notebook.cells["a"].console.text(), flush=True)
        sys.stdin.readline()
anyio.run(main)
"""
    process = start_process(source, transport, limit)
    file = process.stdout.readline().strip()
    connection = read_connection_file(file)
    with ExitStack() as stack:
        for _ in range(300):
            one = stack.enter_context(_unfinished(connection))
            one.setblocking(False)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ok 200\n"
    async with connect(file, timeout=PATIENCE) as other:
        assert (await other.run({"b": "1"})).status == "ok"
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(PATIENCE) == 0


def _unfinished(connection: Connection) -> socket.socket:
    """Return a connection that is perhaps not accepted yet and never sends anything."""
    scheme, _, address = connection.endpoint.partition("://")
    one = socket.socket(socket.AF_UNIX if scheme == "ipc" else socket.AF_INET)
    one.setblocking(False)
    host, _, port = address.rpartition(":")
    one.connect_ex(address if scheme == "ipc" else (host, int(port)))
    return one


async def test_the_connection_file_and_the_directory_are_private_from_the_first_moment(
    tmp_path, start_process
):
    # A process that looks all the time never sees a file that others can read, or half of one.
    watched = tmp_path / "connection.json"
    source = """
import os, sys
print("looking", flush=True)
seen = set()
while "end" not in seen:
    for name in os.listdir(sys.argv[1]):
        try:
            status = os.stat(os.path.join(sys.argv[1], name))
        except FileNotFoundError:
            continue
        seen.add(name if name == "end" else oct(status.st_mode & 0o777))
        if name == "connection.json" and not status.st_size:
            seen.add("empty")
print(*sorted(seen - {"end"}), flush=True)
"""
    os.umask(before := os.umask(0))
    spy = start_process(source, str(tmp_path))
    assert spy.stdout.readline() == "looking\n"
    os.umask(0)
    try:
        async with launch_kernel(connection_file=watched) as kernel:
            assert stat.S_IMODE(watched.stat().st_mode) == 0o600
            directory = os.path.dirname(kernel.connection.endpoint.removeprefix("ipc://"))
            assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
            (tmp_path / "end").touch()
            assert await anyio.to_thread.run_sync(spy.stdout.readline) == "0o600\n"
    finally:
        os.umask(before)
    assert not watched.exists()


async def test_keys_are_in_no_command_line_and_no_environment(tcp: KernelClient):
    connection = tcp.connection
    assert connection.client is not None
    assert connection.watcher is not None
    keys = [connection.client.secret, connection.watcher.secret, connection.client.public]
    for pid in [connection.pid, *children_of(connection.pid)]:
        process = psutil.Process(pid)
        shown = [*process.cmdline(), *process.environ().values()]
        assert not any(key in text for key in keys for text in shown)
    printing = await tcp.run({"b": "import os, sys\nstr(dict(os.environ)) + str(sys.argv)"})
    assert printing.status == "ok"
    assert not any(key in tcp.notebook.cells["b"].outputs[0].data["text/plain"] for key in keys)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize("opened", [False, True], ids=["as it is", "with the directory opened to all"])
async def test_another_user_of_the_machine_can_neither_connect_nor_read_the_file(bare, opened):
    if _as_another_user("import msgspec, zmq").returncode:
        pytest.skip("another user cannot start this interpreter")
    async with launch_kernel() as kernel:
        await kernel.run(CELLS)
        directory = os.path.dirname(kernel.connection.endpoint.removeprefix("ipc://"))
        if opened:
            # The filter on user ids is a second wall behind the directory's mode.
            os.chmod(directory, 0o755)
            os.chmod(os.path.join(directory, "socket"), 0o777)
        source = """
import sys, zmq, msgspec
for file in sys.argv[2:]:
    try:
        open(file).read()
        print("read")
    except PermissionError:
        print("refused")
socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
socket.connect(sys.argv[1])
socket.send(msgspec.msgpack.encode({"type": "Hello", "id": "stranger"}))
socket.send(msgspec.msgpack.encode({"type": "Shutdown", "id": "stranger-2"}))
print("heard" if socket.poll(1000) else "silence")
"""
        arguments = [source, kernel.connection.endpoint, kernel.connection_file]
        other = await anyio.to_thread.run_sync(_as_another_user, *arguments)
        assert (other.stdout.split(), other.stderr) == (["refused", "silence"], "")
        if opened:
            os.chmod(directory, 0o700)
        assert await works(kernel)


def _as_another_user(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python program as another user and return how it went."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c"]
    return subprocess.run([*user, *arguments], capture_output=True, text=True, cwd="/")


async def test_the_watchers_key_sees_everything_and_changes_nothing(tcp: KernelClient):
    async with connect(tcp.connection_file, watch=True) as watcher:
        assert watcher.role == "watch"
        assert SECRET in watcher.notebook.cells["a"].outputs[0].data["text/plain"]
        attempts = [
            lambda: watcher.run({"a": "1"}),
            watcher.run_stale,
            lambda: watcher.sync({"a": "1"}),
            lambda: watcher.delete(["a"]),
            lambda: watcher.configure("a", disabled=True),
            lambda: watcher.set_mode("lazy"),
            watcher.interrupt,
            watcher.restart_runner,
            lambda: watcher.complete("se"),
            lambda: watcher.inspect("secret"),
            watcher.variables,
            lambda: watcher.provide_input("1", "text"),
            watcher.shutdown,
        ]
        for attempt in attempts:
            with pytest.raises(RequestError) as refused:
                await attempt()
            assert refused.value.code == "forbidden"
        state = tcp.notebook.cells["a"].source, tcp.notebook.mode
        assert state == (CELLS["a"], "autorun")
        queued = await tcp.run({"b": "'news'"})
        assert queued.status == "ok"
        await watcher.wait_idle()
        assert watcher.notebook.cells["b"].outputs[0].data["text/plain"] == "'news'"
        assert (await watcher.statistics()).refused == len(attempts)
