"""A kernel in its own process and a frontend of bare ZeroMQ, for tests of the kernel's end alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from cellwire.protocol import messages as m
from cellwire.protocol.connection import Connection, KeyPair, Settings
from cellwire.protocol.events import Event
from cellwire.protocol.notebook import Notebook
from cellwire.protocol.reducer import apply

#: Seconds within which everything in these tests happens.
LIMIT = 20.0
STAND_IN = [sys.executable, "-P", str(Path(__file__).with_name("stand_in.py"))]
_START = "import sys; from cellwire.kernel.__main__ import main; sys.exit(main({command!r}))"
_events = msgspec.msgpack.Decoder(Event)


class Kernel:
    """A kernel process."""

    def __init__(self, settings: Settings, command: Sequence[str] | None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START.format(command=None if command is None else list(command))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(msgspec.to_builtins(settings)).encode() + b"\n")
        self.process.stdin.flush()
        self.connection = msgspec.json.decode(self.process.stdout.readline(), type=Connection)

    def wait(self, seconds: float = LIMIT) -> int:
        """Return the exit status."""
        return self.process.wait(seconds)

    def close(self) -> None:
        """End the process, by force if it has to be."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Frontend:
    """One DEALER that applies what it is sent; everything it waits for is bounded in time."""

    def __init__(self, connection: Connection, keys: KeyPair | None = None, *, hello: bool = True) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        keys = keys or connection.client
        if keys is not None:
            self.socket.curve_serverkey = connection.server_key.encode()
            self.socket.curve_publickey = keys.public.encode()
            self.socket.curve_secretkey = keys.secret.encode()
        self.socket.connect(connection.endpoint)
        self.notebook = Notebook()
        self.seq = 0
        self.events: list[Any] = []
        self.received = 0
        self.snapshots = 0
        self.acknowledging = True
        self.replies: dict[str, Any] = {}
        self._ids = 0
        self._prefix = os.urandom(4).hex()
        if hello:
            self.welcome = self.ask(m.Hello)

    def send(self, request: Any) -> None:
        self.socket.send(msgspec.msgpack.encode(request))

    def post(self, kind: Any, *arguments: Any) -> str:
        """Send a request with a new id and return the id."""
        self._ids += 1
        id = f"{self._prefix}-{self._ids}"
        self.send(kind(id, *arguments))
        return id

    def ask(self, kind: Any, *arguments: Any, seconds: float = LIMIT) -> Any:
        """Send a request and return its answer."""
        return self.answer(self.post(kind, *arguments), seconds)

    def answer(self, id: str, seconds: float = LIMIT) -> Any:
        """Return the answer to a request."""
        self.until(lambda: id in self.replies, seconds)
        return self.replies.pop(id)

    def until_answer(self, kind: Any, condition: Callable[[Any], bool], seconds: float = LIMIT) -> Any:
        """Ask again until the answer is as `condition` wants it."""
        deadline = time.monotonic() + seconds
        while not condition(answer := self.ask(kind)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s; the last answer is {answer}")
        return answer

    def until(self, condition: Any, seconds: float = LIMIT) -> None:
        """Receive until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(int(left * 1000)):
                raise TimeoutError(f"not within {seconds} s; last events {self.events[-3:]}")
            self.take(self.socket.recv_multipart())

    def take(self, frames: list[bytes]) -> None:
        message = msgspec.msgpack.decode(frames[0], type=m.FromKernel)
        if not isinstance(message, m.Batch | m.Snapshot):
            self.replies[message.id] = message
            return
        events = [*message.events, *map(_events.decode, frames[1:])]
        if isinstance(message, m.Batch):
            assert message.first_seq == self.seq + 1, "a gap"
            self.seq += len(events)
        else:
            if message.first:
                self.notebook = Notebook()
                self.snapshots += 1
            self.seq = message.seq if message.last else -1
        for event in events:
            apply(self.notebook, event)
        self.events += events
        self.received += sum(map(len, frames))
        if self.acknowledging:
            self.send(m.Acknowledge(self.received))

    def apply_pending(self) -> None:
        """Receive until everything is there that the kernel has at this moment."""
        seq = self.ask(m.Ping).seq
        self.until(lambda: self.seq >= seq)

    def settle(self) -> None:
        """Receive until no run is waiting or in progress, and everything is there."""
        self.until_answer(m.Statistics, lambda answer: not answer.queued_runs)
        self.apply_pending()

    def take_what_is_there(self) -> None:
        """Receive until nothing is there, without waiting."""
        while self.socket.poll(0):
            self.take(self.socket.recv_multipart())

    def greet_again(self) -> Any:
        """Open the session anew from the state that is held, and return the answer."""
        id = self.post(m.Hello, m.PROTOCOL, "", self.welcome.epoch, self.seq)
        while id not in self.replies:
            # What comes before the answer belongs to the session before and need not continue the state.
            assert self.socket.poll(int(LIMIT * 1000))
            frames = self.socket.recv_multipart()
            if b"Welcome" in frames[0][:20]:
                self.take(frames)
        self.received = 0
        return self.replies.pop(id)

    def run(self, source: str, cell: str = "a") -> int:
        """Run one cell and return the number of the run, at once."""
        queued = self.ask(m.RunCells, [m.Cell(cell, source)])
        assert isinstance(queued, m.RunQueued), queued
        return queued.run

    def finish(self, run: int, seconds: float = LIMIT) -> Any:
        """Return the `RunFinished` of a run."""
        self.until(lambda: self.finished(run) is not None, seconds)
        return self.finished(run)

    def finished(self, run: int) -> Any:
        for event in reversed(self.events):
            if type(event).__name__ == "RunFinished" and event.run == run:
                return event
        return None

    def of(self, kind: type) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if type(event) is kind]

    def close(self) -> None:
        self.socket.close()
        self.context.term()


@pytest.fixture
def launch() -> Iterator[Callable[..., Kernel]]:
    """Return a function that starts a kernel, with the stand-in as its runner unless told otherwise."""
    with contextlib.ExitStack() as stack:

        def start(command: Sequence[str] | None = STAND_IN, **settings: Any) -> Kernel:
            kernel = Kernel(Settings(**settings), command)
            stack.callback(kernel.close)
            return kernel

        yield start


@pytest.fixture
def attach() -> Iterator[Callable[..., Frontend]]:
    """Return a function that attaches a frontend to a kernel."""
    with contextlib.ExitStack() as stack:

        def connect(kernel: Kernel, keys: KeyPair | None = None, *, hello: bool = True) -> Frontend:
            opened = Frontend(kernel.connection, keys, hello=hello)
            stack.callback(opened.close)
            return opened

        yield connect


@pytest.fixture
def process_is_alive() -> Callable[[int], bool]:
    """Return a function that says whether a process runs."""
    return is_alive


@pytest.fixture
def wait_until_gone() -> Callable[..., None]:
    """Return a function that returns when a process has ended, and fails when it does not."""
    return wait_for_end


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid: int, seconds: float = LIMIT) -> None:
    """Return when a process has ended; zombies of nobody count as ended."""
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"process {pid} is still there after {seconds} s")
        os.sched_yield()
