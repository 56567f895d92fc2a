"""Real kernels, frontends and strangers, and what tests of faults ask about processes.

Nothing here waits for time to pass, and only processes that a test has started are ended.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import zmq
from cellwire.protocol import Connection, KernelClient, KernelDied, connect, launch_kernel
from cellwire.protocol import messages as m
from cellwire.protocol.connection import KeyPair

#: Seconds within which whatever a test waits for happens, on any machine; more where it is given more time.
PATIENCE = int(os.environ.get("CELLWIRE_TIME_LIMIT", 60)) // 3


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def kernel() -> AsyncIterator[KernelClient]:
    """A kernel on ipc with the default limits, and its launcher's frontend."""
    async with launch_kernel() as client:
        yield client


# Processes


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = [pid]
    for one in found:
        found += [child for child, parent in parents if parent == one]
    return found[1:]


class Processes:
    """Questions about processes, and their end."""

    is_alive = staticmethod(is_alive)
    children_of = staticmethod(children_of)

    @staticmethod
    async def gone(*pids: int, seconds: float = PATIENCE) -> None:
        """Return when all of them have ended; end them and fail when they have not after `seconds`."""
        with anyio.move_on_after(seconds):
            while any(map(is_alive, pids)):
                await anyio.sleep(0.01)
        left = [pid for pid in pids if is_alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"of the processes {pids} these are still there after {seconds:g} s: {left}"


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def start_process() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Return a function that starts a Python program; it is killed when the test is over."""
    with ExitStack() as stack:

        def start(source: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", source, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **options,
            )
            stack.callback(end, process)
            return process

        def end(process: "subprocess.Popen[str]") -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        yield start


# Waiting


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Return when what `holds` asks the kernel is so."""
    with anyio.fail_after(seconds):
        while not await holds():
            await anyio.sleep(0.01)


async def until(client: KernelClient, condition: Callable[[Any], Any], seconds: float = PATIENCE) -> None:
    """Return when `condition` of the client's notebook holds."""
    events = client.events(buffer=10_000_000)
    with anyio.fail_after(seconds):
        while not condition(client.notebook):
            assert await events.receive(), "the kernel has ended"


async def caught_up(client: KernelClient, seq: int, seconds: float = PATIENCE) -> None:
    """Return when the client's copy is at event `seq`."""
    await until(client, lambda _: client.seq >= seq, seconds)


async def told(client: KernelClient, seconds: float = PATIENCE) -> str:
    """Return what a client's calls raise once its kernel has ended."""
    with anyio.fail_after(seconds):
        while True:
            try:
                await client.ping()
            except KernelDied as error:
                return str(error)
            await anyio.sleep(0)


async def truth(client: KernelClient) -> tuple[int, bytes]:
    """Return what the kernel holds, as somebody sees it who has never been there before."""
    async with connect(client.connection_file, timeout=PATIENCE) as fresh:
        return fresh.seq, msgspec.msgpack.encode(fresh.notebook)


class Waiting:
    """What tests wait for."""

    eventually = staticmethod(eventually)
    until = staticmethod(until)
    caught_up = staticmethod(caught_up)
    told = staticmethod(told)
    truth = staticmethod(truth)


@pytest.fixture
def wait() -> Waiting:
    return Waiting()


# Frontends that are not ours


class Bare:
    """A DEALER without a client around it: sends what it is told, and applies and acknowledges nothing."""

    def __init__(
        self, connection: Connection, keys: KeyPair | None = None, server_key: str = "", **options: Any
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        for name, value in options.items():
            setattr(self.socket, name, value)
        if keys is not None:
            self.socket.curve_serverkey = (server_key or connection.server_key).encode()
            self.socket.curve_publickey = keys.public.encode()
            self.socket.curve_secretkey = keys.secret.encode()
        self.socket.connect(connection.endpoint)
        self._numbers = iter(range(1, 1 << 30))
        self._prefix = os.urandom(4).hex()

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def post(self, kind: type, *arguments: Any) -> str:
        """Send a request of a new id and return the id."""
        id = f"{self._prefix}-{next(self._numbers)}"
        self.send(msgspec.msgpack.encode(kind(id, *arguments)))
        return id

    async def receive(self, seconds: float = PATIENCE) -> list[bytes]:
        """Return the next message."""
        with anyio.fail_after(seconds):
            while not int(self.socket.get(zmq.EVENTS)) & zmq.POLLIN:
                await anyio.wait_readable(int(self.socket.get(zmq.FD)))
        return self.socket.recv_multipart(zmq.NOBLOCK)

    async def reply(self, id: str | None = None) -> Any:
        """Return the next reply, or the one to the request `id`, passing over events and other replies."""
        while True:
            message = msgspec.msgpack.decode((await self.receive())[0], type=m.FromKernel)
            if not isinstance(message, m.Batch | m.Snapshot) and id in (None, message.id):
                return message

    async def ask(self, kind: type, *arguments: Any) -> Any:
        """Send a request and return its answer."""
        return await self.reply(self.post(kind, *arguments))

    def close(self) -> None:
        self.socket.close()
        self._context.term()


@pytest.fixture
def bare() -> Iterator[Callable[..., Bare]]:
    """Return a function that connects a `Bare` frontend."""
    with ExitStack() as stack:

        def open(*arguments: Any, **options: Any) -> Bare:
            opened = Bare(*arguments, **options)
            stack.callback(opened.close)
            return opened

        yield open


# A connection that can be cut


class Relay:
    """An address that leads to a kernel, and a connection file that names it."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._scheme, _, self._address = connection.endpoint.partition("://")
        name = os.urandom(4).hex()
        self._listener = self._socket()
        if self._scheme == "ipc":
            endpoint = f"{self._address}-{name}"
            self._listener.bind(endpoint)
        else:
            self._listener.bind(("127.0.0.1", 0))
            endpoint = "{}:{}".format(*self._listener.getsockname())
        self._listener.listen()
        self._open: list[socket.socket] = []
        #: Connections that were made so far.
        self.made = 0
        self.file = directory / f"relay-{name}.json"
        endpoint = f"{self._scheme}://{endpoint}"
        described = msgspec.structs.replace(connection, endpoint=endpoint, file=str(self.file))
        self.file.write_bytes(msgspec.json.encode(described))
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Drop every connection over this address."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop every connection and take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()

    def _socket(self) -> socket.socket:
        return socket.socket(socket.AF_UNIX if self._scheme == "ipc" else socket.AF_INET)

    def _reach(self) -> socket.socket:
        back = self._socket()
        host, _, port = self._address.rpartition(":")
        back.connect(self._address if self._scheme == "ipc" else (host, int(port)))
        return back

    def _serve(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                front, _ = self._listener.accept()
                back = self._reach()
                self._open += [front, back]
                self.made += 1
                for source, target in ((front, back), (back, front)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 18):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Callable[[KernelClient], Relay]]:
    """Return a function that opens a `Relay` to a client's kernel."""
    with ExitStack() as stack:

        def open(client: KernelClient) -> Relay:
            opened = Relay(client.connection, tmp_path)
            stack.callback(opened.close)
            return opened

        yield open


# Frontends in processes of their own, which can be stopped

_FOLLOWER = """
import hashlib, sys
import anyio, msgspec
from cellwire.protocol import connect

async def main():
    async with connect(sys.argv[1], timeout=60) as client:
        print("attached", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            events = client.events()
            while client.seq < int(line):
                await anext(events)
            print(client.seq, hashlib.sha256(msgspec.msgpack.encode(client.notebook)).hexdigest(), flush=True)

anyio.run(main)
"""


class Follower:
    """A frontend in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        assert process.stdout.readline() == "attached\n"

    def stop(self) -> None:
        """Have it read nothing from here on, not even in ZeroMQ's threads."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it read again."""
        os.kill(self.process.pid, signal.SIGCONT)

    async def digest(self, seq: int) -> tuple[int, str]:
        """Return the number and the digest of its copy once that has reached event `seq`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seq}\n")
        self.process.stdin.flush()
        answer = await anyio.to_thread.run_sync(self.process.stdout.readline, abandon_on_cancel=True)
        number, digest = answer.split()
        return int(number), digest


@pytest.fixture
def follow(start_process: Callable[..., Any]) -> Callable[[KernelClient], Follower]:
    """Return a function that starts a frontend of a client's kernel in a process of its own."""
    return lambda client: Follower(start_process(_FOLLOWER, client.connection_file))
