"""The kernel: what frontends request, what the runner reports, and what follows from either.

Everything happens on one thread, in the rounds of one loop, and nothing blocks. Runs are numbered when
they are accepted and go to the runner one at a time, each when the one before has finished or has given its
turn away. What the runner emits goes into the store as the bytes it came in; only a few kinds of events
concern the kernel itself. When a runner ends, the kernel finishes its cells and runs in its place.
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
from ..protocol.notebook import CellError, Status
from .console_router import ConsoleRouter
from .descriptors import room_for_pipes
from .loop import Loop
from .process import RunnerProcess
from .run_queue import RunQueue
from .store import Store
from .supervisor import Supervisor

#: Requests beside runs that may wait for the runner.
_PASSED_ON = 256
#: Waiting runs may take as many bytes as this many of the largest requests.
_REQUESTS = 4
#: Characters of an unknown id that an error repeats.
_SHOWN = 100


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


#: Seconds that the kernel stays awake after it has sent a run to the runner, and the runner after a run or a
#: message of a comm: the other usually answers within them, Jupyter's clients after a millisecond. Waking a
#: core is slow and its caches are cold by then. Zero on a single core, where spinning would starve the other
#: process.
#: Runs of a trivial cell, one after the other, on two cores: 0.43 ms each without either, 0.37 with the
#: first, 0.25 with the second, 0.21 with both, which takes less processor time than neither. Over Jupyter
#: 1.0 ms without either, 1.4 if the runner falls asleep after 0.5 ms, 0.85 after 1.5.
_AWAKE, _RUNNER_AWAKE = (0.0003, 0.0015) if _cores() > 1 else (0.0, 0.0)

RESTARTED = "the runner was replaced on request"

#: Takes the reply to a request that was passed on; its id is the number that the kernel gave the request.
OnReply = Callable[[Any], None]


class Kernel:
    """Holds the store, the queue of runs and the runner."""

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
        if settings.mode != self.store.notebook.mode:
            self.store.add(e.ModeChanged(settings.mode))
        self.queue = RunQueue(limits.queued_runs, _REQUESTS * limits.request_bytes)
        self._console = ConsoleRouter(self.store, self.queue, limits)
        #: The runner process and its connections.
        self.runner = Supervisor(loop, self, self._console, limits, start)
        #: Why the kernel accepts no more runs; empty while it does.
        self.closing = ""
        #: Called when the runner of a closing kernel ends.
        self.on_runner_ended: Callable[[], None] | None = None
        self._settings = settings
        self._replacing = False
        #: Whether user code may ask for input without an attached frontend: a door can answer.
        self.attended = False
        self._frontends = 0
        self._replies: dict[str, OnReply] = {}
        self._passed_on = 0
        self._rules: dict[type, Callable[[Any, bytes], None]] = {
            e.CellStarted: self._cell_started,
            e.CellFinished: self._in_its_place,
            e.OutputAppended: self._in_its_place,
            e.OutputReplaced: self._in_its_place,
            e.OutputRemoved: self._in_its_place,
            e.OutputsCleared: self._in_its_place,
            e.CommSent: self._in_its_place,
            e.ConsoleWritten: self._console_written,
            e.ConsoleCleared: self._console_cleared,
            e.CellsDeleted: self._cells_deleted,
            e.RunFinished: self._run_finished,
            link.TurnGiven: self._turn_given,
            e.RunnerStarted: self._runner_started,
            e.InputRequested: self._input_requested,
            e.InputClosed: self._input_closed,
            messages.Completions: self._runner_replied,
            messages.Inspection: self._runner_replied,
            messages.VariableList: self._runner_replied,
            messages.Done: self._runner_replied,
            messages.Error: self._runner_replied,
        }

    # What frontends request

    def submit(self, request: messages.Run, size: int) -> int:
        """Accept a run and return its number.

        Raises: RequestError if runs are refused.
        """
        if self.closing:
            raise self._refusal_while_closing()
        self._require_runner()
        if not self.queue.has_room(size):
            raise RequestError("busy", "too many runs are waiting", "wait until some have finished")
        run = self.queue.accept(request, size)
        self.store.add(e.RunAccepted(run))
        self._next_run()
        return run

    def interrupt(self) -> None:
        """Interrupt the run in progress and drop the waiting ones."""
        self._drop_waiting("interrupted before it began")
        self.runner.interrupt(self.queue.newest)

    def restart(self) -> None:
        """Replace the runner, or start one if there is none; the second time without waiting for its end."""
        if self.closing:
            raise self._refusal_while_closing()
        if not self.runner.alive:
            self._start()
            return
        if not self._replacing:
            self._replacing = True
            self._drop_waiting(RESTARTED)
        self.runner.end(self.queue.newest, RESTARTED)

    def provide_input(self, id: str, text: str | None) -> None:
        """Answer the input `id` with `text`, or with the end of input if None; the first answer counts.

        Raises: RequestError if no user code waits for this input.
        """
        self._close_input(id)
        self.runner.send(link.Answer(id, text))

    def refuse_input(self, id: str) -> None:
        """Have the user code that waits for the input `id` raise: there is none to be had.

        Raises: RequestError if no user code waits for this input.
        """
        self._close_input(id)
        self.runner.send(link.NoFrontend(id))

    def _close_input(self, id: str) -> None:
        if not self._is_open(id):
            raise RequestError(
                "unknown_input",
                f"no cell waits for input {id[:_SHOWN]!r}",
                "another frontend may have answered first, or the cell was interrupted",
            )
        self.store.add(e.InputClosed(id))

    def pass_on(self, request: messages.Introspection | messages.SendComm, on_reply: OnReply) -> None:
        """Pass a request on to the runner, beside its runs; call `on_reply` once, with an `Error` if it ends.

        Raises: RequestError if there is no runner or it has too many requests already.
        """
        self._require_runner()
        if len(self._replies) >= _PASSED_ON or self.runner.backlog(request) > self.limits.request_bytes:
            raise RequestError("busy", "too many requests wait for the runner", "try again later")
        self._passed_on += 1
        number = str(self._passed_on)
        self._replies[number] = on_reply
        self.runner.send(msgspec.structs.replace(request, id=number))

    def on_frontend_count(self, frontends: int) -> None:
        """Note how many frontends can answer an input request of user code."""
        self._frontends = frontends

    # How the kernel ends

    def close(self, reason: str) -> None:
        """Accept no more runs, drop the waiting ones and ask the runner to end."""
        self.closing = reason
        self._drop_waiting(f"the kernel is shutting down: {reason}")
        if self.runner.alive:
            self.runner.end(self.queue.newest)
        elif self.on_runner_ended is not None:
            self.on_runner_ended()

    # What the runner reports

    def received(self, frame: Any, encoded: bytes) -> None:
        """Handle an event or a reply of the runner."""
        rule = self._rules.get(type(frame))  # pyright: ignore[reportUnknownArgumentType]
        if rule is None:
            self.store.add_encoded(frame, encoded)
        else:
            rule(frame, encoded)

    def configuration(self, generation: int, nonce: bytes) -> link.Configure:
        """Return what a new runner has to know: the sources and settings of the notebook."""
        notebook = self.store.notebook
        cells = [notebook.cells[cell_id] for cell_id in notebook.order if cell_id in notebook.cells]
        return link.Configure(
            generation=generation,
            nonce=nonce,
            limits=self.limits,
            mode=notebook.mode,
            last_own_run=self.queue.last_own,
            cells=[e.CellDeclared(c.id, c.source, c.revision, loose=c.loose, on=c.on) for c in cells],
            disabled=[cell.id for cell in cells if cell.disabled],
            redefine=self._settings.redefine,
            awake_seconds=_RUNNER_AWAKE,
            argv=self._settings.argv,
            child_pipes=room_for_pipes(),
            dialect=self._settings.dialect,
            extensions=self._settings.extensions,
        )

    def runner_ended(self, reason: str) -> None:
        """Finish everything that the runner left unfinished."""
        for on_reply in list(self._replies.values()):
            on_reply(messages.Error("", "runner_unavailable", "the runner ended", "send RestartRunner"))
        self._replies.clear()
        if self.closing:
            self._abandon("interrupted", "Interrupted", f"the kernel is shutting down: {self.closing}")
            for pending in list(self.store.notebook.inputs):
                self.store.add(e.InputClosed(pending.id))
            if self.on_runner_ended is not None:
                self.on_runner_ended()
            return
        # Only the death itself carries the trace.
        sentence = reason.partition("\n")[0]
        self._abandon("error", "RunnerDied", sentence)
        ran = [cell for cell in self.store.notebook.cells.values() if cell.run and not cell.loose]
        stale = [cell.id for cell in ran if not cell.stale]
        if stale:
            self.store.add(e.CellsMarked(stale))
        if not self._replacing:
            self._drop_waiting(f"{sentence}, before this run began")
        self.store.add(e.RunnerDied(reason))
        if self._replacing:
            self._replacing = False
            self._start()

    def responsive(self, responsive: bool) -> None:
        """Notify frontends that the runner stopped responding, or responds again."""
        self.store.add(e.RunnerChanged("ready" if responsive else "unresponsive"))

    def busy(self) -> bool:
        """Whether the runner has something to do."""
        return bool(self.store.notebook.runs or self._replies)

    # Steps

    def _start(self) -> None:
        self.store.add(e.RunnerChanged("starting"))
        try:
            self.runner.start()
        except OSError as error:
            reason = f"the runner could not be started: {error.strerror}"
            self._drop_waiting(f"{reason}, before this run began")
            self.store.add(e.RunnerDied(reason))

    def _refusal_while_closing(self) -> RequestError:
        return RequestError("closing", f"the kernel is shutting down: {self.closing}", "launch a new kernel")

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
        """Finish the cells and runs of a runner that ended."""
        notebook = self.store.notebook
        running = [cell for cell in notebook.cells.values() if cell.status == "running"]
        for cell in running:
            duration = max(0.0, time.time() - cell.started)
            error = CellError(kind, reason)
            self.store.add(e.CellFinished(cell.id, cell.run, status, duration, error))
        newest = self.queue.newest
        for run in [run.run for run in notebook.runs]:
            # The runner's own runs, and those that were sent to it.
            if run <= newest:
                failed = [cell.id for cell in running if cell.run == run]
                outcome = "error" if status == "error" else "interrupted"
                self.store.add(e.RunFinished(run, outcome, failed, reason))
                self.queue.finish(run)

    # Rules for events that concern the kernel itself

    def _cell_started(self, event: e.CellStarted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._console.started(event.cell, event.run)

    def _in_its_place(self, event: Any, encoded: bytes) -> None:
        # What the cell printed before comes before it in the log.
        self.runner.read_pipes()
        self.store.add_encoded(event, encoded)

    def _console_written(self, event: e.ConsoleWritten, encoded: bytes) -> None:
        # Of a cell that runs elsewhere: the runner's own text comes through pipes.
        self._console.write(event.cell, event.run, event.stream, event.text)

    def _console_cleared(self, event: e.ConsoleCleared, encoded: bytes) -> None:
        self._console.clear(event.cell, event.run, event.stream)

    def _cells_deleted(self, event: e.CellsDeleted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._console.deleted(event.cells)

    def _run_finished(self, event: e.RunFinished, encoded: bytes) -> None:
        self.runner.read_pipes()
        self.store.add_encoded(event, encoded)
        self.queue.finish(event.run)
        self._console.finished(event.run)
        self._next_run()

    def _turn_given(self, report: link.TurnGiven, encoded: bytes) -> None:
        self.queue.give_turn(report.run)
        self._next_run()

    def _runner_started(self, event: e.RunnerStarted, encoded: bytes) -> None:
        self.store.add_encoded(event, encoded)
        self._next_run()

    def _input_requested(self, event: e.InputRequested, encoded: bytes) -> None:
        # What is asked may refer to what is printed.
        self.runner.read_pipes(children=True)
        self.store.add_encoded(event, encoded)
        if not self._frontends and not self.attended:
            self.runner.send(link.NoFrontend(event.id))

    def _input_closed(self, event: e.InputClosed, encoded: bytes) -> None:
        if self._is_open(event.id):
            self.store.add_encoded(event, encoded)

    def _is_open(self, input: str) -> bool:
        return any(pending.id == input for pending in self.store.notebook.inputs)

    def _runner_replied(self, reply: Any, encoded: bytes) -> None:
        on_reply = self._replies.pop(reply.id, None)
        if on_reply is not None:
            on_reply(reply)
