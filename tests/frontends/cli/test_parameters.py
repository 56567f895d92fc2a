"""Parameters: what can be given, what it does to a notebook, and `cellwire run -p`."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cellwire.frontends.cli.parameters import Text, described, parameters_of, with_parameters
from cellwire.frontends.notebook_files.load import NotebookFile, load_text
from cellwire.protocol.errors import NotebookFileError
from support.waiting import PATIENCE


def notebook(*cells: str) -> NotebookFile:
    return load_text("".join(f"# %%{cell}\n" for cell in cells).encode())


def given(source: str, **values: object) -> str:
    """Return the source of a notebook's only cell with these values."""
    [cell] = with_parameters(notebook(f"\n{source}"), values, "allow").cells
    return cell.source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1  # why", "x = 7  # why"),
        ("x: int = 1; y = x", "x: int = 7; y = x"),
        ("x = f(\n    1,\n)\ny = 2", "x = 7\n\n\ny = 2"),
        ("x = (  # one\n    1\n)\ny = 2", "x = (  # one\n    7\n)\ny = 2"),
        ("é = 1; x = é", "é = 1; x = 7"),
        ("x = 1\nx = x + 1", "x = 7\nx = x + 1"),
        ("x, y = 1, 2\ny", "x, y = 1, 2\nx = 7\ny"),
        ("for x in a:\n    print(x)\nx", "for x in a:\n    print(x)\nx = 7\nx"),
        ("if a:\n    x = 1\nelse:\n    x = 2", "if a:\n    x = 1\nelse:\n    x = 2\nx = 7"),
        ("def x(): ...", "def x(): ...\nx = 7"),
        ("import os.path as x", "import os.path as x\nx = 7"),
        ("x: int\nx = 1", "x: int\nx = 7\nx = 1"),
        ("x = await y", "x = 7"),
        ("%matplotlib inline\nx = 1\n!ls", "%matplotlib inline\nx = 7\n!ls"),
        ("def f():\n    x = 1\nx = 2", "def f():\n    x = 1\nx = 7"),
    ],
)
def test_the_first_definition_has_the_given_value(source: str, expected: str) -> None:
    assert given(source, x=7) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", "3"),
        ("-1.5e3", "-1500.0"),
        ("None", "None"),
        ("[1, 'a']", "[1, 'a']"),
        ("'3'", "'3'"),
        ("a b", "'a b'"),
        ("2024-01-01", "'2024-01-01'"),
        ("1 + 1", "'1 + 1'"),
        ("", "''"),
        ("true", "'true'"),
    ],
)
def test_what_is_no_literal_is_text(text: str, value: str) -> None:
    assert given("x = None", x=Text(text)) == f"x = {value}"


def test_what_is_declared_as_text_stays_text_and_truth_values_have_the_usual_words() -> None:
    assert given("x = '01'", x=Text("02")) == "x = '02'"
    assert given("x: str = None", x=Text("2")) == "x: str = '2'"
    assert given("x: str = ''", x=Text("'quoted'")) == "x: str = 'quoted'"
    assert given("x = True", x=Text("false")) == "x = False"


def test_values_of_files_are_those_that_the_file_says() -> None:
    assert given("x = 1", x={"a": [1.5, None, float("inf")]}) == "x = {'a': [1.5, None, float('inf')]}"


def test_a_name_that_several_cells_define_is_replaced_where_it_comes_from() -> None:
    changed = with_parameters(notebook("\nx = 1", "\nx = x + 1", "\nx"), {"x": 5}, "allow")
    assert [cell.source for cell in changed.cells] == ["x = 5", "x = x + 1", "x"]
    assert [part.source for part in changed.parts] == ["x = 5", "x = x + 1", "x"]


def test_a_cell_of_parameters_is_followed_by_one_that_sets_them() -> None:
    before = notebook("\ny = 1", ' tags=["parameters"]\nx = 1', "\nx")
    once = with_parameters(before, {"x": 5}, "allow")
    assert [part.id for part in once.parts] == ["cell-1", "cell-2", "injected-parameters", "cell-3"]
    assert once.parts[2].source == "# Parameters\nx = 5\n"
    assert once.parts[2].tags == ["injected-parameters"]
    assert [cell.id for cell in once.cells] == [part.id for part in once.parts]
    twice = with_parameters(once, {"x": 6}, "allow")
    assert [part.id for part in twice.parts] == [part.id for part in once.parts]
    assert twice.parts[2].source == "# Parameters\nx = 6\n"


