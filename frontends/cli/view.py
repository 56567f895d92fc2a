"""What shows a kernel to a person or a program: it gets every event, and notices of the command itself."""

from typing import Protocol

from ...protocol.events import Event
from ..notebook_files.load import NotebookFile
from .job import RunOutcome


class View(Protocol):
    """Shows a kernel."""

    def add(self, event: Event) -> None:
        """Add one event."""
        ...

    def refresh(self) -> None:
        """Show what has been added."""
        ...

    def suspend(self) -> None:
        """Leave the screen free until the next refresh."""
        ...

    def close(self) -> None:
        """Show what is left."""
        ...


class JobView(View, Protocol):
    """Shows a notebook whose file may change."""

    def reloaded(self, notebook: NotebookFile) -> None:
        """Take over the names and lines of cells from the file, which was read again."""
        ...

    def round_ended(self, outcome: RunOutcome) -> None:
        """Show how a run ended that is not the command's last."""
        ...

    def notice(self, text: str) -> None:
        """Show a line about the notebook."""
        ...
