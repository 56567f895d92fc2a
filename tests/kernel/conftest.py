"""A kernel process and a frontend of bare ZeroMQ, for tests of the kernel without the client."""

import contextlib
import json
import os
import subprocess
import sys
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
from support.bare_frontend import open_dealer

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

    def wait(self) -> int:
        """Return the exit status once the process has ended."""
        return self.process.wait()

    def close(self) -> None:
        """End the process, by force if necessary."""
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
    """One DEALER that applies the events sent to it."""

    def __init__(self, connection: Connection, keys: KeyPair | None = None, *, hello: bool = True) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = open_dealer(self.context, connection, keys or connection.client)
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

    def ask(self, kind: Any, *arguments: Any) -> Any:
        """Send a request and return its reply."""
        return self.reply_to(self.post(kind, *arguments))

    def reply_to(self, id: str) -> Any:
        """Return the reply to a request."""
        self.until(lambda: id in self.replies)
        return self.replies.pop(id)

    def until_reply(self, kind: Any, condition: Callable[[Any], bool]) -> Any:
        """Repeat a request until `condition` holds for the reply, and return that."""
        while not condition(reply := self.ask(kind)):
            pass
        return reply

    def until(self, condition: Any) -> None:
        """Receive until `condition` holds."""
        try:
            while not condition():
                self.take(self.socket.recv_multipart())
        except TimeoutError as error:
            error.add_note(f"the last events are {self.events[-3:]}")
            raise

    def take(self, frames: list[bytes]) -> None:
        """Apply a message of events, or keep a reply."""
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
        """Receive every event that the kernel has at this moment."""
        seq = self.ask(m.Ping).seq
        self.until(lambda: self.seq >= seq)

    def settle(self) -> None:
        """Receive until no run is waiting or in progress, and all events are there."""
        self.until_reply(m.Statistics, lambda reply: not reply.queued_runs)
        self.apply_pending()

    def take_what_is_there(self) -> None:
        """Receive what has arrived, without waiting."""
        while self.socket.poll(0):
            self.take(self.socket.recv_multipart())

    def greet_again(self) -> Any:
        """Send `Hello` again with the state that this frontend holds, and return the reply."""
        id = self.post(m.Hello, m.PROTOCOL, "", self.welcome.epoch, self.seq)
        while id not in self.replies:
            # Events that arrive before the reply were sent before the `Hello` and may leave a gap.
            frames = self.socket.recv_multipart()
            if b"Welcome" in frames[0][:20]:
                self.take(frames)
        self.received = 0
        return self.replies.pop(id)

    def run(self, source: str, cell: str = "a") -> int:
        """Submit a run of one cell and return its number."""
        queued = self.ask(m.RunCells, [m.Cell(cell, source)])
        assert isinstance(queued, m.RunQueued), queued
        return queued.run

    def finish(self, run: int) -> Any:
        """Return the `RunFinished` of a run once it has come."""
        self.until(lambda: self.finished(run) is not None)
        return self.finished(run)

    def finished(self, run: int) -> Any:
        """Return the `RunFinished` of a run; `None` if it has not come."""
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
    """Return a function that starts a kernel; its runner is the stand-in unless `command` says otherwise."""
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
