"""Jupyter notebooks, of format 3 or 4."""

import json
import re
from typing import Any, cast

from ...protocol.errors import NotebookFileError
from .raw_cell import RawCell, trimmed


def place_of(cell: dict[str, Any]) -> str:
    """Return the variable that a cell runs on: of its `metadata.cellwire.on`, or of its tag `on:variable`."""
    metadata = _object(cell.get("metadata"))
    on = _object(metadata.get("cellwire")).get("on")
    if isinstance(on, str):
        return on
    tags = metadata.get("tags")
    for tag in cast("list[Any]", tags) if isinstance(tags, list) else []:
        if isinstance(tag, str) and tag.startswith("on:"):
            return tag.removeprefix("on:").strip()
    return ""


def _object(value: object) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def read(name: str, text: str) -> list[RawCell]:
    """Return the code cells of a Jupyter notebook.

    Raises: NotebookFileError if it is not JSON, not a notebook, or not a notebook for Python.
    """
    try:
        document: Any = json.loads(text)
        language = document.get("metadata", {}).get("language_info", {}).get("name", "python")
        cells: list[Any] = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        raw_cells: list[RawCell] = []
        for cell in cells:
            source: str | list[str] = cell.get("source", cell.get("input", ""))
            source = trimmed((source if isinstance(source, str) else "".join(source)).split("\n"))
            if cell["cell_type"] == "code" and source:
                cell_id = str(cell.get("id", ""))
                valid = re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id)
                raw_cells.append(RawCell(source, id=cell_id if valid else "", on=place_of(cell)))
    except json.JSONDecodeError as error:
        raise NotebookFileError(f"{name}: line {error.lineno}: not JSON: {error.msg}") from error
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise NotebookFileError(f"{name}: JSON, but not a Jupyter notebook") from error
    if language not in ("python", "ipython"):
        raise NotebookFileError(f"{name}: a notebook for {language}; cellwire runs Python")
    return raw_cells
