"""The runner's life: started, watched, interrupted, replaced, ended.

One runner at a time. The end of its process is the one moment that counts: everything that is still in
the link and the pipes is read first, and then `ended` is called with the reason. A link that has ended
while the process lives, or bytes in it that make no sense, have the process killed. Whether the runner
responds is found out by probes while it is busy; their number is counted, not the clock, so that a
suspended machine is no unresponsive runner.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..protocol import link
from ..protocol.events import RunnerStarted
from ..protocol.limits import Limits
from .console_router import ConsoleRouter
from .loop import Loop, Timer
from .pipes import Pipes
from .process import RunnerProcess
from .runner_link import RunnerLink

#: Seconds between probes, at most.
_PROBE = 1.0
#: Seconds that a runner has to end after its link has.
_GRACE = 0.5


class SupervisorListener(Protocol):
    """What the supervisor reports to."""

    def received(self, frame: Any, encoded: bytes) -> None:
        """Take an event or an answer of the runner."""
        ...

    def configuration(self, generation: int, nonce: bytes) -> link.Configure:
        """Return what a new runner is to know."""
        ...

    def runner_ended(self, reason: str) -> None:
        """The process is gone and everything that it wrote has been received."""
        ...

    def responsive(self, responsive: bool) -> None:
        """The runner responds no longer, or does again."""
        ...

    def busy(self) -> bool:
        """Whether the runner has something to do."""
        ...


class Supervisor:
    """Owns the process of the runner and everything that leads to it."""

    def __init__(
        self,
        loop: Loop,
        listener: SupervisorListener,
        text: ConsoleRouter,
        limits: Limits,
        start: Callable[[], RunnerProcess],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._text = text
        self._start = start
        self._process: RunnerProcess | None = None
        self._link: RunnerLink | None = None
        self._control: RunnerLink | None = None
        self._pipes: Pipes | None = None
        # The read of the link after which the pipes have been read.
        self._pipes_read_after = 0
        self._guardians: set[int] = set()
        self._generation = 0
        self._unanswered = 0
        self._probes = 0
        self._probing: Timer | None = None
        self._interval = min(_PROBE, limits.unresponsive_seconds / 3)
        self._patience = max(1, round(limits.unresponsive_seconds / self._interval))
        self._cause = ""
        #: Whether a runner has reported that it can be given work.
        self.ready = False
        # Frames of earlier runners that could not be read.
        self._malformed = 0

    # From outside

    @property
    def alive(self) -> bool:
        """Whether there is a runner process."""
        return self._process is not None

    @property
    def backlog(self) -> int:
        """Bytes that wait for the runner's control thread to read them."""
        return self._control.backlog if self._control is not None else 0

    @property
    def malformed(self) -> int:
        """Frames of runners that could not be read."""
        return self._malformed + (self._link.malformed if self._link is not None else 0)

    def adopt(self, process: RunnerProcess) -> None:
        """Take over a process that has been started; there is none at this time."""
        self._generation += 1
        self._process = process
        self._cause = ""
        nonce = b"\0" + os.urandom(15)
        self._link, self._control = (
            RunnerLink(self._loop, end, receive=self._received, ended=self._link_ended)
            for end in (process.link, process.control)
        )
        self._pipes = Pipes(self._loop, self._text, nonce, process.stdout, process.stderr)
        self._pipes_read_after = 0
        self._link.send(self._listener.configuration(self._generation, nonce))

    def start(self) -> None:
        """Start a runner; there is none at this time.

        Raises: OSError if the system does not allow it.
        """
        self.adopt(self._start())

    def send(self, instruction: msgspec.Struct) -> None:
        """Send an instruction to the runner if there is one."""
        if self._link is not None and self._control is not None:
            (self._link if isinstance(instruction, link.Execute) else self._control).send(instruction)
            self.start_probing()

    def interrupt(self) -> None:
        """Raise SIGINT in the runner if it is there to take it."""
        if self._process is not None and self.ready:
            self._process.interrupt()

    def kill(self, cause: str = "") -> None:
        """Kill the runner and what it has started; `cause` stands in place of how the process ended."""
        if self._process is not None:
            self._cause = self._cause or cause
            self._process.kill()

    def start_probing(self) -> None:
        """Begin to probe the runner if it is busy and not probed already."""
        if self._probing is None and self._link is not None and self.ready and self._listener.busy():
            self._unanswered = 0
            self._probing = self._loop.later(self._interval, self._probe)

    def read_pipes(self) -> None:
        """Read what the runner had written to its console when it sent the frame that is looked at."""
        if self._pipes is None or self._link is None or self._pipes_read_after == self._link.reads:
            # Frames that came in one read were all sent before the pipes were read after it.
            return
        self._pipes_read_after = self._link.reads
        self._pipes.drain()

    def turn(self) -> None:
        """See to console text that waits for something from the link."""
        if (
            self._pipes is not None
            and self._pipes.waiting
            and self._link is not None
            and not self._link.read()
        ):
            self._pipes.link_is_empty()

    def reap(self) -> None:
        """See which processes have ended; called when one has."""
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
        """Wait for the guardians of runners that have ended; they end at once."""
        for guardian in self._guardians:
            os.waitpid(guardian, 0)
        self._guardians.clear()

    # From the runner

    def _received(self, frame: Any, encoded: bytes) -> None:
        if self._unanswered:
            self._sign_of_life()
        if isinstance(frame, link.Alive):
            return
        if isinstance(frame, link.PipeOpened):
            descriptor = self._link.take_descriptor() if self._link is not None else None
            if descriptor is not None and self._pipes is not None:
                self._pipes.open(frame, descriptor)
                # What stands behind the mark that has waited for this can be read from here on.
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
        process = self._process

        def end() -> None:
            if self._process is process:
                self.kill(reason)

        self._loop.later(_GRACE, end)

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
        """Receive everything that the runner has left behind and give its descriptors back."""
        # From here on nothing more is sent to it.
        self._process = None
        self.ready = False
        if self._link is not None and self._control is not None and self._pipes is not None:
            self._link.finish()
            self._control.finish()
            self._pipes.finish()
            self._malformed += self._link.malformed
        if self._probing is not None:
            self._probing.cancel()
        self._text.forget()
        self._guardians.add(process.close())
        self._link = self._control = self._pipes = self._probing = None
        self._unanswered = 0