def test_where_no_name_may_be_defined_twice_a_parameter_is_replaced() -> None:
    changed = with_parameters(notebook(' tags=["parameters"]\nx = 1'), {"x": 5}, "error")
    assert [cell.source for cell in changed.cells] == ["x = 5"]


def test_an_unknown_name_is_refused_with_those_that_can_be_given() -> None:
    message = "'rat' is not a parameter (did you mean 'rate'?); these can be given: rate, name"
    with pytest.raises(NotebookFileError) as refused:
        with_parameters(notebook("\nrate = name = 1\n_own = 2"), {"rat": 5}, "allow")
    assert message in str(refused.value)
    with pytest.raises(NotebookFileError, match="can be given: x"):
        with_parameters(notebook(' tags=["parameters"]\nx = 1', "\ny = 2"), {"y": 5}, "allow")


def test_a_broken_cell_hides_only_its_own_names() -> None:
    assert list(parameters_of(notebook("\nx = (", "\ny = 1"))) == ["y"]


def test_the_help_shows_names_types_values_and_comments() -> None:
    assert described(notebook("\nrate: float = 0.5  # per year\nn = 3\n[a] = b\nimport os")) == (
        "Parameters of <stdin>:\n  rate: float = 0.5  # per year\n  n = 3 (int)\n"
        "Other names that can be given: a, os\n"
    )
    tagged = notebook(' tags=["parameters"]\nx = None  # type: int # how many', "\ny = 1")
    assert described(tagged) == "Parameters of <stdin>:\n  x: int = None  # how many\n"
    assert described(notebook("\n1")) == "<stdin> has no parameters.\n"


# The command


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cellwire", "run", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)


def test_parameters_come_from_files_and_the_command_line_and_arguments_after_two_dashes(
    tmp_path: Path,
) -> None:
    (tmp_path / "nb.py").write_text(
        "# %%\nimport sys\na, b, c = 1, 2, 3\nd = '4'\n# %%\na, b, c, d, sys.argv[1:]\n"
    )
    (tmp_path / "a.yaml").write_text("a: 10\nb: [1]\n")
    (tmp_path / "b.json").write_text(json.dumps({"b": 20, "c": None}))
    (tmp_path / "c.toml").write_text("d = 2024-01-01\n")
    options = ["-f", "a.yaml", "-f", "b.json", "-f", "c.toml", "-p", "a=x=y"]
    done = run("nb.py", *options, "--quiet", "-o", "out.ipynb", "--", "-v", "file", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    [output] = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1].outputs
    assert output.output_type == "execute_result"
    assert output.data["text/plain"] == "('x=y', 20, None, '2024-01-01', ['-v', 'file'])"


def test_the_help_of_a_notebook_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text("x = 1\nopen('ran', 'w')\n")
    done = run("nb.py", "--help-notebook", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Parameters of nb.py:\n  x = 1 (int)\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-p", "x"], "argument -p/--parameter: must be NAME=VALUE, not 'x'"),
        (["-p", "y=1"], "nb.py: 'y' is not a parameter; these can be given: x"),
        (["-f", "missing.yaml"], "missing.yaml: No such file or directory"),
        (["-f", "list.json"], "list.json: must hold names and their values, not a list"),
        (["-f", "broken.yaml"], "broken.yaml: not YAML: "),
        (["-f", "broken.json"], "broken.json: not JSON: "),
        (["-f", "broken.toml"], "broken.toml: not TOML: "),
        (["-f", "nb.py"], "nb.py: the name must end with .yaml, .json or .toml"),
    ],
)
def test_what_cannot_be_given_is_explained_and_nothing_runs(
    tmp_path: Path, options: list[str], reason: str
) -> None:
    (tmp_path / "nb.py").write_text("x = 1\nopen('ran', 'w')\n")
    (tmp_path / "list.json").write_text("[]")
    for name in ("broken.yaml", "broken.json", "broken.toml"):
        (tmp_path / name).write_text("a: [")
    done = run("nb.py", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert not (tmp_path / "ran").exists()
