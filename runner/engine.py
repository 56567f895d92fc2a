"""The reactive engine: takes sources, runs cells and what depends on them, and says so in events.

`program.py` says what a request changes, `plan.py` what then runs, `scheduler.py` and `executor.py` how,
`lifecycle.py` what is left of it, and the `Recorder` holds what frontends see; here they are put in
sequence. The engine knows no sockets and no processes, so it works inside `asyncio.run` as well as in the
runner process.

Runs follow each other on one thread, that of the event loop. Runs that setters of states cause are
numbered -1, -2, … and come before the end of the run that caused them; if nothing runs they start by
themselves, as long as the loop runs.
"""

import asyncio
import contextvars
import sys
from asyncio import get_running_loop  # as it is before user code can replace it
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

from ..protocol import events, messages
from ..protocol.events import RunFinished, RunStatus
from ..protocol.limits import Limits
from ..protocol.messages import Cell
from ..protocol.notebook import CellState, Mode, Redefine
from .analysis.language import PYTHON, Language
from .api.state import StateChange, object_change, state_listener
from .dataflow.disabled import Disabled
from .dataflow.plan import Plan, Planner
from .dataflow.program import Change, Program
from .execution import cell_errors
from .execution.cell_hooks import CellReport
from .execution.corrections import Corrections
from .execution.embedded import NOT_EMBEDDED, Embedded
from .execution.executor import Executor
from .execution.hooks import Hooks, call_hooks
from .execution.interrupts import Interrupts
from .execution.lifecycle import CellLifecycle
from .execution.namespace import Namespace
from .execution.recorder import Recorder
from .execution.scheduler import Scheduler
from .execution.state_updates import PendingUpdates, Work
from .execution.turn import Turn
from .output.emitter import Emission
from .output.reports import format_error, write_report

#: What `run` and `sync` take: sources by id, or cells; an id alone is a cell as it is.
Cells = Mapping[str, str] | Iterable[Cell | str]
#: The engine whose cells execute in this context; plain threads have none.
current_engine: "contextvars.ContextVar[Engine | None]" = contextvars.ContextVar(
    "current_engine", default=None
)


