"""Cells that are written for IPython, in a kernel that cannot import it."""

import os

import pytest

#: Python imports this at its start, if it finds it.
HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "IPython":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture
def book(open_book, tmp_path_factory):
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "sitecustomize.py").write_text(HIDE)
    return open_book(env={**os.environ, "PYTHONPATH": str(hiding)})


def test_magics_that_only_set_up_count_as_done(book):
    book.run_list(
        [
            "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nx = 1",
            "%config InlineBackend.figure_format = 'retina'\nx + 1",
            "if x:\n    %matplotlib inline\nx + 2",
        ]
    )
    assert [book.status(f"c{number}") for number in range(3)] == ["ok"] * 3
    assert (book.shows("c1"), book.shows("c2")) == ("2", "3")


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("x = 1\n!ls", 2, "`!ls` is IPython's"),
        ("%matplotlib inline\n%time f()", 2, "`%time f()` is a magic command of IPython"),
        ("%%bash\necho", 1, "`%%bash` is a magic command of IPython"),
        ("len?", 1, "`len?` is IPython's"),
    ],
)
def test_the_error_says_what_to_install_or_write(book, source, line, told):
    book.run(a=source)
    error = book.error("a")
    assert (error.kind, error.line) == ("SyntaxError", line)
    assert error.hint.startswith("install IPython (`pip install ipython`), or else: ")
    assert told in error.hint


def test_what_is_wrong_in_python_says_nothing_of_ipython(book):
    book.run(a="x = = 1")
    assert "IPython" not in book.error("a").hint


def test_values_and_figures_are_cellwires_own(book):
    book.run_list(["_f = 1", "{_f: 'a'}", "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"])
    assert book.shows("c1") == "{1: 'a'}"
    assert "image/png" in book["c2"].outputs[0].data


def test_a_name_of_a_magic_is_a_name(book):
    book.run(a="pwd")
    assert book.kind("a") == "NameError"
