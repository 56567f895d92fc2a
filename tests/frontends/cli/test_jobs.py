"""`cellwire run` as a job: tags, time limits, the first failure, several notebooks, and the report."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "cellwire", "run"]


def run(*arguments: object, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=PATIENCE)


def cases(report: Path) -> dict[str, tuple[str, str]]:
    """Return for each case what became of it, and the message."""
    found: dict[str, tuple[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((child for child in case if not child.tag.startswith("system")), None)
        what = ("passed", "") if outcome is None else (outcome.tag, outcome.get("message", ""))
        found[case.get("name", "")] = what
    return found


def test_a_cell_that_is_to_fail_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text('# %% bad tags=["raises-exception"]\n1 / 0\n# %%\n"next"\n')
    for options in ([], ["--fail-fast"]):
        done = run("nb.py", *options, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("'next'\n")


def test_a_cell_that_is_not_to_run_keeps_its_outputs(tmp_path: Path) -> None:
    old = {"output_type": "stream", "name": "stdout", "text": ["old\n"]}
    about = {"metadata": {"tags": ["skip-execution"]}, "outputs": [old], "execution_count": 3}
    cells = [
        {"cell_type": "code", "id": "a", "source": "x = 1\n1 / 0", **about},
        {"cell_type": "code", "id": "b", "source": "x", "metadata": {"tags": ["raises-exception"]}},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))
    done = run("n.ipynb", "-o", "out.ipynb", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "[b]\nerror: NameError: name 'x' is not defined\n")
    kept = json.loads((tmp_path / "out.ipynb").read_text())["cells"][0]
    assert (kept["outputs"], kept["execution_count"]) == ([old], 3)


def test_nothing_begins_after_the_first_failure(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "# %% later\nx = helper()\n# %% fails\n1 / 0\n# %% after\nopen('ran', 'w')\n"
        "# %% below\ndef helper(): pass\n"
    )
    done = run("nb.py", "--fail-fast", "-o", "out.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == [
        "[below]",
        "[later]",
        "[fails]",
    ]
    assert done.stderr.endswith("cellwire: stopped at the first failure\n")
    assert not (tmp_path / "ran").exists()


def test_nothing_begins_if_a_cell_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text("# %% first\nopen('ran', 'w')\n# %% broken\nx = (\n")
    done = run("nb.py", "--fail-fast", cwd=tmp_path)
    assert "cell 'broken' failed" in done.stderr
    assert (done.returncode, (tmp_path / "ran").exists()) == (1, False)


def test_a_run_without_a_failure_ends_as_ever_with_fail_fast(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text("# %%\nx\n# %%\nx = 1\n# %%\nx = x + 1\n# %%\nx\n")
    assert run("nb.py", "--fail-fast", cwd=tmp_path).stdout.endswith("[cell-4]\n2\n")


def test_a_cell_that_takes_too_long_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "# %% quick\n1\n# %% slow\nwhile True: pass\n# %% next\nopen('ran', 'w')\n"
    )
    done = run("nb.py", "--cell-timeout", "0.5", "--report", "out.xml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "cellwire: cell 'slow' took longer than 0.5 s\n")
    assert not (tmp_path / "ran").exists()
    outcomes = {name: what for name, (what, _) in cases(tmp_path / "out.xml").items()}
    assert outcomes == {"quick": "passed", "slow": "failure", "next": "skipped", "(run)": "error"}


MEETING = """\
import os, time
open({mine!r}, 'w')
while not os.path.exists({other!r}):
    time.sleep(0.01)
