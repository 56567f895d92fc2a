"""The reactive engine: takes sources, runs cells and what depends on them, and says so in events.

`program.py` says what a request changes, `plan.py` what then runs, `scheduler.py` and `executor.py` how,
`lifecycle.py` what is left of it, and the `Recorder` holds what frontends see; here they are put together.
The engine knows no sockets and no processes, so it works inside `asyncio.run` as well as in the runner
process.

Everything is on one thread, that of the event loop. `runs.py` says how runs follow each other and when they
overlap. Runs that setters of states cause start by themselves if nothing runs, as long as the loop runs.
"""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

from ..protocol import events, messages
from ..protocol.events import RunFinished
from ..protocol.limits import Limits
from ..protocol.messages import Cell
from ..protocol.notebook import CellState, Mode, Redefine
from .analysis.language import PYTHON, Language
from .api.state import StateChange, object_change, state_listener
from .dataflow.disabled import Disabled
from .dataflow.plan import Planner
from .dataflow.program import Program
from .execution import cell_errors
from .execution.cell_hooks import CellReport
from .execution.cell_turns import CellTurns
from .execution.corrections import Corrections
from .execution.embedded import NOT_EMBEDDED, Embedded
from .execution.executor import Executor
from .execution.hooks import Hooks
from .execution.interrupts import Interrupts
from .execution.lifecycle import CellLifecycle
from .execution.namespace import Namespace
from .execution.preparation import Preparation
from .execution.recorder import Recorder
from .execution.runs import Runs
from .execution.scheduler import Scheduler
from .execution.state_updates import PendingUpdates, Work
from .output.emitter import Emission

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
        self._updates = PendingUpdates(
            self.program, self._namespace, lambda: self._runs.on_state_set(), embedded.forward
        )
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
        executor = Executor(self.globals, self.hooks, self.interrupts)
        self._scheduler = Scheduler(
            self._recorder,
            self._lifecycle,
            self.program,
            self._namespace,
            CellTurns(self._recorder, self._lifecycle, *core[1:], self._corrections, executor, self._context),
            executor,
            self.interrupts,
            self._context,
            (self.hooks, self._planner, self._updates),
        )
        self._scheduler.keeps_turn = embedded.embedding is not None
        self._last_run = 0
        self._runs = Runs(
            self._recorder,
            Preparation(self._recorder, self._lifecycle, self._planner, self._disabled),
            self._scheduler,
            self._lifecycle,
            self._planner,
            self._corrections,
            self._updates,
            self.interrupts,
            self.hooks,
        )

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
        return await self._runs.execute(run, request)

    async def start(self, run: int, request: messages.Run) -> RunFinished | None:
        """Do what `execute` does, but return None when all that is left waits for cells in flight.

        Another request can be started then; `RunFinished` says how this one ended.
        """
        return await self._runs.start(run, request)

    @property
    def tasks(self) -> "list[asyncio.Task[None]]":
        """The tasks that go on with runs that wait: user code does not find them among those of the loop."""
        return [] if self._runs.keeper is None else [self._runs.keeper]

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
        self._runs.last_own = last_own_run
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

    def once_planned(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the run that follows what has changed is announced, now if none will be."""
        self._runs.once_planned(callback)

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

    # States

    def state_set(self, update: StateChange, work: Work) -> None:
        """Have cells that read the state here run again, and `work` done; from any thread.

        For a state of a notebook that a cell has embedded, which follows by `work`.
        """
        self._updates.add_work(work)
        self._updates.add(update)

    async def follow_states(self) -> None:
        """Run what has to follow states that were set, as soon as nothing else runs."""
        await self._runs.follow_states()

    def outdate(self, cells: Collection[str]) -> None:
        """Mark cells stale, and what depends on them, while nothing runs: something outside has changed."""
        self._runs.outdate(cells)

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
