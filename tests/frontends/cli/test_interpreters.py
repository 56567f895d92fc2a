"""What is said when a module is missing: which environment has it, and how it is used."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import PATIENCE


def run(notebook: Path) -> str:
    command = [sys.executable, "-m", "cellwire", "run", str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def environment(place: Path, *packages: str) -> Path:
    """Make what an environment looks like with these packages."""
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    for package in packages:
        (place / "lib" / "python3.12" / "site-packages" / package).mkdir(parents=True)
    return place


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    path = tmp_path / "inside" / "nb.py"
    path.parent.mkdir()
    path.write_text("import missing_module.part\n")
    return path


def test_an_environment_above_the_notebook_that_has_the_module_is_named(notebook: Path) -> None:
    place = environment(notebook.parents[1] / ".venv", "missing_module", "cellwire-1.0.dist-info")
    assert run(notebook) == f"{place} has 'missing_module': cellwire run --python {place}/bin/python"


def test_what_has_to_be_installed_there_first_is_said(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(notebook.parent / ".venv", "another_module")
    active = environment(notebook.parents[1] / "active", "missing_module")
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    python = active / "bin" / "python"
    expected = f"{python} -m pip install cellwire, then cellwire run --python {python}"
    assert run(notebook) == f"{active} has 'missing_module': {expected}"


def test_without_such_an_environment_the_interpreter_is_named(notebook: Path) -> None:
    place = environment(notebook.parent / ".venv", "another_module")
    said = f"{sys.executable}, which runs the notebook, has no 'missing_module'"
    assert run(notebook) == f"{said}; --python names another interpreter"
    assert place.exists()


def test_another_error_says_nothing_of_interpreters(notebook: Path) -> None:
    notebook.write_text("raise ModuleNotFoundError('by hand')\n")
    assert run(notebook) == "ModuleNotFoundError: by hand"
