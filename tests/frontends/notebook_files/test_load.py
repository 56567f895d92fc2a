"""Reading notebook files: what becomes a cell, what it is called, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile, load
from cellwire.protocol.errors import NotebookFileError


def read(tmp_path: Path, name: str, content: str | bytes) -> NotebookFile:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path)


def sources(notebook: NotebookFile) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells}


def refusal(tmp_path: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(NotebookFileError) as caught:
        read(tmp_path, name, content)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name))
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / name}: ")


# Percent scripts


def test_a_percent_script_is_cut_at_its_markers(tmp_path: Path) -> None:
    notebook = read(tmp_path, "n.py", "# %%\nx = 1\n\n# %%\ny = x\n\ny\n\n\n#%%\nz = 2\n")
    assert notebook.format == "percent"
    assert sources(notebook) == {"cell-1": "x = 1", "cell-2": "y = x\n\ny", "cell-3": "z = 2"}


def test_titles_give_ids_and_are_kept_as_written(tmp_path: Path) -> None:
    notebook = read(
        tmp_path, "n.py", '# %% Load the Data! tags="a b"\n1\n# %% Überblick [code]\n2\n# %%\n3\n'
    )
    assert list(sources(notebook)) == ["load-the-data", "überblick", "cell-3"]
    assert notebook.titles == {"load-the-data": "Load the Data!", "überblick": "Überblick"}


def test_ids_are_unique_even_where_titles_repeat_or_look_like_numbers(tmp_path: Path) -> None:
    text = "# %% plot\n1\n# %% plot\n2\n# %% plot 2\n3\n# %% cell 5\n4\n# %%\n5\n"
    assert list(sources(read(tmp_path, "n.py", text))) == ["plot", "plot-2", "plot-2-2", "cell-5", "cell-5-2"]


def test_markdown_raw_and_empty_cells_are_left_out(tmp_path: Path) -> None:
    text = "# %% [markdown]\n# # Title\n# %% [raw]\nraw\n# %% notes [md]\n# text\n# %%\n\n# %%\nx = 1\n"
    assert list(sources(read(tmp_path, "n.py", text)).values()) == ["x = 1"]


def test_what_stands_before_the_first_marker_is_a_cell_if_it_has_code(tmp_path: Path) -> None:
    assert list(sources(read(tmp_path, "a.py", "import os\n# %%\n1\n")).values()) == ["import os", "1"]
    assert list(sources(read(tmp_path, "b.py", '"""Title."""\n# comment\n# %%\n1\n')).values()) == ["1"]


def test_a_script_without_markers_is_one_cell(tmp_path: Path) -> None:
    notebook = read(tmp_path, "n.py", '"""Doc."""\n\nx = 1\nawait nothing()\n')
    assert sources(notebook) == {"cell-1": '"""Doc."""\n\nx = 1\nawait nothing()'}


def test_markers_inside_of_strings_do_not_cut(tmp_path: Path) -> None:
    text = '# %%\ntext = """\n# %% not a cell\n"""\n# %%\nx = 1\n'
    assert len(read(tmp_path, "n.py", text).cells) == 2


def test_a_broken_cell_does_not_hide_the_markers_after_it(tmp_path: Path) -> None:
    text = '# %% a\ntext = """never closed\n# %% b\ny = (1\n# %% c\nz = 3\n'
    assert list(sources(read(tmp_path, "n.py", text))) == ["a", "b", "c"]


def test_magic_comments_and_indented_markers_do_not_cut(tmp_path: Path) -> None:
    text = "# %%\nif True:\n    # %% inside\n    x = 1\n# %matplotlib inline\n# %%time\nx\n"
    assert len(read(tmp_path, "n.py", text).cells) == 1


@pytest.mark.parametrize(
    "content",
    [
        "# %%\r\nx = 'é'\r\n# %%\r\ny = 2\r\n".encode(),
        b"\xef\xbb\xbf" + "# %%\nx = 'é'\n# %%\ny = 2\n".encode(),
        "# -*- coding: latin-1 -*-\n# %%\nx = 'é'\n# %%\ny = 2\n".encode("latin-1"),
    ],
    ids=["crlf", "bom", "pep-263"],
)
def test_line_ends_and_encodings_are_those_that_python_knows(tmp_path: Path, content: bytes) -> None:
    assert list(sources(read(tmp_path, "n.py", content)).values()) == ["x = 'é'", "y = 2"]


def test_an_empty_script_has_no_cells(tmp_path: Path) -> None:
    assert read(tmp_path, "n.py", "").cells == []


# Jupyter notebooks


def ipynb(cells: list[dict[str, object]], minor: int = 5, **metadata: object) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor})


def test_code_cells_of_an_ipynb_keep_their_ids(tmp_path: Path) -> None:
    cells: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "m", "source": "# Title"},
        {"cell_type": "code", "id": "a-1_B", "source": ["x = 1\n", "x"]},
        {"cell_type": "code", "id": "not valid!", "source": "y = 2"},
        {"cell_type": "code", "source": "z = 3"},
        {"cell_type": "code", "source": []},
    ]
    notebook = read(tmp_path, "n.ipynb", ipynb(cells))
    assert notebook.format == "ipynb"
    assert sources(notebook) == {"a-1_B": "x = 1\nx", "cell-2": "y = 2", "cell-3": "z = 3"}


