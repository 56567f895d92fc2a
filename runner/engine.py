"""The reactive engine: takes sources, runs cells and what depends on them, and says so in events.

It holds the program (sources and graph), the namespace, and a replica of the notebook that changes by
nothing but the events it emits. `program.py` says what a request changes, `plan.py` what then runs,
`conduct.py` and `execute.py` how, `stage.py` what is left of it; here they are put in sequence. It
knows no sockets and no processes, so it works inside `asyncio.run` as well as in the runner process.

Runs are carried out one after the other, on one thread, that of the event loop. Runs that setters of
states cause are numbered -1, -2, … and come before the end of the run that caused them; if nothing
runs they start by themselves, as long as the loop does.
"""

import asyncio
import contextvars
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from ..protocol import events, messages
from ..protocol.events import RunFinished, RunStatus
from ..protocol.limits import Limits
from ..protocol.messages import Cell
from ..protocol.notebook import CellState, Mode, Notebook, Redefine
from ..protocol.reducer import apply
from .api.state import state_listener
from .dataflow.disabled import Disabled
from .dataflow.plan import Plan, Planner
from .dataflow.program import Change, Program
from .execution import cell_errors as errors
from .execution.executor import Executor
from .execution.hooks import CellReport, Hooks, call_hooks
from .execution.interrupts import Interrupts
from .execution.lifecycle import Stage
from .execution.namespace import Namespace
from .execution.scheduler import Conductor
from .execution.state_updates import StateChanges
from .output.emitter import CallbackSink, Emitter
from .output.output_list import OutputList

_OUTPUT_EVENTS = frozenset(
    {events.OutputAppended, events.OutputReplaced, events.OutputRemoved, events.OutputsCleared}
)

T = TypeVar("T")

#: What `run` and `sync` take: sources by id, or cells; an id alone is a cell as it is.
Cells = Mapping[str, str] | Iterable[Cell | str]


