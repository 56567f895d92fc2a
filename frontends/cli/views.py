"""What a command writes: the view of a run while it is in progress, and the report at its end.

Jobs that run at the same time write into memory, and each is shown as a whole when it has ended.
"""

import io
import os
import sys
from typing import TextIO

import msgspec
from msgspec.structs import replace

from ...protocol.events import Event
from ..notebook_files.load import NotebookFile
from .file_lines import FileLines
from .interpreters import hint_for
from .job import Job, RunOutcome
from .lines import LinesDisplay, details, summary
from .transcript import Transcript
from .view import View


class JsonLines:
    """Each event as a line of JSON, bytes in base64. With a `name`, the line is an object with both."""

    def __init__(self, out: TextIO, name: str = "") -> None:
        self._out = out
        self._name = name
        self._encoder = msgspec.json.Encoder()

    def add(self, event: Event) -> None:
        line = {"notebook": self._name, "event": event} if self._name else event
        self._out.write(self._encoder.encode(line).decode() + "\n")

    def refresh(self) -> None:
        self._out.flush()

    def suspend(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


class Silence:
    """Shows nothing."""

    def add(self, event: Event) -> None: ...
    def refresh(self) -> None: ...
    def suspend(self) -> None: ...
    def close(self) -> None: ...


def people_view(
    titles: dict[str, str], file_lines: FileLines, out: TextIO, err: TextIO, kept: str = ""
) -> Transcript:
    """Return the view for people: live on a terminal, elsewhere plain lines.

    `kept` is where images are saved.
    """
    if out is sys.stdout and out.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from rich.console import Console

            from .images import protocol_of
            from .terminal import TerminalDisplay
        except ImportError:
            pass  # without the extra `cli` a terminal gets plain lines
        else:
            display = TerminalDisplay(Console(highlight=False), protocol_of(os.environ), kept)
            return Transcript(display, titles, file_lines)
    return Transcript(LinesDisplay(out, err, kept), titles, file_lines)


class Presentation:
    """How one job is shown."""

    def __init__(self, job: Job, *, json: bool, quiet: bool, named: bool, whole: bool) -> None:
        self._job = job
        self._quiet = quiet
        self._whole = whole
        self._out: TextIO = io.StringIO() if whole else sys.stdout
        self._err: TextIO = io.StringIO() if whole else sys.stderr
        self._file_lines = FileLines(job.notebook)
        self._named = named and not json
        path = job.notebook.path
        if named and not json and not quiet:
            self._out.write(f"== {path}\n")
        if job.notebook.remark and not quiet:
            self._err.write(f"cellwire: {path}: {job.notebook.remark}\n")
        self.view: View = (
            JsonLines(self._out, path if named else "")
            if json
            else Silence()
            if quiet
            else people_view(
                job.notebook.titles, self._file_lines, self._out, self._err, ", ".join(job.targets)
            )
        )
        # On a terminal the tracebacks are shown with their cells.
        self._traced = not (isinstance(self.view, Transcript) and self._out.isatty())

    def add(self, event: Event) -> None:
        self.view.add(event)

    def refresh(self) -> None:
        self.view.refresh()

    def suspend(self) -> None:
        self.view.suspend()

    def close(self) -> None:
        self.view.close()

    def reloaded(self, notebook: NotebookFile) -> None:
        """Take over the names and lines of cells from the file, which was read again."""
        self._job = replace(self._job, notebook=notebook)
        self._file_lines.update(notebook)
        if isinstance(self.view, Transcript):
            self.view.rename(notebook.titles)

    def round_ended(self, outcome: RunOutcome) -> None:
        """Show the report of a run that is not the command's last."""
        self.view.suspend()
        self._report(outcome)
        self._err.flush()

    def notice(self, text: str) -> None:
        """Show a line about the notebook, in views for people."""
        if isinstance(self.view, Transcript):
            self.view.notice(text)
            self.view.refresh()

    def end(self, outcome: RunOutcome) -> None:
        """Show the rest of the view, and the report of the outcome."""
        self.view.close()
        if self._job.read_again is None or not outcome.signal:
            self._report(outcome)
        if self._named and not self._quiet:
            self._out.write("\n")
        if self._whole:
            for held, real in ((self._out, sys.stdout), (self._err, sys.stderr)):
                assert isinstance(held, io.StringIO)
                real.write(held.getvalue())
                real.flush()

    def _report(self, outcome: RunOutcome) -> None:
        """Write to standard error what failed, what a disabled cell holds up, and why the run stopped."""
        notebook = self._job.notebook
        prefix = f"{notebook.path}: " if self._named else ""

        def name(cell: str) -> str:
            return repr(notebook.titles.get(cell, cell))

        for cell, error in outcome.failed.items():
            place = self._file_lines.of(cell, error.line)
            what = f"{prefix}cell {name(cell)} failed" + (f" at {place}" if place else "")
            error = self._file_lines.in_file(cell, error)
            text = f"\n{what}:\n{details(error)}\n" if self._traced else f"{what}: {summary(error)}\n"
            self._err.write(text)
            if hint := hint_for(self._job, cell, error):
                self._err.write(f"{hint}\n")
        for cell, cause in outcome.disabled.items() if not self._quiet else ():
            self._err.write(f"{prefix}cell {name(cell)} was not run because cell {name(cause)} is disabled\n")
        if outcome.reason:
            self._err.write(f"cellwire: {prefix}{outcome.reason}\n")