def test_an_ipynb_of_format_3_is_read(tmp_path: Path) -> None:
    old = {
        "nbformat": 3,
        "metadata": {},
        "worksheets": [{"cells": [{"cell_type": "code", "input": ["1 + 1"]}]}],
    }
    assert sources(read(tmp_path, "n.ipynb", json.dumps(old))) == {"cell-1": "1 + 1"}


def test_magics_stay_in_the_source(tmp_path: Path) -> None:
    cells: list[dict[str, object]] = [{"cell_type": "code", "id": "a", "source": "%time 1\n!ls"}]
    assert sources(read(tmp_path, "n.ipynb", ipynb(cells))) == {"a": "%time 1\n!ls"}


def test_an_ipynb_that_nbformat_writes_is_read(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1", id="abc")])
    nbformat.write(written, tmp_path / "n.ipynb")
    assert sources(load(tmp_path / "n.ipynb")) == {"abc": "x = 1"}


# marimo


MARIMO = '''\
import marimo

__generated_with = "0.14.0"
app = marimo.App(width="medium")

with app.setup(hide_code=True):
    import math

    ROOT = math.sqrt(2)


@app.function
def double(x):
    """Twice."""
    return 2 * x


@app.class_definition(hide_code=True)
@final
class Thing:
    size: int = 1


@app.cell
def _():
    # a comment first
    text = """
    indented in the file
    """
    return (text,)


@app.cell(hide_code=True)
def shown(
    text,
    mo,
):
    if text:
        y = 1

    y
    return


@app.cell(disabled=True)
async def waits():
    z = await thing()
    return (z,)


@app.cell
def _():
    return


@app.cell
def no_return():
    w = 1
    # the last word


@app.cell
def one_line(): v = 1; return (v,)


app._unparsable_cell(
    r"""
    x =
    """,
    name="broken",
)

if __name__ == "__main__":
    app.run()
'''


def test_cells_of_a_marimo_notebook_are_its_functions_without_their_frames(tmp_path: Path) -> None:
    notebook = read(tmp_path, "n.py", MARIMO)
    assert notebook.format == "marimo"
    assert sources(notebook) == {
        "setup": "import math\n\nROOT = math.sqrt(2)",
        "double": 'def double(x):\n    """Twice."""\n    return 2 * x',
        "thing": "@final\nclass Thing:\n    size: int = 1",
        "cell-4": '# a comment first\ntext = """\nindented in the file\n"""',
        "shown": "if text:\n    y = 1\n\ny",
        "waits": "z = await thing()",
        "no_return": "w = 1\n# the last word",
        "one_line": "v = 1",
        "broken": "x =",
    }
    assert notebook.disabled == ["waits"]
    assert notebook.titles["thing"] == "Thing"


def test_a_script_that_only_mentions_marimo_is_a_percent_script(tmp_path: Path) -> None:
    text = '# %%\ntext = """\napp = marimo.App()\n@app.cell\n"""\n# %%\nx = 1\n'
    assert read(tmp_path, "n.py", text).format == "percent"


def test_reading_a_file_never_runs_it(tmp_path: Path) -> None:
    trap = "open('trap', 'w')\nraise SystemExit(9)\n"
    (tmp_path / "m.py").write_text(trap + MARIMO)
    (tmp_path / "p.py").write_text("# %%\n" + trap)
    code = "from cellwire.frontends.notebook_files.load import load; load('m.py'); load('p.py')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert not (tmp_path / "trap").exists()


# What is refused


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("n.py", "def (:\n", "line 1: invalid syntax"),
        ("n.py", "x = 'é'".encode("latin-1"), "invalid or missing encoding declaration"),
        ("n.ipynb", "x = 'é'".encode("latin-1"), "not utf-8-sig text: invalid continuation byte"),
        ("n.py", b"# -*- coding: klingon -*-\nx = 1", "unknown encoding: klingon"),
        ("n.py", b"x = 1\0", "not a text file: it contains null bytes"),
        ("n.py", MARIMO.replace("def shown(", "def shown"), "line 37: unmatched ')'"),
        ("n.ipynb", "", "line 1: not JSON: Expecting value"),
        ("n.ipynb", "[1]", "JSON, but not a Jupyter notebook"),
        ("n.ipynb", '{"cells": [{"source": 1}]}', "JSON, but not a Jupyter notebook"),
        ("n.ipynb", "[" * 100_000, "JSON, but not a Jupyter notebook"),
        ("n.ipynb", ipynb([], language_info={"name": "julia"}), "a notebook for julia; cellwire runs Python"),
        ("n.txt", "x = 1", "not a notebook file: the name must end with .py or .ipynb"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    assert reason in refusal(tmp_path, name, content)


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(NotebookFileError, match=r"none\.py: No such file"):
        load(tmp_path / "none.py")
    with pytest.raises(NotebookFileError, match=r"folder\.py: Is a directory"):
        load(tmp_path / "folder.py")
