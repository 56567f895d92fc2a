"""Functions that read names of other cells, wherever they are called."""

import pytest

BOTH = pytest.mark.parametrize("redefine", ["error", "allow"])
MUTUAL = {"a": "def f(n): return g(n - 1) if n else 'f'", "b": "def g(n): return f(n - 1) if n else 'g'"}


@BOTH
def test_helpers_and_their_imports_may_stand_at_the_end(make_book, redefine):
    book = make_book(redefine=redefine)
    book.run(
        {
            "use": "root(9)",
            "x": "y = root(16)\ny",
            "h": "def root(n): return math.sqrt(n)",
            "i": "import math",
        }
    )
    assert (book.texts("use"), book.texts("x")) == (["3.0"], ["4.0"])
    book.run({"h": "def root(n): return math.sqrt(n) + 1"})
    assert book.ran == ["h", "use", "x"]
