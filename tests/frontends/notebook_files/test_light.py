"""jupytext's light scripts: what is a cell there, what is Markdown, and which scripts are light."""

from collections.abc import Callable

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile

Read = Callable[[str, str | bytes], NotebookFile]
Sources = Callable[[str, str | bytes], dict[str, str]]

HEADER = """\
#!/usr/bin/env python
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: light
#       format_version: '1.5'
# ---

"""


def test_paragraphs_are_cells_and_paragraphs_of_comments_are_markdown(read: Read, sources: Sources) -> None:
    text = HEADER + "# # Title\n#\n# Text.\n\nimport os\nimport sys\n\n# why\nx = 1\n\n\n# the end\n"
    assert read("n.py", text).format == "light"
    assert list(sources("n.py", text).values()) == ["import os\nimport sys", "# why\nx = 1"]


@pytest.mark.parametrize(
    "cell",
    [
        "def f():\n    a = 1\n\n    return a",
        "if x:\n    a = 1\n\n\n    # comment\n    b = 2",
        'text = """\n# no Markdown\n\n# + no cell\n\n"""',
        "x = [\n    1,\n\n2]",
        "class A:\n    def f(self): ...\n\n    def g(self): ...\ny = 1",
    ],
)
def test_blank_lines_inside_of_a_statement_do_not_cut(sources: Sources, cell: str) -> None:
    assert list(sources("n.py", f"{HEADER}{cell}\n\nz = 3\n").values()) == [cell, "z = 3"]


def test_an_explicit_cell_holds_blank_lines_up_to_its_end_or_the_next_one(sources: Sources) -> None:
    text = HEADER + "# +\nx = 1\n\ny = 2\n# -\n\nz = 3\n\n# + tags=['a', 'b']\nv = 4\n\nw = 5\n# +\nu = 6\n"
    assert list(sources("n.py", text).values()) == ["x = 1\n\ny = 2", "z = 3", "v = 4\n\nw = 5", "u = 6"]


def test_options_are_no_title_and_markdown_cells_are_left_out(read: Read, sources: Sources) -> None:
    text = HEADER + '# + The sum {"tags": ["a"]}\nx = 1\n\n# + [markdown]\n# text\n#\n# more\n# -\n\ny = 2\n'
    assert sources("n.py", text) == {"the-sum": "x = 1", "cell-2": "y = 2"}
    assert read("n.py", text).titles == {"the-sum": "The sum"}


def test_a_broken_cell_does_not_hide_those_after_it(sources: Sources) -> None:
    text = HEADER + "x = (\n\ndef f():\n    a\n\n    b\n\ny = 2\n"
    assert list(sources("n.py", text).values()) == ["x = (", "def f():\n    a\n\n    b", "y = 2"]


def test_markers_make_a_script_light_without_a_header(read: Read) -> None:
    assert read("a.py", "x = 1\n\n# +\ny = 2\n# -\n").format == "light"
    assert read("b.py", "x = 1\n\n# + and a comment\ny = 2\n").format == "percent"
    assert read("c.py", "# %%\nx = 1\n\n# +\ny = 2\n").format == "percent"


def test_an_option_says_where_a_cell_runs(read: Read) -> None:
    notebook = read("n.py", '# + fit on="client"\nx = 1\n# -\n\n# +\n2\n')
    assert [cell.on for cell in notebook.cells] == ["client", ""]
