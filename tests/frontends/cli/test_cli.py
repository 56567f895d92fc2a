"""The `cellwire` command, as a process: what it prints, how it ends, and what it leaves behind."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from cellwire.protocol import launch_kernel
from support.processes import children_of, wait_until_gone
from support.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "cellwire"]


def cellwire(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE)


# run


def test_a_notebook_is_shown_cell_by_cell_in_order(notebook: Path) -> None:
    notebook.write_text(
        "# %% first\nimport cellwire as cw\nprint('printed')\ncw.output.append(1)\n2\n"
        "# %% nothing to show\nx = 3\n# %%\nx + 1\n"
    )
    done = cellwire("run", notebook)
    assert done.stdout == "[first]\nprinted\n1\n2\n\n[nothing to show]\n\n[cell-3]\n4\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_printed_lines_and_items_alternate_as_written(notebook: Path) -> None:
    notebook.write_text(
        "# %% a\nimport cellwire as cw\nfor i in range(200):\n    print('line', i)\n    cw.output.append(i)\n"
    )
    lines = "".join(f"line {i}\n{i}\n" for i in range(200))
    assert cellwire("run", notebook).stdout == f"[a]\n{lines}"
    events = [json.loads(line) for line in cellwire("run", "--json", notebook).stdout.splitlines()]
    befores = [event.get("before", 0) for event in events if event["type"] == "ConsoleWritten"]
    assert befores == list(range(200))


def test_a_notebook_runs_in_its_own_folder_and_imports_what_is_beside_it(notebook: Path) -> None:
    (notebook.parent / "beside.py").write_text("value = 5\n")
    notebook.write_text("import os, beside\n(os.getcwd(), beside.value)\n")
    assert cellwire("run", notebook).stdout == f"[cell-1]\n{(str(notebook.parent), 5)!r}\n"


def test_a_failing_cell_is_named_with_its_traceback_and_the_rest_still_runs(notebook: Path) -> None:
    notebook.write_text("# %% Divide\nx = 1 / 0\n# %% reader\nx\n# %% other\n'still run'\n")
    done = cellwire("run", notebook)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "[Divide]\nerror: ZeroDivisionError: division by zero\n\n[reader]\ncancelled: "
    )
    assert done.stdout.endswith("[other]\n'still run'\n")
    assert f"cell 'Divide' failed at {notebook}:2:\nTraceback (most recent call last):\n" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_cell_that_does_not_parse_fails_and_the_rest_still_runs(notebook: Path) -> None:
    notebook.write_text("# %% broken\nx = (\n# %% fine\n'run'\n")
    done = cellwire("run", notebook)
    assert (done.returncode, "'run'" in done.stdout) == (1, True)
    assert f"cell 'broken' failed at {notebook}:2:\n  File \"{notebook}\", line 2\n" in done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [("missing.py", None), ("folder.py", ""), ("bad.py", "def ("), ("bad.ipynb", "{"), ("a.txt", "x")],
)
@pytest.mark.parametrize("command", ["run", "graph"])
def test_a_file_that_is_no_notebook_is_one_line_and_status_2(
    tmp_path: Path, command: str, name: str, content: str | None
) -> None:
    if content == "":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_text(content)
    done = cellwire(command, tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"cellwire: {tmp_path / name}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run"], ["run", "a.py", "--timeout", "-1"], ["graph", "--svg"]]
)
def test_a_wrong_command_line_is_status_2(arguments: list[str]) -> None:
    done = cellwire(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: cellwire")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--timeout", "abc"], "argument --timeout: must be a number of seconds above 0, not 'abc'"),
        (["--timeout", "inf"], "argument --timeout: must be a number of seconds above 0, not 'inf'"),
        (["--json", "--quiet"], "argument --quiet: not allowed with argument --json"),
    ],
)
def test_a_wrong_option_is_explained(arguments: list[str], reason: str) -> None:
    done = cellwire("run", "notebook.py", *arguments)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"cellwire run: error: {reason}")


@pytest.mark.parametrize("python", ["/nowhere/python", "no-such-python", "."])
def test_an_interpreter_that_cannot_be_started_is_one_line(notebook: Path, python: str) -> None:
    notebook.write_text("1\n")
    done = cellwire("run", notebook, "--python", python)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cellwire: --python {python}: there is no such program\n"


def test_events_are_one_json_object_a_line(notebook: Path) -> None:
    notebook.write_text("import cellwire as cw\ncw.mime({'image/png': b'abc', 'text/plain': 'x'})\n")
    done = cellwire("run", notebook, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [appended] = [event for event in events if event["type"] == "OutputAppended"]
    assert appended["item"]["data"] == {"image/png": "YWJj", "text/plain": "x"}
    assert events[-1] == {"type": "RunFinished", "run": 1}


def test_quiet_prints_nothing_but_failures(notebook: Path) -> None:
    notebook.write_text("# %% fine\nprint(1)\n2\n")
    assert cellwire("run", notebook, "--quiet").stdout == ""
    notebook.write_text("# %% bad\nprint(1)\n1 / 0\n")
    done = cellwire("run", notebook, "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cell 'bad' failed" in done.stderr


def test_after_the_timeout_the_run_is_interrupted_and_the_running_cell_named(notebook: Path) -> None:
    notebook.write_text("# %% quick\n1\n# %% slow\nimport time\ntime.sleep(1000)\n# %% never\n2\n")
    done = cellwire("run", notebook, "--timeout", "1")
    assert done.returncode == 1
    assert done.stdout.startswith("[quick]\n1\n\n[slow]\ninterrupted while it ran\n")
    assert "timed out after 1 s, running: slow" in done.stderr


def test_input_is_read_from_standard_input_a_line_at_a_time(notebook: Path) -> None:
    notebook.write_text("a = input('? ')\nb = input()\n(a, b)\n")
    assert cellwire("run", notebook, stdin="one\ntwo").stdout == "[cell-1]\n('one', 'two')\n"


def test_at_the_end_of_standard_input_the_cell_gets_an_eoferror_and_the_rest_still_runs(
    notebook: Path,
) -> None:
    notebook.write_text("# %% asks\ninput('? ')\n# %% other\n'still run'\n")
    done = cellwire("run", notebook)
    assert (done.returncode, done.stdout) == (
        1,
        "[asks]\nerror: EOFError: EOF when reading a line\n\n[other]\n'still run'\n",
    )
    assert done.stderr.endswith("EOFError: EOF when reading a line\n")


def test_where_standard_input_is_closed_it_has_ended(notebook: Path) -> None:
    notebook.write_text("try:\n    input()\nexcept EOFError as error:\n    print(error)\n")
    command = ["sh", "-c", '"$@" <&-', "sh", *COMMAND, "run", str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[cell-1]\nEOF when reading a line\n", "")


def test_a_cell_reads_standard_input_up_to_its_end(notebook: Path) -> None:
    notebook.write_text(
        "# %%\nimport sys\nlines = []\ntry:\n    while True:\n        lines.append(input())\n"
        "except EOFError:\n    pass\nlines, sys.stdin.readlines(), sys.stdin.readline()\n"
    )
    assert cellwire("run", notebook, stdin="one\ntwo\n").stdout == "[cell-1]\n(['one', 'two'], [], '')\n"


def test_lines_that_overwrite_themselves_come_out_as_a_terminal_leaves_them(notebook: Path) -> None:
    notebook.write_text(
        "print('step 10\\rstep 9')\nprint('\\x1b[32m50%\\x1b[0m\\rend', end='')\nprint('\\b!')\n"
    )
    assert cellwire("run", notebook).stdout == "[cell-1]\nstep 90\n\x1b[0men!\n"


def test_html_and_markdown_are_shown_as_text(notebook: Path) -> None:
    notebook.write_text(
        "# %% a\nimport cellwire as cw\ncw.html('<b>bold</b> &amp; more')\n"
        "# %% b\nclass Page:\n    def _repr_html_(self): return '<p>a page</p>'\nPage()\n"
        "# %% c\nclass Note:\n    def _repr_markdown_(self): return '# Title'\nNote()\n"
    )
    assert cellwire("run", notebook).stdout == "[a]\nbold & more\n\n[b]\na page\n\n[c]\n# Title\n"


def test_scripts_of_other_tools_are_run_cell_by_cell(notebook: Path) -> None:
    for text in (
        "# +\nx = 1\n\n# -\n\nx + 1\n",
        "# In[1]:\n\n\nx = 1\n\n\n# In[ ]:\n\n\nx + 1\n",
        "# Databricks notebook source\nx = 1\n\n# COMMAND ----------\n\nx + 1\n",
    ):
        notebook.write_text(text)
        done = cellwire("run", notebook)
        assert (done.returncode, done.stdout, done.stderr) == (0, "[cell-1]\n\n[cell-2]\n2\n", "")


@pytest.mark.parametrize("command", ["run", "graph"])
def test_a_script_that_only_looks_as_if_it_had_cells_is_one_cell_with_a_remark(
    notebook: Path, command: str
) -> None:
    notebook.write_text("##### Data #####\nx = 1\n##### Sum #####\ny = x + 1\n")
    done = cellwire(command, notebook)
    assert (done.returncode, done.stdout.count("cell-")) == (0, 1)
    assert done.stderr.startswith(
        f"cellwire: {notebook}: read as one cell: lines of ##### do not begin cells"
    )
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_ends_the_run_quietly(notebook: Path) -> None:
    notebook.write_text("# %% a\nprint('x\\n' * 100_000)\n# %% b\nimport time\ntime.sleep(1000)\n")
    with subprocess.Popen(
        [*COMMAND, "run", notebook], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"[a]\n"
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


STUBBORN = """\
# %% stubborn
import time
print("running", flush=True)
while True:
    try:
        time.sleep(1000)
    except KeyboardInterrupt:
        print("no", flush=True)
