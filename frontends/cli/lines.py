"""The display for pipes, files and simple terminals: lines in order, never changed later.

Standard output is the report: the name of each cell in brackets, its lines and items in the order in which
they were written, and a line for any outcome other than `ok`. What cells write to standard error goes to
standard error. The report contains no times, so that the reports of two runs can be compared.
"""

import re
from typing import Any, TextIO

from ...protocol.mime_types import Progress, progress_details, progress_of
from ...protocol.notebook import CellError, Item
from .transcript import Block, Line

#: The default `repr` of an object, which says less than the object's HTML.
_ANONYMOUS = re.compile(r"<[\w.<>]+(?: object(?: at 0x[0-9a-fA-F]+)?| at 0x[0-9a-fA-F]+)>")


class LinesDisplay:
    """Writes blocks as lines."""

    def __init__(self, out: TextIO, err: TextIO, kept: str = "") -> None:
        self._out = out
        self._err = err
        #: Where the images of the notebook are saved; empty for nowhere.
        self._kept = kept
        self._empty = True

    def begin(self, block: Block) -> None:
        if not self._empty:
            self._out.write("\n")
        self._empty = False
        self._out.write(f"[{block.name}]{' (later)' if block.late and block.cell else ''}\n")

    def write(self, parts: list[Line | Item]) -> None:
        for part in parts:
            if isinstance(part, Item):
                self._out.write(item_text(part, self._kept) + "\n")
                continue
            stream, line = part
            if stream == "stdout":
                self._out.write(line + "\n")
            else:
                # Where both streams are shown together, the line then stands under the name of its cell.
                self._out.flush()
                self._err.write(line + "\n")
                self._err.flush()

    def end(self, block: Block) -> None:
        if block.outcome not in ("ok", "idle", "running", None):
            said = summary(block.error) if block.error else block.outcome
            # "interrupted while it ran" says both.
            self._out.write(f"{said}\n" if said.startswith(block.outcome) else f"{block.outcome}: {said}\n")

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


def item_text(item: Item, kept: str = "") -> str:
    """Return the text form of an item: Markdown as written, HTML as its text, images as their size.

    `kept` is where images are saved.
    """
    progress = progress_of(item.data)
    if progress is not None:
        return _progress_text(progress)
    text = _text(item.data).strip("\n")
    for mime, data in item.data.items():
        if mime.startswith("image/") and isinstance(data, bytes):
            text += f"\n({mime}, {len(data):,} bytes{f', saved in {kept}' if kept else ''})"
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


def _progress_text(progress: Progress) -> str:
    """Return a progress item without its times and rates."""
    text = f"{progress.title} {progress_details(progress, times=False)}".strip()
    return text if progress.done or progress.failed else f"{text} ...".strip()
