"""The `cellwire` command, as a process: what it prints, how it ends, and what it leaves behind."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from cellwire.protocol import launch_kernel
from support.processes import children_of, gone
from support.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "cellwire.frontends.cli.main"]
ERASED = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return tmp_path / "notebook.py"


def cellwire(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE)


def wait_until_gone(*pids: int) -> None:
    """Return when none of the processes exists."""
    anyio.run(partial(gone, *pids))


# run


def test_a_notebook_is_shown_cell_by_cell_in_order(notebook: Path) -> None:
    notebook.write_text(
        "# %% first\nimport cellwire as cw\nprint('printed')\ncw.output.append(1)\n2\n"
        "# %% nothing to show\nx = 3\n# %%\nx + 1\n"
    )
    done = cellwire("run", notebook)
    assert done.stdout == "[first]\nprinted\n1\n2\n\n[nothing to show]\n\n[cell-3]\n4\n"
    assert (done.returncode, done.stderr) == (0, "")


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
    assert "cell 'Divide' failed:\nTraceback (most recent call last):\n" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_cell_that_does_not_parse_fails_and_the_rest_still_runs(notebook: Path) -> None:
    notebook.write_text("# %% broken\nx = (\n# %% fine\n'run'\n")
    done = cellwire("run", notebook)
    assert (done.returncode, "'run'" in done.stdout) == (1, True)
    assert "cell 'broken' failed:\nSyntaxError" in done.stderr


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


def test_an_interpreter_that_cannot_be_started_is_one_line(notebook: Path) -> None:
    notebook.write_text("1\n")
    done = cellwire("run", notebook, "--python", "/nowhere/python")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "/nowhere/python" in done.stderr


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
    assert done.stdout.startswith("[quick]\n1\n\n[slow]\ninterrupted")
    assert "timed out after 1 s, running: slow" in done.stderr


def test_input_is_read_from_standard_input_a_line_at_a_time(notebook: Path) -> None:
    notebook.write_text("a = input('? ')\nb = input()\n(a, b)\n")
    assert cellwire("run", notebook, stdin="one\ntwo").stdout == "[cell-1]\n('one', 'two')\n"


def test_a_question_without_anybody_to_answer_ends_the_run(notebook: Path) -> None:
    notebook.write_text("# %% asks\ninput('? ')\n")
    done = cellwire("run", notebook)
    assert done.returncode == 1
    assert "cell asks asks for input, and standard input has ended" in done.stderr


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
    """Start a run whose cell prints a line, and yield it then, with the pids of its kernel and its runner."""
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


# On a terminal


class Terminal:
    """A command on a pseudo-terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
            # Ctrl-C reaches the process by the terminal, as a person's does.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """What was written, without what moves the cursor and colors."""
        return ERASED.sub("", self.raw).replace("\r\n", "\n")

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert self._read(deadline), f"{pattern!r} is not in {self.text!r}"

    def wait(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        os.close(self._master)
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self.process.kill()
            self.process.wait()
            os.close(self._master)
            raise TimeoutError(self.text)
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the last process has closed the terminal
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


PROGRESS = """\
# %% quick
'first'
# %% counts
import cellwire as cw
for n in cw.progress_bar(range(10), title="Counting"):
    print("line", n)
    if n == 3:
        open("seen").readline()
# %% fails
1 / 0
"""


def test_a_terminal_shows_progress_as_a_bar_that_moves_and_the_result_in_the_end(notebook: Path) -> None:
    notebook.write_text(PROGRESS)
    os.mkfifo(notebook.with_name("seen"))
    with open(notebook.with_name("seen"), "r+b", buffering=0) as seen:
        terminal = Terminal("run", notebook)
        terminal.wait_for(r"Counting ━+╺━* 3/10")
        # Signal 1: the bar has been seen on its way, and the cell goes on.
        seen.write(b"yes\n")
        assert terminal.wait() == 1
    settled = terminal.text[terminal.text.rindex("line 9") :]
    assert re.search(r"Counting ━{30} 10/10", settled)
    assert re.search(r"✗ fails +error .*ZeroDivisionError: division by zero", settled, re.DOTALL)
    assert settled.rstrip().endswith("cell 'fails' failed: ZeroDivisionError: division by zero")
    assert terminal.text.count("'first'") == 1
    # The cursor is visible again.
    assert terminal.raw.rfind("\x1b[?25h") > terminal.raw.rfind("\x1b[?25l")


def test_a_terminal_is_asked_for_input_and_does_not_show_passwords(notebook: Path) -> None:
    notebook.write_text(
        "import getpass, time\nprint('hello')\ntime.sleep(0.3)\nname = input('Name? ')\n"
        "secret = getpass.getpass('Secret? ')\n(name, len(secret))\n"
    )
    terminal = Terminal("run", notebook)
    terminal.wait_for(r"Name\? ")
    terminal.type("Ada\n")
    terminal.wait_for(r"Secret\? ")
    assert not terminal.echoes
    terminal.type("hidden\n")
    assert terminal.wait() == 0
    assert "('Ada', 6)" in terminal.text
    assert "hidden" not in terminal.text


def test_ctrl_c_on_a_terminal_interrupts_the_cell_and_not_the_kernel(notebook: Path) -> None:
    notebook.write_text("# %% waits\nimport time\nprint('running')\ntime.sleep(1000)\n# %% next\n1\n")
    terminal = Terminal("run", notebook)
    terminal.wait_for("running\n")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert re.search(r"■ interrupted", terminal.text)
    assert "stopped by SIGINT" in terminal.text
    assert "Traceback" not in terminal.text.split("stopped by")[-1]


def test_ctrl_c_at_a_question_ends_the_run_and_the_terminal_echoes_again(notebook: Path) -> None:
    notebook.write_text("import getpass\ngetpass.getpass('Secret? ')\n")
    terminal = Terminal("run", notebook)
    terminal.wait_for(r"Secret\? ")
    terminal.type("\x03")
    terminal.wait_for("stopped by SIGINT")
    assert terminal.echoes
    assert terminal.wait() == 130


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


# graph


GRAPH = """\
# %% Data
x = 1
y = 2
# %% once
w = 1
# %% total
total = sum([x, w])
# %% again
x = 3
# %% broken
)
"""


def test_graph_shows_definitions_edges_and_errors_without_running(notebook: Path) -> None:
    notebook.write_text(GRAPH + "# %% never\nopen('trap', 'w')\n")
    done = cellwire("graph", notebook)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "data  (Data)\n  defines  x, y\n  error    MultipleDefinitions: 'x' is also"
    )
    assert "total\n  defines  total\n  after    once  (w)\n  missing  x\n" in done.stdout
    assert "broken\n  error    SyntaxError" in done.stdout
    assert done.stdout.endswith("3 of 6 cells cannot run\n")
    assert not (notebook.parent / "trap").exists()


def test_graph_is_given_to_graphviz_and_to_programs(notebook: Path) -> None:
    notebook.write_text('# %% a "b"\nx = 1\n# %% c\ny = x\n')
    done = cellwire("graph", notebook, "--dot")
    assert done.returncode == 0
    assert done.stdout.startswith("digraph notebook {")
    assert '  "a-b" -> "c" [label="x"];\n' in done.stdout
    assert r'"a-b" [label="a \"b\"\nx"]' in done.stdout
    drawing = json.loads(cellwire("graph", notebook, "--json").stdout)
    assert drawing["edges"] == [{"parent": "a-b", "child": "c", "names": ["x"]}]
    assert drawing["order"] == ["a-b", "c"]


# kernel and version


def test_kernel_is_what_launchers_start() -> None:
    done = cellwire("kernel", stdin="{}\n")
    connection = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert connection["endpoint"].startswith("ipc://")
    wait_until_gone(connection["pid"])


def test_the_version_is_the_packages() -> None:
    assert re.fullmatch(r"cellwire \d+\.\d+\.\d+\n", cellwire("--version").stdout)
