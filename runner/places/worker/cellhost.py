"""Executes cells in a worker process, reports as they go, and describes how they ended.

A worker has one `CellHost`. Each cell runs on a thread of its own, with the same executor and hooks as in the
runner, in a fresh namespace that holds its inputs. The thread that called `run` waits beside it. It notices
when the cell is not wanted any more, and stops waiting for a cell that an interrupt cannot end because it is
in a call into C. The engine keeps what the cell defined.
"""

import asyncio
import builtins
import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from time import monotonic, perf_counter
from typing import Any, cast

from ....protocol.notebook import CellError, Status
from ...analysis.analysis import find_names
from ...analysis.compiler import CompiledCell, cell_filename, compile_cell
from ...analysis.language import PYTHON, Language, Parsed
from ...analysis.name_usage import NameUsage
from ...attribution.context import Execution, current_execution, detached_context
from ...execution import cell_errors
from ...execution.cell_hooks import ValueHooks
from ...execution.executor import Executor
from ...execution.hooks import Hooks
from ...execution.sources import remember_source
from ...introspection.short_text import qualname, short_text
from ...output.emitter import Emitter
from ...output.output_list import OutputList
from ...output.reports import report as report_error
from ..place import Ended, PlaceError, Summary, Task
from .gate import ThreadGate
from .hosted import HostedExecution
from .inputs import provide
from .process import ReportSink

#: Seconds between two checks whether the cell is still wanted, and that an interrupted one has to end.
_LOOK = 0.1
_GRACE = 1.0


class _Shared(Language):
    """Python, but cells share names with a leading underscore."""

    def find_names(self, parsed: Parsed) -> NameUsage:
        return find_names(parsed.tree, follow_stars=True, shared=True)


@lru_cache(256)
def _compiled(source: str, cell: str, shared: bool) -> CompiledCell:
    return compile_cell(source, cell, language=_Shared() if shared else PYTHON)


class RunningCell:
    """A cell that executes here, or is about to."""

    def __init__(self, task: Task, execution: HostedExecution, emitter: Emitter) -> None:
        self.task = task
        self.execution = execution
        self.emitter = emitter
        self.gate = ThreadGate()
        self.done = threading.Event()
        #: The values that the cell defined, and their summaries.
        self.values: dict[str, Any] = {}
        self.summaries: list[Summary] = []
        self.status: Status = "running"
        self.error: CellError | None = None
        self.shown = False
        self.missing = ""


class _Hooks(ValueHooks):
    """The hooks that show a cell's value and figures; `Ended` says how the cell ended."""

    def __init__(self, running: RunningCell, names: dict[str, Any]) -> None:
        super().__init__(running.gate)
        self._running = running
        self._names = names

    def describe_error(self, execution: Execution) -> None:
        running, error = self._running, execution.error
        filename = cell_filename(execution.cell)
        if execution.status == "interrupted" or error is None:
            running.error = cell_errors.interrupted(error, filename)
        else:
            running.error = cell_errors.raised(error, filename)
            running.missing = cell_errors.missing_name(error, self._names)
        if not running.missing:
            # The runner explains missing names, since it knows the other cells.
            execution.outputs.append(cell_errors.error_item(running.error))
            running.shown = True


