"""The dataflow of a notebook file, found by static analysis alone: `cellwire graph`.

The cells go through the same `Program` as in the runner, so the edges and structural errors are those of a
run. No cell is executed. Where several cells define a name, each makes a version of it, shown as `df (2nd)`.
A line `after` lists what a cell reads while it runs. A line `later` (in DOT: a dashed edge) lists what
functions read that the cell defines or may call.
"""

import builtins
import json
from typing import Literal

import msgspec

from ...protocol.notebook import CellError, Dialect, Redefine
from ...runner.dataflow.graph import Graph
from ...runner.dataflow.program import Program
from ...runner.ipython.syntax import BUILTINS, IPythonLanguage
from ..notebook_files.load import NotebookFile
from .file_lines import FileLines
from .lines import details, summary


class Node(msgspec.Struct, frozen=True):
    """One cell of the graph."""

    id: str
    title: str
    defs: list[str]
    refs: list[str]
    #: For each name that other cells define or delete too: the number of this cell's version, from 1.
    versions: dict[str, int]
    #: Names that it deletes.
    deletes: list[str]
    #: Names that it reads and that neither Python nor a cell that can run defines.
    missing: list[str]
    error: CellError | None


class Edge(msgspec.Struct, frozen=True):
    """`child` reads `names` from `parent`, which defines them, or deletes them, so that they are missing."""

    parent: str
    child: str
    names: list[str]
    #: Those of `names` that are read only by functions, when they are called.
    deferred: list[str]
    #: Those of `names` that several cells define or delete: the number of `parent`'s version, from 1.
    versions: dict[str, int]


class NotebookGraph(msgspec.Struct, frozen=True):
    """The cells in notebook order, the edges, and the order in which the cells would run."""

    cells: list[Node]
    edges: list[Edge]
    order: list[str]

    @property
    def errors(self) -> list[Node]:
        """The cells with a structural error."""
        return [node for node in self.cells if node.error is not None]


def analyze_notebook(
    notebook: NotebookFile, redefine: Redefine = "error", dialect: Dialect = "python"
) -> NotebookGraph:
    """Return the graph of a notebook."""
    program = Program(redefine)
    if dialect == "ipython":
        program.language = IPythonLanguage(None, lambda name: bool(program.definers.all(name)))
    known = {*vars(builtins), *(BUILTINS if dialect == "ipython" else ())}
    graph = program.graph
    file_lines = FileLines(notebook)
    declared = {cell.id: cell for cell in program.declare(notebook.cells).declared}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for cell in notebook.cells:
        names = declared[cell.id]
        title = notebook.titles.get(cell.id, "")
        missing = [ref for ref in names.refs if not (program.graph.definers(ref) or ref in known)]
        deletes = sorted(graph.names_of(cell.id).deleted) if cell.id in graph else []
        versions = _versions(graph, cell.id, [*names.defs, *deletes])
        error = program.errors.get(cell.id)
        error = error and file_lines.in_file(cell.id, error)
        nodes.append(Node(cell.id, title, names.defs, names.refs, versions, deletes, missing, error))
        edges += _edges_to(graph, cell.id)
    sound = [cell.id for cell in notebook.cells if cell.id not in program.errors]
    return NotebookGraph(nodes, edges, list(program.sequence.topological(sound)))


def _edges_to(graph: Graph, cell: str) -> list[Edge]:
    if cell not in graph:
        return []
    read: dict[str, set[str]] = {}
    for name in graph.reads(cell):
        maker = graph.binding(cell, name)
        if maker is not None:
            read.setdefault(maker, set()).add(name)
    used = graph.names_of(cell)
    edges: list[Edge] = []
    for parent in sorted(read, key=graph.order.place):
        names = sorted(read[parent])
        deferred = [name for name in names if name not in used.immediate and name not in used.rereads]
        edges.append(Edge(parent, cell, names, deferred, _versions(graph, parent, names)))
    return edges


def _versions(graph: Graph, maker: str, names: list[str]) -> dict[str, int]:
    """Return the number of `maker`'s version, from 1, of each of `names` that several cells make."""
    makers = {name: graph.makers(name) for name in names}
    return {
        name: cells.index(maker) + 1 for name, cells in makers.items() if len(cells) > 1 and maker in cells
    }


def render(graph: NotebookGraph, format: Literal["text", "dot", "json"]) -> str:
    """Return the graph as text for people, for Graphviz, or as JSON."""
    if format == "json":
        return json.dumps(msgspec.to_builtins(graph), indent=2, ensure_ascii=False) + "\n"
    return _dot(graph) if format == "dot" else _text(graph)


def _text(graph: NotebookGraph) -> str:
    lines: list[str] = []
    for node in graph.cells:
        lines.append(f"{node.id}" + (f"  ({node.title})" if node.title not in ("", node.id) else ""))
        if node.defs:
            lines.append(f"  defines  {_names(node.defs, node.versions)}")
        if node.deletes:
            lines.append(f"  deletes  {_names(node.deletes, node.versions)}")
        edges = [edge for edge in graph.edges if edge.child == node.id]
        for word, of in ("after", _immediate), ("later", _deferred):
            lines += [f"  {word}    {edge.parent}: {of(edge)}" for edge in edges if of(edge)]
        if node.missing:
            lines.append(f"  missing  {', '.join(node.missing)}")
        if node.error is not None:
            first, *rest = details(node.error).split("\n")
            lines += [f"  error    {first}", *(f"           {line}" for line in rest)]
    count = len(graph.errors)
    if count:
        lines += ["", f"{count} of {len(graph.cells)} cells cannot run"]
    return "\n".join(lines) + "\n" if lines else ""


def _dot(graph: NotebookGraph) -> str:
    lines = ["digraph notebook {", "  node [shape=box];"]
    for node in graph.cells:
        label = f"{node.title or node.id}\n{_names(node.defs, node.versions)}".strip()
        error = "" if node.error is None else f", color=red, tooltip={_quoted(summary(node.error))}"
        lines.append(f"  {_quoted(node.id)} [label={_quoted(label)}{error}];")
    for edge in graph.edges:
        for names, style in (_immediate(edge), ""), (_deferred(edge), ", style=dashed"):
            if names:
                arrow = f"{_quoted(edge.parent)} -> {_quoted(edge.child)}"
                lines.append(f"  {arrow} [label={_quoted(names)}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def _immediate(edge: Edge) -> str:
    return _names([name for name in edge.names if name not in edge.deferred], edge.versions)


def _deferred(edge: Edge) -> str:
    return _names(edge.deferred, edge.versions)


def _names(names: list[str], versions: dict[str, int]) -> str:
    """Return the names in one line, with the version of those that have several versions."""
    return ", ".join(f"{name} ({_ordinal(versions[name])})" if name in versions else name for name in names)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _quoted(text: str) -> str:
    """Return `text` as a string of the DOT language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
