"""The display for pipes, files and simple terminals: lines in order, none taken back.

Standard output is the report: the name of each cell in brackets, its lines, its items in their last
state, and one line for an outcome that is not `ok`. Standard error has what the cells wrote to theirs.
The report has no times in it, so that the reports of two runs can be compared.
"""

import re
from typing import Any, TextIO, cast

from ...protocol.notebook import CellError, Item
from .transcript import Block

PROGRESS_MIME = "application/vnd.cellwire.progress+json"
#: The `repr` of an object that has none of its own: it says less than the object's HTML.
_ANONYMOUS = re.compile(r"<[\w.<>]+ object(?: at 0x[0-9a-fA-F]+)?>")


class LinesDisplay:
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
                # Where both streams are read in one place, the line stands under the name of its cell.
                self._out.flush()
                self._err.write(line + "\n")
                self._err.flush()

    def end(self, block: Block, items: list[Item]) -> None:
        for item in items:
            self._out.write(item_text(item) + "\n")
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
    """Return the error in one line, like the last line of a traceback."""
    if error.kind in ("Cancelled", "Interrupted"):
        return error.message
    first = error.message.split("\n", 1)[0]
    return f"{error.kind}: {first}" if first else error.kind


def details(error: CellError) -> str:
    """Return the traceback, or the summary of an error without one, and the hint."""
    text = error.traceback.rstrip("\n") or summary(error)
    return f"{text}\n{error.hint}" if error.hint else text


def item_text(item: Item) -> str:
    """Return the text form of an item: Markdown as written, HTML as its text, images as their size."""
    progress = item.data.get(PROGRESS_MIME)
    if isinstance(progress, dict):
        return _progress_text(cast("dict[str, Any]", progress))
    text = _text(item.data).strip("\n")
    for mime, data in item.data.items():
        if mime.startswith("image/") and isinstance(data, bytes):
            text += f"\n({mime}, {len(data):,} bytes)"
    return text.strip("\n")


def _text(data: dict[str, Any]) -> str:
    markdown, html = data.get("text/markdown"), data.get("text/html")
    if isinstance(markdown, str):
        return markdown
    text = str(data.get("text/plain", ""))
    if isinstance(html, str) and (text in ("", html) or _ANONYMOUS.fullmatch(text)):
        from .html_text import html_text  # few notebooks need it, and it would delay all of them

        return html_text(html) or (text if text != html else f"(text/html, {len(html):,} characters)")
    return text


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
