"""The engine's own hooks around a cell, first in their lists.

`start` comes before its code; `show_value`, `show_figures`, `show_error` and `finish` come after it.
"""

import sys
from collections.abc import Callable
from time import perf_counter, time
from typing import Any

from ...protocol.events import CellFinished, CellStarted
from ...protocol.mime_types import ERROR_MIME
from ...protocol.notebook import CellError
from ..analysis.compiler import show_warnings
from ..api.output import OutputHandle
from ..attribution.context import NO_VALUE, Execution
from ..attribution.streams import ConsoleStream
from ..dataflow.program import Program
from ..output.formatting import UNASKED, format_value, show_itself, unshown
from ..output.output_list import RESULT
from ..output.reports import name_of_class, report
from . import cell_errors as errors
from .hooks import Hooks, local, protected
from .interrupts import Gate
from .recorder import Recorder


class ValueHooks:
    """The hooks that show a cell's value, figures and error, in the process that executes it."""

    def __init__(self, interrupts: Gate) -> None:
        self._interrupts = interrupts

    @local
    def show_value(self, execution: Execution) -> None:
        """Append the value, unless there is none, it is None, or it is the handle of an item."""
        value = execution.value
        if value is not NO_VALUE and value is not None and type(value) is not OutputHandle:
            try:
                if type(value) not in UNASKED and show_itself(value):
                    return
                data, metadata = format_value(value)
                if not data:
                    return
                metadata = {**metadata, **RESULT} if metadata else RESULT
            except BaseException as error:
                if self._interrupts.count and issubclass(type(error), KeyboardInterrupt):
                    raise
                report("", error)
                data, metadata = {"text/plain": unshown(value, error)}, {}
            execution.outputs.append_soon(data, metadata)

    @local
    def show_figures(self, execution: Execution) -> None:
        """Append the figures that the cell drew and did not show."""
        if "matplotlib.pyplot" in sys.modules:
            from ..integrations.figures import capture_figures

            capture_figures(execution)

    @local
    def show_error(self, execution: Execution) -> None:
        """Append the error, after flushing text that the user's own streams hold back."""
        for stream, own in ((sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)):
            if type(stream) is not ConsoleStream and stream is not own and stream is not None:
                _flush(stream)
        if execution.error is not None or execution.status == "interrupted":
            self.describe_error(execution)

    def describe_error(self, execution: Execution) -> None:
        """Describe and append the exception that the cell raised, or its interruption."""
        raise NotImplementedError


class CellReport(ValueHooks):
    """The hooks that report a cell: its start, its value, its figures, its error and how it ended.

    `explain(error, cell)` returns why a name was missing, and the cells that this text names. The end of a
    cell is held back and sent together with what follows.
    """

    def __init__(
        self,
        recorder: Recorder,
        program: Program,
        explain: Callable[[BaseException, str], tuple[str, list[str]]],
        interrupts: Gate,
    ) -> None:
        super().__init__(interrupts)
        self._recorder = recorder
        self._program = program
        self._explain = explain
        self._hooks = Hooks()
        # For the running cells: when they began, and the errors to report at their end.
        self._began: dict[Execution, float] = {}
        self._described: dict[Execution, CellError] = {}

    def install(self, hooks: Hooks) -> None:
        """Put these hooks first in their lists."""
        self._hooks = hooks
        hooks.pre_execution.insert(0, self.start)
        hooks.post_execution[:0] = [self.show_value, self.show_figures, self.show_error, self.finish]

    @local
    @protected
    def start(self, execution: Execution) -> None:
        """Emit that the cell runs, and print Python's warnings about its source."""
        self._began[execution] = perf_counter()
        self._recorder.emit(CellStarted(execution.cell, execution.run, time()))
        self._recorder.flush()
        code = self._program.compiled[execution.cell]
        if code.warns:
            self._show_warnings(code.source, code.filename)

    def _show_warnings(self, source: str, filename: str) -> None:
        """Print the warnings that analysis and compilation suppressed."""
        try:
            show_warnings(source, filename)
        except SyntaxError as error:
            report("", error)

    def describe_error(self, execution: Execution) -> None:
        """Describe the exception that the cell raised.

        An earlier hook may have put the traceback in another form into `execution.about`, as `lines`.
        """
        error = execution.error
        filename = self._program.compiled[execution.cell].filename
        if execution.status == "interrupted" or error is None:
            described = errors.interrupted(error, filename)
        else:
            explanation, cells = "", list[str]()
            try:
                explanation, cells = self._explain(error, execution.cell)
            except BaseException:
                pass  # its class has attributes of its own kind
            described = errors.raised(error, filename, explanation, cells)
        if error is not None:
            errors.keep_last(error, execution)
        self._described[execution] = described
        around = execution.embedding
        where = ("", "") if around is None else (execution.cell, around.file)
        item = errors.error_item(described, *where)
        if "lines" in execution.about:
            item[ERROR_MIME]["lines"] = execution.about["lines"]
        execution.outputs.append(item)

    @local
    @protected
    def finish(self, execution: Execution) -> None:
        """Emit how the cell ended."""
        duration = perf_counter() - self._began.pop(execution)
        described = self._described.pop(execution, None)
        if described is None and execution.status in ("error", "interrupted"):
            described = CellError(
                name_of_class(type(execution.error)), "what was raised could not be described"
            )
        if execution.status != "ok":
            execution.end()
        finished = CellFinished(execution.cell, execution.run, execution.status, duration, described)
        self._recorder.emit(finished)
        if self._hooks.post_execution[-1] != self.finish:
            self._recorder.flush()


def _flush(stream: Any) -> None:
    try:
        if not stream.closed:
            stream.flush()
    except Exception as error:
        report("", error)
