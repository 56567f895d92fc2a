"""marimo's notebooks: what becomes a cell, and what is no such notebook."""

from collections.abc import Callable

import pytest
from cellwire.frontends.notebook_files.load import NotebookFile
from cellwire.protocol.errors import NotebookFileError

Read = Callable[[str, str | bytes], NotebookFile]
Sources = Callable[[str, str | bytes], dict[str, str]]


MARIMO = '''\
import marimo

__generated_with = "0.14.0"
app = marimo.App(width="medium")

with app.setup(hide_code=True):
    import math

    ROOT = math.sqrt(2)


@app.function
def double(x):
    """Twice."""
    return 2 * x


@app.class_definition(hide_code=True)
@final
class Thing:
    size: int = 1


@app.cell
def _():
    # a comment first
    text = """
    indented in the file
    """
    return (text,)


@app.cell(hide_code=True)
def shown(
    text,
    mo,
):
    if text:
        y = 1

    y
    return


@app.cell(disabled=True)
async def waits():
    z = await thing()
    return (z,)


@app.cell
def _():
    return


@app.cell
def no_return():
    w = 1
    # the last word


@app.cell
def one_line(): v = 1; return (v,)


app._unparsable_cell(
    r"""
    x =
    """,
    name="broken",
)

if __name__ == "__main__":
    app.run()
'''


def test_cells_of_a_marimo_notebook_are_functions_without_their_frames(read: Read, sources: Sources) -> None:
    notebook = read("n.py", MARIMO)
    assert notebook.format == "marimo"
    assert sources("n.py", MARIMO) == {
        "setup": "import math\n\nROOT = math.sqrt(2)",
        "double": 'def double(x):\n    """Twice."""\n    return 2 * x',
        "thing": "@final\nclass Thing:\n    size: int = 1",
        "cell-4": '# a comment first\ntext = """\nindented in the file\n"""',
        "shown": "if text:\n    y = 1\n\ny",
        "waits": "z = await thing()",
        "no_return": "w = 1\n# the last word",
        "one_line": "v = 1",
        "broken": "x =",
    }
    assert notebook.disabled == ["waits"]
    assert notebook.titles["thing"] == "Thing"


def test_a_script_that_only_mentions_marimo_is_a_percent_script(read: Read) -> None:
    text = '# %%\ntext = """\napp = marimo.App()\n@app.cell\n"""\n# %%\nx = 1\n'
    assert read("n.py", text).format == "percent"


def test_a_marimo_notebook_that_does_not_parse_is_refused_with_the_line(read: Read) -> None:
    with pytest.raises(NotebookFileError, match=r"line 37: unmatched '\)'"):
        read("n.py", MARIMO.replace("def shown(", "def shown"))
