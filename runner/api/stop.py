"""`cw.stop`: end a cell quietly.

`CellStopped` derives from BaseException, so that `except Exception` in user code cannot swallow it.
Its outcome is `stopped`, which is not an error; cells that depend on the stopped one are cancelled, with
that as the reason. Outside a cell, in a plain `python notebook.py`, the program ends.
"""

import sys

from ..attribution.context import current_execution


class CellStopped(BaseException):
    """Raised when a cell ends itself by `cw.stop`."""

    def __init__(self, output: object = None) -> None:
        super().__init__("the cell stopped itself")
        #: What the cell shows instead of its value; None shows nothing.
        self.output: object = output


def stop(condition: object, output: object = None) -> None:
    """End the cell, showing `output`, if `condition` is true.

    Raises: CellStopped in a cell; SystemExit, after printing `output`, outside of one.
    """
    if not condition:
        return
    if current_execution.get() is None:
        if output is not None:
            sys.stdout.write(f"{output}\n")
        raise SystemExit(0)
    raise CellStopped(output)
