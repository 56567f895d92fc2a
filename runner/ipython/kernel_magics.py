"""Magics that work differently in a kernel than in IPython's terminal."""

# IPython has few types.
# pyright: basic

import os
import sys
from pathlib import Path
from typing import Any

from IPython.core import page
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magics.code import CodeMagics, MacroToEdit
from IPython.display import Javascript, display
from IPython.utils import openpy


@magics_class
class KernelMagics(Magics):
    """Magics for frontends that are not a terminal."""

    @line_magic
    def edit(self, line: str, last_call: Any = None) -> None:
        """Ask the frontend to open an editor; the arguments are those of IPython's own `%edit`."""
        shell: Any = self.shell
        options, target = self.parse_options(line, "prn:")
        try:
            found = CodeMagics._find_edit_target(shell, target, options, last_call or ["", ""])
        except MacroToEdit as error:
            raise UsageError("A macro cannot be edited here.") from error
        if found[0] is not None:
            name = str(Path(found[0]).resolve())
            payload = {"source": "edit_magic", "filename": name, "line_number": found[1]}
            shell.payload_manager.write_payload(payload)

    @line_magic
    def less(self, line: str) -> None:
        """Show a file in the pager: Python in colours."""
        if not line:
            raise UsageError("Missing filename.")
        shell: Any = self.shell
        if line.endswith(".py"):
            page.page(shell.pycolorize(openpy.read_py_file(line, skip_encoding_cookie=False)))
        else:
            page.page(Path(line).read_text())

    more: Any = line_magic("more")(less)

    @line_magic
    def man(self, line: str) -> None:
        """Show a manual page in the pager."""
        shell: Any = self.shell
        page.page(shell.getoutput(f"man {line} | col -b", split=False))

    @line_magic
    def clear(self, line: str) -> None:
        """Clear the outputs of the cell."""
        shell: Any = self.shell
        shell.display_pub.clear_output()

    @line_magic
    def connect_info(self, line: str) -> None:
        """Say which process this is; frontends find its connection file by themselves."""
        sys.stdout.write(f"cellwire, process {os.getpid()}\n")

    @line_magic
    def autosave(self, line: str) -> None:
        """Set how often a classic notebook saves itself, in seconds."""
        try:
            seconds = int(line)
        except ValueError as error:
            raise UsageError(f"%autosave requires an integer, got {line!r}") from error
        script = f"IPython.notebook.set_autosave_interval({1000 * seconds})"
        display(Javascript(script), include=["application/javascript"])
        said = f"Autosaving every {seconds} seconds" if seconds else "Autosave disabled"
        sys.stdout.write(f"{said}\n")
