"""The file of an embedded notebook: its cells, the definitions given from outside, and their code.

The ids of the cells contain the name of the file (`clean.py:load`), so that messages about a cell name it.
Their code has the file's name and line numbers, so that tracebacks and debuggers show the file. An `.ipynb`
has no such lines, so there each cell has a file name of its own.

A given definition replaces the cells that define the name, except those that make a new version of the name
from an old one (`df = df.dropna()`). Only the imports of a replaced cell are kept, so its other names have to
be given too if cells read them.
"""

import ast
import linecache
import os
from collections.abc import Iterable, Mapping
from types import CodeType
from typing import Any

import msgspec

from ...frontends.notebook_files import NotebookFile, load
from ...protocol.messages import Cell
from ...protocol.notebook import CellError
from ..analysis.analysis import Analysis, AnalysisError
from ..analysis.compiler import CompiledCell, cell_filename, compile_cell
from ..analysis.language import PYTHON, Language
from ..api.state import equal
from ..execution.cell_errors import error_item

#: The global name under which cells find the given definitions.
GIVEN = "__given__"


class SourceFile:
    """The file at an absolute path, as it was when it was last read.

    `around` is the language of the notebook that embeds it.
    """

    def __init__(self, path: str, around: Language = PYTHON) -> None:
        self._around = around
        self.path: str = path
        self.name: str = os.path.basename(path)
        self.notebook: NotebookFile = NotebookFile(path, "percent", [])
        #: The given values, by name and a number that changes with the value.
        self.given: dict[tuple[str, int], Any] = {}
        #: The ids of cells whose lines have changed.
        self.moved: set[str] = set()
        # The code objects moved to their lines in the file, and how many lines are above each.
        self._placed: dict[str, tuple[CompiledCell, int]] = {}
        self._content: bytes | None = None
        self._analyses: dict[str, Analysis] = {}

    @property
    def language(self) -> Language:
        """The language of its cells: IPython's if the outer notebook has it."""
        return self._around if self.notebook.dialect == "ipython" else PYTHON

    def id_of(self, cell: str) -> str:
        """Return the engine's id for the cell that the file names `cell`."""
        return f"{self.name}:{cell}"

    def title_of(self, id: str) -> str:
        """Return the name in the file of the cell with this id."""
        return id.removeprefix(f"{self.name}:")

    def read(self) -> bool:
        """Read the file, and return whether it has changed since the last time.

        Raises: NotebookFileError if it is not a notebook.
        """
        content = None
        try:
            with open(self.path, "rb") as file:
                content = file.read()
        except OSError:
            pass  # `load` says what is wrong
        if content is not None and content == self._content:
            return False
        lines = self.notebook.first_lines
        self.notebook = load(self.path)
        now = self.notebook.first_lines
        self.moved.update(self.id_of(cell) for cell in now if now[cell] != lines.get(cell, now[cell]))
        self._content = content
        self._analyses = {}
        self._show_lines()
        return True

    def cells(self) -> list[Cell]:
        """Return the cells for the engine, those that `given` replaces included."""
        replaced = self._replaced([name for name, _ in self.given])
        versions = dict(self.given)
        found: list[Cell] = []
        for cell in self.notebook.cells:
            source = cell.source
            if cell.id in replaced:
                names = [key for key in versions if key[0] in replaced[cell.id]]
                given = [f"{name} = {GIVEN}[{name!r}, {number}]" for name, number in names]
                source = "\n".join([*_imports(source), *given])
            found.append(Cell(self.id_of(cell.id), source))
        return found

    def give(self, definitions: Mapping[str, object]) -> bool:
        """Replace the given definitions by `definitions`, and return whether they differ.

        Raises: TypeError if the notebook has no such definition, or a replaced cell has other definitions
        that are needed and not given.
        """
        if definitions:
            self._check(definitions)
        known = {name: (number, value) for (name, number), value in self.given.items()}
        given: dict[tuple[str, int], Any] = {}
        for name, value in definitions.items():
            number, old = known.get(name, (0, None))
            if name not in known or (
                old is not value and (type(old) is not type(value) or not equal(old, value))
            ):
                number += 1
                given[name, number] = value
            else:
                given[name, number] = old
        changed = given.keys() != self.given.keys()
        # In place, since the cells hold this object.
        self.given.update(given)
        for key in self.given.keys() - given.keys():
            del self.given[key]
        return changed

    def _check(self, definitions: Mapping[str, object]) -> None:
        defined = sorted({name for cell in self.notebook.cells for name in self._analysis(cell).defs})
        unknown = [name for name in definitions if name not in defined]
        if unknown:
            what = ", ".join(map(repr, unknown))
            raise TypeError(
                f"{self.name} does not define {what}; it defines {', '.join(defined) or 'nothing'}"
            )
        replaced = self._replaced(definitions)
        for cell in self.notebook.cells:
            if cell.id in replaced:
                imported = {name for name, _ in self._analysis(cell).imports}
                missing = self._analysis(cell).defs - definitions.keys() - imported
                missing -= self._defined_beside(replaced)
                needed = sorted(missing & self._read_beside(replaced))
                if needed:
                    first = next(name for name in definitions if name in replaced[cell.id])
                    raise TypeError(
                        f"{first!r} replaces cell {cell.id!r} of {self.name}, which also defines "
                        f"{', '.join(needed)}: give {'it' if len(needed) == 1 else 'them'} too, or move "
                        f"{'it' if len(needed) == 1 else 'them'} to another cell"
                    )

    def _replaced(self, names: Iterable[str]) -> dict[str, set[str]]:
        """Return the cells that the given `names` replace, each with those of the names that it defines."""
        found: dict[str, set[str]] = {}
        for name in names:
            definers = [cell for cell in self.notebook.cells if name in self._analysis(cell).defs]
            first = [cell for cell in definers if name not in self._rereads(cell)] or definers[:1]
            for cell in first:
                found.setdefault(cell.id, set()).add(name)
        return found

    def _rereads(self, cell: Cell) -> frozenset[str]:
        analysis = self._analysis(cell)
        return analysis.rereads | analysis.late_rereads

    def _defined_beside(self, replaced: Mapping[str, object]) -> set[str]:
        others = [cell for cell in self.notebook.cells if cell.id not in replaced]
        return {name for cell in others for name in self._analysis(cell).defs - self._rereads(cell)}

    def _read_beside(self, replaced: Mapping[str, object]) -> set[str]:
        others = [cell for cell in self.notebook.cells if cell.id not in replaced]
        return {name for cell in others for name in self._analysis(cell).refs | self._rereads(cell)}

    def _analysis(self, cell: Cell) -> Analysis:
        found = self._analyses.get(cell.id)
        if found is None:
            try:
                found = compile_cell(cell.source, cell.id, language=self.language).analysis
            except AnalysisError:
                found = Analysis()
            self._analyses[cell.id] = found
        return found

    # Code

    def place(self, compiled: dict[str, CompiledCell]) -> None:
        """Give the code of each cell its line numbers in the file, for tracebacks and debuggers."""
        for cell in self.notebook.cells:
            id = self.id_of(cell.id)
            code = compiled.get(id)
            if code is None:
                continue
            known, old = self._placed.get(id, (None, 0))
            is_placed = known is not None and known.body is code.body and known.value is code.value
            down, old = self._down(cell.id), old if is_placed else 0
            if is_placed and down == old:
                continue
            filename, name = self._filename(cell.id), f"cell {cell.id!r}"
            parts = [
                part and _moved(part, filename, down - old).replace(co_name=name)
                for part in (code.body, code.value)
            ]
            code = msgspec.structs.replace(code, filename=filename, body=parts[0], value=parts[1])
            compiled[id] = code
            self._placed[id] = code, down

    def _filename(self, cell: str) -> str:
        return self.path if cell in self.notebook.first_lines else cell_filename(self.id_of(cell))

    def _down(self, cell: str) -> int:
        """Return how many lines of the file are above the cell; 0 if the file has no lines."""
        return self.notebook.first_lines.get(cell, 1) - 1

    def error_item(self, cell: str, error: CellError) -> dict[str, Any]:
        """Return the mime bundle of the error of a cell that cannot run."""
        title = self.title_of(cell)
        down = self._down(title)
        place = f'"{self._filename(title)}", line {(error.line or 1) + down}, in cell {title!r}'
        error = msgspec.structs.replace(
            error,
            message=error.message.replace(f"(line {error.line})", f"(line {error.line + down})"),
            traceback=error.traceback.replace(f'"{cell_filename(cell)}", line {error.line}', place, 1),
            line=error.line and error.line + down,
            end_line=error.end_line and error.end_line + down,
        )
        item = error_item(error, cell, self.path)
        if not error.traceback:
            item["text/plain"] = f"  File {place}\n{error.kind}: {error.message}\n"
        return item

    def _show_lines(self) -> None:
        """Make Python find the lines of the file as the cells contain them."""
        linecache.checkcache(self.path)
        if self.notebook.format != "marimo":
            return
        # In the file they are indented.
        lines: dict[int, str] = {}
        for cell in self.notebook.cells:
            first = self.notebook.first_lines.get(cell.id, 0)
            lines.update(enumerate(cell.source.split("\n"), first) if first else ())
        text = [lines.get(number, "") + "\n" for number in range(1, max(lines, default=0) + 1)]
        linecache.cache[self.path] = (sum(map(len, text)), None, text, self.path)


def _imports(source: str) -> list[str]:
    """Return the imports of a cell that compiles."""
    return [
        ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def _moved(code: CodeType, filename: str, down: int) -> CodeType:
    """Return `code` as code of the file `filename`, where it stands `down` lines further down."""
    parts = [_moved(part, filename, down) if isinstance(part, CodeType) else part for part in code.co_consts]
    return code.replace(
        co_filename=filename, co_firstlineno=code.co_firstlineno + down, co_consts=tuple(parts)
    )
