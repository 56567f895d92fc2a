"""What shows a kernel to a person or a program: every event, and what the command itself has to say."""

from typing import Protocol

from ...protocol.events import Event
from ..notebook_files.load import NotebookFile
from .job import RunOutcome


class View(Protocol):
    """Shows a kernel."""

    def add(self, event: Event) -> None:
        """Take one event."""
        ...

    def refresh(self) -> None:
        """Show what has been taken."""
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
        """Show cells as the file has them that was read again."""
        ...

    def round_ended(self, outcome: RunOutcome) -> None:
        """Show how a run ended after which the command goes on."""
        ...

    def notice(self, text: str) -> None:
        """Show a line about the notebook."""
        ...
