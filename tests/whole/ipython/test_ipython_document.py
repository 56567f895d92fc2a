"""The examples of docs/ipython.md: each cell shows what the comment on its last line says."""

from pathlib import Path

import pytest
from cellwire.frontends.notebook_files import percent
from cellwire.protocol.messages import Cell
from support.examples import examples, expected

TEXT = (Path(__file__).parents[3] / "docs" / "ipython.md").read_text()


@pytest.mark.parametrize("texts", [texts for _, texts in examples(TEXT)])
def test_cells_show_what_the_document_says(texts, book):
    sources: dict[str, str] = {}
    for text in texts:
        cells = {cell.title: expected(cell.source) for cell in percent.read("example", text)}
        changed = [Cell(id, code) for id, (code, _) in cells.items() if sources.get(id) != code]
        book.run(*changed)
        sources.update({cell.id: cell.source for cell in changed})
        for cell, (_, said) in cells.items():
            assert book.status(cell) == "ok", cell
            assert not said or book.shows(cell) == said.removeprefix("shows "), cell
