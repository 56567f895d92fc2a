"""The README's example is complete, runs as it stands, and prints what its comments say."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_prints_what_its_comments_say(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", example)


def test_the_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    [commands] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert re.findall(r"^make (\w+)", commands, re.MULTILINE) == ["run", "test"]
    assert {"run", "test", "check", "smoke", "bench", "clean"} <= set(targets)


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)]*)\)|^\| `([\w/]+/)`", README, re.MULTILINE):
        assert (ROOT / "".join(path)).exists(), path
