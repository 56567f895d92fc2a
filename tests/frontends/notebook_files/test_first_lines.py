"""Where in its file each cell begins, in every format that is text."""

from collections.abc import Callable

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile

Read = Callable[[str, str | bytes], NotebookFile]

LIGHT = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: light
# ---

import os

# why
x = 1

# + A title


y = 2

z = 3
# -
"""

DATABRICKS = """\
# Databricks notebook source
a = 1

# COMMAND ----------

# DBTITLE 1,Load

b = 2

# COMMAND ----------

# MAGIC %python
# MAGIC c = 3

# COMMAND ----------
# MAGIC %sql
# MAGIC SELECT 1
"""

MARIMO = '''\
import marimo

app = marimo.App()

with app.setup(hide_code=True):

    import math

@app.function
def double(x):
    return 2 * x


@app.cell
def named(
    math,
):

    # a comment first
    text = """
    in the text
    """
    return (text,)


@app.cell
def _(): v = 1; return (v,)


app._unparsable_cell(
    r"""

    x =
    """,
    name="broken",
)
app._unparsable_cell("y =\\nz", name="escaped")
'''

PERCENT = "import early\n\n# %% first\n\n\nx = 1\n# %% [markdown]\n# text\n# %%\ny = (\n# %% last\nz = 3\n"
PROMPTS = "#!/usr/bin/env python\n\n# In[1]:\n\n\nx = 1\n\n\n# In[ ]:\n\n\ny = 2\n"


@pytest.mark.parametrize(
    ("text", "format", "cells"),
    [
        (PERCENT, "percent", 4),
        (PROMPTS, "percent", 2),
        ("\n\nx = 1\n", "percent", 1),
        (LIGHT, "light", 3),
        (DATABRICKS, "databricks", 4),
        (MARIMO, "marimo", 5),
    ],
    ids=["percent", "prompts", "one-cell", "light", "databricks", "marimo"],
)
def test_the_first_line_of_each_cell_is_at_its_number_in_the_file(
    read: Read, text: str, format: str, cells: int
) -> None:
    notebook = read("n.py", text)
    assert notebook.format == format
    assert len(notebook.first_lines) == cells
    lines = ["", *text.split("\n")]
    for cell in notebook.cells:
        if cell.id != "escaped":
            first = cell.source.split("\n")[0].split(";")[0]
            assert first in lines[notebook.first_lines[cell.id]], cell


def test_where_the_lines_of_a_cell_are_none_of_the_file_its_place_is_not_known(read: Read) -> None:
    assert "escaped" not in read("n.py", MARIMO).first_lines
    assert read("n.ipynb", '{"cells": [{"cell_type": "code", "source": "x = 1"}]}').first_lines == {}
