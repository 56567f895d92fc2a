def message(book, cell):
    assert book[cell].error.kind == "NameError"
    return book[cell].error.message


def test_a_name_that_nobody_defines_is_pythons_own_error(book):
    book.run({"a": "nobody"})
    assert message(book, "a") == "name 'nobody' is not defined"


def test_the_definer_has_failed(book):
    book.run({"a": "1 / 0\nx = 1", "b": "x"})
    book.run(["b"])
    assert (
        message(book, "b")
        == "name 'x' is not defined: cell 'a' would define it, but it failed (ZeroDivisionError)"
    )
    assert book["b"].error.cells == ["a"]
    assert "it failed" in book.texts("b")[0]


def test_the_definer_was_stopped(book):
    book.run({"a": "from cellwire.runner.api.stop import stop\nstop(True)\nx = 1", "b": "x"})
    book.run(["b"])
    assert "it stopped before" in message(book, "b")


def test_the_definer_was_cancelled(book):
    book.run({"a": "w = 1 / 0", "b": "x = w", "c": "x"})
    book.run(["c"])
    assert "it was cancelled: not run because cell 'a' failed" in message(book, "c")


def test_the_definer_is_disabled(book):
    book.sync({"a": "x = 1"})
    book.disable("a")
    book.run({"b": "eval('x')"})
    assert "cell 'a' would define it, but it is disabled" in message(book, "b")


def test_the_definer_has_not_been_run(book):
    book.sync({"a": "x = 1"})
    book.run({"b": "eval('x')"})
    assert "it has not been run yet" in message(book, "b")


def test_another_cell_has_deleted_it(book):
    book.run({"a": "x = 1", "b": "x", "d": "del x"})
    assert book.statuses == {"a": "ok", "b": "ok", "d": "ok"}
    book.run({"b": "x + 1"})
    assert message(book, "b") == "name 'x' is not defined: cell 'a' defines it, but cell 'd' has deleted it"


def test_a_cell_that_deletes_a_name_runs_after_all_its_readers(book):
    book.run({"d": "del x", "a": "x = 1", "b": "x"})
    assert book.ran == ["a", "b", "d"]


def test_the_definer_defines_it_no_longer(book):
    book.run({"a": "x = 1", "b": "x"})
    book.run({"a": "y = 1"})
    assert "cell 'a' defines it no longer" in message(book, "b")


def test_the_cell_reads_its_own_name_too_early(book):
    book.run({"a": "x = x + 1"})
    assert "only after it has read it" in message(book, "a")


def test_the_definer_has_run_without_defining_it(book):
    book.run({"a": "if False: x = 1", "b": "x"})
    assert "it has not done so when it ran" in message(book, "b")


def test_a_name_missing_in_a_library_is_not_explained_by_the_notebook(book, tmp_path, monkeypatch):
    (tmp_path / "lib_of_names.py").write_text("def f():\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    book.sync({"a": "x = 1"})
    book.run({"b": "import lib_of_names\nlib_of_names.f()"})
    assert message(book, "b") == "name 'x' is not defined"


def test_private_names_are_shown_as_written(book):
    book.run({"a": "_secret"})
    assert message(book, "a") == "name '_secret' is not defined"
    assert "ꞏ" not in book.texts("a")[0]
