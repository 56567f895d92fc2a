"""The rules of the source tree: who imports whom, how imports are written, what the wheel holds."""

import ast
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from rooms import (
    ARROWS,
    FACES,
    PACKAGES,
    ROOT,
    SHARED,
    SOURCES,
    crossings,
    dotted,
    imported_modules,
    imports,
    room,
)


def imported_from(path: Path, package: str) -> list[str]:
    return [name for name, _ in imports(path) if f"{name}.".startswith(f"{package}.")]


def test_the_sources_are_found() -> None:
    assert {
        "version.py",
        "frontends/cli/main.py",
        "protocol/events.py",
        "runner/engine.py",
        "kernel/log.py",
    } <= SOURCES.keys()


def test_every_module_says_what_it_is() -> None:
    silent = [
        name
        for name, path in SOURCES.items()
        if not ast.get_docstring(ast.parse(path.read_text()))
        and (path.name != "__init__.py" or path.read_text())
    ]
    assert silent == []


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in SOURCES.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_two_tests_have_the_same_file_name() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) > 30
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_prints() -> None:
    printing = [
        f"{name}:{node.lineno}"
        for name, path in SOURCES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert printing == []


def test_only_what_is_for_an_engine_names_it() -> None:
    naming = [
        name
        for name, path in SOURCES.items()
        if "dask" in path.read_text().lower() and not name.startswith("runner/places/dask/")
    ]
    assert naming == []


def test_imports_inside_the_package_are_relative() -> None:
    absolute = [
        f"{path}:{statement.lineno} {imported}"
        for path in SOURCES.values()
        for imported, statement in imports(path)
        if imported.split(".")[0] in ("cellwire", *PACKAGES)
        and not (isinstance(statement, ast.ImportFrom) and statement.level)
    ]
    assert absolute == []


def test_rooms_import_only_what_the_table_of_arrows_allows() -> None:
    forbidden: list[str] = []
    arrows = 0
    for file, imported in crossings():
        here = room(file)
        near = here.rpartition(".")[0]
        allowed = SHARED | {
            name for word in ARROWS.get(here, "").split() for name in (word, f"{near}.{word}")
        }
        arrows += 1
        if room(imported) not in allowed:
            forbidden.append(f"{file} -> {imported}")
    assert arrows > 100
    assert forbidden == []


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name: imported_modules(path) - {name} for name, path in SOURCES.items()}
    for face in FACES:
        graph[face] = set()
    TopologicalSorter(graph).prepare()


RUNNER_MODULES = [
    f"cellwire.{dotted(name)}" for name in SOURCES if name.startswith("runner/") and "__main__" not in name
]
#: What runs on workers is loaded there, and needs libraries that a runner does without.
OF_WORKERS = ("cellwire.runner.places.worker.", "cellwire.runner.places.dask.")


def test_the_runner_imports_neither_zmq_nor_the_kernel_nor_a_module_that_does() -> None:
    """By what is written, and by what is loaded in a process that imports every module of it."""
    for path in (ROOT / "runner").rglob("*.py"):
        assert not imported_from(path, "zmq"), path
    code = f"""
import importlib, sys
for name in {RUNNER_MODULES!r}:
    importlib.import_module(name)
sys.stdout.write(", ".join(name for name in sys.modules if name.startswith(("zmq", "cellwire.kernel"))))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_runner_has_all_that_it_needs_before_the_files_of_users_are_on_the_path() -> None:
    """What it loads later on could be a file of the user's that has the name of a library.

    IPython is a library of the user's, and so is what needs it.
    """
    own = [name for name in RUNNER_MODULES if not name.endswith((".ipython.shell", ".ipython.kernel_magics"))]
    code = f"""
import importlib, sys
import cellwire.runner.host
import cellwire.runner.ipython.bridge
before = set(sys.modules)
for name in {[name for name in own if not name.startswith(OF_WORKERS)]!r}:
    importlib.import_module(name)
sys.stdout.write(", ".join(name for name in set(sys.modules) - before if not name.startswith("cellwire")))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from a copy of the tree, so that nothing left of earlier builds gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    # A build in isolation, whose tools are not those of this environment.
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    roots = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert {root for root in roots if not root.endswith(".data")} == {"cellwire"}
    files = {name.removeprefix("cellwire/") for name in names if name.startswith("cellwire/")}
    specs = {str(file.relative_to(ROOT)) for file in (ROOT / "frontends/jupyter/kernels").glob("*/*")}
    assert files == {*SOURCES, "docs/schema.json", "py.typed", *specs}
    # The same again, for where Jupyter looks in an environment.
    data = {name.partition(".data/data/")[2] for name in names if ".data/" in name}
    kernels = {name.removeprefix("frontends/jupyter/") for name in specs}
    assert data == {f"share/jupyter/{name}" for name in kernels}


def test_a_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Also beside files that have the names of our folders and libraries: those are the user's own."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run(pip, check=True, timeout=300)
    for name in (*PACKAGES, "version", "zmq", "msgspec", "anyio", "html", "json"):
        (tmp_path / f"{name}.py").write_text("own = True\n")
    (tmp_path / "notebook.py").write_text(
        "# %% a\nimport protocol, runner, zmq, anyio, html, cellwire as cw\n"
        "# %% b\ncw.running_in_kernel(), *(each.own for each in (protocol, runner, zmq, anyio, html))\n"
        "# %% c\nimport asyncio\nawait asyncio.sleep(0)\nwith cw.spinner('<waits>'): pass\n"
    )
    # With nothing of the environment that the tests run in, and without the extras.
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    command = [tmp_path / "venv" / "bin" / "cellwire", "run", "notebook.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "[a]\n\n[b]\n(True, True, True, True, True, True)\n\n[c]\n<waits> done\n",
        "",
    )
