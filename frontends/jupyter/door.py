"""Jupyter's way into a kernel process: its sockets in the loop, and the kernel as the binding sees it.

The kernel logs events in the middle of its work, so they are queued, and handled in the door's turn. Replies
of the runner go through the same queue, so that their order among the events is kept.
"""

import os
import signal
from collections import deque
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import msgspec

from ...kernel.diagnostics import report
from ...kernel.kernel import Kernel
from ...kernel.kernel_process import KernelProcess
from ...kernel.loop import Loop, Timer
from ...kernel.process import RunnerProcess
from ...protocol import messages as m
from ...protocol.connection import Connection, Settings
from ...protocol.notebook import ConsoleChunk, Notebook
from .binding import Binding
from .channels import Channels
from .connection_file import Channel, ConnectionFile
from .dap import DebugAdapter
from .history import History
from .parent import watch_parent
from .publisher import Publisher
from .views import REDUCING, Reduced
from .wire import NO_PARENT, UnreadableMessage, Wire

#: How many messages of one channel are handled in one turn.
_MESSAGES = 64
#: How many unreadable messages are reported on standard error.
_REPORTED = 10
#: Jupyter's servers set it; output of the kernels they start passes the rate limits of their websockets.
_BEHIND_SERVER = "JPY_SESSION_NAME"


class _Reply(msgspec.Struct, frozen=True):
    """A reply of the runner, and the function that gets it."""

    on_reply: Callable[[Any], None]
    reply: Any


