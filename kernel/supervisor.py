"""The runner's life: started, probed, interrupted, replaced, ended.

One runner at a time. A runner has ended when its process has: everything left in the link and the pipes
is read first, and then `runner_ended` is called with the reason. If the link ends or carries invalid
bytes while the process lives, the process is killed. While the runner is busy, probes find out whether
it responds; unanswered probes are counted, not seconds, so that a suspended machine does not make the
runner unresponsive.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..protocol import link
from ..protocol.events import RunnerStarted
from ..protocol.limits import Limits
from ..protocol.messages import SendComm
from .console_router import ConsoleRouter
from .loop import Loop, Timer
from .pipes import Pipes
from .process import RunnerProcess
from .runner_link import RunnerLink

#: Longest interval between probes, in seconds.
_PROBE = 1.0
#: What the runner's main thread deals with in order; everything else has to get through to it at once.
_IN_ORDER = link.Execute | SendComm
#: Seconds that a runner has to end after its link ended.
_GRACE = 0.5


class SupervisorListener(Protocol):
    """Receives what the supervisor reports."""

    def received(self, frame: Any, encoded: bytes) -> None:
        """Handle an event or a reply of the runner."""
        ...

    def configuration(self, generation: int, nonce: bytes) -> link.Configure:
        """Return what a new runner has to know."""
        ...

    def runner_ended(self, reason: str) -> None:
        """Handle the end of the process, after everything that it wrote was received."""
        ...

    def responsive(self, responsive: bool) -> None:
        """Note that the runner stopped responding (`False`) or responds again."""
        ...

    def busy(self) -> bool:
        """Whether the runner has something to do."""
        ...


class Supervisor:
    """Owns the runner process and every connection to it."""

    def __init__(
        self,
        loop: Loop,
        listener: SupervisorListener,
        console: ConsoleRouter,
        limits: Limits,
        start: Callable[[], RunnerProcess],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._console = console
        self._start = start
        self._process: RunnerProcess | None = None
        self._link: RunnerLink | None = None
        self._control: RunnerLink | None = None
        self._pipes: Pipes | None = None
        # The read of the link after which the pipes were last read.
        self._pipes_read_after = 0
        self._guardians: set[int] = set()
        self._generation = 0
        self._unanswered = 0
        self._probes = 0
        self._probing: Timer | None = None
        self._interval = min(_PROBE, limits.unresponsive_seconds / 3)
        self._patience = max(1, round(limits.unresponsive_seconds / self._interval))
        self._cause = ""
        # The runner was asked to end.
        self._ending = False
        self._exit_seconds = limits.exit_seconds
        #: Whether the runner reported that it is ready for work.
        self.ready = False
        # Frames of earlier runners that did not decode.
        self._malformed = 0

    # For the kernel

    @property
    def alive(self) -> bool:
        """Whether there is a runner process."""
        return self._process is not None

    @property
    def open_pipes(self) -> int:
        """How many pipes of children are open."""
        return self._pipes.open_pipes if self._pipes is not None else 0

    @property
    def malformed(self) -> int:
        """How many frames of runners did not decode."""
        return self._malformed + (self._link.malformed if self._link is not None else 0)

    def adopt(self, process: RunnerProcess) -> None:
        """Take over a process that was started. Precondition: there is no runner."""
        self._generation += 1
        self._process = process
        self._cause = ""
        self._ending = False
        nonce = b"\0" + os.urandom(15)
        self._link, self._control = (
            RunnerLink(self._loop, end, receive=self._received, ended=self._link_ended)
            for end in (process.link, process.control)
        )
        configuration = self._listener.configuration(self._generation, nonce)
        main = self._link
        self._pipes = Pipes(
            self._loop,
            self._console,
            nonce,
            process.stdout,
            process.stderr,
            lambda: main.delivered,
            most=configuration.child_pipes,
            closed=lambda number: self.send(link.PipesClosed(number)),
        )
        self._pipes_read_after = 0
        self._link.send(configuration)

    def start(self) -> None:
        """Start a runner. Precondition: there is none.

        Raises: OSError if the system does not allow it.
        """
        self.adopt(self._start())

    def send(self, instruction: msgspec.Struct) -> None:
        """Send an instruction to the runner if there is one."""
        if self._link is not None and self._control is not None:
            (self._link if isinstance(instruction, _IN_ORDER) else self._control).send(instruction)
            self.start_probing()

    def backlog(self, instruction: msgspec.Struct) -> int:
        """Return how many bytes the runner would have to read before `instruction`."""
        way = self._link if isinstance(instruction, _IN_ORDER) else self._control
        return 0 if way is None else way.backlog

    def interrupt(self, run: int) -> None:
        """Interrupt the runner if it is ready; `run` is the one that was sent to it, 0 if it has none."""
        if self._process is not None and self.ready:
            self._process.interrupt(run)
            if self._control is not None:
                self._control.send(link.Interrupted())

    def kill(self, cause: str = "") -> None:
        """Kill the runner and its children; `cause` replaces the description of how the process ended."""
        if self._process is not None:
            self._cause = self._cause or cause
            self._process.kill()

    def end(self, run: int, cause: str = "") -> None:
        """Ask the runner to end, as after an interrupt of `run`, and kill it if that takes too long.

        `cause` replaces the description of how the process ended. A runner that is not ready, does not
        respond or was asked before is killed at once.
        """
        process = self._process
        if process is None or not self.ready or self._ending or self._unanswered >= self._patience:
            self.kill(cause)
            return
        self._ending = True
        self._cause = cause
        self.interrupt(run)
        self.send(link.Exit())
        self._kill_later(self._exit_seconds)

    def start_probing(self) -> None:
        """Probe the runner from now on if it is busy and not probed already."""
        if self._probing is None and self._link is not None and self.ready and self._listener.busy():
            self._unanswered = 0
            self._probing = self._loop.later(self._interval, self._probe)

    def read_pipes(self, *, children: bool = False) -> None:
        """Read what the runner had written to its console when it sent the current frame.

        With `children`, also what its children had written that live.
        """
        if self._pipes is None or self._link is None:
            return
        # All frames of one read were sent before the pipes were last read.
        if self._pipes_read_after != self._link.reads or self._pipes.behind:
            self._pipes_read_after = self._link.reads
            self._pipes.drain()
        if children:
            self._pipes.drain_children()

    def turn(self) -> bool:
        """Release waiting console text as far as the link has come; return whether more waits."""
        if self._pipes is None or self._link is None or not self._pipes.waiting:
            return False
        self._pipes.advance()
        if self._pipes.waiting:
            if self._link.read():
                self._pipes.advance()
            else:
                self._pipes.link_is_empty()
        return self._pipes.waiting

    def reap(self) -> None:
        """Handle the end of processes; called on SIGCHLD."""
        for guardian in list(self._guardians):
            if os.waitpid(guardian, os.WNOHANG)[0]:
                self._guardians.discard(guardian)
        process = self._process
        if process is None:
            return
        status = process.poll()
        if status is not None:
            reason = self._cause + process.trace() if self._cause else process.reason(status)
            self._clean_up(process)
            self._listener.runner_ended(reason)

    def wait_for_guardians(self) -> None:
        """Wait for the guardians of ended runners, which end at once."""
        for guardian in self._guardians:
            os.waitpid(guardian, 0)
        self._guardians.clear()

    # From the runner

    def _received(self, frame: Any, encoded: bytes) -> None:
        if self._unanswered:
            self._sign_of_life()
        if self._pipes is not None and self._pipes.waiting:
            self._pipes.advance()
        if isinstance(frame, link.Alive):
            return
        if isinstance(frame, link.PipeOpened):
            descriptor = self._link.take_descriptor() if self._link is not None else None
            if self._pipes is not None:
                self._pipes.open(frame, descriptor)
                # Text after the marker that waited for this descriptor can be read from here on.
                self._pipes_read_after = 0
            return
        if isinstance(frame, RunnerStarted):
            self.ready = self._process is not None
        self._listener.received(frame, encoded)

    def _sign_of_life(self) -> None:
        if self._unanswered >= self._patience:
            self._listener.responsive(True)
        self._unanswered = 0

    def _link_ended(self, reason: str) -> None:
        self._kill_later(_GRACE, reason)

    def _kill_later(self, seconds: float, cause: str = "") -> None:
        process = self._process

        def end() -> None:
            if self._process is process:
                self.kill(cause)

        self._loop.later(seconds, end)

    def _probe(self) -> None:
        self._probing = None
        if self._control is None:
            return
        if not self._listener.busy() and self._unanswered < self._patience:
            return
        if self._unanswered == self._patience:
            self._listener.responsive(False)
        self._unanswered += 1
        self._probes += 1
        self._control.send(link.Probe(self._probes))
        self._probing = self._loop.later(self._interval, self._probe)

    def _clean_up(self, process: RunnerProcess) -> None:
        """Receive everything that the runner left and close its descriptors."""
        # Nothing is sent to it from here on.
        self._process = None
        self.ready = False
        if self._link is not None and self._control is not None and self._pipes is not None:
            self._link.finish()
            self._control.finish()
            self._pipes.finish()
            self._malformed += self._link.malformed
        if self._probing is not None:
            self._probing.cancel()
        self._console.forget()
        self._guardians.add(process.close())
        self._link = self._control = self._pipes = self._probing = None
        self._unanswered = 0
