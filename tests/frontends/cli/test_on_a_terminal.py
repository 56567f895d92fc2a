"""The `cellwire` command on a terminal: what a person sees, types and interrupts."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from support.waiting import PATIENCE

ERASED = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a pseudo-terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cellwire", *map(str, arguments)],
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
        """What was written, without escape sequences."""
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
        except OSError:  # what Linux raises when the last process has closed the terminal
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
    assert settled.rstrip().endswith(f"{notebook}:10: ZeroDivisionError: division by zero")
    assert terminal.text.count("'first'") == 1
    # The cursor is visible again.
    assert terminal.raw.rfind("\x1b[?25h") > terminal.raw.rfind("\x1b[?25l")


def test_a_terminal_shows_lines_and_items_in_the_order_in_which_they_were_written(notebook: Path) -> None:
    notebook.write_text(
        "import cellwire as cw\n"
        "for n in range(20):\n    print(f'line {n}')\n    cw.output.append(f'item {n}')\n"
    )
    terminal = Terminal("run", notebook)
    assert terminal.wait() == 0
    expected = [text for n in range(20) for text in (f"line {n}", f"'item {n}'")]
    settled = [line.strip() for line in terminal.text.splitlines()]
    # What is drawn of an item while it can change comes before the same item in its place.
    last = {text: index for index, text in enumerate(settled)}
    assert sorted(expected, key=last.__getitem__) == expected


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


def test_ctrl_d_at_a_prompt_is_the_end_of_input_for_the_cell(notebook: Path) -> None:
    notebook.write_text("# %% asks\ninput('Name? ')\n# %% other\n'still run'\n")
    terminal = Terminal("run", notebook)
    terminal.wait_for(r"Name\? ")
    terminal.type("\x04")
    assert terminal.wait() == 1
    assert re.search(r"✗ asks +error .*EOFError: EOF when reading a line", terminal.text, re.DOTALL)
    assert "'still run'" in terminal.text


def test_ctrl_c_on_a_terminal_interrupts_the_cell_and_not_the_kernel(notebook: Path) -> None:
    notebook.write_text("# %% waits\nimport time\nprint('running')\ntime.sleep(1000)\n# %% next\n1\n")
    terminal = Terminal("run", notebook)
    terminal.wait_for("running\n")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert re.search(r"■ interrupted", terminal.text)
    assert "stopped by SIGINT" in terminal.text
    assert "Traceback" not in terminal.text.split("stopped by")[-1]


def test_ctrl_c_at_a_prompt_ends_the_run_and_the_terminal_echoes_again(notebook: Path) -> None:
    notebook.write_text("import getpass\ngetpass.getpass('Secret? ')\n")
    terminal = Terminal("run", notebook)
    terminal.wait_for(r"Secret\? ")
    terminal.type("\x03")
    terminal.wait_for("stopped by SIGINT")
    assert terminal.echoes
    assert terminal.wait() == 130


def test_an_image_is_drawn_if_the_terminal_shows_images(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.write_text(
        "# %% image\nimport cellwire as cw\nprint('before')\n"
        "cw.output.append(cw.mime({'image/png': b'12345', 'text/plain': 'a figure'}))\nprint('after')\n"
    )
    monkeypatch.setenv("CELLWIRE_IMAGES", "kitty")
    terminal = Terminal("run", notebook)
    assert terminal.wait() == 0
    assert re.search(r"before(?s:.*)\x1b_Ga=T,f=100,q=2,m=0;MTIzNDU=\x1b\\(?s:.*)after", terminal.raw)
    monkeypatch.setenv("CELLWIRE_IMAGES", "none")
    terminal = Terminal("run", notebook, "-o", notebook.with_suffix(".html"))
    assert terminal.wait() == 0
    assert "\x1b_G" not in terminal.raw
    # The terminal is narrower than the path.
    assert "(image/png, 5 bytes, saved in" in terminal.text
