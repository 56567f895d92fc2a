"""Prints the items of an embedded notebook in a process without a kernel."""

import sys
from typing import Any, cast

from ...protocol.events import OutputAppended, OutputReplaced
from ...protocol.mime_types import progress_of
from ...protocol.notebook import Item


class Printer:
    """Prints items when they are added and when they change; a progress bar once, at its end."""

    def __init__(self) -> None:
        # The progress bars that have ended.
        self._ended: set[int] = set()

    def print_item(self, event: Any) -> None:
        """Print the item that `event` adds or replaces."""
        if not isinstance(event, (OutputAppended, OutputReplaced)):
            return
        item = cast("OutputAppended[Item] | OutputReplaced[Item]", event).item
        progress = progress_of(item.data)
        if progress is not None:
            if item.id in self._ended or not (progress.done or progress.failed):
                return
            self._ended.add(item.id)
        sys.stdout.write(f"{item.data.get('text/plain', '')}\n")
