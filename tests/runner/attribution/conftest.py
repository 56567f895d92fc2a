"""A real process with the runner's console, threads and children installed, and the kernel's end of it.

`console(script)` runs a script in such a process until it ends and returns what every run wrote. The
script uses `cell(name)`, whose block is the code of a sync cell; `inside(execution)` enters the context of
a cell again, as a callback or an async cell does, without making it the cell that runs.
"""

import array
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cellwire.protocol import link
from cellwire.protocol.events import OutputAppended
from cellwire.protocol.markers import MarkedReader, Marker
from cellwire.protocol.notebook import Item, Stream
from support.waiting import PATIENCE

NONCE = b"\0" + b"fifteen bytes!!"

PRELUDE = f"""
import os, socket, sys
from contextlib import contextmanager
from cellwire.protocol.limits import Limits
from cellwire.runner.attribution.console import clear_console, install_console
from cellwire.runner.attribution.context import Execution, current_execution
from cellwire.runner.output.emitter import Emitter, LinkSink
from cellwire.runner.output.output_list import OutputList
from cellwire.runner.attribution.subprocesses import install_subprocesses
from cellwire.runner.attribution.threads import current_thread, detached, install_threads, Thread

_emitter = Emitter(LinkSink(socket.socket(fileno=int(sys.argv[1]))))
_console = install_console({NONCE!r})
install_threads()
exit_forked = install_subprocesses(_emitter, _console).exit_forked

@contextmanager
def inside(execution):
    token = current_execution.set(execution)
    try:
        yield execution
    finally:
        current_execution.reset(token)

@contextmanager
def cell(name, run=1):
    execution = Execution(name, run, OutputList(_emitter, name, run, Limits()))
    _console.enter(execution)
    with inside(execution):
        yield execution
"""

_decode = msgspec.msgpack.Decoder(link.PipeOpened | OutputAppended[Item]).decode


class Written:
    """What a process wrote, by run."""

    def __init__(self) -> None:
        self.status = 0
        self.text: dict[tuple[str, int, Stream], str] = defaultdict(str)
        #: The items in the order of their arrival: cell, run, id, text.
        self.items: list[tuple[str, int, int, str]] = []

    @property
    def texts(self) -> list[str]:
        return [text for _, _, _, text in self.items]

    @property
    def ids(self) -> list[int]:
        return [id for _, _, id, _ in self.items]

    def out(self, cell: str, run: int = 1) -> str:
        return self.text[cell, run, "stdout"]

    def err(self, cell: str, run: int = 1) -> str:
        return self.text[cell, run, "stderr"]


class KernelEnd:
    """Reads everything from the first byte on, and joins it when all is read."""

    def __init__(self, connection: socket.socket, ends: dict[Stream, int]) -> None:
        self._connection = connection
        self._streams: dict[Stream, bytearray] = {}
        self._pipes: dict[int, bytearray] = {}
        self._opened: dict[int, link.PipeOpened] = {}
        self._descriptors: list[int] = []
        self._threads: list[threading.Thread] = []
        self.items: list[tuple[str, int, int, str]] = []
        for stream, fd in ends.items():
            self._streams[stream] = bytearray()
            self._start(self._read_pipe, fd, self._streams[stream])
        self._start(self._read_link)

    def finish(self) -> Written:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a pipe of the process is still open somewhere"
        self._connection.close()
        written = Written()
        written.items = self.items
        text: dict[tuple[str, int, Stream], bytes] = defaultdict(bytes)
        for stream, data in self._streams.items():
            self._join(stream, bytes(data), text)
        for key, data in text.items():
            written.text[key] = data.decode("utf-8", "replace")
        return written

    def _join(self, stream: Stream, data: bytes, text: dict[Any, bytes]) -> None:
        cell, run = "", 0
        open_pipes: dict[int, Marker] = {}
        for piece in MarkedReader(NONCE).feed(data):
            if isinstance(piece, bytes):
                text[cell, run, stream] += piece
            elif piece.kind == "cell":
                cell, run = piece.cell, piece.run
            elif piece.kind == "clear":
                text[piece.cell, piece.run, stream] = b""
            elif piece.kind == "pipe_opened":
                open_pipes[piece.pipe] = piece
                opened = self._opened[piece.pipe]
                assert (opened.cell, opened.run, opened.stream) == (piece.cell, piece.run, stream)
            else:
                opened_at = open_pipes.pop(piece.pipe)
                text[opened_at.cell, opened_at.run, stream] += self._pipes[piece.pipe]
        for marker in open_pipes.values():
            text[marker.cell, marker.run, stream] += self._pipes[marker.pipe]

    def _start(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read_pipe(self, fd: int, into: bytearray) -> None:
        while data := os.read(fd, 1 << 16):
            into += data
        os.close(fd)

    def _read_link(self) -> None:
        reader = link.FrameReader()
        while True:
            data, ancillary, _, _ = self._connection.recvmsg(1 << 16, socket.CMSG_SPACE(64))
            for _level, _kind, content in ancillary:
                self._descriptors.extend(array.array("i", content))
            if not data:
                return
            for frame in reader.feed(data):
                event = _decode(frame)
                if isinstance(event, OutputAppended):
                    item = event.item
                    self.items.append((event.cell, event.run, item.id, item.data["text/plain"]))
                else:
                    self._opened[event.pipe] = event
                    self._pipes[event.pipe] = bytearray()
                    self._start(self._read_pipe, self._descriptors.pop(0), self._pipes[event.pipe])


@pytest.fixture
def console() -> Callable[[str], Written]:
    """Return a function that runs a script and returns what it wrote."""

    def run(script: str) -> Written:
        ours, theirs = socket.socketpair()
        out, err = os.pipe(), os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-u", "-P", "-c", PRELUDE + textwrap.dedent(script), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=out[1],
            stderr=err[1],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        os.close(out[1])
        os.close(err[1])
        end = KernelEnd(ours, {"stdout": out[0], "stderr": err[0]})
        try:
            status = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
        written = end.finish()
        written.status = status
        return written

    return run
