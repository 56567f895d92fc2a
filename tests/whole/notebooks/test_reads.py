"""What cells read from where: annotations, imports, functions, names whose definer goes away."""

from pathlib import Path

from cellwire.protocol.blocking import launch_kernel
from support.book import Book


def test_annotations_that_are_never_evaluated_make_no_edge(strict: Book) -> None:
    strict.run(
        left="from __future__ import annotations\nclass Left:\n    other: Right\n    def f(s, r: Right): 1",
        right="from __future__ import annotations\nclass Right:\n    other: Left\n",
        early="def make():\n    item: Late = 1\n    return item\nmade = make()",
        late="class Late:\n    seed = made",
    )
    assert strict.failed == {}


def test_an_evaluated_annotation_is_a_read(strict: Book) -> None:
    strict.run(use="def f(x: T): ...\nf.__annotations__", make="T = 1")
    assert strict.shows("use") == "{'x': 1}"


def test_an_import_that_is_added_runs_only_the_readers_of_what_is_new(strict: Book) -> None:
    strict.run(
        imports="import math",
        first="print('first')\nmath.pi",
        second="print('second')\njson.dumps([1])",
    )
    runs = strict["first"].run
    assert strict.kind("second") == "NameError"
    strict.run(imports="import math\nimport json")
    assert (strict["first"].run, strict.shows("second")) == (runs, "second\n'[1]'")
    runs = [strict["first"].run, strict["second"].run]
    strict.run(imports="import math\nimport json, os.path")
    strict.run("imports")
    assert [strict["first"].run, strict["second"].run] == runs


def test_another_module_under_the_same_name_runs_its_readers(strict: Book) -> None:
    strict.run(imports="import math as m\nimport json", pi="m.__name__, m.pi", text="json.dumps(1)")
    runs = strict["text"].run
    strict.run(imports="import cmath as m\nimport json")
    assert strict.shows("pi") == "('cmath', 3.141592653589793)"
    assert strict["text"].run == runs


def test_an_import_that_fails_is_repaired_with_its_readers(strict: Book) -> None:
    strict.run(imports="import math\nimport json", pi="math.pi", text="json.dumps(1)")
    strict.run(imports="import math\nimport no_such_module\nimport json")
    assert strict.kind("imports") == "ModuleNotFoundError"
    strict.run(imports="import math\nimport json")
    assert (strict.failed, strict.shows("text")) == ({}, "'1'")


def test_a_star_import_defines_what_the_module_says_and_then_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def listed(): return 1\n_hidden = 2\nopen('trap', 'a').write('x')\n")
    (tmp_path / "late.py").write_text("globals()['made'] = 3\n")
    with launch_kernel(cwd=tmp_path) as client:
        book = Book(client)
        book.sync(star="from plain import *", use="listed()")
        assert book["star"].defs == ["listed"]
        assert not (tmp_path / "trap").exists()
        book.run("use")
        assert book.shows("use") == "1"
        book.run(reader="made", late="from late import *")
        book.client.wait_idle()
        assert (book["late"].defs, book.shows("reader")) == (["made"], "3")
        book.run(missing="from no_such_module import *")
        assert book.kind("missing") == "ImportStar"


def test_changes_inside_an_object_run_nothing(strict: Book) -> None:
    strict.run(make="items = [1]", read="len(items)", change="items.append(2)")
    assert strict.shows("read") == "1"


def test_functions_of_two_cells_call_each_other(strict: Book, allowing: Book) -> None:
    for book in (strict, allowing):
        book.run(
            even="def even(n):\n    return n == 0 or odd(n - 1)",
            odd="def odd(n):\n    return n > 0 and even(n - 1)",
            call="even(10)",
        )
        assert (book.failed, book.shows("call")) == ({}, "True")


def test_a_cell_that_got_a_function_in_a_value_follows_what_the_function_reads(allowing: Book) -> None:
    allowing.run(
        factor="factor = 2",
        make="def scale(x):\n    return factor * x",
        keep="table = {'scale': scale}",
        again="factor = 5",
        use="table['scale'](10)",
    )
    assert allowing.shows("use") == "50"
    allowing.run(again="factor = 7")
    assert allowing.shows("use") == "70"


def test_a_name_is_free_again_when_its_cell_is_deleted_or_renamed(strict: Book) -> None:
    strict.run(a="x = 4")
    strict.client.delete(["a"])
    strict.run(b="x = 3", reader="x")
    strict.run(c="x = 9")
    assert (strict.kind("c"), strict.status("b"), strict.shows("reader")) == (
        "MultipleDefinitions",
        "ok",
        "3",
    )
    strict.run(b="renamed = 3")
    assert (strict.status("c"), strict.shows("reader")) == ("ok", "9")
    strict.run(d="x = 8")
    strict.client.delete(["c"])
    assert (strict.status("d"), strict.shows("reader")) == ("ok", "8")
    strict.run(broken="x = = 1")
    strict.client.delete(["d"])
    strict.run(e="x = 6")
    assert (strict.status("e"), strict.shows("reader")) == ("ok", "6")


def test_the_reader_of_a_rejected_cell_says_which_cell_it_is(strict: Book) -> None:
    rejected = {
        "target": "first, (second, target) = 1,, 2",
        "function": "def function(x:\n    pass",
        "module": "import os, module\nx = = 1",
        "alias": "import os as alias\nx = = 1",
        "files": "files = !ls",
    }
    strict.run(**rejected)
    for name in rejected:
        strict.run(**{f"read_{name}": name})
        message = strict.error(f"read_{name}").message
        said = f"name '{name}' is not defined: cell '{name}' should define it, but it has a syntax error: "
        assert message.startswith(said), message
        assert strict.error(f"read_{name}").cells == [name]
    assert "subprocess.run(" in strict.error("files").hint
    strict.run(other="unknown")
    assert strict.error("other").message == "name 'unknown' is not defined"


def test_what_looks_private_names_up_by_text_does_not_find_them_and_public_ones_do(strict: Book) -> None:
    strict.run(
        frame="import pandas, pickle, polars\nframe = pandas.DataFrame({'a': [1, 2, 3]})",
        by_text="_limit = 2\nframe.query('a >= @_limit')",
        public="limit = 2\nframe.query('a >= @limit').a.tolist()",
        masked="_limit = 3\nframe[frame.a >= _limit].a.tolist()",
        sql="_part = polars.DataFrame({'a': [1]})\npolars.sql('select a from _part').collect()",
        public_sql="part = polars.DataFrame({'a': [1]})\npolars.sql('select a from part').collect().height",
        lookup="_n = 7\n'_n' in globals()",
        doctested="import doctest, sys\ndef _helper():\n    return 1\n"
        "def f():\n    '>>> _helper()\\n1'\ndoctest.testmod(sys.modules['__main__']).failed",
        pickled="class _Task: ...\npickle.dumps(_Task())",
        public_class="class Task: ...\ntype(pickle.loads(pickle.dumps(Task()))) is Task",
    )
    assert strict.status("by_text") == "error"
    assert (strict.shows("public"), strict.shows("masked")) == ("[2, 3]", "[3]")
    assert strict.status("sql") == "error"
    assert strict.shows("lookup") == "False"
    assert strict.shows("doctested").endswith("1")
    assert strict.kind("pickled") == "PicklingError"
    assert (strict.shows("public_class"), strict.shows("public_sql")) == ("True", "1")
