"""`cw.output`, `cw.cell_id()` and `cw.running_in_kernel()`: a cell's access to its own outputs.

A call finds its cell through the context (`current_execution`), so threads, tasks and pool workers of a
cell act on that cell. Values are formatted before any lock is taken, since formatting runs user code.
Outside any cell, as in a plain `python notebook.py`, a value is printed and there is nothing to clear.
"""

import sys
from typing import SupportsIndex

from ..attribution.context import current_execution
from ..attribution.redirection import begin_new_item
from ..output.formatting import UNASKED, Data, Metadata, format_value, show_itself
from ..output.output_list import ItemHandle

_in_kernel = False


def enter_kernel() -> None:
    """Make `running_in_kernel` return true; the host calls this once."""
    global _in_kernel
    _in_kernel = True


def running_in_kernel() -> bool:
    """Return whether this code runs in a cellwire kernel, rather than in a plain Python process."""
    execution = current_execution.get()
    return _in_kernel or (execution is not None and execution.visible is not None)


def cell_id() -> str | None:
    """Return the id of the cell that the calling code belongs to; None if it belongs to none."""
    execution = current_execution.get()
    return None if execution is None else execution.cell


class OutputHandle:
    """Changes one item of a cell's outputs later. Does nothing once the cell runs again."""

    def __init__(self, item: "ItemHandle | _PrintedItem | _ShownItem") -> None:
        self._item = item

    def replace(self, value: object) -> None:
        """Show `value` instead of the item."""
        self.replace_bundle(*format_value(value))

    def replace_bundle(self, data: Data, metadata: Metadata) -> None:
        """Show a mime bundle instead of the item."""
        self._item.replace(data, metadata)

    def remove(self) -> None:
        """Remove the item from the list."""
        self._item.remove()


class Output:
    """The outputs of the cell that the calling code belongs to."""

    def append(self, value: object) -> OutputHandle:
        """Add `value` as an item at the end, and return the handle that changes it.

        A value with `_ipython_display_` adds its own items; replacing it by its handle adds another item.
        """
        if type(value) not in UNASKED and current_execution.get() is not None and show_itself(value):
            return OutputHandle(_ShownItem())
        return self.append_bundle(*format_value(value))

    def append_bundle(self, data: Data, metadata: Metadata) -> OutputHandle:
        """Add a mime bundle as an item at the end, and return the handle that changes it."""
        execution = current_execution.get()
        if execution is None:
            return OutputHandle(_PrintedItem(data))
        begin_new_item()
        return OutputHandle(execution.outputs.append(data, metadata))

    def replace(self, value: object) -> None:
        """Make `value` the only item; None clears the list."""
        execution = current_execution.get()
        if value is None:
            self.clear()
        elif execution is None:
            _PrintedItem(format_value(value)[0])
        else:
            data, metadata = format_value(value)
            begin_new_item()
            execution.outputs.replace(data, metadata)

    def replace_at_index(self, value: object, index: SupportsIndex) -> None:
        """Show `value` instead of the item at `index`; an index equal to the length appends.

        Raises: IndexError if `index` is out of range; TypeError if it is no integer.
        """
        execution = current_execution.get()
        data, metadata = format_value(value)
        if execution is None:
            _PrintedItem(data)
        else:
            begin_new_item()
            execution.outputs.replace_at_index(index, data, metadata)

    def clear(self, wait: bool = False) -> None:
        """Remove every item; with `wait`, displays may show them until something new comes."""
        execution = current_execution.get()
        if execution is not None:
            begin_new_item()
            execution.outputs.clear(wait)

    def clear_console(self) -> None:
        """Remove the cell's text on standard output and standard error."""
        if current_execution.get() is not None:
            from ..attribution.console import clear_console

            clear_console()


class _PrintedItem:
    """An item outside any cell: its content is printed, and so is every replacement."""

    def __init__(self, data: Data) -> None:
        self.replace(data, {})

    def replace(self, data: Data, metadata: Metadata) -> None:
        sys.stdout.write(f"{data['text/plain']}\n")

    def remove(self) -> None:
        """Do nothing: printed text stays."""


class _ShownItem:
    """What a value has shown by itself; a replacement is an item of its own."""

    def __init__(self) -> None:
        self._replacement: OutputHandle | None = None

    def replace(self, data: Data, metadata: Metadata) -> None:
        if self._replacement is None:
            self._replacement = output.append_bundle(data, metadata)
        else:
            self._replacement.replace_bundle(data, metadata)

    def remove(self) -> None:
        if self._replacement is not None:
            self._replacement.remove()


output: Output = Output()