class Engine:
    """A reactive notebook in this process."""

    def __init__(
        self,
        emit: Callable[[Any], object] | Emitter,
        *,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        keep_outputs: bool = True,
        redefine: Redefine = "error",
        register_main: bool = False,
    ) -> None:
        #: What frontends see of the notebook.
        self.notebook = Notebook()
        self.interrupts = Interrupts()
        #: What happens around runs and cells; the engine's own hooks are put before those given.
        self.hooks = Hooks() if hooks is None else hooks
        self._listener = None if isinstance(emit, Emitter) else emit
        self._keep_outputs = keep_outputs
        self._emitter = emit if isinstance(emit, Emitter) else Emitter(CallbackSink(self._deliver))
        self._namespace = Namespace(register_main)
        #: The global names of the cells.
        self.globals = self._namespace.globals
        self._program = Program(redefine)
        self._disabled = Disabled(self._program)
        self._planner = Planner(self._program, self.notebook, self._disabled.blocked)
        self._changes = StateChanges(self._program, self._namespace, self._awake)
        # What cells set in context variables lasts here from cell to cell.
        self._context = contextvars.copy_context()
        self._context.run(state_listener.set, self._changes.note)
        explain = partial(errors.explanation, self.globals, self._program, self.notebook)
        CellReport(self._emit, self._emitter.flush, explain).install(self.hooks)
        new_outputs = partial(OutputList, self._emitter, limits=limits or Limits())
        self._stage = Stage(
            self._program,
            self._namespace,
            self.notebook,
            self._disabled,
            self._changes,
            self._emit,
            self._emitter.flush,
            new_outputs,
        )
        executor = Executor(self.globals, self.hooks, self.interrupts)
        self._conductor = Conductor(
            self._stage, self._program, self.notebook, executor, self.interrupts, self._context
        )
        self._last_run = 0
        self._last_own_run = 0
        self._running = False
        # The run that was asked for and is being carried out; 0 if there is none.
        self._run = 0
        # Guards what is between `_running` being set and reset: one run, or what states have caused.
        self._turn = asyncio.Lock()
        self._own_task: asyncio.Task[None] | None = None

    # Requests

    async def run(self, cells: Cells | None = None, *, run: int | None = None) -> RunFinished:
        """Take over the sources of `cells`, run them, and return how that ended; all cells if None."""
        return await self.execute(self._number(run), messages.RunCells("", self._listed(cells)))

    async def run_stale(self, *, run: int | None = None) -> RunFinished:
        """Run every stale cell."""
        return await self.execute(self._number(run), messages.RunStale(""))

    async def sync(self, cells: Cells, *, run: int | None = None) -> RunFinished:
        """Take over the sources of `cells` and their order, running nothing."""
        return await self.execute(self._number(run), messages.SyncCells("", self._listed(cells)))

    async def delete(self, cells: Iterable[str], *, run: int | None = None) -> RunFinished:
        """Delete cells; ids that are not known are ignored."""
        return await self.execute(self._number(run), messages.DeleteCells("", list(cells)))

    async def configure(self, cells: Iterable[str], *, disabled: bool, run: int | None = None) -> RunFinished:
        """Disable or enable cells."""
        return await self.execute(self._number(run), messages.ConfigureCells("", list(cells), disabled))

    async def set_mode(self, mode: Mode, *, run: int | None = None) -> RunFinished:
        """Choose between autorun and lazy."""
        return await self.execute(self._number(run), messages.SetMode("", mode))

    async def execute(self, run: int, request: messages.Run) -> RunFinished:
        """Carry out `request` as run number `run`, with the runs that states cause, and return its end."""
        return await self._alone(lambda: self._carry_out(run, request))

    def restore(
        self,
        cells: Sequence[events.CellDeclared],
        *,
        disabled: Iterable[str] = (),
        mode: Mode = "autorun",
        last_own_run: int = 0,
    ) -> None:
        """Take over what an earlier runner has left, before the first run: cells, all of them stale.

        Nothing is emitted: the replicas know it.
        """
        self._last_own_run = last_own_run
        faults = self._program.faults
        declared = self._program.declare([Cell(cell.id, cell.source) for cell in cells]).declared
        self._program.revisions.update({cell.id: cell.revision for cell in cells})
        for old, new in zip(cells, declared, strict=True):
            self.notebook.cells[new.id] = CellState(
                new.id,
                new.source,
                old.revision,
                stale=True,
                error=faults.get(new.id),
                defs=new.defs,
                refs=new.refs,
            )
        self.notebook.order = list(self._program.graph.order)
        self.notebook.mode = mode
        for cell in self._disabled.change(disabled, True):
            self.notebook.cells[cell].disabled = True

    # Interrupts

    def interrupt(self) -> None:
        """End the run in progress; does nothing if there is none.

        For the SIGINT handler, or anything else on the event loop's thread. A cell that executes sees
        KeyboardInterrupt, one that awaits is cancelled, the others are dropped; the second time
        cells that await are abandoned. A task that a cell has left behind, if it is what executes at
        this moment, is cancelled.

        Raises: KeyboardInterrupt or CancelledError, into the user code that is being executed.
        """
        if self.interrupts.is_repetition():
            if self.interrupts.requested:
                self.interrupts.strike()
            return
        if self._running and self._changes.loop is not None:
            self.interrupts.requested += 1
            self._changes.loop.call_soon_threadsafe(self._conductor.cancel)
        self.interrupts.strike()

    handle_sigint = interrupt

    def interrupt_through(self, run: int) -> None:
        """Interrupt the runs up to number `run`, also those that are yet to come; from any thread.

        For who sends SIGINT from outside, before it: the signal may come before the run that it is for.
        """
        self.interrupts.through = run
        if 0 < self._run <= run and not self.interrupts.requested:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # Carrying out

    async def _carry_out(self, run: int, request: messages.Run) -> RunFinished:
        failed: list[str] = []
        reason = ""
        cancelled: asyncio.CancelledError | None = None
        # In this order: `interrupt_through` does the two in the other one, so one of them sees the other.
        self._run = run
        if 0 < run <= self.interrupts.through:
            self.interrupts.requested = 1
        try:
            plan = self._prepare(run, request, failed)
            failed += await self._perform(plan)
            await self._follow_states()
        except asyncio.CancelledError as error:
            self.interrupts.requested = self.interrupts.requested or 1
            cancelled = error
            reason = "the task that carried it out was cancelled"
        except Exception:
            # A fault of cellwire's own must not leave the kernel waiting for the end of the run.
            reason = "cellwire itself failed, which is a bug:\n" + traceback.format_exc()
            sys.stderr.write(reason)
        if self.interrupts.requested:
            self._drop_changes()
            reason = reason or "interrupted"
        self._run = 0
        finished = RunFinished(run, self._status(failed or reason), failed, reason)
        self._finish(finished)
        if cancelled is not None:
            raise cancelled
        return finished

    def _status(self, failed: object) -> RunStatus:
        return "interrupted" if self.interrupts.requested else "error" if failed else "ok"

    def _finish(self, finished: RunFinished) -> None:
        self._emit(finished)
        self._emitter.flush()
        call_hooks(self.hooks.on_finish, finished, self.interrupts)

    async def _perform(self, plan: Plan) -> list[str]:
        """Carry out `plan` and return the cells that failed."""
        if self.hooks.preparation:
            self._emitter.flush()
            call_hooks(self.hooks.preparation, plan, self.interrupts)
        self._stage.mark_stale(plan.stale)
        if not plan.cells:
            return []
        self._emit(events.RunPlanned(plan.run, plan.cells))
        return await self._conductor.carry_out(plan)

    def _prepare(self, run: int, request: messages.Run, failed: list[str]) -> Plan:
        """Make the changes that `request` asks for and return what is to be run; fill in `failed`."""
        planner = self._planner
        match request:
            case messages.RunCells(cells=cells):
                requested = list(dict.fromkeys(cell.id for cell in cells))
                change = self._stage.take_over(run, self._program.declare(cells), failed, requested)
                return planner.run(run, requested, change)
            case messages.SyncCells(cells=cells):
                return planner.no_run(run, self._stage.take_over(run, self._program.declare(cells), failed))
            case messages.DeleteCells(cells=ids):
                return planner.run(run, (), self._stage.take_over(run, self._program.delete(ids), failed))
            case messages.RunStale():
                stale = [cell for cell in self.notebook.order if self.notebook.cells[cell].stale]
                self._stage.tell_faults(run, stale, failed)
                return planner.run(run, stale)
            case messages.ConfigureCells(cells=ids, disabled=disabled):
                known = [cell for cell in ids if cell in self._program]
                changed = self._disabled.change(known, disabled)
                if changed:
                    self._emit(events.CellsConfigured(changed, disabled))
                autorun = self.notebook.mode == "autorun" and not disabled
                return planner.run(run, planner.stale_below(changed) if autorun else ())
            case messages.SetMode(mode=mode):
                if mode != self.notebook.mode:
                    self._emit(events.ModeChanged(mode))
                return Plan(run)

    def _awake(self) -> None:
        """Act upon states that were set while nothing ran."""
        if self._changes and not self._running:
            self._own_task = asyncio.get_running_loop().create_task(self._alone(self._follow_when_idle))

    async def _follow_when_idle(self) -> None:
        try:
            await self._follow_states()
        finally:
            if self.interrupts.requested:
                self._drop_changes()

    async def _follow_states(self) -> None:
        """Run the readers of states that were set, until nothing is left to do."""
        while self._changes and not self.interrupts.requested:
            readers = self._changes.take()
            if self.notebook.mode == "lazy":
                self._stage.mark_stale(self._planner.no_run(0, Change(rebound=readers)).stale)
                continue
            plan = self._planner.run(self._last_own_run - 1, readers)
            if plan.cells:
                self._last_own_run = plan.run
            failed: list[str] = []
            try:
                failed = await self._perform(plan)
            except asyncio.CancelledError:
                self.interrupts.requested = self.interrupts.requested or 1
                raise
            finally:
                if plan.cells:
                    reason = "interrupted" if self.interrupts.requested else ""
                    self._finish(RunFinished(plan.run, self._status(failed), failed, reason))

    def _drop_changes(self) -> None:
        """Be done with states that were set, leaving their readers stale."""
        self._stage.mark_stale(self._planner.no_run(0, Change(rebound=self._changes.take())).stale)

    async def _alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` does, when nothing else is carried out; interrupts are for it from then on."""
        loop = asyncio.get_running_loop()
        if self._changes.loop is not loop:
            # A lock belongs to the loop on which tasks have waited for it.
            self._changes.loop = loop
            self._turn = asyncio.Lock()
        task = asyncio.current_task()
        assert task is not None
        async with self._turn:
            # In this sequence: a signal counts as soon as something runs, and is not forgotten.
            self.interrupts.requested = 0
            self._running = True
            self.interrupts.own_tasks.add(task)
            try:
                return await work()
            finally:
                self._emitter.flush()
                self.interrupts.own_tasks.discard(task)
                self._running = False

    def _number(self, run: int | None) -> int:
        if run is None:
            self._last_run += 1
            return self._last_run
        self._last_run = max(run, self._last_run)
        return run

    def _listed(self, cells: Cells | None) -> list[Cell]:
        states = self.notebook.cells
        if cells is None:
            cells = list(self.notebook.order)
        if isinstance(cells, Mapping):
            sources = cast("Mapping[str, str]", cells)
            return [Cell(id, source) for id, source in sources.items()]
        return [Cell(cell, states[cell].source) if isinstance(cell, str) else cell for cell in cells]

    def _emit(self, event: Any) -> None:
        """Say `event`; it may wait for the `flush` that comes before user code and before every `await`."""
        if self._listener is None:
            apply(self.notebook, event)
            self._emitter.defer(event)
        else:
            self._emitter.emit(event)

    def _deliver(self, event: Any) -> None:
        """Hand over an event to whom it is for; output events of all threads come by here too."""
        if self._keep_outputs or type(event) not in _OUTPUT_EVENTS:
            apply(self.notebook, event)
        if self._listener is not None:
            self._listener(event)
