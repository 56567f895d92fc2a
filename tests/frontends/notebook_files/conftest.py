"""Files written for a test and read as notebooks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile, load


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str | bytes], NotebookFile]:
    """Return a function that loads a file of this name and content."""

    def read(name: str, content: str | bytes) -> NotebookFile:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path)

    return read


@pytest.fixture
def sources(read: Callable[[str, str | bytes], NotebookFile]) -> Callable[[str, str | bytes], dict[str, str]]:
    """Return a function that gives the sources in such a file, by cell id."""
    return lambda name, content: {cell.id: cell.source for cell in read(name, content).cells}
