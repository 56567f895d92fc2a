"""The outputs of a cell in Jupyter's format, version 4.5.

Text and items keep the order in which they were written. The item that the runner marks as the cell's value
is its `execute_result`; all others are `display_data`.
"""

import base64
import json
import re
from typing import Any, TypeAlias, cast

import msgspec

from ...protocol.mime_types import ERROR_MIME, PAYLOAD_MIME
from ...protocol.notebook import CellError, CellState, ConsoleChunk, Item

Output: TypeAlias = dict[str, Any]

_COLOR = re.compile(r"\x1b\[[\d;]*m")
#: The key in an item's metadata for what concerns only cellwire.
OWN = "cellwire"
#: The name of an interrupted cell's error in Jupyter.
_NAMES = {"Interrupted": "KeyboardInterrupt"}


def outputs_of(cell: CellState, count: int | None = None) -> list[Output]:
    """Return the outputs of `cell`; `count` is its execution count."""
    found: list[Output] = []
    texts: list[str] = []
    if cell.console.dropped:
        note = f"the first {cell.console.dropped:,} characters were dropped\n"
        found.append({"name": "stderr", "output_type": "stream", "text": note})
    error_shown = False
    for part in cell.in_order():
        if isinstance(part, ConsoleChunk):
            if not texts or found[-1]["name"] != part.stream:
                _end_text(found, texts)
                found.append({"name": part.stream, "output_type": "stream"})
            texts.append(part.text)
            continue
        if PAYLOAD_MIME in part.data:
            # A request to a frontend, such as to show a page, is not an output.
            continue
        _end_text(found, texts)
        error_shown = error_shown or ERROR_MIME in part.data
        found.append(_output(part, count))
    _end_text(found, texts)
    if cell.error is not None and not error_shown:
        found.append(_of_error(cell.error, cell.status == "cancelled"))
    return found


def _end_text(found: list[Output], texts: list[str]) -> None:
    """Give the last output its text, joined once from all its chunks."""
    if texts:
        found[-1]["text"] = "".join(texts)
        texts.clear()


def _output(item: Item, count: int | None) -> Output:
    if ERROR_MIME in item.data:
        try:
            described = item.data[ERROR_MIME]
            return _of_error(msgspec.convert(described, CellError), lines=described.get("lines"))
        except msgspec.ValidationError:
            pass  # an item of the user's own
    metadata = {key: value for key, value in item.metadata.items() if key != OWN}
    own: Any = item.metadata.get(OWN)
    output: Output = {
        "data": {mime: _plain(mime, data) for mime, data in item.data.items()},
        "metadata": metadata,
        "output_type": "display_data",
    }
    if isinstance(own, dict) and cast("dict[str, Any]", own).get("result"):
        output["output_type"] = "execute_result"
        output["execution_count"] = count
    return output


def _of_error(error: CellError, cancelled: bool = False, lines: list[str] | None = None) -> Output:
    """Return an error; for a cell that was not run because of another one, return a line that says so.

    `lines` are the traceback in IPython's form.
    """
    if cancelled:
        return {"name": "stderr", "output_type": "stream", "text": f"{error.message}\n"}
    name = _NAMES.get(error.kind, error.kind)
    summary = f"{name}: {error.message}" if error.message else name
    if lines is None:
        lines = (error.traceback.rstrip("\n") or summary).split("\n")
    elif error.message not in _COLOR.sub("", lines[-1]):
        lines = [*lines, summary]  # it says more than the exception, such as why a name is missing
    lines = [*lines, error.hint] if error.hint else lines
    return {"ename": name, "evalue": error.message, "output_type": "error", "traceback": lines}


def _plain(mime: str, data: Any) -> Any:
    """Return the data of a mime type in the format's form: bytes in base64, JSON as JSON, else text."""
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    if mime == "application/json" or (mime.startswith("application/") and mime.endswith("+json")):
        return data
    return data if isinstance(data, str) else json.dumps(data)