class CellHost:
    """Executes cells in this process."""

    def __init__(
        self,
        where: str,
        *,
        pickle: Callable[[Any], bytes],
        sizeof: Callable[[Any], int],
        module_hint: str = "",
    ) -> None:
        self.where = where
        self._pickle = pickle
        self._sizeof = sizeof
        self._module_hint = module_hint
        # Guards the next two; nothing is called while it is held.
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str, int], RunningCell] = {}
        # The last run of each cell, whose threads may still run.
        self._last: dict[tuple[str, str], HostedExecution] = {}

    def enter(self, task: Task, report: Callable[[Any], object]) -> RunningCell:
        """Make `task` known, so that it can be interrupted, and return what `run` takes."""
        emitter = Emitter(ReportSink(report))
        outputs = OutputList(emitter, task.cell, task.run, task.limits)
        execution = HostedExecution(task.cell, task.run, outputs, self.where, report, self._pickle)
        running = RunningCell(task, execution, emitter)
        with self._lock:
            before = self._last.get((task.notebook, task.cell))
            self._last[task.notebook, task.cell] = execution
            self._running[task.notebook, task.cell, task.run] = running
        if before is not None:
            _retire(before)
        return running

    def run(
        self,
        running: RunningCell,
        inputs: Sequence[Any],
        keep: Callable[[Mapping[str, Any], list[Summary]], list[Summary]],
        wanted: Callable[[], bool] = lambda: True,
    ) -> Ended:
        """Execute the cell and return how it ended.

        `keep` stores values by name and returns their summaries, each with its key in the store.
        """
        task, gate = running.task, running.gate
        began = perf_counter()
        token = detached_context.set(True)
        try:
            context = contextvars.Context()
            body = (self._execute, running, inputs)
            threading.Thread(target=context.run, args=body, name=f"cell {task.cell}", daemon=True).start()
        finally:
            detached_context.reset(token)
        deadline = 0.0
        abandoned = False
        while not running.done.wait(_LOOK):
            if not gate.count and not wanted():
                self._interrupt(running)
            if gate.count:
                deadline = deadline or monotonic() + _GRACE
                if monotonic() > deadline:
                    abandoned = True
                    running.execution.retire()
                    break
        summaries = []
        if not abandoned and running.values:
            summaries = keep(running.values, running.summaries)
        running.values = {}
        with self._lock:
            self._running.pop((task.notebook, task.cell, task.run), None)
        if running.status != "ok":
            running.execution.end()
        status: Status = "interrupted" if abandoned else running.status
        return Ended(
            task.cell,
            task.run,
            status,
            perf_counter() - began,
            _abandoned() if abandoned else running.error,
            running.shown and not abandoned,
            running.missing,
            summaries,
            self.where,
        )

    def leave(self, running: RunningCell) -> None:
        """Forget a cell that was entered but will not run."""
        task = running.task
        with self._lock:
            self._running.pop((task.notebook, task.cell, task.run), None)

    def interrupt(self, notebook: str, cell: str, run: int) -> bool:
        """Interrupt a cell, from another thread; return whether it runs here."""
        with self._lock:
            running = self._running.get((notebook, cell, run))
        if running is None:
            return False
        self._interrupt(running)
        return True

    def retire(self, notebook: str, cell: str, run: int) -> None:
        """Drop anything `run` of a cell still writes, and ask its threads to exit."""
        with self._lock:
            execution = self._last.get((notebook, cell))
            if execution is None or execution.run != run:
                return
            del self._last[notebook, cell]
        _retire(execution)

    def retire_notebook(self, notebook: str) -> None:
        """Retire the last run of each cell of a notebook that is gone."""
        with self._lock:
            gone = [key for key in self._last if key[0] == notebook]
            executions = [self._last.pop(key) for key in gone]
        for execution in executions:
            _retire(execution)

    def _interrupt(self, running: RunningCell) -> None:
        running.execution.end()
        running.gate.interrupt()

    def _execute(self, running: RunningCell, inputs: Sequence[Any]) -> None:
        """Execute the cell; this is the body of its thread."""
        try:
            self._execute_within_gate(running, inputs)
        except BaseException as error:
            # An interrupt between two of cellwire's own statements, or a bug of cellwire.
            running.gate.subject = None
            if running.status == "running":
                running.status = "interrupted" if running.gate.count else "error"
                running.error = cell_errors.raised(error, cell_filename(running.task.cell))
        finally:
            running.emitter.flush()
            running.done.set()

    def _execute_within_gate(self, running: RunningCell, inputs: Sequence[Any]) -> None:
        task, execution, gate = running.task, running.execution, running.gate
        current_execution.set(execution)
        names: dict[str, Any] = {"__name__": "__main__", "__builtins__": vars(builtins)}
        try:
            gate.subject = execution
            code = _compiled(task.source, task.cell, task.shared)
            remember_source(code.filename, task.source)
            names.update(provide(task, inputs, self.where, self._module_hint))
            gate.subject = None
        except BaseException as error:
            gate.subject = None
            running.status = execution.status = "interrupted" if gate.count else "error"
            running.error = _described(error, task.cell)
            return
        shown = _Hooks(running, names)
        hooks = Hooks(post_execution=[shown.show_value, shown.show_figures, shown.show_error])
        executor = Executor(names, hooks, gate)
        if code.analysis.is_async:

            async def run() -> None:
                gate.enter_task()
                await executor.run_async(execution, code)

            asyncio.run(run())
        else:
            executor.run(execution, code)
        running.values = {name: names[name] for name in task.keep if name in names}
        try:
            gate.subject = execution
            running.summaries = [self._summary(name, value) for name, value in running.values.items()]
            gate.subject = None
        except BaseException:
            gate.subject = None
            running.values = {}
        running.status = execution.status

    def _summary(self, name: str, value: object) -> Summary:
        kind = cast("type[Any]", type(value))
        try:
            size = int(self._sizeof(value))
        except Exception:
            size = 0  # the value's own idea of its size is not a number
        return Summary(name, qualname(kind), short_text(value), size)


def _retire(execution: HostedExecution) -> None:
    """Retire a run, after calling what it gave to `cw.on_retire`."""
    retiring, execution.on_retire = execution.on_retire or [], None
    while retiring:
        function = retiring.pop()
        try:
            function()
        except BaseException as error:
            report_error(
                f"cellwire: a callback that cell {execution.cell!r} gave to cw.on_retire raised\n", error
            )
    execution.retire()


def _described(error: BaseException, cell: str) -> CellError:
    """Return the error, hint and traceback for an exception that came before the cell's code."""
    if isinstance(error, PlaceError):
        return CellError(type(error).__name__, error.message, hint=error.hint)
    if isinstance(error, KeyboardInterrupt):
        return cell_errors.interrupted(None, cell_filename(cell))
    return cell_errors.raised(error, cell_filename(cell))


def _abandoned() -> CellError:
    return CellError(
        "Interrupted",
        "interrupted, but a call into C has not returned yet",
        hint="its thread ends when that call does; interrupting twice ends the worker",
    )