print({mine!r})
"""


def test_notebooks_run_at_the_same_time_and_are_shown_as_wholes(tmp_path: Path) -> None:
    """Each waits for the other."""
    (tmp_path / "a.py").write_text(MEETING.format(mine="a", other="b"))
    (tmp_path / "b.py").write_text(MEETING.format(mine="b", other="a") + "1 / 0\n")
    done = run("a.py", "b.py", "--jobs", "4", "--report", "out.xml", cwd=tmp_path)
    assert done.returncode == 1
    assert "== a.py\n[cell-1]\na\n\n" in done.stdout
    assert "== b.py\n[cell-1]\nb\nerror: ZeroDivisionError" in done.stdout
    assert "b.py: cell 'cell-1' failed at b.py:6:\n" in done.stderr
    suites = {
        suite.get("name"): suite.get("failures")
        for suite in ElementTree.parse(tmp_path / "out.xml").iter("testsuite")
    }
    assert suites == {"a.py": "0", "b.py": "1"}


def test_what_is_wrong_with_one_notebook_does_not_keep_others_from_running(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\nos.kill(os.getppid(), 9)\n")
    (tmp_path / "b.py").write_text("'fine'\n")
    done = run("a.py", "b.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "== b.py\n[cell-1]\n'fine'\n" in done.stdout
    assert "cellwire: a.py: the kernel process was killed by SIGKILL" in done.stderr


def test_after_a_signal_or_a_first_failure_no_notebook_begins(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1 / 0\n")
    (tmp_path / "b.py").write_text("open('ran', 'w')\n")
    done = run("a.py", "b.py", "--fail-fast", cwd=tmp_path)
    assert (done.returncode, "b.py" in done.stdout) == (1, False)
    (tmp_path / "a.py").write_text("import os\nos.kill(int(os.environ['COMMAND']), 15)\nwhile True: pass\n")
    command = ["sh", "-c", 'COMMAND=$$ exec "$@"', "sh", *COMMAND, "a.py", "b.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 128 + signal.SIGTERM
    assert "cellwire: a.py: stopped by SIGTERM" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_events_of_several_notebooks_name_theirs(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("1\n")
    lines = run("a.py", "b.py", "--json", cwd=tmp_path).stdout.splitlines()
    assert [json.loads(line)["notebook"] for line in lines] == sorted(
        json.loads(line)["notebook"] for line in lines
    )
    assert {json.loads(line)["event"]["type"] for line in lines} >= {"CellStarted", "CellFinished"}


def test_the_report_has_each_cell_with_what_became_of_it(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "# %% First one\nprint('\\x1b[31mred\\x00')\n# %% bad\n1 / 0\nx = 1\n# %% below\nx\n"
        '# %% off tags=["skip-execution"]\n1\n# %% planned tags=["raises-exception"]\n1 / 0\n'
    )
    done = run("nb.py", "--report", "out.xml", "--quiet", cwd=tmp_path)
    assert done.returncode == 1
    assert cases(tmp_path / "out.xml") == {
        "First one": ("passed", ""),
        "bad": ("failure", "ZeroDivisionError: division by zero"),
        "below": ("skipped", "not run because cell 'bad' failed (ZeroDivisionError)"),
        "off": ("skipped", "the cell has the tag skip-execution"),
        "planned": ("passed", ""),
    }
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "2")
    assert suite[0].findtext("system-out") == "�[31mred�\n"
    assert (suite[1].get("classname"), suite[1].get("file"), suite[1].get("line")) == ("nb", "nb.py", "4")
    assert "line 4, in <module>" in (suite[1].findtext("failure") or "")


def test_notebooks_may_stand_on_both_sides_of_an_option(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.py").write_text(f"print({name!r})\n")
    done = run("a.py", "--fail-fast", "b.py", "--jobs", "1", "c.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("==")] == [
        "== a.py",
        "== b.py",
        "== c.py",
    ]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (["--jobs", "0"], 2, "argument --jobs: must be a number of notebooks from 1, not '0'"),
        (["--cell-timeout", "x"], 2, "argument --cell-timeout: must be a number of seconds above 0"),
        (["--report", "nb.py/out.xml"], 1, "nb.py/out.xml: Not a directory\n"),
        (["--junit", "out.xml"], 2, "unknown arguments: --junit out.xml; see `cellwire run --help`"),
    ],
)
def test_an_option_that_cannot_be_followed_is_explained_and_nothing_runs(
    tmp_path: Path, options: list[str], status: int, reason: str
) -> None:
    (tmp_path / "nb.py").write_text("open('ran', 'w')\n")
    done = run("nb.py", *options, cwd=tmp_path)
    assert (done.returncode, reason in done.stderr) == (status, True)
    assert not (tmp_path / "ran").exists()
