"""The dataflow of a notebook file, found by static analysis alone: `cellwire graph`.

The cells go through the same `Program` as in the runner, so the edges and structural errors are those that a
run would have. No cell is executed.
"""

import builtins
import json
from typing import Literal

import msgspec

from ...protocol.notebook import CellError
from ...runner.dataflow.program import Program
from ..notebook_files.load import NotebookFile
from .lines import details, summary


class Node(msgspec.Struct, frozen=True):
    """One cell of the graph."""

    id: str
    title: str
    defs: list[str]
    refs: list[str]
    #: Names that it reads and that neither Python nor any cell that can run defines.
    missing: list[str]
    error: CellError | None


class Edge(msgspec.Struct, frozen=True):
    """`child` reads `names`, which `parent` defines; without names, it deletes what `parent` reads."""

    parent: str
    child: str
    names: list[str]


class NotebookGraph(msgspec.Struct, frozen=True):
    """The cells in notebook order, the edges, and the order in which the cells would run."""

    cells: list[Node]
    edges: list[Edge]
    order: list[str]

    @property
    def errors(self) -> list[Node]:
        """The cells with a structural error."""
        return [node for node in self.cells if node.error is not None]


def analyze_notebook(notebook: NotebookFile) -> NotebookGraph:
    """Return the graph of a notebook."""
    program = Program()
    declared = {cell.id: cell for cell in program.declare(notebook.cells).declared}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for cell in notebook.cells:
        names = declared[cell.id]
        title = notebook.titles.get(cell.id, "")
        missing = [ref for ref in names.refs if not (program.graph.definers(ref) or hasattr(builtins, ref))]
        nodes.append(Node(cell.id, title, names.defs, names.refs, missing, program.errors.get(cell.id)))
        if cell.id in program.graph:
            parents = set(program.graph.parents(cell.id))
            for parent in (other.id for other in notebook.cells if other.id in parents):
                shared = set(names.refs) & set(declared[parent].defs)
                edges.append(Edge(parent, cell.id, sorted(shared)))
    sound = [cell.id for cell in notebook.cells if cell.id not in program.errors]
    return NotebookGraph(nodes, edges, list(program.sequence.topological(sound)))


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
            lines.append(f"  defines  {', '.join(node.defs)}")
        lines += [
            f"  after    {edge.parent}" + (f"  ({', '.join(edge.names)})" if edge.names else "")
            for edge in graph.edges
            if edge.child == node.id
        ]
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
        label = f"{node.title or node.id}\n{', '.join(node.defs)}".strip()
        error = "" if node.error is None else f", color=red, tooltip={_quoted(summary(node.error))}"
        lines.append(f"  {_quoted(node.id)} [label={_quoted(label)}{error}];")
    lines += [
        f"  {_quoted(edge.parent)} -> {_quoted(edge.child)} [label={_quoted(', '.join(edge.names))}];"
        for edge in graph.edges
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    """Return `text` as a string of the DOT language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
