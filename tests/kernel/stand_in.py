"""A runner of one page: speaks the link, executes each cell's source as it comes, knows no graph.

For faults and timings that the real runner avoids. A cell's source sees `emit`, `write`, `mark`, `run`,
`cell` and this module's imports. Probes are answered between runs only.
"""

import array
import faulthandler
import os
import selectors
import signal
import socket
import sys
import threading
import time

import msgspec
from cellwire.protocol import events as e
from cellwire.protocol import link, markers, messages
from cellwire.protocol.notebook import Item

encode = msgspec.msgpack.encode


class StandIn:
    def __init__(self, connection: socket.socket, control: socket.socket) -> None:
        self.connection = connection
        self.control = control
        self.configuration: link.Configure
        self.lock = threading.Lock()
        self.stopped = False

    def emit(self, *events: object) -> None:
        data = b"".join(link.frame(encode(event)) for event in events)
        with self.lock:
            self.connection.sendall(data)

    def send_pipe(self, opened: link.PipeOpened, fd: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        with self.lock:
            self.connection.sendmsg([link.frame(encode(opened))], rights)
        os.close(fd)

    def mark(self, marker: markers.Marker, fd: int = 1) -> None:
        os.write(fd, markers.encode_marker(self.configuration.nonce, marker))

    def serve(self) -> None:
        selector = selectors.DefaultSelector()
        for end in (self.connection, self.control):
            selector.register(end, selectors.EVENT_READ, link.FrameReader())
        while not self.stopped:
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if not data:
                    return
                for frame in key.data.feed(data):
                    self.handle(msgspec.msgpack.decode(frame, type=link.Instruction | link.Control))

    def handle(self, instruction: link.Instruction | link.Control) -> None:
        match instruction:
            case link.Configure(generation=generation):
                self.configuration = instruction
                self.emit(e.RunnerStarted(generation, os.getpid()))
            case link.Execute(run=run, request=messages.RunCells(cells=cells)):
                self.emit(
                    e.GraphChanged([e.CellDeclared(cell.id, cell.source) for cell in cells]),
                    e.RunPlanned(run, [cell.id for cell in cells]),
                )
                self.run(run, cells)
            case link.Execute(run=run, request=messages.DeleteCells(cells=ids)):
                self.emit(e.CellsDeleted(ids), e.RunFinished(run))
            case link.Execute(run=run):
                self.emit(e.RunFinished(run))
            case link.Probe(number=number):
                self.emit(link.Alive(number))
            case messages.Complete(id=id):
                self.emit(messages.Completions(id, [messages.Completion("stand-in")]))
            case link.Exit():
                self.stopped = True
            case _:
                pass

    def run(self, run: int, cells: list[messages.Cell]) -> None:
        for cell in cells:
            self.emit(e.CellStarted(cell.id, run, time.time()))
            self.mark(markers.Marker("cell", cell.id, run))
            scope = {**globals(), "emit": self.emit, "runner": self, "run": run, "cell": cell.id}
            scope |= {"write": lambda text: os.write(1, text.encode()), "mark": self.mark}
            try:
                exec(cell.source, scope)
                self.emit(e.CellFinished(cell.id, run))
            except KeyboardInterrupt:
                self.emit(e.CellFinished(cell.id, run, "interrupted"))
                self.emit(e.RunFinished(run, "interrupted"))
                return
        self.emit(e.RunFinished(run))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.enable(int(sys.argv[3]))
    stand_in = StandIn(*(socket.socket(fileno=int(fd)) for fd in sys.argv[1:3]))
    try:
        stand_in.serve()
    except KeyboardInterrupt:
        pass

__all__ = ["Item", "StandIn"]
