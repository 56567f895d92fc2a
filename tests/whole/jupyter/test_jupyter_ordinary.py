"""Ordinary cells show what they show in ipykernel. `make compat-wire` runs those of large libraries too."""

import asyncio
from pathlib import Path

import pytest
from support.ordinary import DIFFERENT, cells, differences


def test_ordinary_cells_show_what_they_show_in_ipykernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    sources = cells(libraries=False)
    found = asyncio.run(differences(sources, tmp_path))
    assert {title: text for title, text in found.items() if title not in DIFFERENT} == {}
    assert DIFFERENT.keys() & sources.keys() <= found.keys()
