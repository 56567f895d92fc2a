"""Percent scripts: where they are cut, and what is left out."""

from collections.abc import Callable

from cellwire.frontends.notebook_files.load import NotebookFile

Read = Callable[[str, str | bytes], NotebookFile]
Sources = Callable[[str, str | bytes], dict[str, str]]


def test_a_percent_script_is_cut_at_its_markers(read: Read, sources: Sources) -> None:
    text = "# %%\nx = 1\n\n# %%\ny = x\n\ny\n\n\n#%%\nz = 2\n"
    assert read("n.py", text).format == "percent"
    assert sources("n.py", text) == {"cell-1": "x = 1", "cell-2": "y = x\n\ny", "cell-3": "z = 2"}


def test_titles_give_ids_and_are_kept_as_written(read: Read, sources: Sources) -> None:
    text = '# %% Load the Data! tags="a b"\n1\n# %% Überblick [code]\n2\n# %%\n3\n'
    assert list(sources("n.py", text)) == ["load-the-data", "überblick", "cell-3"]
    assert read("n.py", text).titles == {"load-the-data": "Load the Data!", "überblick": "Überblick"}


def test_markdown_raw_and_empty_cells_are_left_out(sources: Sources) -> None:
    text = "# %% [markdown]\n# # Title\n# %% [raw]\nraw\n# %% notes [md]\n# text\n# %%\n\n# %%\nx = 1\n"
    assert list(sources("n.py", text).values()) == ["x = 1"]


def test_what_stands_before_the_first_marker_is_a_cell_if_it_has_code(sources: Sources) -> None:
    assert list(sources("a.py", "import os\n# %%\n1\n").values()) == ["import os", "1"]
    assert list(sources("b.py", '"""Title."""\n# comment\n# %%\n1\n').values()) == ["1"]


def test_a_script_without_markers_is_one_cell(sources: Sources) -> None:
    text = '"""Doc."""\n\nx = 1\nawait nothing()\n'
    assert sources("n.py", text) == {"cell-1": '"""Doc."""\n\nx = 1\nawait nothing()'}


def test_markers_inside_of_strings_do_not_cut(read: Read) -> None:
    text = '# %%\ntext = """\n# %% not a cell\n"""\n# %%\nx = 1\n'
    assert len(read("n.py", text).cells) == 2


def test_a_broken_cell_does_not_hide_the_markers_after_it(sources: Sources) -> None:
    text = '# %% a\ntext = """never closed\n# %% b\ny = (1\n# %% c\nz = 3\n'
    assert list(sources("n.py", text)) == ["a", "b", "c"]


def test_magic_comments_and_indented_markers_do_not_cut(read: Read) -> None:
    text = "# %%\nif True:\n    # %% inside\n    x = 1\n# %matplotlib inline\n# %%time\nx\n"
    assert len(read("n.py", text).cells) == 1


def test_an_empty_script_has_no_cells(read: Read) -> None:
    assert read("n.py", "").cells == []


EXPORTED = """\
#!/usr/bin/env python
# coding: utf-8

# # Title

# In[3]:


x = 1


# In[ ]:


x


# In[ ]:


# ## Only a heading
"""


def test_a_script_that_nbconvert_wrote_is_cut_at_its_prompts(read: Read, sources: Sources) -> None:
    assert sources("n.py", EXPORTED) == {"cell-1": "x = 1", "cell-2": "x"}
    assert read("n.py", EXPORTED).remark == ""


def test_prompts_do_not_cut_a_script_that_has_percent_markers(sources: Sources) -> None:
    text = "# %% a\nx = 1\n# In[1]:\ny = 2\n# %% b\nz = 3\n"
    assert list(sources("n.py", text)) == ["a", "b"]


def test_a_script_that_looks_as_if_it_had_cells_is_one_cell_with_a_remark(read: Read) -> None:
    ruled = "##########\n# Data\n##########\nx = 1\n##########\n# Plot\n##########\nx\n"
    notebook = read("n.py", ruled)
    assert len(notebook.cells) == 1
    assert "read as one cell: lines of ##### do not begin cells" in notebook.remark
    header = "# ---\n# jupyter:\n#   jupytext:\n#       format_name: sphinx\n# ---\n"
    notebook = read("n.py", header + '"""Title"""\n\nx = 1\n\n""\ny = 2\n')
    assert len(notebook.cells) == 1
    assert "read as one cell: jupytext's 'sphinx' format is not supported" in notebook.remark


def test_an_ordinary_script_gets_no_remark(read: Read) -> None:
    assert read("a.py", "# A comment.\n##### a line\nx = 1\n").remark == ""
    assert read("b.py", "# %% a\n#####\nx = 1\n#####\n").remark == ""


def test_an_option_says_where_a_cell_runs(read: Read) -> None:
    text = "# %% fit on=\"client\"\nx = 1\n# %% on='other'\n2\n# %% on=third tags=[1]\n3\n# %% carry on\n4\n"
    notebook = read("n.py", text)
    assert [cell.on for cell in notebook.cells] == ["client", "other", "third", ""]
    assert [notebook.titles.get(cell.id) for cell in notebook.cells] == ["fit", None, None, "carry on"]
