"""An ordinary notebook as it is, through the command and through the client."""

import json
import subprocess
import sys

import pytest
from support.waiting import PATIENCE

CELLS = {
    "setup": "%matplotlib inline\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    "config": "%config InlineBackend.figure_format = 'retina'\n%load_ext autoreload\n%autoreload 2",
    "frame": "df = pd.DataFrame({'a': [1, 2, None], 'b': [4, 5, 6]})",
    "again": "df = df.dropna()\ndf.shape",
    "third": "df['c'] = df.a * 2\ndf",
    "figure": "fig, ax = plt.subplots()\nax.plot(df.a)",
    "figure2": "fig, ax = plt.subplots()\nax.bar(df.a, df.b)",
    "loop": "for i in range(3):\n    print(i)",
    "loop2": "for i in range(2):\n    print(i)",
    "timeit": "%timeit -n 2 -r 2 sum(range(10))",
    "time": "%%time\ntotal = sum(range(1000))",
    "after-time": "total + 1",
    "shell": "!echo from the shell",
    "assign": "files = !echo one two",
    "assigned": "files",
    "help": "np.sum?",
    "display": "display(df)\nprint('shown')",
    "shell-api": "get_ipython().run_line_magic('pwd', '')",
    "writefile": "%%writefile written.txt\nsome text",
    "star": "from math import *",
    "starred": "sqrt(16.0)",
    "last": "_",
}


@pytest.fixture
def notebook(tmp_path):
    cells = [
        {
            "cell_type": "code",
            "id": id,
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for id, source in CELLS.items()
    ]
    path = tmp_path / "notebook.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def cellwire(*arguments):
    command = [sys.executable, "-m", "cellwire", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_the_command_runs_it_as_it_is(notebook):
    done = cellwire("run", notebook)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[after-time]\n499501\n" in done.stdout
    assert "[shell]\nfrom the shell\n" in done.stdout
    assert "Signature:" in done.stdout


def test_the_client_runs_it_as_it_is(book):
    assert book.run(**CELLS) == []
    assert [cell for cell in CELLS if book.status(cell) != "ok"] == []
    assert (book.shows("again"), book.shows("assigned"), book.shows("last")) == (
        "(2, 2)",
        "['one two']",
        "4.0",
    )
    assert {"image/png", "text/plain"} == set(book["figure"].outputs[-1].data)


def test_the_command_takes_its_cells_for_python_alone_if_it_is_told_to(notebook):
    done = cellwire("run", notebook, "--dialect", "python")
    assert done.returncode == 1
    assert "`%matplotlib inline` is a magic command of IPython" in done.stderr


def test_the_graph_has_what_magics_define_and_read(notebook):
    done = cellwire("graph", notebook, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    cells = {cell["id"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert (cells["time"]["defs"], cells["assign"]["defs"]) == (["total"], ["files"])
    assert [id for id, cell in cells.items() if cell["missing"]] == []


def test_a_cell_of_marimos_has_no_magics(tmp_path):
    script = tmp_path / "notebook.py"
    script.write_text("import marimo\napp = marimo.App()\n@app.cell\ndef _():\n    _x = 1\n    return\n")
    done = cellwire("graph", script, "--json")
    assert json.loads(done.stdout)["cells"][0]["defs"] == []
