"""CONTRIBUTING.md: what it tells the reader to read, run and expect is there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol.notebook import CellState, Item, Notebook
from cellwire.protocol.reducer import apply
from rooms import ROOT, SOURCES

DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text()


def section(title: str) -> str:
    """Return the text under a heading."""
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S)
    return text


def test_the_reading_path_has_at_most_6000_lines_and_each_of_its_files_exists() -> None:
    named = re.findall(r"`([\w/]+(?:/|\.py))`", section("What to read"))
    files: set[Path] = set()
    for name in named:
        found = {path for source, path in SOURCES.items() if source.startswith(name)}
        assert found, f"{name} does not exist"
        files |= found
    assert len(named) > 20
    assert sum(len(path.read_text().splitlines()) for path in files) <= 6000


def test_the_tests_it_names_exist() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", DOCUMENT):
        assert f"def {name}(" in sources, name


def test_its_example_runs_and_shows_events() -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.S)
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("RunFinished(run=1, status='ok'")


#: What the fields of an event hold in the smallest event of its kind, where they are no text.
_SAMPLES = {"run": 1, "item": Item(1, {}), "at": 0.0, "chars": 1, "generation": 1, "pid": 1, "cells": []}


@pytest.mark.parametrize("kind", [get_origin(kind) or kind for kind in get_args(e.Event)])
def test_every_event_can_be_carried_out(kind: type) -> None:
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    values = {name: _SAMPLES.get(name, "a") for name in required}
    if kind is e.CellRestored:
        values["cell"] = CellState("a")
    apply(Notebook(), kind(**values))
