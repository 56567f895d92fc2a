"""The surface for pipes, files and plain terminals: lines in order, nothing taken back.

Standard output is the report: the name of each cell in brackets, its lines, its items in their last
state, and one line for an outcome that is not `ok`. Standard error has what the cells wrote to theirs.
There are no times in it, so that the reports of two runs can be compared.
"""

from typing import Any, TextIO, cast

from ...protocol.notebook import CellError, Item
from .transcript import Block

PROGRESS_MIME = "application/vnd.cellwire.progress+json"


class PlainSurface:
    """Writes blocks as lines."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._empty = True

    def begin(self, block: Block) -> None:
        if not self._empty:
            self._out.write("\n")
        self._empty = False
        self._out.write(f"[{block.name}]{' (later)' if block.late and block.cell else ''}\n")

    def write(self, block: Block) -> None:
        for stream, line in block.lines:
            if stream == "stdout":
                self._out.write(line + "\n")
            else:
                # Whoever reads both streams in one place finds the line under the name of its cell.
                self._out.flush()
                self._err.write(line + "\n")
                self._err.flush()

    def end(self, block: Block, items: list[Item]) -> None:
        for item in items:
            self._out.write(plain_text(item) + "\n")
        if block.outcome not in ("ok", "idle", "running", None):
            self._out.write(f"{block.outcome}{': ' + summary(block.error) if block.error else ''}\n")

    def notice(self, text: str) -> None:
        self._out.flush()
        self._err.write(text + "\n")
        self._err.flush()

    def refresh(self, waiting: list[tuple[Block, list[Item]]]) -> None:
        self._out.flush()

    def suspend(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


def summary(error: CellError) -> str:
    """Return the error in one line, as the last line of a traceback has it."""
    if error.kind in ("Cancelled", "Interrupted"):
        return error.message
    first = error.message.split("\n", 1)[0]
    return f"{error.kind}: {first}" if first else error.kind


def details(error: CellError) -> str:
    """Return the traceback, or what stands for it, and the hint."""
    text = error.traceback.rstrip("\n") or summary(error)
    return f"{text}\n{error.hint}" if error.hint else text


def plain_text(item: Item) -> str:
    """Return the text form of an item; images are named with their size."""
    progress = item.data.get(PROGRESS_MIME)
    if isinstance(progress, dict):
        return _progress_text(cast("dict[str, Any]", progress))
    text = str(item.data.get("text/plain", "")).strip("\n")
    for mime, data in item.data.items():
        if mime.startswith("image/") and isinstance(data, bytes):
            text += f"\n({mime}, {len(data):,} bytes)"
    return text.strip("\n")


def _progress_text(state: dict[str, Any]) -> str:
    """Return a progress item without what depends on the time."""
    parts = [state.get("title"), progress_count(state), state.get("subtitle")]
    parts.append("failed" if state.get("failed") else "done" if state.get("done") else "...")
    return " ".join(str(part) for part in parts if part)


def progress_count(state: dict[str, Any]) -> str:
    """Return how many steps are done, and of how many; empty for a spinner."""
    if state.get("current") is None:
        return ""
    total = state.get("total")
    return f"{state['current']:.15g}{'' if total is None else f'/{total:.15g}'}"
