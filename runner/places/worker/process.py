"""Prepares a worker process so that text, threads and child processes belong to the cell that started them.

`runner/host.py` does the same for the runner. Without a kernel, a cell's text goes into its reports and other
text to the worker's own log, and whatever would ask a person is refused. A runner that is itself a worker is
prepared already.
"""

import sys
from functools import partial
from typing import Any

from ...api.output import enter_kernel, running_in_kernel
from ...attribution import console
from ...attribution.after_import import after_import
from ...attribution.context import Execution, current_execution
from ...attribution.input import InputUnavailable, install_input
from ...attribution.printing import install_printing
from ...attribution.streams import DESCRIPTORS, ConsoleStream
from ...attribution.threads import install_threads
from ...integrations.class_sources import install_class_sources
from ...integrations.figures import install_figures
from ...integrations.ipython_display import install_displays
from ...integrations.progress_of_libraries import install_progress
from ...output.emitter import CallbackSink, Emitter
from .hosted import HostedExecution


class ReportSink(CallbackSink):
    """Calls `callback` with each event, which is not encoded."""

    def encode(self, *events: Any) -> tuple[Any, ...]:
        return events


def install_worker() -> None:
    """Prepare the process; called once in each."""
    if running_in_kernel():
        return
    enter_kernel()
    install_streams()
    install_printing()
    install_threads()
    install_displays()
    install_figures()
    install_class_sources()
    install_progress()
    install_input(lambda event: None)
    after_import("pdb", _refuse_debugger)


def install_streams() -> None:
    """Make `sys.stdout` and `sys.stderr` report the text of cells; other text goes where it went before."""
    for stream in DESCRIPTORS:
        sink = ReportSink(partial(_written, stream, getattr(sys, stream)))
        setattr(sys, stream, ConsoleStream(stream, Emitter(sink)))
    console.use(_Console())


class _Console:
    """Clears the console of a cell that executes here."""

    def clear(self, execution: Execution | None) -> None:
        if isinstance(execution, HostedExecution):
            execution.clear_console()


def _written(stream: Any, own: Any, text: tuple[Execution | None, bytes]) -> None:
    execution, data = text
    if isinstance(execution, HostedExecution):
        execution.write(stream, data)
    elif own is not None:
        own.write(data.decode("utf-8", "replace"))


def _refuse_debugger(module: Any) -> None:
    initialise = module.Pdb.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        execution = current_execution.get()
        if execution is not None and execution.where:
            raise InputUnavailable(
                f"a debugger needs a person, but this cell runs on {execution.where}: "
                "to debug it, run it in the notebook's own process"
            )
        initialise(self, *args, **options)

    module.Pdb.__init__ = __init__
