"""Databricks notebooks: where they are cut, and what becomes of cells in other languages."""

from collections.abc import Callable

from cellwire.frontends.notebook_files.load import NotebookFile

Read = Callable[[str, str | bytes], NotebookFile]
Sources = Callable[[str, str | bytes], dict[str, str]]

NOTEBOOK = '''\
# Databricks notebook source
# MAGIC %md
# MAGIC # Title

# COMMAND ----------

# DBTITLE 1,Load the data
x = 1

# COMMAND ----------

text = """
# COMMAND ----------
"""

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT 1

# COMMAND ----------

# MAGIC %python
# MAGIC y = 2
'''


def test_a_databricks_notebook_is_cut_at_its_commands(read: Read, sources: Sources) -> None:
    notebook = read("n.py", NOTEBOOK)
    assert (notebook.format, notebook.titles) == ("databricks", {"load-the-data": "Load the data"})
    assert sources("n.py", NOTEBOOK) == {
        "load-the-data": "x = 1",
        "cell-2": 'text = """\n# COMMAND ----------\n"""',
        "cell-3": "%sql\nSELECT 1",
        "cell-4": "y = 2",
    }


def test_the_separator_alone_does_not_make_a_databricks_notebook(read: Read) -> None:
    assert read("n.py", "x = 1\n# COMMAND ----------\ny = 2\n").format == "percent"
