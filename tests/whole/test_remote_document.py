"""docs/remote.md: its commands, in order, between two machines."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machines import Machine, two_machines

DOCUMENT = Path(__file__).parents[2] / "docs" / "remote.md"
BLOCKS = re.findall(r"^```(console|python) (\w+)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
NOTEBOOK = "# %% parts\nparts = [2, 3]\n# %% total\ntotal = sum(parts)\nprint('the total is', total)\n"


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    with two_machines(tmp_path) as made:
        (made["box"].folder / "sums.py").write_text(NOTEBOOK)
        yield made
        left = made["box"].run("cellwire ps --json").stdout
        assert str(tmp_path) not in left


class Session:
    """What a person does who follows the document."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self._machines = machines
        self._started: list[subprocess.Popen[str]] = []
        #: Commands that were carried out.
        self.done: list[str] = []

    def carry_out(self, kind: str, text: str) -> None:
        if kind == "python":
            self._program(text)
            return
        for line in text.splitlines():
            name, command = line.split("$ ", 1)
            if command.endswith(" &"):
                self._started.append(self._machines[name].start(command.removesuffix(" &")))
            elif command.startswith("cellwire attach"):
                self._attach(self._machines[name], command)
            else:
                self._machines[name].run(command)
            self.done.append(command)

    def _attach(self, machine: Machine, command: str) -> None:
        process = machine.start(command)
        assert process.stdout is not None
        self._started.append(process)
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            if line == "the total is 5\n":
                return
        pytest.fail(f"{command} showed {seen}")

    def _program(self, text: str) -> None:
        laptop = self._machines["laptop"]
        (laptop.folder / "program.py").write_text(text)
        done = laptop.run(f"{sys.executable} program.py")
        assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", text)

    def close(self) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.communicate(timeout=30)


@pytest.mark.parametrize("way", ["ssh", "keys"])
def test_the_commands_of_the_document_reach_a_kernel_on_another_machine(
    machines: dict[str, Machine], way: str
):
    session = Session(machines)
    try:
        for kind, of, text in BLOCKS:
            if of == way:
                session.carry_out(kind, text)
    finally:
        session.close()
    assert len(session.done) >= 5


def test_every_command_of_the_document_is_tried():
    commands = re.findall(r"^(?:box|laptop)\$ .*", DOCUMENT.read_text(), re.M)
    assert len(commands) == sum(len(text.splitlines()) for kind, _, text in BLOCKS if kind == "console")
    assert {of for _, of, _ in BLOCKS} == {"ssh", "keys"}
