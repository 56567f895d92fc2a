"""Keeps what a run shows: saves the notebook after each cell, and once more at the end.

Saving takes at most a tenth of the time: after a slow save the next one waits, and the outputs of several
cells are saved together. A save that fails during the run is tried again; if the last one fails, so does the
run.
"""

from collections.abc import Sequence
from time import monotonic

from ...protocol.notebook import Notebook
from ..notebook_files.load import NotebookFile

#: The time until the next save, as a multiple of the time that the last one took.
_PAUSE = 9.0


class Keeper:
    """Saves one notebook."""

    def __init__(self, notebook: NotebookFile, targets: Sequence[str]) -> None:
        #: The notebook that the outputs belong to; replaced when the file is read again.
        self.notebook = notebook
        self._targets = list(targets)
        self._due = False
        self._not_before = 0.0
        #: Why the last save failed; empty if it succeeded.
        self.failure = ""

    def require_writable(self) -> None:
        """Raise NotebookFileError or OSError if the notebook cannot be saved."""
        if self._targets:
            from ..notebook_files.writing import require_writable

            for target in self._targets:
                require_writable(target)

    def cell_ended(self) -> None:
        """Note that there is a cell to save."""
        self._due = bool(self._targets)

    def save_if_due(self, state: Notebook) -> None:
        """Save if a cell has ended since the last save, unless that took long."""
        if self._due and monotonic() >= self._not_before:
            self.save(state)

    def save(self, state: Notebook) -> None:
        """Save what is in `state`."""
        if not self._targets:
            return
        from ..notebook_files.writing import save  # most runs save nothing, and start sooner without it

        self._due, self.failure = False, ""
        start = monotonic()
        for target in self._targets:
            try:
                save(self.notebook, target, state)
            except OSError as error:
                self.failure = f"cannot write {error.filename or target}: {error.strerror or error}"
        end = monotonic()
        self._not_before = end + _PAUSE * (end - start)
