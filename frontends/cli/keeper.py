"""Keeps what a run shows: saves the notebook after each cell, and once more at the end.

Saving takes at most a tenth of the time: if it took long, the next one waits, and what several cells have
shown is saved together. What cannot be written meanwhile is tried again, and a failure at the end is one of
the run.
"""

from collections.abc import Sequence
from time import monotonic

from ...protocol.notebook import Notebook
from ..notebook_files.load import NotebookFile

#: How much longer than a save the time until the next one is.
_PAUSE = 9.0


class Keeper:
    """Where one notebook is saved."""

    def __init__(self, notebook: NotebookFile, targets: Sequence[str]) -> None:
        #: What the outputs belong to; another one if the file was read again.
        self.notebook = notebook
        self._targets = list(targets)
        self._due = False
        self._not_before = 0.0
        #: Why the last save failed; empty if it did not.
        self.failure = ""

    def require_writable(self) -> None:
        """Raise NotebookFileError or OSError if the notebook cannot be saved."""
        if self._targets:
            from ..notebook_files.writing import require_writable

            for target in self._targets:
                require_writable(target)

    def cell_ended(self) -> None:
        """Note that there is something to save."""
        self._due = bool(self._targets)

    def save_if_due(self, state: Notebook) -> None:
        """Save if a cell has ended since, unless saving has just taken long."""
        if self._due and monotonic() >= self._not_before:
            self.save(state)

    def save(self, state: Notebook) -> None:
        """Save what is in `state`."""
        if not self._targets:
            return
        from ..notebook_files.writing import save  # most runs keep nothing, and start sooner without it

        self._due, self.failure = False, ""
        start = monotonic()
        for target in self._targets:
            try:
                save(self.notebook, target, state)
            except OSError as error:
                self.failure = f"cannot write {error.filename or target}: {error.strerror or error}"
        end = monotonic()
        self._not_before = end + _PAUSE * (end - start)
