"""`cellwire run`: what a cell knows of its file, and where in the file an error is shown."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import PATIENCE


def run(notebook: Path, *options: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cellwire", "run", str(notebook), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)


def test_a_script_knows_its_own_path_as_a_plain_script_does(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    notebook = tmp_path / "inside" / "notebook.py"
    notebook.write_text(
        "# %% own\nimport inspect, sys\nfrom pathlib import Path\n"
        "print(sys.argv, __file__, Path(__file__).read_text()[:8])\n"
        "# %% source\ninspect.getsource(sys.modules['__main__'])[:8]\n"
    )
    done = run(Path("inside/notebook.py"), cwd=tmp_path)
    path = str(notebook)
    assert done.stdout == f"[own]\n{[path]} {path} # %% own\n\n[source]\n'# %% own'\n"


def test_a_jupyter_notebook_is_no_script_and_has_no_path(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    cell = {"cell_type": "code", "source": "import sys\nsys.argv, '__file__' in globals()"}
    notebook.write_text(json.dumps({"cells": [cell]}))
    assert run(notebook).stdout == "[cell-1]\n([''], False)\n"


FAILING = """\
# %% helpers
def divide(n):
    return n / 0

# %% Fails late

b = 2
divide(b)
# %% broken

x = = 1
"""


def test_errors_are_shown_at_the_lines_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(FAILING)
    done = run(Path("nb.py"), cwd=tmp_path)
    assert "error: SyntaxError: invalid syntax (nb.py:11)\n" in done.stdout
    assert "cell 'Fails late' failed at nb.py:8:\nTraceback" in done.stderr
    # Frames of other cells too; newer Pythons mark the call below it.
    unmarked = re.sub(r"\n +[~^]+(?=\n)", "", done.stderr)
    assert '  File "nb.py", line 8, in <module>\n    divide(b)\n  File "nb.py", line 3, in divide' in unmarked
    assert "cell 'broken' failed at nb.py:11:\n  File \"nb.py\", line 11\n    x = = 1\n" in done.stderr
    assert "<cell" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Databricks notebook source\nx = 1\n\n# COMMAND ----------\n\n1 / 0\n", 6),
        ("# +\nx = 1\n\n1 / 0\n", 4),
        ("import marimo\napp = marimo.App()\n\n\n@app.cell\ndef _():\n    x = 1\n    1 / 0\n    return\n", 8),
    ],
    ids=["databricks", "light", "marimo"],
)
def test_every_kind_of_script_has_its_lines(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "nb.py").write_text(text)
    assert f"failed at nb.py:{line}:" in run(Path("nb.py"), "--quiet", cwd=tmp_path).stderr


def test_a_jupyter_notebook_has_cells_and_no_lines(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "1 / 0", "id": "bad"}]}))
    error = run(notebook).stderr
    assert "cell 'bad' failed:\n" in error
    assert '  File "<cell bad>", line 1, in <module>\n' in error


def test_what_did_not_run_because_the_file_disables_a_cell_is_named(tmp_path: Path) -> None:
    notebook = tmp_path / "n.py"
    notebook.write_text(
        "import marimo\napp = marimo.App()\n\n"
        "@app.cell(disabled=True)\ndef load():\n    x = 1\n    return (x,)\n\n"
        "@app.cell\ndef use(x):\n    x + 1\n    return\n\n"
        "@app.cell\ndef other():\n    5\n    return\n"
    )
    done = run(notebook)
    assert (done.returncode, done.stdout) == (0, "[other]\n5\n")
    assert done.stderr == "cell 'use' was not run because cell 'load' is disabled\n"
    assert run(notebook, "--quiet").stderr == ""


def test_an_ordinary_notebook_may_define_a_name_again_unless_that_is_an_error(tmp_path: Path) -> None:
    notebook = tmp_path / "n.py"
    notebook.write_text("# %%\nx = 1\n# %%\nx = x + 1\n# %%\nx\n")
    assert run(notebook).stdout.endswith("[cell-3]\n2\n")
    strict = run(notebook, "--redefine", "error")
    assert strict.returncode == 1
    assert "MultipleDefinitions" in strict.stderr
