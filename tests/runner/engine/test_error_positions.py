"""Where in a cell's source its error is: lines and columns from 1, the end behind the last character."""

import pytest
from cellwire.runner.execution.cell_errors import ERROR_MIME


def position(book, cell):
    error = book[cell].error
    return error.line, error.column, error.end_line, error.end_column


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 / 0", (1, 1, 1, 6)),
        ("x = 1\n\nx + missing", (3, 5, 3, 12)),
        ("y = [1][\n5]", (1, 5, 2, 3)),
        ("raise ValueError('a\\nb')", (1, 1, 1, 25)),
        ("import asyncio\nawait asyncio.sleep(0)\n1 / 0", (3, 1, 3, 6)),
        ("import asyncio\nasync def f():\n  1 / 0\nawait f()", (3, 3, 3, 8)),
        ("x = 5;1 / 0;", (1, 7, 1, 12)),
    ],
)
def test_an_exception_is_where_the_code_of_the_cell_raised_it(book, source, expected):
    book.run({"a": source})
    assert position(book, "a") == expected


def test_an_exception_of_a_library_is_at_the_innermost_place_in_the_cell(book):
    book.run({"a": "import json\ndef load(text):\n  return json.loads(text)\n\nload('{')"})
    assert position(book, "a") == (3, 10, 3, 26)


def test_an_exception_in_a_function_of_another_cell_is_where_that_was_called(book):
    book.run({"a": "# a comment\ndef f(): return 1 / 0", "b": "\n\n1 + f()"})
    assert position(book, "b") == (3, 5, 3, 8)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\nx = = 2", (2, 5, 2, 6)),
        ("return 1", (1, 1, 1, 9)),
        ("if True:\n  from no_such_module import *", (2, 3, 0, 0)),
        ("é = = 2", (1, 5, 1, 6)),
        ("x = (1,", (1, 5, 0, 0)),
    ],
)
def test_an_error_of_the_source_is_where_python_says(book, source, expected):
    book.run({"a": source})
    assert position(book, "a") == expected


@pytest.mark.parametrize("source", ["print(missing)", "print(missing)\n", "\nprint(missing)"])
def test_carets_stand_below_what_they_mean(book, source):
    book.run({"a": source})
    line, carets = book["a"].error.traceback.splitlines()[2:4]
    assert carets.index("^") == line.index("missing")


def test_an_interrupt_before_the_first_line_of_a_cell_is_nowhere_in_it(book):
    book.engine.hooks.pre_execution.append(lambda execution: book.engine.interrupt())
    book.run({"a": "1"})
    assert (book.statuses["a"], position(book, "a")) == ("interrupted", (0, 0, 0, 0))
    assert "could not be shown" not in book["a"].error.traceback


def test_what_is_not_known_is_zero(book):
    book.run({"a": "x = 1", "b": "x = 2", "c": "1 / 0\ny = 1", "d": "y"})
    assert book.statuses["d"] == "cancelled"
    assert position(book, "a") == position(book, "b") == position(book, "d") == (0, 0, 0, 0)


def test_the_place_of_an_interrupt_is_known(book):
    book.globals["engine"] = book.engine
    book.run({"a": "x = 1\nengine.interrupt()"})
    assert book["a"].error.kind == "Interrupted"
    assert position(book, "a") == (2, 1, 2, 19)


def test_the_item_of_an_error_says_the_line_too(book):
    book.run({"a": "x = 1\n1 / 0"})
    assert book["a"].outputs[0].data[ERROR_MIME]["line"] == 2


def test_a_column_counts_characters(book):
    book.run({"a": "é = 'ü' + 1"})
    assert position(book, "a") == (1, 5, 1, 12)
