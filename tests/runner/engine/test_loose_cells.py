"""Cells outside the graph, and cells that go away and leave their names."""

from cellwire.protocol.messages import Cell


def loose(id, source):
    return Cell(id, source, loose=True)


def test_a_loose_cell_makes_nothing_stale_and_runs_nothing(book):
    book.run({"a": "x = 1", "b": "x + 1"})
    book.run([loose("~1", "x = 10")])
    assert book.ran == ["~1"]
    assert (book.stale, book.globals["x"]) == ([], 10)
    book.run(["b"])
    assert book.texts("b") == ["11"]
    assert book["~1"].loose
    assert (book["~1"].defs, book["~1"].refs) == ([], [])


def test_a_loose_cell_runs_again_for_nobody(book):
    book.run([loose("~1", "y = x = 1"), Cell("b", "x")])
    book.run({"a": "x = 2"})
    assert book.ran == ["a", "b"]
    assert book.texts("b") == ["2"]


def test_loose_cells_may_define_what_a_cell_defines(book):
    book.run({"a": "x = 1"})
    assert book.run([loose("~1", "x = 2"), loose("~2", "x = 3")]).status == "ok"
    assert book["a"].error is None


def test_a_loose_cell_may_await(book):
    assert book.run([loose("~1", "import asyncio\nawait asyncio.sleep(0)\n7")]).status == "ok"
    assert book.texts("~1") == ["7"]


def test_the_names_of_a_loose_cell_outlive_it(book):
    book.run([loose("~1", "x = 1")])
    book.delete("~1")
    assert book.globals["x"] == 1


def test_a_cell_becomes_part_of_the_graph_with_the_same_source(book):
    book.run([loose("a", "x = 1"), Cell("b", "x")])
    assert book.run({"a": "x = 1"}).status == "ok"
    assert book.ran == ["a", "b"]
    assert (book["a"].loose, book["a"].defs) == (False, ["x"])


def test_what_a_deleted_cell_keeps_is_there_and_its_readers_are_stale(book):
    book.run({"a": "x = 1", "b": "x + 1", "c": "1"})
    book.do(book.engine.delete(["a"], keep=True))
    assert (book.ran, book.stale, book.globals["x"]) == ([], ["b"], 1)
    book.run(["b"])
    assert book.texts("b") == ["2"]
    book.run({"a": "x = 5"})
    assert book.texts("b") == ["6"]


def test_what_a_cell_kept_is_removed_with_the_cell_that_defines_it_next(book):
    book.run({"a": "x = 1"})
    book.do(book.engine.delete(["a"], keep=True))
    book.run({"b": "x = 2"})
    book.delete("b")
    assert "x" not in book.globals


def test_hooks_see_what_was_said_of_a_cell_until_something_else_is_said(book):
    seen = []
    book.engine.hooks.pre_execution.append(lambda execution: seen.append(execution.about))
    book.run([Cell("a", "x = 1"), Cell("b", "x", about={"n": 1})])
    book.run({"a": "x = 2"})
    book.run([Cell("b", "x", about={"n": 2})])
    assert seen == [{}, {"n": 1}, {}, {"n": 1}, {"n": 2}]
    book.delete("b")
    book.run({"b": "x"})
    assert seen[-1] == {}


def test_frontends_learn_which_names_a_cell_both_reads_and_defines(book):
    book.run({"a": "x = 1", "b": "x = x + 1\ny = x"})
    assert book["b"].rereads == ["x"]
    assert book["a"].rereads == []
