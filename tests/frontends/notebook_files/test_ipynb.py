"""Jupyter notebooks: which cells are read and what they are called."""

import json
from collections.abc import Callable

import nbformat
from cellwire.frontends.notebook_files.load import NotebookFile

Read = Callable[[str, str | bytes], NotebookFile]
Sources = Callable[[str, str | bytes], dict[str, str]]


def ipynb(cells: list[dict[str, object]], minor: int = 5, **metadata: object) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor})


def test_code_cells_of_an_ipynb_keep_their_ids(read: Read, sources: Sources) -> None:
    cells: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "m", "source": "# Title"},
        {"cell_type": "code", "id": "a-1_B", "source": ["x = 1\n", "x"]},
        {"cell_type": "code", "id": "not valid!", "source": "y = 2"},
        {"cell_type": "code", "source": "z = 3"},
        {"cell_type": "code", "source": []},
    ]
    assert read("n.ipynb", ipynb(cells)).format == "ipynb"
    assert sources("n.ipynb", ipynb(cells)) == {"a-1_B": "x = 1\nx", "cell-2": "y = 2", "cell-3": "z = 3"}


def test_an_ipynb_of_format_3_is_read(sources: Sources) -> None:
    old = {
        "nbformat": 3,
        "metadata": {},
        "worksheets": [{"cells": [{"cell_type": "code", "input": ["1 + 1"]}]}],
    }
    assert sources("n.ipynb", json.dumps(old)) == {"cell-1": "1 + 1"}


def test_magics_stay_in_the_source(sources: Sources) -> None:
    cells: list[dict[str, object]] = [{"cell_type": "code", "id": "a", "source": "%time 1\n!ls"}]
    assert sources("n.ipynb", ipynb(cells)) == {"a": "%time 1\n!ls"}


def test_an_ipynb_that_nbformat_writes_is_read(sources: Sources) -> None:
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1", id="abc")])
    assert sources("n.ipynb", nbformat.writes(written)) == {"abc": "x = 1"}


def test_metadata_or_a_tag_say_where_a_cell_runs(read: Read) -> None:
    metadata: list[object] = [
        {"cellwire": {"on": "client"}, "tags": ["on:other"]},
        {"tags": ["slow", "on:client"]},
        {"tags": "on:client", "cellwire": []},
        {"cellwire": {"on": 3}},
        [],
    ]
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "source": "1", "metadata": given} for given in metadata
    ]
    assert [cell.on for cell in read("n.ipynb", ipynb(cells)).cells] == ["client", "client", "", "", ""]
