"""`cellwire run -o` and `--inplace`: what is kept, when it is written, and what cannot be."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "cellwire", "run"]


def run(*arguments: object, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=PATIENCE)


def saved(path: Path) -> Any:
    document = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(document)
    return document


SCRIPT = """\
# %% [markdown]
# # Title
# %% Mixed tags=["a"]
import sys
import cellwire as cw
print("one")
cw.output.append(2)
print("three", file=sys.stderr)
# %% Fails
1 / 0
# %%
"still runs"
"""


def test_a_script_becomes_a_notebook_with_its_outputs_in_order(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(SCRIPT)
    done = run("nb.py", "-o", "out.ipynb", "-o", "out.html", "-o", "folder/", cwd=tmp_path)
    assert done.returncode == 1
    document = saved(tmp_path / "out.ipynb")
    assert (document.nbformat, document.nbformat_minor) == (4, 5)
    title, mixed, fails, last = document.cells
    assert (title.cell_type, title.source) == ("markdown", "# Title")
    assert mixed.metadata == {"title": "Mixed", "tags": ["a"]}
    shown = [output.get("text") or output.data["text/plain"] for output in mixed.outputs]
    assert shown == ["one\n", "2", "three\n"]
    assert [cell.execution_count for cell in (mixed, fails, last)] == [1, 2, 3]
    traceback = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(fails.outputs[0].traceback))
    assert "Cell In[2], line 1\n----> 1 1 / 0\n" in traceback
    assert traceback.endswith("\nZeroDivisionError: division by zero")
    assert "<h1>Title</h1>" in (tmp_path / "out.html").read_text()
    assert "# Title" in (tmp_path / "folder" / "nb.md").read_text()


def test_a_notebook_is_run_in_place_and_nothing_else_in_it_changes(tmp_path: Path) -> None:
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("![x](attachment:a.png)", attachments={"a.png": {"image/png": "aGk="}}),
        v4.new_code_cell(
            "x = 1\nprint(x)", metadata={"own": 1}, outputs=[v4.new_output("stream", text="old\n")]
        ),
        v4.new_code_cell(""),
        v4.new_raw_cell("raw"),
    ]
    path = tmp_path / "n.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata={"own": 2}), path)
    assert run("n.ipynb", "--inplace", cwd=tmp_path).returncode == 0
    cells[1].outputs = [v4.new_output("stream", text="1\n")]
    cells[1].execution_count = 1
    expected = v4.new_notebook(cells=cells, metadata={"own": 2})
    assert path.read_text() == nbformat.writes(expected) + "\n"


def test_the_file_is_written_after_each_cell_so_that_what_was_shown_outlives_a_crash(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "# %% one\nprint('kept')\n"
        "# %% two\nimport os, signal, time\n"
        "while 'kept' not in (open('out.ipynb').read() if os.path.exists('out.ipynb') else ''):\n"
        "    time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
        "# %% three\nprint('never')\n"
    )
    done = run("nb.py", "-o", "out.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    one, two, three = saved(tmp_path / "out.ipynb").cells
    assert one.outputs[0].text == "kept\n"
    assert two.outputs[0].output_type == "error"
    assert "SIGKILL" in two.outputs[0].evalue
    assert [output.output_type for output in three.outputs] in ([], ["stream"])


def test_a_command_that_is_killed_leaves_a_whole_notebook(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "# %% one\nprint('kept')\n"
        "# %% two\nimport os, signal, time\n"
        "while not os.path.exists('out.ipynb') or 'kept' not in open('out.ipynb').read():\n"
        "    time.sleep(0.01)\n"
        "os.kill(int(os.environ['COMMAND']), signal.SIGKILL)\n"
    )
    command = ["sh", "-c", 'COMMAND=$$ exec "$@"', "sh", *COMMAND, "nb.py", "-o", "out.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == -9
    assert saved(tmp_path / "out.ipynb").cells[0].outputs[0].text == "kept\n"


def test_several_notebooks_are_kept_under_their_names_in_folders_that_are_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(f"print({name!r})\n")
    done = run("a.py", "b.py", "-o", "made/{name}.out.ipynb", "-o", "folder/", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "== a.py\n[cell-1]\na\n\n== b.py\n[cell-1]\nb\n\n")
    assert saved(tmp_path / "made/b.out.ipynb").cells[0].outputs[0].text == "b\n"
    assert sorted(os.listdir(tmp_path / "folder")) == ["a.md", "b.md"]
    done = run("a.py", "b.py", "-o", "out.ipynb", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "several notebooks would be saved there; write {name}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["-o", "out.txt"], 2, "out.txt: cannot tell what to write"),
        (["-o", "nb.py/out.md"], 1, "cellwire: {}/nb.py/out.md: Not a directory\n"),
        (["--inplace"], 2, "--inplace: nb.py is not an .ipynb"),
    ],
)
def test_what_cannot_be_kept_is_not_run(
    tmp_path: Path, arguments: list[str], status: int, reason: str
) -> None:
    (tmp_path / "nb.py").write_text("open('ran', 'w')\n")
    done = run("nb.py", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert reason.format(tmp_path) in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_notebook_that_can_no_longer_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "nb.py").write_text("import shutil\nshutil.rmtree('out')\n")
    done = run("nb.py", "-o", "out/n.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"cellwire: cannot write {tmp_path}/out/n.ipynb: No such file or directory\n"


def test_a_notebook_from_standard_input_runs_in_the_current_folder(tmp_path: Path) -> None:
    done = run("-", "-o", "out.ipynb", cwd=tmp_path, stdin="# %%\nimport os\nos.getcwd()\n# %%\n1 / 0\n")
    assert done.stdout.startswith(f"[cell-1]\n{str(tmp_path)!r}\n")
    assert "cell 'cell-2' failed at <stdin>:5:" in done.stderr
    cells = json.dumps({"cells": [{"cell_type": "code", "source": "2 + 2"}]})
    assert run("-", cwd=tmp_path, stdin=cells).stdout == "[cell-1]\n4\n"
