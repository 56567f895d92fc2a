"""The kernel: what frontends ask for, what the runner reports, and what follows from either.

Everything happens on one thread, in the rounds of one loop, and nothing waits. Runs are carried out
one at a time: accepted and numbered here, sent to the runner when the one before has finished. What
the runner emits goes into the record as the bytes it came in; only a few kinds of events concern the
kernel itself. When a runner ends, what it can no longer say is said here: each of its runs is finished.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol import events as e
from ..protocol import link, messages
from ..protocol.connection import Settings
from ..protocol.errors import RequestError
from ..protocol.notebook import CellError, Redefine, Status
from .console_router import ConsoleRouter
from .loop import Loop
from .process import RunnerProcess
from .run_queue import RunQueue
from .store import Store
from .supervisor import Supervisor

#: Questions that may wait for the runner, and bytes that may.
_QUESTIONS = 256
#: Waiting runs may hold this many of the largest requests.
_REQUESTS = 4


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


#: Seconds that the kernel does not sleep after it has handed a run to the runner, and the runner after it has
#: finished one: most often the other has something to say within them. To wake a processor takes long, and
#: what ran on it before is in no cache by then. None where one would keep the other from the only processor.
#: Runs of a trivial cell, one after the other, on two processors: 0.43 ms each without either, 0.37 with the
#: first, 0.25 with the second, 0.21 with both, which then takes less of the processors than neither does.
_AWAKE, _RUNNER_AWAKE = (0.0003, 0.0005) if _processors() > 1 else (0.0, 0.0)

RESTARTED = "the runner was replaced on request"

#: Takes the answer to a question, with the question's own number as its id.
Answered = Callable[[Any], None]


class Kernel:
    """Holds the record, the queue of runs and the runner."""

    def __init__(
        self,
        loop: Loop,
        epoch: str,
        settings: Settings,
        start: Callable[[], RunnerProcess],
    ) -> None:
        limits = settings.limits
        self._loop = loop
        self.store = Store(epoch, limits.ring_bytes)
        self.limits = limits
        self.queue = RunQueue(limits.queued_runs, _REQUESTS * limits.request_bytes)
        self._text = ConsoleRouter(self.store, self.queue, limits)
        #: The runner process and its connections.
        self.runner = Supervisor(loop, self, self._text, limits, start)
        #: Why no run is accepted any more; empty while runs are.
        self.closing = ""
        #: Called when the runner of a closing kernel has ended.
        self.on_runner_ended: Callable[[], None] | None = None
        self._redefine: Redefine = settings.redefine
        self._replacing = False
        self._frontends = 0
        self._asked: dict[str, Answered] = {}
        self._questions = 0
        self._rules: dict[type, Callable[[Any, bytes], None]] = {
            e.CellStarted: self._cell_started,
            e.CellFinished: self._cell_finished,
            e.CellsDeleted: self._cells_deleted,
            e.RunFinished: self._run_finished,
            e.RunnerStarted: self._runner_started,
            e.InputRequested: self._input_requested,
            messages.Completions: self._answered,
            messages.Inspection: self._answered,
            messages.VariableList: self._answered,
            messages.Error: self._answered,
        }

    # What frontends ask for

    def submit(self, request: messages.Run, size: int) -> int:
        """Accept a run and return its number.

        Raises: RequestError if runs are refused.
        """
        if self.closing:
            raise RequestError("closing", f"the kernel ends: {self.closing}", "launch a new kernel")
        self._require_runner()
        if not self.queue.has_room(size):
            raise RequestError("busy", "too many runs are waiting", "wait for runs to finish")
        run = self.queue.accept(request, size)
        self.store.add(e.RunAccepted(run))
        self._next_run()
        return run

    def interrupt(self) -> None:
        """Stop what runs and drop what waits."""
        self._drop_waiting("interrupted before it began")
        self._interrupt_runner()

    def restart(self) -> None:
        """Replace the runner, or start one if there is none."""
        if self.closing:
            raise RequestError("closing", f"the kernel ends: {self.closing}", "launch a new kernel")
        if not self.runner.alive:
            self._start()
        elif not self._replacing:
            self._replacing = True
            self._drop_waiting(RESTARTED)
            self.runner.kill(RESTARTED)

    def provide_input(self, question: str, text: str | None) -> None:
        """Give `text`, or the end of input, to user code that waits for it; the first answer counts.

        Raises: RequestError if nobody waits for it.
        """
        if not any(pending.id == question for pending in self.store.notebook.inputs):
            raise RequestError(
                "unknown_input", "nobody waits for this input", "another frontend may have been first"
            )
        self.store.add(e.InputClosed(question))
        self.runner.send(link.Answer(question, text))

    def ask(self, question: messages.Introspection, answered: Answered) -> None:
        """Ask the runner; `answered` is called once, with an `Error` if the runner ends before.

        Raises: RequestError if it cannot be asked.
        """
        self._require_runner()
        if len(self._asked) >= _QUESTIONS or self.runner.backlog > self.limits.request_bytes:
            raise RequestError("busy", "the runner has many questions to answer", "ask again later")
        self._questions += 1
        number = str(self._questions)
        self._asked[number] = answered
        self.runner.send(msgspec.structs.replace(question, id=number))

    def attendance(self, frontends: int) -> None:
        """Note how many frontends could answer a question of user code."""
        self._frontends = frontends

    # How the kernel ends

    def close(self, reason: str) -> None:
        """Accept no more runs, drop what waits and ask the runner to end."""
        self.closing = reason
        self._drop_waiting(f"the kernel ends: {reason}")
        if self.runner.ready:
            self._interrupt_runner()
            self.runner.send(link.Exit())
        elif self.runner.alive:
            self.runner.kill()
        elif self.on_runner_ended is not None:
            self.on_runner_ended()

    def _interrupt_runner(self) -> None:
        # First by name, since a signal may overtake the run that it is meant for.
        if self.queue.in_progress is not None:
            self.runner.send(link.InterruptThrough(self.queue.in_progress.number))
        self.runner.interrupt()

    # What the runner reports

    def received(self, frame: Any, encoded: bytes) -> None:
        """Take an event or an answer of the runner."""
        rule = self._rules.get(type(frame))  # pyright: ignore[reportUnknownArgumentType]
        if rule is None:
            self.store.add_encoded(frame, encoded)
        else:
            rule(frame, encoded)

    def configuration(self, generation: int, nonce: bytes) -> link.Configure:
        """Return what a new runner is to know: the sources and settings that the notebook has."""
        notebook = self.store.notebook
        cells = [notebook.cells[cell_id] for cell_id in notebook.order if cell_id in notebook.cells]
        return link.Configure(
            generation=generation,
            nonce=nonce,
            limits=self.limits,
            mode=notebook.mode,
            last_own_run=self.queue.last_own,
            cells=[e.CellDeclared(cell.id, cell.source, cell.revision) for cell in cells],
            disabled=[cell.id for cell in cells if cell.disabled],
            redefine=self._redefine,
            awake_seconds=_RUNNER_AWAKE,
        )

    def runner_ended(self, reason: str) -> None:
        """Finish everything that the runner has left unfinished."""
        for answered in list(self._asked.values()):
            answered(messages.Error("", "runner_unavailable", "the runner has ended", "send RestartRunner"))
        self._asked.clear()
        if self.closing:
            reason = f"the kernel ends: {self.closing}"
            self._abandon("interrupted", "Interrupted", reason)
        else:
            # The trace is told once, with the death.
            sentence = reason.partition("\n")[0]
            self._abandon("error", "RunnerDied", sentence)
            if not self._replacing:
                self._drop_waiting(f"{sentence}, before this run began")
        self.store.add(e.RunnerDied(reason))
        if self.closing:
            if self.on_runner_ended is not None:
                self.on_runner_ended()
        elif self._replacing:
            self._replacing = False
            self._start()

    def responsive(self, responsive: bool) -> None:
        """Tell frontends that the runner responds no longer, or does again."""
        self.store.add(e.RunnerChanged("ready" if responsive else "unresponsive"))

    def busy(self) -> bool:
        """Whether the runner has something to do."""
        return bool(self.store.notebook.runs or self._asked)

    # Steps

    def _start(self) -> None:
        self.store.add(e.RunnerChanged("starting"))
        try:
            self.runner.start()
        except OSError as error:
            self.store.add(e.RunnerDied(f"the runner could not be started: {error.strerror}"))

    def _require_runner(self) -> None:
        if not self.runner.alive:
            raise RequestError("runner_unavailable", "there is no runner", "send RestartRunner")

    def _next_run(self) -> None:
        ready = self.runner.ready and not self._replacing
        if ready and (run := self.queue.begin()) is not None:
            self.runner.send(link.Execute(run.number, run.request))
            self._loop.stay_awake(_AWAKE)

    def _drop_waiting(self, reason: str) -> None:
        for number in self.queue.drop():
            self.store.add(e.RunFinished(number, "dropped", reason=reason))

    def _abandon(self, status: Status, kind: str, reason: str) -> None:
        """Finish the cells and runs of a runner that has ended; all that has ever run is stale."""
        notebook = self.store.notebook
        running = [cell for cell in notebook.cells.values() if cell.status == "running"]
        for cell in running:
            duration = max(0.0, time.time() - cell.started)
            error = CellError(kind, reason)
            self.store.add(e.CellFinished(cell.id, cell.run, status, duration, error))
        stale = [cell.id for cell in notebook.cells.values() if cell.run and not cell.stale]
        if stale:
            self.store.add(e.CellsMarked(stale))
        current = self.queue.in_progress
        for run in [run.run for run in notebook.runs]:
            # The runner's own, and the one that it had been told to carry out.
            if run < 0 or (current is not None and run == current.number):
                failed = [cell.id for cell in running if cell.run == run]
                outcome = "error" if status == "error" else "interrupted"
                self.store.add(e.RunFinished(run, outcome, failed, reason))
                self.queue.finish(run)

    # Rules for events that concern the kernel itself

    def _cell_started(self, event: e.CellStarted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._text.started(event.cell, event.run)

    def _cell_finished(self, event: e.CellFinished, encoded: bytes) -> None:
        # What the cell has printed stands in the log before its end does.
        self.runner.read_pipes()
        self.store.add_encoded(event, encoded)

    def _cells_deleted(self, event: e.CellsDeleted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._text.deleted(event.cells)

    def _run_finished(self, event: e.RunFinished, encoded: bytes) -> None:
        self.runner.read_pipes()
        self.store.add_encoded(event, encoded)
        self.queue.finish(event.run)
        self._text.finished(event.run)
        self._next_run()

    def _runner_started(self, event: e.RunnerStarted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._next_run()

    def _input_requested(self, event: e.InputRequested, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        if not self._frontends:
            self.runner.send(link.NoFrontend(event.id))

    def _answered(self, answer: Any, encoded: bytes) -> None:
        answered = self._asked.pop(answer.id, None)
        if answered is not None:
            answered(answer)
