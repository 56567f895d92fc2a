"""The names of cells' files: what clients compute as well."""

import os
import shutil
from pathlib import Path

from cellwire.frontends.jupyter.cell_files import CellFiles, murmur2


def test_the_hash_is_that_of_ipykernel() -> None:
    from ipykernel.compiler import murmur2_x86

    for text in ("", "x", "ab", "abc", "abcd", "ä = 'é'\n" * 10, "def f():\n    return 1\n"):
        assert murmur2(text.encode(), 0xC70F6907) == murmur2_x86(text, 0xC70F6907)


def test_a_file_holds_the_source_and_is_gone_in_the_end() -> None:
    files = CellFiles()
    path = Path(files.write("x = 'ä'"))
    assert path.read_text("utf-8") == "x = 'ä'"
    assert str(path) == files.path("x = 'ä'")
    assert path.parent.stat().st_mode & 0o077 == 0
    described = files.described
    assert str(path).startswith(str(described["tmpFilePrefix"]))
    assert str(path).endswith(str(described["tmpFileSuffix"]))
    files.remove()
    assert not os.path.exists(path.parent)


def test_what_is_in_the_place_of_the_directory_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    files = CellFiles()
    path = Path(files.write("x = 1"))
    assert path.parent.parent == tmp_path
    path.parent.rename(tmp_path / "moved")
    path.parent.mkdir()
    path.write_text("of somebody else")
    files.remove()
    assert path.read_text() == "of somebody else"


def test_a_directory_that_the_system_has_removed_is_made_again() -> None:
    files = CellFiles()
    shutil.rmtree(Path(files.write("x = 1")).parent)
    path = Path(files.write("x = 2"))
    assert path.read_text() == "x = 2"
    files.remove()
    assert not path.parent.exists()
