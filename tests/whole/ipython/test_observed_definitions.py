"""What a cell binds that its source does not show belongs to it once it has run."""

import os


def test_readers_follow_what_a_script_defines(book, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("x = 1\n")
    book.run_list(["%run script.py", "x + 1"])
    assert (book["c0"].defs, book.shows("c1")) == (["x"], "2")
    script.write_text("x = 5\ny = 6\n")
    book.run("c0")
    assert (book["c0"].defs, book.shows("c1")) == (["x", "y"], "6")
    script.write_text("y = 7\n")
    book.run("c0")
    assert (book["c0"].defs, book.status("c1")) == (["y"], "error")
    assert "x" not in [variable.name for variable in book.client.variables()]


def test_a_reader_runs_once_where_it_stands_below(book):
    book.run_list(["exec('x = 1')", "print('reads', x)"])
    assert (book["c1"].run, book.shows("c1")) == (book["c0"].run, "reads 1\n")


def test_readers_follow_what_exec_binds(book):
    book.run_list(["code = 'x = 1'", "exec(code)", "x"])
    assert book.shows("c2") == "1"
    book.run(c0="code = 'x = 2'")
    assert book.shows("c2") == "2"


def test_what_a_cell_has_bound_goes_with_it(book):
    book.run_list(["globals()['x'] = 1", "x"])
    book.run(c0="pass")
    assert book.kind("c1") == "NameError"


def test_a_name_that_another_cell_defines_too_has_versions(book, tmp_path):
    (tmp_path / "script.py").write_text("x = 'run'\n")
    book.run_list(["x = 'first'", "x", "%run script.py", "x"])
    assert (book.shows("c1"), book.shows("c3")) == ("'first'", "'run'")
    book.run("c1")
    assert (book.shows("c1"), book.shows("c3")) == ("'first'", "'run'")


def test_a_name_that_an_open_cell_reads_and_binds_is_read_from_above(book):
    book.run_list(["x = 1", "exec('x = x + 1', globals()); x", "x"])
    assert (book.shows("c1"), book.shows("c2")) == ("2", "2")
    book.run("c1")
    assert (book.shows("c1"), book.shows("c2")) == ("2", "2")
    book.run(c0="x = 10")
    assert (book.shows("c1"), book.shows("c2")) == ("11", "11")


def test_a_stored_variable_is_the_cells_that_restores_it(open_book, tmp_path):
    book = open_book(env={**os.environ, "IPYTHONDIR": str(tmp_path)})
    book.run_list(["kept_by_a_test = 5\n%store kept_by_a_test", "del kept_by_a_test"])
    book.run_list(["", "", "%store -r kept_by_a_test", "kept_by_a_test"])
    assert book["c2"].defs == ["kept_by_a_test"]
    assert book.shows("c3") == "5"


def test_a_module_that_a_cell_writes_can_be_imported_whole(book):
    book.run_list(["%%writefile written.py\nfirst = 1\nsecond = 2", "from written import *", "first, second"])
    assert (book["c1"].defs, book.shows("c2")) == (["first", "second"], "(1, 2)")


def test_pylab_defines_what_it_imports(book):
    book.run_list(["%pylab inline", "linspace(0, 1, 3).tolist()"])
    assert "linspace" in book["c0"].defs
    assert book.shows("c1") == "[0.0, 0.5, 1.0]"


def test_what_a_failing_script_has_bound_stays(book, tmp_path):
    (tmp_path / "script.py").write_text("x = 1\n1 / 0\n")
    book.run(a="%run script.py\nraise ValueError")
    assert book["a"].defs == ["x"]
