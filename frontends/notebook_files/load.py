"""The cells of a notebook file: `.ipynb`, marimo's `.py`, and the scripts that other tools write.

`load` reads a file and returns its code cells in order. It never imports or runs the file. The text of a
`.py` file shows which format it has; there is one module for each, and `percent` takes any script that
is of no other. Markdown and raw cells are left out, since the kernel has no use for them. A cell's id
comes from its title, function name or `.ipynb` id, so it stays the same when other cells come and go; a
cell with none of these is named by its position.

A cell that does not parse is that cell's error, found by the kernel, which still runs the others. Only
what leaves no cell at all (no such file, no text, no notebook) is a `NotebookFileError`.
"""

import io
import os
import re
import tokenize
from typing import Literal

import msgspec

from ...protocol.errors import NotebookFileError
from ...protocol.messages import Cell
from ...protocol.notebook import Redefine
from .raw_cell import RawCell

Format = Literal["percent", "light", "databricks", "ipynb", "marimo"]


class NotebookFile(msgspec.Struct, frozen=True):
    """What a notebook file holds."""

    path: str
    format: Format
    #: Code cells in notebook order; ids are unique.
    cells: list[Cell]
    #: Titles as written, by cell id; cells without one are not in it.
    titles: dict[str, str] = {}
    #: Cells that the file itself says are not to be run.
    disabled: list[str] = []
    #: The number in the file of the line on which a cell begins; none of an `.ipynb`, which is no text.
    first_lines: dict[str, int] = {}
    #: Why the cells may not be those that a person expects; empty if nothing is unusual.
    remark: str = ""

    @property
    def redefine(self) -> Redefine:
        """Whether several of its cells may define a name, as the tools allow that write such files."""
        return "error" if self.format == "marimo" else "allow"


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
        raise NotebookFileError(f"{name}: {error.strerror}") from error
    if suffix == ".ipynb":
        from . import ipynb

        return _notebook(name, "ipynb", ipynb.read(name, _decode(name, data, "utf-8-sig")))
    if suffix == ".py":
        return _load_script(name, _decode(name, data, _declared_encoding(name, data)))
    raise NotebookFileError(f"{name}: not a notebook file: the name must end with .py or .ipynb")


def _load_script(name: str, text: str) -> NotebookFile:
    # A reader is imported only for a text that may be of its format, so that the others start sooner.
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


def _notebook(name: str, format: Format, raw_cells: list[RawCell], remark: str = "") -> NotebookFile:
    """Return the notebook with an id for each cell; a repeated one gets a number."""
    cells: list[Cell] = []
    titles: dict[str, str] = {}
    disabled: list[str] = []
    first_lines: dict[str, int] = {}
    used: set[str] = set()
    for position, cell in enumerate(raw_cells, 1):
        wanted = cell.id or _slug(cell.title) or f"cell-{position}"
        cell_id, copy = wanted, 1
        while cell_id in used:
            copy += 1
            cell_id = f"{wanted}-{copy}"
        used.add(cell_id)
        cells.append(Cell(cell_id, cell.source, on=cell.on))
        if cell.title:
            titles[cell_id] = cell.title
        if cell.disabled:
            disabled.append(cell_id)
        if cell.line:
            first_lines[cell_id] = cell.line
    return NotebookFile(name, format, cells, titles, disabled, first_lines, remark)


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-_")[:48].rstrip("-")


def _declared_encoding(name: str, data: bytes) -> str:
    """Return the encoding that a BOM or a PEP 263 comment declares."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise NotebookFileError(f"{name}: {error.msg}") from error


def _decode(name: str, data: bytes, encoding: str) -> str:
    """Return the text with `\\n` as its only line end."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotebookFileError(
            f"{name}: not {encoding.removesuffix('-sig')} text: {error.reason}"
        ) from error
    if "\0" in text:
        raise NotebookFileError(f"{name}: not a text file: it contains null bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")
