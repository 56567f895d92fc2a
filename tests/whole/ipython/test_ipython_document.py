"""The examples of docs/ipython.md: each cell shows what the comment on its last line says."""

from pathlib import Path

import pytest
from support.examples import edits, examples

TEXT = (Path(__file__).parents[3] / "docs" / "ipython.md").read_text()


@pytest.mark.parametrize("texts", [texts for _, texts in examples(TEXT)])
def test_cells_show_what_the_document_says(texts, book):
    for changed, cells in edits(texts):
        book.run(*changed)
        for cell, said in cells.items():
            assert book.status(cell) == "ok", cell
            assert not said or book.shows(cell) == said.removeprefix("shows "), cell