"""


@contextmanager
def running(notebook: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Start a run; when its cell has printed a line, yield it with the pids of its kernel and runner."""
    command = [*COMMAND, "run", "--json", str(notebook)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        runner = 0
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "RunnerStarted":
                runner = event["pid"]
            if event["type"] == "ConsoleWritten":
                break
        try:
            yield process, children_of(process.pid)[0], runner
        finally:
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_run_which_then_ends_in_order(notebook: Path, signum: signal.Signals) -> None:
    notebook.write_text("# %% waits\nimport time\nprint('running')\ntime.sleep(1000)\n# %% next\n1\n")
    with running(notebook) as (process, kernel, runner):
        process.send_signal(signum)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + signum
        events = [json.loads(line) for line in out.splitlines()]
        assert events[-1] == {
            "type": "RunFinished",
            "run": 1,
            "status": "interrupted",
            "reason": events[-1]["reason"],
        }
        assert f"stopped by {signum.name}" in err
        wait_until_gone(kernel, runner)


def test_a_second_signal_leaves_at_once_and_leaves_no_process_behind(notebook: Path) -> None:
    notebook.write_text(STUBBORN)
    with running(notebook) as (process, kernel, runner):
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        while "no" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        wait_until_gone(kernel, runner)


def test_a_run_that_ignores_the_timeout_is_ended_all_the_same(notebook: Path) -> None:
    notebook.write_text(STUBBORN)
    impatient = (
        "from cellwire.frontends.cli import main, run\nrun.GRACE_SECONDS = 0.5\nraise SystemExit(main.main())"
    )
    command = [sys.executable, "-c", impatient, "run", str(notebook), "--timeout", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "running: stubborn; it did not end when it was interrupted" in done.stderr


# attach


def test_attach_shows_what_is_there_and_follows_until_the_kernel_closes() -> None:
    async def main() -> tuple[bytes, int]:
        with anyio.fail_after(PATIENCE):
            async with launch_kernel() as kernel:
                await kernel.run({"a": "print('before')\n1"})
                command = [*COMMAND, "attach", kernel.connection_file]
                async with await anyio.open_process(command, stderr=None) as process:
                    assert process.stdout is not None
                    shown = await process.stdout.receive()
                    await kernel.run({"b": "print('after')\n2"})
                    await kernel.shutdown()
                    async for part in process.stdout:
                        shown += part
                    return shown, await process.wait()

    assert anyio.run(main) == (b"[a]\nbefore\n1\n\n[b]\nafter\n2\n", 0)


def test_attach_without_a_kernel_is_one_line(tmp_path: Path) -> None:
    done = cellwire("attach", tmp_path / "nothing.json")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "nothing.json" in done.stderr


# kernel and version


def test_kernel_is_what_launchers_start() -> None:
    done = cellwire("kernel", stdin="{}\n")
    connection = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert connection["endpoint"].startswith("ipc://")
    wait_until_gone(connection["pid"])


def test_the_version_is_the_packages() -> None:
    assert re.fullmatch(r"cellwire \d+\.\d+\.\d+\n", cellwire("--version").stdout)
