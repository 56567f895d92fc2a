"""A notebook file together with the outputs of a run, as a document of Jupyter's format, version 4.5.

Cells, texts and metadata are those of the file. A cell that did not run has no outputs, unless the file says
that it should not run: then it keeps the outputs in the file.
"""

import json
import math
import re
from typing import Any, TypeAlias, cast

from ...protocol.notebook import Notebook
from .cell_marker import valid_id
from .load import SKIPPED, NotebookFile, Part, unused_id
from .outputs import outputs_of

Document: TypeAlias = dict[str, Any]

#: Mime types besides `text/*` that are written as lines.
_TEXTS = ("application/javascript", "image/svg+xml")
_FRAME = re.compile(r'File "<cell (?P<cell>.+?)>", line ')


def executed(file: NotebookFile, state: Notebook | None = None) -> Document:
    """Return the document; without a `state`, it has the outputs in the file."""
    counts = _counts(file, state) if state else {}
    used: set[str] = set()
    return {
        "cells": [_cell(part, _id(part.id, used), state, counts) for part in file.parts],
        "metadata": file.metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def encoded(document: Document) -> str:
    """Return the text of the document as Jupyter's own tools write it."""
    options: dict[str, Any] = {"indent": 1, "sort_keys": True, "ensure_ascii": False}
    split = {**document, "cells": [_split_cell(cell) for cell in document["cells"]]}
    try:
        return json.dumps(split, allow_nan=False, **options) + "\n"
    except (ValueError, TypeError):
        return json.dumps(_as_json(split), allow_nan=False, **options) + "\n"


def _cell(part: Part, id: str, state: Notebook | None, counts: dict[str, int]) -> Document:
    cell: Document = {
        "cell_type": part.kind,
        "id": id,
        "metadata": part.metadata,
        "source": part.source,
    }
    if part.kind != "code":
        return cell if part.attachments is None else {**cell, "attachments": part.attachments}
    if state is None or SKIPPED in part.tags:
        return {**cell, "execution_count": part.execution_count, "outputs": part.outputs}
    count = counts.get(part.id)
    outputs: list[Document] = []
    if part.id in state.cells:
        outputs = outputs_of(state.cells[part.id], count)
    for output in outputs:
        if output["output_type"] == "error":
            output["traceback"] = [_in_cells(line, counts) for line in output["traceback"]]
    return {**cell, "execution_count": count, "outputs": outputs}


def _counts(file: NotebookFile, state: Notebook) -> dict[str, int]:
    """Return the execution count of each cell that ran, in the order in which they began."""
    cells = [state.cells[cell.id] for cell in file.cells if cell.id in state.cells]
    begun = sorted((cell for cell in cells if cell.started), key=lambda cell: cell.started)
    return {cell.id: number for number, cell in enumerate(begun, 1)}


def _in_cells(line: str, counts: dict[str, int]) -> str:
    """Return a line of a traceback that names the cell as Jupyter does."""
    return _FRAME.sub(lambda match: f"Cell In[{counts.get(match['cell'], ' ')}], line ", line)


def _id(id: str, used: set[str]) -> str:
    """Return an id that the format allows, and add it to `used`."""
    wanted = valid_id(id) or re.sub(r"[^a-zA-Z0-9_-]+", "-", id)[:48].strip("-") or "cell"
    return unused_id(wanted, used)


def _split_cell(cell: Document) -> Document:
    """Return the cell with its texts as lists of lines, so that line-based tools can compare files."""
    split = {**cell, "source": _lines(cell["source"])}
    if "outputs" in cell:
        split["outputs"] = [_split_output(output) for output in cell["outputs"]]
    return split


def _split_output(output: Document) -> Document:
    if "text" in output:
        return {**output, "text": _lines(output["text"])}
    if not isinstance(output.get("data"), dict):
        return output
    data = {
        mime: _lines(value) if mime.startswith("text/") or mime in _TEXTS else value
        for mime, value in output["data"].items()
    }
    return {**output, "data": data}


def _lines(text: str | list[str]) -> list[str]:
    if isinstance(text, list):
        return text
    return text.splitlines(keepends=True)


def _as_json(value: Any) -> Any:
    """Return a value without what JSON cannot express: NaN, infinities, keys of other types."""
    if isinstance(value, dict):
        return {str(key): _as_json(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
