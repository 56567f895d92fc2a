"""Saved notebooks: what a state looks like in each kind of file, and how files are replaced."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from cellwire.frontends.notebook_files.executed import encoded, executed
from cellwire.frontends.notebook_files.load import NotebookFile, load
from cellwire.frontends.notebook_files.writing import require_writable, save
from cellwire.protocol.errors import NotebookFileError
from cellwire.protocol.mime_types import ERROR_MIME, PAYLOAD_MIME
from cellwire.protocol.notebook import CellError, CellState, Console, ConsoleChunk, Item, Notebook
from hypothesis import given
from hypothesis import strategies as st

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.fixture
def file(tmp_path: Path) -> NotebookFile:
    path = tmp_path / "report.py"
    path.write_text('# %% [markdown]\n# # Title\n# %% Über alles tags=["t"]\nx = 1\nx\n# %%\ny\n')
    return load(path)


def state_of(file: NotebookFile, **fields: Any) -> Notebook:
    """Return a state in which the first code cell has run, with these fields."""
    cell = CellState(file.cells[0].id, **{"status": "ok", "run": 1, "started": 5.0, **fields})
    return Notebook(cells={cell.id: cell}, order=[cell.id])


def outputs(file: NotebookFile, state: Notebook) -> list[dict[str, Any]]:
    return executed(file, state)["cells"][1]["outputs"]


def test_text_and_items_stand_in_the_order_in_which_they_were_written(file: NotebookFile) -> None:
    chunks = [
        ConsoleChunk("stdout", "a\n"),
        ConsoleChunk("stdout", "b\n"),
        ConsoleChunk("stderr", "c\n", before=1),
        ConsoleChunk("stdout", "d\n", before=1),
    ]
    items = [Item(0, {"text/plain": "0"}), Item(1, {"text/plain": "1"}, {"cellwire": {"result": True}})]
    assert outputs(file, state_of(file, outputs=items, console=Console(chunks))) == [
        {"output_type": "stream", "name": "stdout", "text": "a\nb\n"},
        {"output_type": "display_data", "data": {"text/plain": "0"}, "metadata": {}},
        {"output_type": "stream", "name": "stderr", "text": "c\n"},
        {"output_type": "stream", "name": "stdout", "text": "d\n"},
        {
            "output_type": "execute_result",
            "data": {"text/plain": "1"},
            "metadata": {},
            "execution_count": 1,
        },
    ]


def test_what_a_cell_asks_a_frontend_to_do_is_no_output(file: NotebookFile) -> None:
    page = Item(0, {"text/plain": "a page", PAYLOAD_MIME: {"source": "page"}})
    assert outputs(file, state_of(file, outputs=[page])) == []


def test_an_error_is_one_output_with_the_cells_named_as_jupyter_does(file: NotebookFile) -> None:
    traceback = 'Traceback (most recent call last):\n  File "<cell über-alles>", line 2, in <module>\nE: no\n'
    error = CellError("E", "no", traceback, hint="Say yes.")
    item = Item(
        0, {"text/plain": "E: no", ERROR_MIME: {"kind": "E", "message": "no", "traceback": traceback}}
    )
    [shown] = outputs(file, state_of(file, status="error", outputs=[item], error=error))
    assert (shown["ename"], shown["evalue"]) == ("E", "no")
    assert shown["traceback"][1:] == ["  Cell In[1], line 2, in <module>", "E: no"]
    # One that is no item, as that of a runner that died.
    [shown] = outputs(file, state_of(file, status="error", error=error))
    assert shown["traceback"][-2:] == ["E: no", "Say yes."]


def test_an_error_of_ipython_has_its_own_lines_and_what_else_is_known(file: NotebookFile) -> None:
    lines = ["Cell In[1], line 1", "\x1b[31mNameError\x1b[39m: name 'x' is not defined"]
    error = {"kind": "NameError", "message": "name 'x' is not defined: cell 'a' failed", "lines": lines}
    [shown] = outputs(file, state_of(file, outputs=[Item(0, {"text/plain": "", ERROR_MIME: error})]))
    assert shown["traceback"] == [*lines, "NameError: name 'x' is not defined: cell 'a' failed"]
    error = {**error, "message": "name 'x' is not defined"}
    [shown] = outputs(file, state_of(file, outputs=[Item(0, {"text/plain": "", ERROR_MIME: error})]))
    assert shown["traceback"] == lines


def test_a_cell_that_was_not_run_because_of_another_one_says_so(file: NotebookFile) -> None:
    error = CellError("Cancelled", "not run because cell 'a' failed")
    [shown] = outputs(file, state_of(file, status="cancelled", error=error))
    assert shown == {"output_type": "stream", "name": "stderr", "text": "not run because cell 'a' failed\n"}


def test_an_interrupted_cell_has_the_error_that_jupyter_shows(file: NotebookFile) -> None:
    [shown] = outputs(file, state_of(file, status="interrupted", error=CellError("Interrupted", "")))
    assert (shown["ename"], shown["traceback"]) == ("KeyboardInterrupt", ["KeyboardInterrupt"])


def test_cells_are_counted_in_the_order_in_which_they_began(file: NotebookFile) -> None:
    first, second = (cell.id for cell in file.cells)
    state = state_of(file)
    state.cells[second] = CellState(second, status="ok", run=1, started=4.0)
    counts = [cell.get("execution_count") for cell in executed(file, state)["cells"]]
    assert counts == [None, 2, 1]
    state.cells[first].started = 0.0
    assert executed(file, state)["cells"][1]["execution_count"] is None


def test_ids_are_those_that_the_format_allows(file: NotebookFile) -> None:
    ids = [cell["id"] for cell in executed(file)["cells"]]
    assert ids == ["markdown-1", "ber-alles", "cell-2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
items = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "application/json"]),
            st.text() | st.binary() | json_values,
        ),
        st.dictionaries(st.text(), json_values, max_size=2),
    ),
    max_size=4,
)
chunks = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(), st.integers(0, 4)), max_size=4)


@given(items, chunks, st.booleans())
def test_whatever_a_cell_has_shown_makes_a_valid_notebook_that_can_be_read_again(
    drawn: list[tuple[dict[str, Any], dict[str, Any]]], texts: list[tuple[Any, str, int]], failed: bool
) -> None:
    file = NotebookFile("n.py", "percent", [], parts=[])
    cell = CellState("a", status="ok", run=1, started=1.0)
    cell.outputs = [Item(index, data, metadata) for index, (data, metadata) in enumerate(drawn)]
    cell.console = Console([ConsoleChunk(*text) for text in texts])
    cell.error = CellError("E", "message") if failed else None
    file = load_like(file)
    document = nbformat.reads(encoded(executed(file, Notebook(cells={"a": cell}))), as_version=4)
    nbformat.validate(document)
    streams = "".join(o["text"] for o in document.cells[0].outputs if o["output_type"] == "stream")
    assert streams == "".join(text for _, text, _ in texts)


def load_like(file: NotebookFile) -> NotebookFile:
    from cellwire.frontends.notebook_files.load import PYTHON, Part
    from cellwire.protocol.messages import Cell

    return NotebookFile(
        file.path, file.format, [Cell("a", "1")], parts=[Part("a", "code", "1")], metadata=dict(PYTHON)
    )


def test_a_notebook_of_jupyter_is_written_as_jupyter_writes_it(tmp_path: Path) -> None:
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("# T\né", attachments={"a.svg": {"image/svg+xml": "<svg>\n</svg>"}}),
        v4.new_code_cell(
            "x\ny",
            execution_count=1,
            metadata={"tags": ["skip-execution"]},
            outputs=[
                v4.new_output("stream", text="a\nb"),
                v4.new_output(
                    "display_data", {"text/html": "a\nb", "image/png": "aGk=", "application/json": [1]}
                ),
                v4.new_output("error", ename="E", evalue="e", traceback=["a", "b"]),
            ],
        ),
    ]
    path, copy = tmp_path / "n.ipynb", tmp_path / "copy.ipynb"
    nbformat.write(
        v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "k", "display_name": "K"}}), path
    )
    save(load(path), copy)
    assert copy.read_text() == path.read_text()


def test_figures_of_a_folder_are_files_and_those_of_the_last_time_go(
    file: NotebookFile, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    figure = Item(0, {"text/plain": "<Figure>", "image/png": PNG})
    save(file, f"{folder}/", state_of(file, outputs=[figure, Item(1, figure.data)]))
    assert sorted(os.listdir(folder / "report_files")) == ["ber-alles-1.png", "ber-alles-2.png"]
    text = (folder / "report.md").read_text()
    assert text.startswith(
        "# Title\n\n```python\nx = 1\nx\n```\n\n![ber-alles-1](report_files/ber-alles-1.png)"
    )
    (folder / "report_files" / "mine.png").write_bytes(PNG)
    save(file, folder, state_of(file, outputs=[figure]))
    assert sorted(os.listdir(folder / "report_files")) == ["ber-alles-1.png", "mine.png"]


def test_markdown_alone_holds_its_figures_and_fences_that_hold(file: NotebookFile, tmp_path: Path) -> None:
    console = Console([ConsoleChunk("stdout", "```\n\x1b[31m10 %\r100 %\x1b[0m\n")])
    figure = Item(0, {"text/plain": "<Figure>", "image/png": PNG})
    save(file, tmp_path / "out.md", state_of(file, outputs=[figure], console=console))
    text = (tmp_path / "out.md").read_text()
    assert "````text\n```\n100 %\n````" in text
    assert "](data:image/png;base64,iVBORw0KGgo" in text


def test_a_page_holds_everything_that_it_shows(file: NotebookFile, tmp_path: Path) -> None:
    items = [
        Item(0, {"text/plain": "<Figure>", "image/png": PNG}),
        Item(1, {"text/plain": "t", "text/html": "<table></table>"}),
        Item(2, {"text/plain": "<script>"}),
    ]
    console = Console([ConsoleChunk("stderr", "1 < 2 \x1b[31mred\x1b[0m\n")])
    save(file, tmp_path / "out.html", state_of(file, outputs=items, console=console))
    text = (tmp_path / "out.html").read_text()
    assert "<h1>Title</h1>" in text
    assert '<img alt="" src="data:image/png;base64,' in text
    assert '<div class="output"><table></table></div>' in text
    assert '<pre class="output value">&lt;script&gt;</pre>' in text
    assert '<pre class="output stderr">1 &lt; 2 <span style="color:#c62828">red</span></pre>' in text
    assert "http" not in text.replace('http-equiv="', "")


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode_and_its_link(
    file: NotebookFile, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.ipynb", tmp_path / "link.ipynb"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with real.open() as before:
        save(file, link)
        assert before.read() == "old"
    assert link.is_symlink()
    assert json.loads(real.read_text())["nbformat"] == 4
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.ipynb", "real.ipynb", "report.py"]


@pytest.mark.parametrize("name", ["file/out.ipynb", "fifo.html"])
def test_what_cannot_be_written_is_found_out_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo.html")
    with pytest.raises(OSError, match=name.partition("/")[0]):
        require_writable(tmp_path / name)


def test_a_name_that_does_not_say_what_to_write_is_refused(file: NotebookFile, tmp_path: Path) -> None:
    with pytest.raises(
        NotebookFileError, match=r"must end with \.ipynb, \.html or \.md, or with / for a folder"
    ):
        save(file, tmp_path / "out.txt")
    require_writable(tmp_path / "new.md")
    assert not (tmp_path / "new.md").exists()
