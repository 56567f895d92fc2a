"""Which cells of a file that was read again are which, and when a file has changed."""

import os
from pathlib import Path

import anyio
import pytest
from cellwire.frontends.cli.reload import WatchedFile, same_cells
from cellwire.frontends.notebook_files.load import NotebookFile, load_text
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import PATIENCE


def notebook(*cells: str) -> NotebookFile:
    """Return a notebook of these cells; `title: source` has a title."""
    text = ""
    for cell in cells:
        title, _, source = cell.rpartition(": ")
        text += f"# %% {title}\n{source}\n"
    return load_text(text.encode())


def ids(before: NotebookFile, *cells: str) -> dict[str, str]:
    """Return the sources of the cells in the order of the file, by the ids that they have then."""
    return {cell.id: cell.source for cell in same_cells(before, notebook(*cells)).cells}


BEFORE = notebook("a", "b", "Sum: c", "d")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a", "b", "Sum: c", "d"], {"cell-1": "a", "cell-2": "b", "sum": "c", "cell-4": "d"}),
        (["a", "e", "Sum: c", "d"], {"cell-1": "a", "cell-2": "e", "sum": "c", "cell-4": "d"}),
        (["new", "a", "b", "Sum: c"], {"cell-3": "new", "cell-1": "a", "cell-2": "b", "sum": "c"}),
        (["b", "Sum: c", "d"], {"cell-2": "b", "sum": "c", "cell-4": "d"}),
        (["d", "Sum: c", "b", "a"], {"cell-4": "d", "sum": "c", "cell-2": "b", "cell-1": "a"}),
        (["a", "Sum: e", "b", "d"], {"cell-1": "a", "sum": "e", "cell-2": "b", "cell-4": "d"}),
        (["a", "b", "Total: c", "d"], {"cell-1": "a", "cell-2": "b", "sum": "c", "cell-4": "d"}),
        (["a", "a", "Sum: c", "d"], {"cell-1": "a", "cell-2": "a", "sum": "c", "cell-4": "d"}),
        (["e", "f", "Sum: c", "g"], {"cell-1": "e", "cell-2": "f", "sum": "c", "cell-4": "g"}),
        ([], {}),
    ],
    ids=["same", "edited", "inserted", "deleted", "moved", "titled", "renamed", "copied", "all", "empty"],
)  # fmt: skip
def test_a_cell_that_is_the_same_or_edited_keeps_its_id(cells: list[str], expected: dict[str, str]) -> None:
    assert ids(BEFORE, *cells) == expected


def test_everything_that_names_a_cell_follows() -> None:
    now = same_cells(BEFORE, notebook("new", "a", "Total: c"))
    assert [part.id for part in now.parts] == ["cell-2", "cell-1", "sum"]
    assert now.titles == {"sum": "Total"}
    assert now.first_lines == {"cell-2": 2, "cell-1": 4, "sum": 6}


cells = st.lists(st.sampled_from(["a", "b", "c", "A: a", "A: b", "B: c"]), max_size=6)


@given(st.lists(cells, min_size=2, max_size=5))
def test_ids_stay_unique_and_sources_their_own_however_often_a_file_is_read(drawn: list[list[str]]) -> None:
    known = notebook(*drawn[0])
    for now in drawn[1:]:
        known = same_cells(known, notebook(*now))
        assert [cell.source for cell in known.cells] == [cell.rpartition(": ")[2] for cell in now]
        found = [part.id for part in known.parts]
        assert len(found) == len(set(found))
        assert [cell.id for cell in known.cells] == found
        again = same_cells(known, notebook(*now))
        assert [cell.id for cell in again.cells] == found


@pytest.mark.anyio
async def test_a_file_has_changed_when_it_is_written_replaced_or_gone(tmp_path: Path) -> None:
    path, other = tmp_path / "nb.py", tmp_path / "other"
    path.write_text("1")
    file = WatchedFile(str(path))
    with anyio.fail_after(PATIENCE):
        path.write_text("12")
        await file.changed()
        other.write_text("34")
        os.replace(other, path)
        await file.changed()
        path.unlink()
        await file.changed()
        path.write_text("5")
        await file.changed()
    with anyio.move_on_after(0.1) as patience:
        await file.changed()
    assert patience.cancelled_caught


@pytest.mark.anyio
async def test_a_file_that_is_empty_for_a_moment_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "nb.py"
    path.write_text("1")
    file = WatchedFile(str(path))
    path.write_text("")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(file.changed)
            await anyio.sleep(0.05)
            path.write_text("2")
        assert path.read_text() == "2"
