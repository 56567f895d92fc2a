"""The names of cells' files: what clients compute as well."""

import os
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
