"""`cw.output`, `cw.cell_id()` and `cw.running_in_kernel()`: a cell's own place among the outputs.

What a call acts on is found through the context (`current_execution`), so threads, tasks and pool workers
of a cell act on that cell. Values are formatted before any lock is taken: formatting runs user code.
Outside any cell, as in a plain `python notebook.py`, a value is printed and there is nothing to clear.
"""

import sys
from typing import Any

from ..attribution.context import current_execution
from ..attribution.redirection import begin_new_item
from ..output.formatting import Data, Metadata, format_value

_in_kernel = False


def enter_kernel() -> None:
    """Note that this process is a runner; its host calls it once."""
    global _in_kernel
    _in_kernel = True


def running_in_kernel() -> bool:
    """Return whether this code runs in a cellwire kernel, rather than in a plain Python process."""
    return _in_kernel or current_execution.get() is not None


def cell_id() -> str | None:
    """Return the id of the cell that this code belongs to; None if it belongs to none."""
    execution = current_execution.get()
    return None if execution is None else execution.cell


class OutputHandle:
    """One item of a cell's outputs, to be changed later. Once the cell runs again it does nothing."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def replace(self, value: object) -> None:
        """Show `value` at the item's place."""
        self.replace_bundle(*format_value(value))

    def replace_bundle(self, data: Data, metadata: Metadata) -> None:
        """Show a mime bundle at the item's place."""
        self._handle.replace(data, metadata)

    def remove(self) -> None:
        """Take the item out of the list."""
        self._handle.remove()


class Output:
    """The outputs of the cell that the calling code belongs to."""

    def append(self, value: object) -> OutputHandle:
        """Add `value` as one more item, and return the handle to change it with."""
        return self.append_bundle(*format_value(value))

    def append_bundle(self, data: Data, metadata: Metadata) -> OutputHandle:
        """Add a mime bundle as one more item."""
        execution = current_execution.get()
        if execution is None:
            return OutputHandle(_Printed(data))
        begin_new_item()
        return OutputHandle(execution.outputs.append(data, metadata))

    def replace(self, value: object) -> None:
        """Make `value` the only item; None empties the list."""
        execution = current_execution.get()
        if value is None:
            self.clear()
        elif execution is None:
            _Printed(format_value(value)[0])
        else:
            data, metadata = format_value(value)
            begin_new_item()
            execution.outputs.replace(data, metadata)

    def replace_at_index(self, value: object, index: int) -> None:
        """Show `value` at `index`; the length of the list appends.

        Raises: IndexError if `index` is beyond the end.
        """
        execution = current_execution.get()
        data, metadata = format_value(value)
        if execution is None:
            _Printed(data)
        else:
            begin_new_item()
            execution.outputs.replace_at_index(index, data, metadata)

    def clear(self) -> None:
        """Empty the list, at once."""
        execution = current_execution.get()
        if execution is not None:
            begin_new_item()
            execution.outputs.clear()

    def clear_console(self) -> None:
        """Empty the cell's standard output and standard error."""
        if current_execution.get() is not None:
            from ..attribution.console import clear_console

            clear_console()


class _Printed:
    """An item where there is no list: what it holds is printed, and what it is replaced by too."""

    def __init__(self, data: Data) -> None:
        self.replace(data, {})

    def replace(self, data: Data, metadata: Metadata) -> None:
        sys.stdout.write(f"{data['text/plain']}\n")

    def remove(self) -> None:
        """Nothing that was printed can be taken back."""


output = Output()