class Door:
    """Jupyter's part of the kernel's loop, and the `Core` of the binding."""

    def __init__(self, file: ConnectionFile, channels: Channels, *, lazy: bool = False) -> None:
        """Raise ValueError for an unknown hash function."""
        self._file, self._channels, self._lazy = file, channels, lazy
        self._wire = Wire(file.key.encode(), file.digest)
        self._events: deque[Any] = deque()
        self._interrupts = 0
        # What was published because of the message that is being handled.
        self._unsent: list[tuple[Channel, list[bytes]]] | None = None

    def open(
        self, loop: Loop, kernel: Kernel, shut_down: Callable[[str], None], connection: Connection
    ) -> None:
        """Start serving."""
        self._loop, self._kernel, self._connection = loop, kernel, connection
        self._shut_down = shut_down
        paced = _BEHIND_SERVER in os.environ
        publisher = Publisher(self._wire, self._send, loop.later, paced=paced)
        self._binding = Binding(self, publisher, History(), self._file.ports, lazy=self._lazy)
        kernel.attended = True
        kernel.store.followers.append(self._follow)
        for channel, descriptor in self._channels.descriptors.items():
            loop.watch(descriptor, partial(self._channels.look, channel))
        # The kernel's handlers wake the loop.
        signal.signal(signal.SIGINT, self._signalled)
        watch_parent(loop, lambda: shut_down("the Jupyter server ended"))
        self._binding.start()

    def turn(self) -> float:
        """Handle what came from the kernel and from clients."""
        self._interrupt()
        self._take_events()
        for channel, frames in self._channels.receive(_MESSAGES):
            if channel == "hb":
                self._channels.send("hb", frames)
            elif channel == "iopub":
                self._subscribed(frames[0])
            else:
                # A signal that came before the message is not for what the message asks for.
                self._interrupt()
                self._handle(channel, frames)
                self._take_events()
        if not self._events and not self._channels.readable:
            self._binding.rest()
        return 0.0 if self._events or self._channels.readable else float("inf")

    def close(self) -> None:
        """Send what is left and close the sockets."""
        self._take_events()
        self._binding.close()
        self._channels.close()

    def _handle(self, channel: Any, frames: list[bytes]) -> None:
        """Handle a message, and send what there is to say only when what it asks for is under way."""
        unsent: list[tuple[Channel, list[bytes]]] = []
        self._unsent = unsent
        try:
            self._receive(channel, frames)
        finally:
            self._unsent = None
            for each in unsent:
                self._channels.send(*each)

    def _send(self, channel: Channel, frames: list[bytes]) -> bool:
        if channel == "stdin":
            return self._channels.deliver(channel, frames)
        if self._unsent is None:
            self._channels.send(channel, frames)
        else:
            self._unsent.append((channel, frames))
        return True

    def _receive(self, channel: Any, frames: list[bytes]) -> None:
        try:
            message = self._wire.read(frames)
        except UnreadableMessage as error:
            if self._wire.refused <= _REPORTED:
                report(f"a message on Jupyter's {channel} channel was dropped: {error}")
        else:
            self._binding.receive(channel, message)

    def _subscribed(self, frame: bytes) -> None:
        if frame[:1] == b"\x01":
            self._binding.welcome(frame[1:])

    def _interrupt(self) -> None:
        if self._interrupts:
            self._interrupts = 0
            self._binding.interrupt()

    def _signalled(self, number: int, frame: object) -> None:
        self._interrupts += 1

    # Events

    def _follow(self, event: Any) -> None:
        """Queue an event that was just logged."""
        if isinstance(event, REDUCING):
            event = self._reduced(event)
        self._events.append(event)

    def _reduced(self, event: Any) -> Reduced:
        last = self._events[-1] if self._events else None
        if isinstance(last, Reduced) and isinstance(event, type(last.event)) and event.cell == last.cell:
            # Only the state after this event matters.
            self._events.pop()
        cell = self.notebook.cells.get(event.cell)
        parts = cell.in_order() if cell is not None and cell.run == event.run else ()
        # A copy: the notebook's own text grows with later events.
        return Reduced(event, [copy(part) if isinstance(part, ConsoleChunk) else part for part in parts])

    def _take_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, _Reply):
                event.on_reply(event.reply)
            else:
                self._binding.take(event)

    # The core

    @property
    def notebook(self) -> Notebook:
        """The kernel's state."""
        return self._kernel.store.notebook

    @property
    def connection_file(self) -> str:
        """The kernel's own connection file."""
        return self._connection.file

    def submit(self, request: m.Run) -> int:
        """Submit a run."""
        return self._kernel.submit(request, 0)

    def pass_on(self, request: m.Introspection | m.SendComm, on_reply: Callable[[Any], None]) -> None:
        """Ask the runner."""
        self._kernel.pass_on(request, lambda reply: self._events.append(_Reply(on_reply, reply)))

    def interrupt(self) -> None:
        """Interrupt what runs."""
        self._kernel.interrupt()

    def replace(self) -> None:
        """Replace the runner."""
        self._kernel.restart()

    def revive(self) -> None:
        """Start a runner if there is none."""
        if not self._kernel.runner.alive and not self._kernel.closing:
            self._kernel.restart()

    def provide_input(self, id: str, text: str | None) -> None:
        """Answer user code."""
        self._kernel.provide_input(id, text)

    def refuse_input(self, id: str) -> None:
        """Let user code that asks fail."""
        self._kernel.refuse_input(id)

    def shut_down(self, reason: str) -> None:
        """End the kernel."""
        self._shut_down(reason)

    def connect(
        self, port: int, on_event: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> DebugAdapter:
        """Connect to a debug adapter."""
        return DebugAdapter(self._loop, port, on_event, on_end)

    def reaches(self, identities: list[bytes]) -> bool:
        """Return whether a client is connected: only a message shows it, one that it does not know."""
        return self._channels.deliver("shell", [*identities, *self._wire.write("still_there", {}, NO_PARENT)])

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back after `seconds`."""
        return self._loop.later(seconds, callback)


def serve(
    file: ConnectionFile,
    channels: Channels,
    process: RunnerProcess,
    start: Callable[[], RunnerProcess],
    *,
    lazy: bool = False,
) -> None:
    """Be the kernel that a connection file of Jupyter describes.

    Raises: OSError or ValueError if it cannot start.
    """
    if not file.encrypted and file.transport == "tcp":
        report("messages are signed and not encrypted: other users of this machine may read outputs")
    # Jupyter does not say in which order cells stand. The binding decides what follows a change.
    settings = Settings(detached=True, redefine="live", dialect="ipython", mode="lazy")
    kernel = KernelProcess(settings, process, start, Door(file, channels, lazy=lazy))
    kernel.run(announce=False)
