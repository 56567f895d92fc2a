"""The examples of docs/notebooks.md: each cell shows what the comment on its last line says."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from cellwire.frontends.cli.graph import analyze_notebook
from cellwire.frontends.notebook_files.load import load
from support.examples import edits, examples, expected

DOCUMENTS = Path(__file__).parents[3] / "docs"
TEXT = (DOCUMENTS / "notebooks.md").read_text()


def test_the_examples_are_found() -> None:
    assert len(examples(TEXT)) > 8
    assert sum(len(texts) for _, texts in examples(TEXT)) > 12


@pytest.mark.parametrize(("kind", "texts"), examples(TEXT))
def test_cells_show_what_the_document_says(kind: str, texts: list[str], request: Any) -> None:
    book = request.getfixturevalue("strict" if kind == "error" else "allowing")
    for changed, cells in edits(texts):
        book.run(*changed)
        for cell, said in cells.items():
            if said.startswith("shows "):
                assert (book.status(cell), book.shows(cell)) == ("ok", said.removeprefix("shows ")), cell
            else:
                assert (said or "ok") in (book.kind(cell), book.status(cell)), (cell, book.failed)


def test_the_picture_shows_the_example_below_it_and_its_edges(tmp_path: Path) -> None:
    notebook = tmp_path / "notebook.py"
    _, (text, _) = next(example for example in examples(TEXT) if "def average" in example[1][0])
    notebook.write_text(text)
    graph = analyze_notebook(load(notebook), "allow")
    picture = (DOCUMENTS / "notebook.svg").read_text().partition("is read while")[0]
    code = [html.unescape(line) for line in re.findall(r'class="code".*?>(.*?)</text>', picture)]
    assert code == [line for cell in load(notebook).cells for line in expected(cell.source)[0].split("\n")]
    *makes, _legend = re.findall(r'class="label".*?>(.*?)</text>', picture)
    assert [label.split(" ")[0] for label in makes] == [name for node in graph.cells for name in node.defs]
    numbers = [int(number) for label in makes for number in re.findall(r"\((\d)", label)]
    assert numbers == [version for node in graph.cells for version in node.versions.values()]
    deferred = sum(bool(edge.deferred) for edge in graph.edges)
    *arrows, _legend = re.findall(r'<path class="(\w+)"', picture)
    assert sorted(arrows) == ["deferred"] * deferred + ["immediate"] * (len(graph.edges) - deferred)
