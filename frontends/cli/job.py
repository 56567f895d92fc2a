"""One notebook to run, with its options; and how the run ended."""

import os
from collections.abc import Callable
from typing import Any

import msgspec

from ...protocol.messages import Cell
from ...protocol.notebook import CellError, Dialect, Notebook, Redefine
from ..notebook_files.load import SKIPPED, NotebookFile

#: The tag of a cell that is expected to fail.
FAILING = "raises-exception"


class Job(msgspec.Struct, frozen=True):
    """A notebook and the options of its run."""

    notebook: NotebookFile
    #: The interpreter that runs it.
    python: str
    redefine: Redefine = "error"
    dialect: Dialect = "python"
    #: Seconds after which the run is interrupted, and seconds that one cell may take; None for no limit.
    timeout: float | None = None
    cell_timeout: float | None = None
    #: Whether no further cell begins after one has failed.
    fail_fast: bool = False
    #: `sys.argv` of the notebook, without its first entry.
    arguments: list[str] = []
    #: Where the notebook is saved with its outputs.
    targets: list[str] = []
    #: Reads the notebook again, if changes of its file are to be followed.
    read_again: Callable[[], NotebookFile] | None = None
    #: Further arguments of `launch_kernel`.
    started: dict[str, Any] = {}

    @property
    def folder(self) -> str:
        """Where the notebook runs: the folder of its file."""
        return os.path.dirname(os.path.abspath(self.notebook.path))

    @property
    def argv(self) -> list[str]:
        """What `sys.argv` is in the notebook."""
        # An `.ipynb` is not a script: code that reads its source from `__file__` would not find Python.
        is_script = self.notebook.format != "ipynb" and os.path.isfile(self.notebook.path)
        path = os.path.abspath(self.notebook.path) if is_script else ""
        return [path, *self.arguments] if path or self.arguments else []

    @property
    def cells(self) -> list[Cell]:
        """The cells that are to run."""
        skipped = self.tagged(SKIPPED)
        # Errors in saved notebooks look as in IPython.
        about: dict[str, Any] = {"jupyter": {}} if self.targets and self.dialect == "ipython" else {}
        wanted = [cell for cell in self.notebook.cells if cell.id not in skipped]
        return [msgspec.structs.replace(cell, about=about) for cell in wanted]

    def reloaded(self, notebook: NotebookFile) -> "Job":
        """Return the job for the notebook that was read again."""
        return msgspec.structs.replace(self, notebook=notebook)

    def tagged(self, tag: str) -> set[str]:
        """Return the ids of the cells with a tag."""
        return {part.id for part in self.notebook.parts if tag in part.tags}

    def may_fail(self, cell: str) -> bool:
        """Whether the run succeeds even if the cell fails."""
        return cell in self.tagged(FAILING)


class RunOutcome(msgspec.Struct, frozen=True):
    """How the run of a notebook ended."""

    #: Errors of the cells that failed unexpectedly, by cell, in notebook order.
    failed: dict[str, CellError] = {}
    #: Cells that did not run because another one is disabled, each with that one, in notebook order.
    disabled: dict[str, str] = {}
    #: Why the run did not reach its end; empty if it did.
    reason: str = ""
    #: The signal that ended it; 0 for none.
    signal: int = 0
    #: The notebook as the run left it.
    state: Notebook = msgspec.field(default_factory=Notebook)

    def of_cells(self, failed: dict[str, CellError]) -> "RunOutcome":
        """Return the outcome with only these failures."""
        return msgspec.structs.replace(self, failed=failed)

    @property
    def status(self) -> int:
        """The exit status of a command that ran only this notebook."""
        return 128 + self.signal if self.signal else 1 if self.failed or self.reason else 0


def outcome_of(job: Job, state: Notebook, reason: str, signal: int) -> RunOutcome:
    """Return how a run ended that left `state` behind."""
    failed = {
        id: cell.error or CellError("Error", "")
        for id, cell in state.cells.items()
        if cell.status == "error" and not job.may_fail(id)
    }
    disabled = {
        id: cell.stale_because[0] for id, cell in state.cells.items() if cell.stale_reason == "disabled"
    }
    return RunOutcome(failed, disabled, reason, signal, state)


def reason_of(error: BaseException) -> str:
    """Return why something could not be done: one line, without the number of a system error."""
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename is not None else ""
        return f"{named}{error.strerror}"
    return str(error)
