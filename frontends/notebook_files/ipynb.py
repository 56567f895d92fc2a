"""Jupyter notebooks, of format 3 or 4."""

import json
from typing import Any

from ...protocol.errors import NotebookFileError
from .cell_marker import valid_id
from .raw_cell import RawCell


def read(name: str, text: str) -> tuple[list[RawCell], dict[str, Any]]:
    """Return the cells of a Jupyter notebook, and its metadata.

    Raises: NotebookFileError if it is not JSON, not a notebook, or not a notebook for Python.
    """
    try:
        document: Any = json.loads(text)
        metadata = dict(document.get("metadata", {}))
        language = metadata.get("language_info", {}).get("name", "python")
        cells: list[Any] = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        raw_cells = [_cell(cell) for cell in cells]
    except json.JSONDecodeError as error:
        raise NotebookFileError(f"{name}: line {error.lineno}: not JSON: {error.msg}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError):
        raise NotebookFileError(f"{name}: JSON, but not a Jupyter notebook") from None
    if language not in ("python", "ipython"):
        raise NotebookFileError(f"{name}: a notebook for {language}; cellwire runs Python")
    return raw_cells, metadata


def _cell(cell: Any) -> RawCell:
    kind = cell["cell_type"]
    source = joined(cell.get("source", cell.get("input", "")))
    metadata = dict(cell.get("metadata", {}))
    id = valid_id(cell.get("id"))
    if kind == "code":
        # Outputs of format 3 look different, and are not kept.
        outputs = [] if "input" in cell else list(cell.get("outputs", []))
        count = cell.get("execution_count")
        return RawCell(source, id=id, metadata=metadata, outputs=outputs, execution_count=count)
    if kind == "heading":
        source = f"{'#' * int(cell.get('level', 1))} {source}"
    attachments = cell.get("attachments")
    kind = "raw" if kind == "raw" else "markdown"
    return RawCell(source, id=id, kind=kind, metadata=metadata, attachments=attachments)


def joined(text: str | list[str]) -> str:
    """Return a text that the format may hold as a list of lines."""
    return text if isinstance(text, str) else "".join(text)
