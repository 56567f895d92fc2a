"""`cellwire run --sandbox`: what a notebook asks for, and what `uv` is asked for."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from cellwire.frontends.cli.sandbox import requirements_of
from cellwire.frontends.notebook_files.load import load
from cellwire.protocol.errors import NotebookFileError
from support.waiting import PATIENCE

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy>=1",
#
#   "rich",
# ]
# ///
"""

#: Stands in for uv, which would need a network: an environment that has what the tests have.
UV = f"""\
#!{sys.executable}
import glob, os, subprocess, sys
with open(os.environ["UV_CALLS"], "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + chr(10))
if sys.argv[1] != "venv":
    sys.exit(int(os.environ.get("UV_STATUS", 0)))
place = sys.argv[-1]
subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
[packages] = glob.glob(place + "/lib/python3.*/site-packages")
with open(packages + "/all.pth", "w") as file:
    file.write("import site; site.addsitedir({sysconfig.get_path("purelib")!r})")
"""


@pytest.mark.parametrize("name", ["nb.py", "nb.ipynb"])
def test_the_block_says_what_a_notebook_needs(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    cell = {"cell_type": "code", "source": BLOCK.splitlines(keepends=True)}
    path.write_text(f"{BLOCK}# %%\n1\n" if name == "nb.py" else json.dumps({"cells": [cell]}))
    assert requirements_of(load(path)) == (">=3.11", ["numpy>=1", "rich"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1\n", "has 0 '# /// script' blocks"),
        (f"{BLOCK}\n{BLOCK}1\n", "has 2 '# /// script' blocks"),
        ("# /// script\n# dependencies = [\n# ///\n1\n", "block is not TOML"),
        ('# /// script\n# dependencies = "numpy"\n# ///\n1\n', "dependencies a list"),
    ],
)
def test_a_block_that_says_nothing_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "nb.py").write_text(text)
    with pytest.raises(NotebookFileError, match=reason):
        requirements_of(load(tmp_path / "nb.py"))


def run(tmp_path: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "nb.py").write_text(f"{BLOCK}# %%\nimport sys; sys.prefix\n")
    command = [sys.executable, "-m", "cellwire", "run", "--sandbox", "nb.py"]
    variables = {**os.environ, "PATH": path, "UV_CALLS": str(tmp_path / "calls"), **environment}
    return subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path on which the stand-in is found."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV)
    (tmp_path / "bin" / "uv").chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_a_notebook_runs_in_an_environment_that_is_gone_afterwards(tmp_path: Path, path: str) -> None:
    done = run(tmp_path, path)
    assert (done.returncode, done.stderr) == (0, "")
    place = done.stdout.splitlines()[1].strip("'")
    assert "cellwire-sandbox-" in place
    assert not Path(place).exists()
    venv, install = (tmp_path / "calls").read_text().splitlines()
    assert venv == f"venv --python >=3.11 {place}"
    assert install.startswith(f"pip install --python {place}/bin/python numpy>=1 rich ")
    assert "cellwire" in install.rpartition("rich ")[2] or "--editable" in install


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path: Path, path: str) -> None:
    done = run(tmp_path, path, UV_STATUS="2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cellwire: --sandbox: `")
    assert done.stderr.endswith("uv pip install` ended with status 2\n")


def test_without_uv_the_command_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "/nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cellwire: --sandbox needs uv")
