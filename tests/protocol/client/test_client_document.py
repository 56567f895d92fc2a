"""docs/client.md: its examples run and print what their comments say, its reference is that of the code."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cellwire import protocol

DOCUMENTS = Path(__file__).parents[3] / "docs"
TEXT = (DOCUMENTS / "client.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def writer() -> Any:
    spec = importlib.util.spec_from_file_location("make_client_page", DOCUMENTS / "make_client_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_prints_what_its_comments_say(example: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example)
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", example)


def test_the_reference_is_that_of_the_code() -> None:
    assert writer().page(TEXT) == TEXT, "run `python docs/make_client_page.py`"


def test_every_public_name_is_on_the_page() -> None:
    assert not [name for name in protocol.__all__ if name not in TEXT]
