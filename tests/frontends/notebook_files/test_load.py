"""Loading notebook files: ids, encodings, and what is refused; each format has a file of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cellwire.frontends.notebook_files import load
from cellwire.protocol.errors import NotebookFileError
from support.waiting import PATIENCE

Sources = Callable[[str, str | bytes], dict[str, str]]

MARIMO = """\
import marimo
app = marimo.App()


@app.cell
def _():
    return
"""


def test_ids_are_unique_even_where_titles_repeat_or_look_like_numbers(sources: Sources) -> None:
    text = "# %% plot\n1\n# %% plot\n2\n# %% plot 2\n3\n# %% cell 5\n4\n# %%\n5\n"
    assert list(sources("n.py", text)) == ["plot", "plot-2", "plot-2-2", "cell-5", "cell-5-2"]


@pytest.mark.parametrize(
    "content",
    [
        "# %%\r\nx = 'é'\r\n# %%\r\ny = 2\r\n".encode(),
        b"\xef\xbb\xbf" + "# %%\nx = 'é'\n# %%\ny = 2\n".encode(),
        "# -*- coding: latin-1 -*-\n# %%\nx = 'é'\n# %%\ny = 2\n".encode("latin-1"),
    ],
    ids=["crlf", "bom", "pep-263"],
)
def test_line_ends_and_encodings_are_those_that_python_knows(sources: Sources, content: bytes) -> None:
    assert list(sources("n.py", content).values()) == ["x = 'é'", "y = 2"]


@pytest.mark.parametrize(
    "start", ["", "# %%\n", MARIMO, "# Databricks notebook source\n", "# +\n", "# In[1]:\n"]
)
def test_reading_a_file_never_runs_it(tmp_path: Path, start: str) -> None:
    (tmp_path / "n.py").write_text(start + "open('trap', 'w')\nraise SystemExit(9)\n")
    code = "from cellwire.frontends.notebook_files import load; load('n.py')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("n.py", "def (:\n", "line 1: invalid syntax"),
        ("n.py", "x = 'é'".encode("latin-1"), "invalid or missing encoding declaration"),
        ("n.ipynb", "x = 'é'".encode("latin-1"), "not utf-8 text: invalid continuation byte"),
        ("n.py", b"# -*- coding: klingon -*-\nx = 1", "unknown encoding: klingon"),
        ("n.py", b"x = 1\0", "not a text file: it contains null bytes"),
        ("n.py", MARIMO.replace("def _(", "def _"), "line 6: unmatched ')'"),
        ("n.ipynb", "", "line 1: not JSON: Expecting value"),
        ("n.ipynb", "[1]", "JSON, but not a Jupyter notebook"),
        ("n.ipynb", '{"cells": [{"source": 1}]}', "JSON, but not a Jupyter notebook"),
        ("n.ipynb", "[" * 100_000, "JSON, but not a Jupyter notebook"),
        (
            "n.ipynb",
            json.dumps({"cells": [], "metadata": {"language_info": {"name": "julia"}}}),
            "a notebook for julia; cellwire runs Python",
        ),
        ("n.txt", "x = 1", "not a notebook file: the name must end with .py or .ipynb"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NotebookFileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {reason}")
    assert "\n" not in message


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(NotebookFileError, match=r"none\.py: No such file"):
        load(tmp_path / "none.py")
    with pytest.raises(NotebookFileError, match=r"folder\.py: Is a directory"):
        load(tmp_path / "folder.py")