class Engine:
    """A reactive notebook in this process."""

    def __init__(
        self,
        emit: Callable[[Any], object] | Emission,
        *,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        keep_outputs: bool = True,
        redefine: Redefine = "error",
        language: Language = PYTHON,
        register_main: bool = False,
        file: str = "",
        embedded: Embedded = NOT_EMBEDDED,
    ) -> None:
        self._recorder = Recorder(emit, keep_outputs)
        #: What frontends see of the notebook.
        self.notebook = self._recorder.notebook
        self.interrupts = Interrupts(self._cancel_soon)
        #: What happens around runs and cells; the engine's own hooks are put before those given.
        self.hooks = Hooks() if hooks is None else hooks
        limits = limits or Limits()
        #: The sources of the notebook as one program.
        self.program: Program = Program(redefine, language)
        self._namespace = Namespace(self.program, register_main, limits.versions, file)
        #: The global names of the cells.
        self.globals = self._namespace.globals
        #: Those whose values are where their cells have run, copies here or not.
        self.elsewhere = self._namespace.elsewhere
        self._disabled = Disabled(self.program)
        versions = self._namespace.dropped, self._namespace.lost_at_end
        self._planner = Planner(self.program, self.notebook, self._disabled.inactive, *versions)
        self._updates = PendingUpdates(self.program, self._namespace, self._on_state_set, embedded.forward)
        # What cells set in context variables lasts here from cell to cell.
        self._context = contextvars.copy_context()
        self._context.run(state_listener.set, self._updates.add)
        self._context.run(current_engine.set, self)
        #: The notebooks that cells have embedded, for the room that embeds them.
        self.parts: Any = None
        explain = partial(cell_errors.explanation, self._namespace, self.program, self.notebook)
        CellReport(self._recorder, self.program, explain, self.interrupts).install(self.hooks)
        core = self._recorder, self.program, self._namespace
        self._lifecycle = CellLifecycle(
            *core, self._disabled, self._updates, limits, self.interrupts, embedded
        )
        self._corrections = Corrections(self._recorder, self._lifecycle, self.program, self._namespace)
        self._scheduler = Scheduler(
            self._recorder,
            self._lifecycle,
            self.program,
            self._namespace,
            self._corrections,
            Executor(self.globals, self.hooks, self.interrupts),
            self.interrupts,
            self._context,
            (self.hooks, self._planner, self._updates),
        )
        self._last_run = 0
        self._last_own_run = 0
        self._turn = Turn(self._recorder, self._scheduler, self._updates, self.interrupts)
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

    async def delete(
        self, cells: Iterable[str], *, keep: bool = False, run: int | None = None
    ) -> RunFinished:
        """Delete cells, or with `keep` all but what they have defined; ids that are not known are ignored."""
        return await self.execute(self._number(run), messages.DeleteCells("", list(cells), keep))

    async def configure(self, cells: Iterable[str], *, disabled: bool, run: int | None = None) -> RunFinished:
        """Disable or enable cells."""
        return await self.execute(self._number(run), messages.ConfigureCells("", list(cells), disabled))

    async def set_mode(self, mode: Mode, *, run: int | None = None) -> RunFinished:
        """Choose between autorun and lazy."""
        return await self.execute(self._number(run), messages.SetMode("", mode))

    async def execute(self, run: int, request: messages.Run) -> RunFinished:
        """Carry out `request` as run number `run`, with the runs that states cause, and return its end."""
        async with self._turn:
            return await self._run_request(run, request)

    def restore(
        self,
        cells: Sequence[events.CellDeclared],
        *,
        disabled: Iterable[str] = (),
        mode: Mode = "autorun",
        last_own_run: int = 0,
    ) -> None:
        """Take over what an earlier runner has left, before the first run: cells, all of them stale.

        Nothing is emitted before `explain_stale`: the replicas know it.
        """
        self._last_own_run = last_own_run
        errors = self.program.errors
        declared = self.program.declare(
            [Cell(cell.id, cell.source, loose=cell.loose, on=cell.on) for cell in cells]
        ).declared
        self.program.revisions.update({cell.id: cell.revision for cell in cells})
        for old, new in zip(cells, declared, strict=True):
            self.notebook.cells[new.id] = CellState(
                new.id,
                new.source,
                old.revision,
                stale=not new.loose,
                error=errors.get(new.id),
                defs=new.defs,
                refs=new.refs,
                rereads=new.rereads,
                loose=new.loose,
                on=new.on,
            )
        self.notebook.order = list(self.program.graph.order)
        self.notebook.mode = mode
        for cell in self._disabled.change(disabled, True):
            self.notebook.cells[cell].disabled = True

    def changed(self, value: object, attributes: Iterable[str]) -> None:
        """Have the cells follow that read one of these `attributes` of `value` by a global name.

        They run after the current run, as the readers of a state do. From any thread.
        """
        self._updates.add(object_change(value, attributes))

    def explain_stale(self) -> None:
        """Say of the cells that `restore` has taken over why they will not run; only the program knows."""
        self._lifecycle.update_reasons()
        self._recorder.flush()

    def retire(self) -> None:
        """Drop all that cells still write, and end their threads; names stay."""
        self._lifecycle.retire()

    # Interrupts

    def interrupt(self, frame: FrameType | None = None) -> None:
        """End the run in progress; does nothing if there is none.

        For the SIGINT handler, or anything else on the event loop's thread; `frame` is what executes, by
        default the caller. A cell that executes sees KeyboardInterrupt, one that awaits is cancelled, the
        others are dropped; the second time cells that await are abandoned. A task that a cell has left
        behind, if it goes on executing, is cancelled.

        Raises: KeyboardInterrupt or CancelledError, into the user code that is being executed.
        """
        self.interrupts.receive(sys._getframe(1) if frame is None else frame)

    def _cancel_soon(self) -> None:
        if self._updates.loop is not None:
            self._updates.loop.call_soon_threadsafe(self._scheduler.cancel, context=contextvars.Context())

    # Runs

    async def _run_request(self, run: int, request: messages.Run) -> RunFinished:
        failed: list[str] = []
        reason = ""
        cancelled: asyncio.CancelledError | None = None
        self.interrupts.begin(run)
        try:
            plan, failed = self._prepare(run, request)
            failed += await self._run_plan(plan)
            if self._updates or self._corrections.rebound:
                await self._run_state_readers()
        except asyncio.CancelledError as error:
            self.interrupts.count = self.interrupts.count or 1
            cancelled = error
            reason = "the task that carried it out was cancelled"
        except BaseException as error:
            # A fault of cellwire's own must not leave the kernel waiting for the end of the run.
            reason = "cellwire itself failed, which is a bug:\n" + format_error(error, own=True)
            write_report(reason)
        interrupted = self.interrupts.end()
        if interrupted:
            self._discard_state_updates()
            reason = reason or "interrupted"
        finished = RunFinished(run, _status(interrupted, failed or reason), failed, reason)
        self._finish(finished)
        if cancelled is not None:
            raise cancelled
        return finished

    def _finish(self, finished: RunFinished) -> None:
        self._recorder.emit(finished)
        self._recorder.flush()
        call_hooks(self.hooks.on_finish, finished, self.interrupts)

    async def _run_plan(self, plan: Plan) -> list[str]:
        """Carry out `plan` and return the cells that failed."""
        if self.hooks.preparation:
            self._recorder.flush()
            call_hooks(self.hooks.preparation, plan, self.interrupts)
        self._lifecycle.mark_stale(plan.stale)
        if not plan.cells:
            self._namespace.rest()
            return []
        self._recorder.emit(events.RunPlanned(plan.run, plan.cells))
        return await self._scheduler.run(plan)

    def _prepare(self, run: int, request: messages.Run) -> tuple[Plan, list[str]]:
        """Make the changes that `request` asks for; return what is to be run, and the cells with an error."""
        planner, program, lifecycle = self._planner, self.program, self._lifecycle
        match request:
            case messages.RunCells(cells=cells):
                requested = list(dict.fromkeys(cell.id for cell in cells))
                change = program.declare(cells)
                failed = lifecycle.apply_change(run, change, requested)
                return planner.run(run, requested, change), failed
            case messages.SyncCells(cells=cells):
                change = program.declare(cells)
                failed = lifecycle.apply_change(run, change)
                return planner.no_run(run, change), failed
            case messages.DeleteCells(cells=ids, keep=True):
                change = program.delete(ids, keep=True)
                failed = lifecycle.apply_change(run, change)
                return planner.no_run(run, change), failed
            case messages.DeleteCells(cells=ids):
                # Cells that did not run because one of these was disabled have nothing to wait for any more.
                waiting = planner.stale_below(
                    id for id in ids if id in program and self.notebook.cells[id].disabled
                )
                change = program.delete(ids)
                failed = lifecycle.apply_change(run, change)
                return planner.run(run, [cell for cell in waiting if cell in program], change), failed
            case messages.RunStale():
                stale = [cell for cell in self.notebook.order if self.notebook.cells[cell].stale]
                failed = lifecycle.report_errors(run, stale)
                return planner.run(run, stale), failed
            case messages.ConfigureCells(cells=ids, disabled=disabled):
                return self._configure(run, [cell for cell in ids if cell in program], disabled), []
            case messages.SetMode(mode=mode):
                if mode != self.notebook.mode:
                    self._recorder.emit(events.ModeChanged(mode))
                return Plan(run), []

    def _configure(self, run: int, cells: Sequence[str], disabled: bool) -> Plan:
        changed = self._disabled.change(cells, disabled)
        if changed:
            self._recorder.emit(events.CellsConfigured(changed, disabled))
            self._lifecycle.update_reasons()
        autorun = self.notebook.mode == "autorun" and not disabled
        return self._planner.run(run, self._planner.stale_below(changed) if autorun else ())

    # States

    def state_set(self, update: StateChange, work: Work) -> None:
        """Have cells that read the state here run again, and `work` done; from any thread.

        For a state of a notebook that a cell has embedded, which follows by `work`.
        """
        self._updates.add_work(work)
        self._updates.add(update)

    def _on_state_set(self) -> None:
        """Act upon states that were set while nothing ran."""
        if self._updates and not self.interrupts.running:
            self._own_task = get_running_loop().create_task(self.follow_states())

    async def follow_states(self) -> None:
        """Run what has to follow states that were set, as soon as nothing else runs."""
        async with self._turn:
            try:
                await self._run_state_readers()
            finally:
                if self.interrupts.count:
                    self._discard_state_updates()

    async def _run_state_readers(self) -> None:
        """Run what has to follow the runs so far, until nothing is left to do.

        That is readers of states that were set, and of names that a star import turned out to bind or not to.
        """
        while (readers := await self._readers_to_run()) and not self.interrupts.count:
            plan = self._planner.run_readers(self._last_own_run - 1, readers)
            if plan.cells:
                self._last_own_run = plan.run
            failed: list[str] = []
            try:
                failed = await self._run_plan(plan)
            except asyncio.CancelledError:
                self.interrupts.count = self.interrupts.count or 1
                raise
            finally:
                if plan.cells:
                    interrupted = self.interrupts.count
                    reason = "interrupted" if interrupted else ""
                    self._finish(RunFinished(plan.run, _status(interrupted, failed), failed, reason))

    async def _readers_to_run(self) -> dict[str, set[str]]:
        """Return the cells that have to run, each with the cells that set a state which it reads."""
        if self.interrupts.count:
            return {}
        behind = [cell for work in self._updates.take_work() for cell in await work()]
        readers = self._updates.drain() if self._updates else {}
        for cell in (*behind, *self._corrections.take()):
            if cell in self.notebook.cells and not self.notebook.cells[cell].stale:
                readers.setdefault(cell, set())
        return readers

    def _discard_state_updates(self) -> None:
        """Forget states that were set, leaving their readers stale."""
        self._updates.take_work()
        self.outdate({*self._updates.drain(), *self._corrections.take()})

    def outdate(self, cells: Collection[str]) -> None:
        """Mark cells stale, and what depends on them, while nothing runs: something outside has changed."""
        known = {cell for cell in cells if cell in self.program.compiled}
        imported = {cell: self.program.compiled[cell].analysis.defs for cell in known}
        self._lifecycle.mark_stale(self._planner.no_run(0, Change(rebound=known, imported=imported)).stale)
        self._recorder.flush()

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
        known = {cell: states[cell] for cell in cells if isinstance(cell, str)}
        return [Cell(c, known[c].source, on=known[c].on) if isinstance(c, str) else c for c in cells]


def _status(interrupted: object, failed: object) -> RunStatus:
    return "interrupted" if interrupted else "error" if failed else "ok"
