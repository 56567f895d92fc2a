"""The cells of a notebook file: `.ipynb`, marimo's `.py`, and the scripts that other tools write.

`load` reads a file and returns its code cells in order. It never imports or runs the file. The text of a
`.py` file shows its format. Each format has a module, and `percent` reads any script that has no other
format. Markdown and raw cells are not among the code cells, since the kernel has no use for them. A cell's id
comes from its title, function name or `.ipynb` id, so it stays the same when other cells come and go; a
cell with none of these is named by its position.

A cell that does not parse is an error of that cell: the kernel reports it, and still runs the others. Only
if no cell can be read (no such file, not a text, not a notebook) is there a `NotebookFileError`.
"""

import io
import os
import re
import tokenize
from typing import Any, Final, Literal, cast

import msgspec

from ...protocol.errors import NotebookFileError
from ...protocol.messages import Cell
from ...protocol.notebook import Dialect, Redefine
from ...protocol.placement import place_of
from .raw_cell import Kind, RawCell, trimmed

Format = Literal["percent", "light", "databricks", "ipynb", "marimo"]
#: The tag of a cell that should not run.
SKIPPED: Final = "skip-execution"
#: The metadata of a Jupyter notebook for Python.
PYTHON: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


class Part(msgspec.Struct, frozen=True):
    """One cell of the file, of any kind, in the terms of Jupyter's format."""

    #: The id, which a code cell shares with its `Cell`; no two parts have the same.
    id: str
    kind: Kind
    #: The text as in the file.
    source: str
    metadata: dict[str, Any] = {}
    attachments: dict[str, Any] | None = None
    #: The outputs that an earlier run left in the file.
    outputs: list[dict[str, Any]] = []
    execution_count: int | None = None

    @property
    def tags(self) -> list[str]:
        """The tags of the cell."""
        tags: Any = self.metadata.get("tags")
        return [str(tag) for tag in cast("list[Any]", tags)] if isinstance(tags, list) else []


class NotebookFile(msgspec.Struct, frozen=True):
    """What a notebook file holds."""

    path: str
    format: Format
    #: Code cells in notebook order; ids are unique.
    cells: list[Cell]
    #: Titles as written, by cell id; cells without one are not in it.
    titles: dict[str, str] = {}
    #: Cells that should not run, by what the file says.
    disabled: list[str] = []
    #: The number of the line in the file on which each cell begins; empty for an `.ipynb`.
    first_lines: dict[str, int] = {}
    #: Why the cells may not be those that the user expects; empty if nothing is unusual.
    remark: str = ""
    #: All cells in the order of the file, including Markdown and empty ones.
    parts: list[Part] = []
    #: The metadata of the notebook, in the terms of Jupyter's format.
    metadata: dict[str, Any] = {}

    @property
    def redefine(self) -> Redefine:
        """Whether several of its cells may define a name, by the rules of the tools that write such files."""
        return "error" if self.format == "marimo" else "allow"

    @property
    def dialect(self) -> Dialect:
        """The dialect of its cells, by the rules of the tools that write such files."""
        return "python" if self.format == "marimo" else "ipython"

    @property
    def name(self) -> str:
        """The name of the file without its ending."""
        return os.path.splitext(os.path.basename(self.path))[0].strip("<>") or "notebook"


def load(path: str | os.PathLike[str]) -> NotebookFile:
    """Return the cells of the notebook file at `path`.

    Raises: NotebookFileError if it is missing, a directory, unreadable, or not a notebook.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise NotebookFileError(f"{name}: {error.strerror}") from None
    if suffix not in (".py", ".ipynb"):
        raise NotebookFileError(f"{name}: not a notebook file: the name must end with .py or .ipynb")
    return _read(name, suffix, data)


def load_text(data: bytes) -> NotebookFile:
    """Return the cells of a notebook from standard input: an `.ipynb` if it is JSON, otherwise a script.

    Raises: NotebookFileError if it is not a notebook.
    """
    suffix = ".ipynb" if data.lstrip().startswith(b"{") else ".py"
    return _read("<stdin>", suffix, data)


def _read(name: str, suffix: str, data: bytes) -> NotebookFile:
    if suffix == ".ipynb":
        from . import ipynb

        cells, metadata = ipynb.read(name, _decode(name, data, "utf-8-sig"))
        return _notebook(name, "ipynb", cells, about=metadata)
    return _load_script(name, _decode(name, data, _declared_encoding(name, data)))


def _load_script(name: str, text: str) -> NotebookFile:
    # A reader is imported only for a text that may have its format, so that the others start sooner.
    if "marimo.App(" in text:
        from . import marimo

        module = marimo.parse(name, text)
        if module is not None:
            return _notebook(name, "marimo", marimo.read(module, text))
    if text.startswith("# Databricks notebook source\n"):
        from . import databricks

        return _notebook(name, "databricks", databricks.read(text))
    if "# +" in text or "format_name: light" in text:
        from . import light

        if light.recognizes(text):
            return _notebook(name, "light", light.read(text))
    from . import percent

    cells = percent.read(name, text)
    return _notebook(name, "percent", cells, percent.remark(text) if len(cells) == 1 else "")


def _notebook(
    name: str,
    format: Format,
    raw_cells: list[RawCell],
    remark: str = "",
    about: dict[str, Any] | None = None,
) -> NotebookFile:
    """Return the notebook with an id for each cell; a repeated one gets a number."""
    cells: list[Cell] = []
    titles: dict[str, str] = {}
    disabled: list[str] = []
    first_lines: dict[str, int] = {}
    ids: dict[int, str] = {}
    used: set[str] = set()
    for index, cell in enumerate(raw_cells):
        source = trimmed(cell.source.split("\n"))
        if cell.kind != "code" or not source:
            continue
        cell_id = ids[index] = unused_id(cell.id or _slug(cell.title) or f"cell-{len(cells) + 1}", used)
        cells.append(Cell(cell_id, source, on=place_of(cell.metadata)))
        if cell.title:
            titles[cell_id] = cell.title
        if cell.disabled:
            disabled.append(cell_id)
        if cell.line:
            first_lines[cell_id] = cell.line
    parts: list[Part] = []
    for index, cell in enumerate(raw_cells):
        id = ids.get(index) or unused_id(cell.id or f"{cell.kind}-{index + 1}", used)
        kind, source = ("markdown", cell.markdown) if cell.markdown else (cell.kind, cell.source)
        metadata = {"title": cell.title, **cell.metadata} if cell.title else cell.metadata
        parts.append(Part(id, kind, source, metadata, cell.attachments, cell.outputs, cell.execution_count))
    return NotebookFile(
        name, format, cells, titles, disabled, first_lines, remark, parts, about or dict(PYTHON)
    )


def unused_id(wanted: str, used: set[str]) -> str:
    """Return `wanted`, with a number if it is in `used`, and add the result there."""
    id, copy = wanted, 1
    while id in used:
        copy += 1
        id = f"{wanted}-{copy}"
    used.add(id)
    return id


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-_")[:48].rstrip("-")


def _declared_encoding(name: str, data: bytes) -> str:
    """Return the encoding that a BOM or a PEP 263 comment declares."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise NotebookFileError(f"{name}: {error.msg}") from None


def _decode(name: str, data: bytes, encoding: str) -> str:
    """Return the text with `\\n` as its only line end."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotebookFileError(f"{name}: not {encoding.removesuffix('-sig')} text: {error.reason}") from None
    if "\0" in text:
        raise NotebookFileError(f"{name}: not a text file: it contains null bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")
