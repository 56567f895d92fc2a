"""What a file holds besides code: Markdown, raw and empty cells, tags, metadata and attachments."""

import json
from collections.abc import Callable

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile, load_text

Read = Callable[[str, str | bytes], NotebookFile]


def parts(notebook: NotebookFile) -> list[tuple[str, str, str]]:
    return [(part.kind, part.id, part.source) for part in notebook.parts]


def test_a_percent_script_has_markdown_raw_cells_and_its_docstring(read: Read) -> None:
    text = (
        '#!/usr/bin/env python\n"""A title.\n\nText.\n"""\n\n'
        "# %% [markdown]\n# # Heading\n#\n# - *item*\n#   more\n"
        "# %% code\nx = 1\n"
        '# %% Notes [md] tags=["a", "b"]\n"""\nin a string\n"""\n'
        "# %% [raw]\n# as it is\n"
    )
    assert parts(read("n.py", text)) == [
        ("markdown", "markdown-1", "A title.\n\nText."),
        ("markdown", "markdown-2", "# Heading\n\n- *item*\n  more"),
        ("code", "code", "x = 1"),
        ("markdown", "markdown-4", "in a string"),
        ("raw", "raw-5", "as it is"),
    ]
    assert read("n.py", text).parts[3].metadata == {"title": "Notes", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("marker", "metadata"),
    [
        ('tags=["parameters"]', {"tags": ["parameters"]}),
        ("tags=['a', 'b c']", {"tags": ["a", "b c"]}),
        ('tags="a, b"', {"tags": ["a", "b"]}),
        ('slideshow={"slide_type": "slide"} n=3', {"slideshow": {"slide_type": "slide"}, "n": 3}),
        ('jupyter={"source_hidden": true}', {"jupyter": {"source_hidden": True}}),
        ("A title [code] key=word", {"title": "A title", "key": "word"}),
    ],
)
def test_what_stands_beside_a_marker_is_metadata(read: Read, marker: str, metadata: object) -> None:
    [part] = read("n.py", f"# %% {marker}\nx = 1\n").parts
    assert part.metadata == metadata


def test_an_id_beside_a_marker_is_that_of_the_cell(read: Read) -> None:
    assert [part.id for part in read("n.py", '# %% Load id="abc-1"\nx = 1\n').parts] == ["abc-1"]


def test_a_light_script_has_its_paragraphs_of_comments(read: Read) -> None:
    header = (
        "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n#       format_name: light\n# ---\n"
    )
    text = header + '\n# # Title\n#\n# Text.\n\nx = 1\n\n# + {"tags": ["t"]}\ny = 2\n# -\n'
    notebook = read("n.py", text)
    assert parts(notebook) == [
        ("markdown", "markdown-1", "# Title\n\nText."),
        ("code", "cell-1", "x = 1"),
        ("code", "cell-2", "y = 2"),
    ]
    assert notebook.parts[2].tags == ["t"]


def test_a_script_of_nbconvert_has_the_markdown_around_its_cells(read: Read) -> None:
    text = (
        "#!/usr/bin/env python\n# coding: utf-8\n\n# # Title\n\n# In[1]:\n\n\nx = 1\n\n\n"
        "# ## Next\n# \n# text\n\n# In[2]:\n\n\n# a comment\nx\n"
    )
    assert parts(read("n.py", text)) == [
        ("markdown", "markdown-1", "# Title"),
        ("code", "cell-1", "x = 1"),
        ("markdown", "markdown-3", "## Next\n\ntext"),
        ("code", "cell-2", "# a comment\nx"),
    ]


def test_a_databricks_notebook_has_its_markdown(read: Read) -> None:
    text = "# Databricks notebook source\n# MAGIC %md\n# MAGIC # Title\n\n# COMMAND ----------\n\nx = 1\n"
    assert parts(read("n.py", text)) == [("markdown", "markdown-1", "# Title"), ("code", "cell-1", "x = 1")]


def test_marimo_cells_that_are_text_run_and_are_kept_as_text(read: Read) -> None:
    text = (
        "import marimo\napp = marimo.App()\n\n"
        '@app.cell(hide_code=True)\ndef _(mo):\n    mo.md(r"""\n    # Title\n\n    Text.\n    """)\n'
        "    return\n\n"
        '@app.cell(hide_code=True)\ndef _(mo):\n    mo.md(f"{1}")\n    return\n'
    )
    notebook = read("n.py", text)
    assert [cell.source[:6] for cell in notebook.cells] == ["mo.md(", "mo.md("]
    assert parts(notebook) == [
        ("markdown", "cell-1", "# Title\n\nText."),
        ("code", "cell-2", 'mo.md(f"{1}")'),
    ]
    assert notebook.parts[1].metadata == {"jupyter": {"source_hidden": True}}


def test_an_ipynb_keeps_everything(read: Read) -> None:
    attachments = {"a.png": {"image/png": "aGk="}}
    outputs = [{"output_type": "stream", "name": "stdout", "text": ["old\n"]}]
    document = {
        "cells": [
            {"cell_type": "markdown", "id": "m", "source": ["# T\n", "x"], "attachments": attachments},
            {
                "cell_type": "code",
                "id": "c",
                "source": "\nx = 1\n",
                "metadata": {"tags": ["a"], "own": {"deep": 1}},
                "outputs": outputs,
                "execution_count": 3,
            },
            {"cell_type": "code", "id": "empty", "source": ""},
            {"cell_type": "raw", "id": "r", "source": "raw", "metadata": {"format": "text/html"}},
        ],
        "metadata": {"kernelspec": {"name": "k", "display_name": "K"}, "own": 1},
    }
    notebook = read("n.ipynb", json.dumps(document))
    assert parts(notebook) == [
        ("markdown", "m", "# T\nx"),
        ("code", "c", "\nx = 1\n"),
        ("code", "empty", ""),
        ("raw", "r", "raw"),
    ]
    assert notebook.parts[0].attachments == attachments
    assert notebook.parts[1].metadata == {"tags": ["a"], "own": {"deep": 1}}
    assert (notebook.parts[1].outputs, notebook.parts[1].execution_count) == (outputs, 3)
    assert notebook.metadata == document["metadata"]
    assert [(cell.id, cell.source) for cell in notebook.cells] == [("c", "x = 1")]


def test_standard_input_may_hold_either_kind() -> None:
    assert load_text(b"# %%\nx = 1\n").format == "percent"
    assert load_text(b' {"cells": []}').format == "ipynb"
    assert load_text(b"x = 1\n").path == "<stdin>"
