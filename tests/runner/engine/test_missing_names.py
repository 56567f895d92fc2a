"""What the error of a missing name says about the cell that would define it.

`eval('x')` reads a name that no analysis sees: nothing is between such a cell and the missing name.
"""

import pytest

PRIVATE = "names that begin with an underscore are private to their cell"


def message(book, cell):
    assert book[cell].error.kind == "NameError"
    return book[cell].error.message


def explanation(book, cell):
    start, _, rest = message(book, cell).partition(": ")
    assert start == "name 'x' is not defined"
    return rest


def test_a_name_that_no_cell_defines_is_pythons_own_error(book):
    book.run({"a": "missing"})
    assert message(book, "a") == "name 'missing' is not defined"
    assert book["a"].error.cells == []


def test_the_definer_has_failed(book):
    book.run({"a": "1 / 0\nx = 1", "b": "eval('x')"})
    assert explanation(book, "b") == "cell 'a' should define it, but it failed (ZeroDivisionError)"
    assert book["b"].error.cells == ["a"]
    assert "it failed" in book.texts("b")[0]


def test_the_definer_was_stopped(book):
    book.run({"a": "from cellwire import stop\nstop(True)\nx = 1", "b": "eval('x')"})
    assert explanation(book, "b") == "cell 'a' should define it, but it stopped before defining it"


def test_the_definer_was_cancelled(book):
    book.run({"a": "w = 1 / 0", "b": "x = w", "c": "eval('x')"})
    assert (
        explanation(book, "c") == "cell 'b' should define it, but it was cancelled: "
        "not run because cell 'a' failed (ZeroDivisionError)"
    )
    assert book["c"].error.cells == ["b"]


def test_the_definer_is_disabled(book):
    book.sync({"a": "x = 1"})
    book.disable("a")
    book.run({"b": "eval('x')"})
    assert explanation(book, "b") == "cell 'a' should define it, but it is disabled"


def test_the_definer_has_not_been_run(book):
    book.sync({"a": "x = 1"})
    book.run({"b": "eval('x')"})
    assert explanation(book, "b") == "cell 'a' should define it, but it has not been run yet"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x =", "it has a syntax error: invalid syntax (line 1)"),
        ("from no_such_module import *\nx = 1", "it cannot run: `from no_such_module import *`"),
        ("x = x", "it cannot run: "),
    ],
    ids=["syntax", "star", "cycle"],
)
def test_the_definer_is_structurally_wrong(book, source, why):
    book.run({"a": "x = 1", "y": "y = x"})
    book.run({"a": source.replace("x = x", "x = y"), "b": "eval('x')"})
    assert why in explanation(book, "b")
    assert book["b"].error.cells == ["a"]


def test_a_cell_above_has_deleted_it(book):
    book.run({"a": "x = 1", "b": "x", "d": "del x", "c": "x"})
    assert book.statuses == {"a": "ok", "b": "ok", "d": "ok", "c": "error"}
    assert explanation(book, "c") == "cell 'a' defines it, but cell 'd' deletes it"
    assert book["c"].error.cells == ["a", "d"]
    book.run({"b": "x + 1"})
    assert book.texts("b") == ["2"]


def test_the_definer_was_deleted(book):
    book.run({"a": "x = 1", "b": "x"})
    book.delete("a")
    assert explanation(book, "b") == "cell 'a', which defined it, has been deleted"


def test_the_definer_no_longer_defines_it(book):
    book.run({"a": "x = 1", "b": "x"})
    book.run({"a": "y = 1"})
    assert explanation(book, "b") == "cell 'a' no longer defines it"


def test_the_definer_no_longer_defines_it_and_is_wrong(book):
    book.run({"a": "x = 1", "b": "x"})
    book.run({"a": "y ="})
    assert explanation(book, "b").startswith("cell 'a' defined it, but it has a syntax error")


def test_the_cell_reads_its_own_name_too_early(book):
    book.run({"a": "x = x + 1"})
    assert explanation(book, "a") == "cell 'a' defines it, but only after reading it"


def test_a_reread_name_of_a_cell_below_is_no_help(make_book):
    book = make_book(redefine="allow")
    book.run({"a": "x = x + 1", "b": "x = 1"})
    assert explanation(book, "a") == "cell 'b' defines it, but comes after this cell"


def test_the_definer_has_run_without_defining_it(book):
    book.run({"a": "if False: x = 1", "b": "x"})
    assert explanation(book, "b") == "cell 'a' should define it, but did not when it ran"


def test_the_definer_of_what_a_function_reads_comes_after_the_cell_that_calls_it(make_book):
    book = make_book(redefine="allow")
    book.run({"f": "def f(): return x", "c": "f()", "a": "x = 1"})
    assert (
        explanation(book, "c")
        == "cell 'a' defines it, but comes after this cell, whose functions read it; move it above"
    )
    assert book["c"].error.cells == ["a"]
    book.sync({"f": "def f(): return x", "a": "x = 1", "c": "f()"})
    book.run_stale()
    assert book.texts("c") == ["1"]


def test_a_name_missing_in_a_library_is_not_explained_by_the_notebook(book, tmp_path, monkeypatch):
    (tmp_path / "lib_of_names.py").write_text("def f():\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    book.sync({"a": "x = 1"})
    book.run({"b": "import lib_of_names\nlib_of_names.f()"})
    assert message(book, "b") == "name 'x' is not defined"


def test_a_private_name_is_shown_as_written_and_the_error_says_that_it_is_private(book):
    book.run({"a": "_secret"})
    assert message(book, "a") == f"name '_secret' is not defined: {PRIVATE}, and this one does not define it"
    assert "ꞏ" not in book.texts("a")[0]


def test_the_error_names_the_cell_that_has_such_a_private_name(book):
    book.run({"a": "_secret = 1", "b": "_secret"})
    assert message(book, "b") == f"name '_secret' is not defined: {PRIVATE}, and it is one of cell 'a'"
    assert book["b"].error.cells == ["a"]


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [
        ("length = 3\nlenght", "length"),
        ("lenn", "len"),
        ("def f(verbose): return verbos\nf(1)", "verbose"),
        ("import math\nmath.sqr(2)", "sqrt"),
        ("[].appendd", "append"),
    ],
)
def test_a_misspelt_name_comes_with_the_one_that_was_probably_meant(book, source, suggestion):
    book.run({"a": source})
    assert book["a"].error.message.endswith(f". Did you mean: '{suggestion}'?")
    assert book.texts("a")[0].count("Did you mean") == 1


def test_nothing_far_from_what_was_written_and_no_private_name_is_suggested(book):
    book.run(
        {"a": "_length = 3\nlength_", "b": "qqqqqq", "c": "class C:\n def __dir__(self): 1 / 0\nC().nme"}
    )
    for cell in "abc":
        assert "Did you mean" not in book[cell].error.message
