"""The notebook file of a test."""

from pathlib import Path

import pytest


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return tmp_path / "notebook.py"
