"""`cellwire run --engine`: makes the client for cells that run elsewhere, if no cell of the notebook does."""

import msgspec

from ...protocol.errors import NotebookFileError
from ...protocol.messages import Cell
from ...runner.dataflow.program import Program
from ..notebook_files.load import NotebookFile


def with_engine(notebook: NotebookFile, address: str) -> NotebookFile:
    """Return the notebook with a cell before all others that connects to `address`.

    That cell defines the variables that cells run on and no cell defines.

    Raises: NotebookFileError if there is no such variable.
    """
    program = Program(notebook.redefine)
    program.declare(notebook.cells)
    missing = sorted({cell.on for cell in notebook.cells if cell.on and not program.definers.all(cell.on)})
    if not missing:
        raise NotebookFileError(
            f'{notebook.path}: --engine: no cell is marked on="name" with a name that no cell defines'
        )
    id = next(id for id in ("engine", "engine-2", "engine-3") if id not in program)
    lines = ["from cellwire.runner.places.find import connect as _connect"]
    lines += [f"{' = '.join(missing)} = _connect({address!r})"]
    return msgspec.structs.replace(notebook, cells=[Cell(id, "\n".join(lines)), *notebook.cells])
