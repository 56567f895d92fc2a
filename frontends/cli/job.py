"""One notebook to run, how, and where its result is kept; and how a run ended."""

import os
from collections.abc import Callable
from typing import Any

import msgspec

from ...protocol.messages import Cell
from ...protocol.notebook import CellError, Dialect, Notebook, Redefine
from ..notebook_files.load import SKIPPED, NotebookFile

#: The tag of a cell that is to fail.
FAILING = "raises-exception"


class Job(msgspec.Struct, frozen=True):
    """A notebook and the options of its run."""

    notebook: NotebookFile
    #: The interpreter that runs it.
    python: str
    redefine: Redefine = "error"
    dialect: Dialect = "python"
    #: Seconds after which the run is interrupted, and seconds that one cell may take; None for any number.
    timeout: float | None = None
    cell_timeout: float | None = None
    #: Whether nothing begins after a cell has failed.
    fail_fast: bool = False
    #: `sys.argv` without its first entry.
    arguments: list[str] = []
    #: Where the notebook is saved with its outputs.
    targets: list[str] = []
    #: Reads the notebook again, if it is to be followed when its file changes.
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
        # An `.ipynb` is no script: nothing that asks for the source in `__file__` finds Python there.
        is_script = self.notebook.format != "ipynb" and os.path.isfile(self.notebook.path)
        path = os.path.abspath(self.notebook.path) if is_script else ""
        return [path, *self.arguments] if path or self.arguments else []

    @property
    def cells(self) -> list[Cell]:
        """The cells that are to run."""
        skipped = self.tagged(SKIPPED)
        # What is kept has errors as IPython shows them.
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
        """Whether a failure of the cell is none of the run."""
        return cell in self.tagged(FAILING)


class RunOutcome(msgspec.Struct, frozen=True):
    """How the run of a notebook ended."""

    #: Errors of the cells that failed and were not to, by cell, in notebook order.
    failed: dict[str, CellError] = {}
    #: Cells that did not run because of a disabled one, each with that cell, in notebook order.
    disabled: dict[str, str] = {}
    #: Why the run did not reach its end; empty if it did.
    reason: str = ""
    #: The signal that ended it; 0 for none.
    signal: int = 0
    #: The notebook as the run left it.
    state: Notebook = msgspec.field(default_factory=Notebook)

    def of_cells(self, failed: dict[str, CellError]) -> "RunOutcome":
        """Return the outcome with these failures alone."""
        return msgspec.structs.replace(self, failed=failed)

    @property
    def status(self) -> int:
        """The exit status of a command that did nothing else."""
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
