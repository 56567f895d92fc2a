"""Cells that talk to IPython's shell, in a real kernel."""

import os
import time

import pytest
from cellwire.protocol.mime_types import PAYLOAD_MIME

LOADED = "import sys; any(name.startswith('IPython.') for name in sys.modules)"


def texts(book, cell):
    return [item.data["text/plain"] for item in book[cell].outputs]


def test_plain_cells_do_not_load_ipython(book):
    shown = [
        "x + 1",
        "'text'",
        "[1, 2.5, 'a']",
        "print(x)",
        "_f = 2; _f",
        "display('a', [x])",
        "cw.md('*m*')",
    ]
    book.run_list(["import cellwire as cw; x = 1", *shown, LOADED])
    assert [book.shows(f"c{number}") for number in range(9)] == [
        "",
        "2",
        "'text'",
        "[1, 2.5, 'a']",
        "1\n",
        "2",
        "'a'[1]",
        "*m*",
        "False",
    ]


def test_a_display_is_the_same_before_and_after_ipython_is_loaded(book):
    book.run(values="import cellwire as cw\nvalues = [1, 'text', None, (2.5, 'a'), [], True, cw.html('<b>')]")
    before = "for value in values:\n    display(value)\ndisplay(*values)"
    book.run(before=before)
    book.run(loading="%pwd")
    book.run(after=before + "\n")
    items = [[(item.data, item.metadata) for item in book[cell].outputs] for cell in ("before", "after")]
    assert items[0] == items[1]
    assert len(items[0]) == 14


def test_what_needs_ipython_loads_it(book):
    book.run_list(["%pwd", LOADED])
    assert book.shows("c1") == "True"


def test_libraries_find_ipython_without_loading_it(book):
    book.run_list(["import sys; 'IPython' in sys.modules", LOADED, "import IPython; IPython.get_ipython()"])
    assert book.shows("c0") == "True"
    assert book.shows("c1") == "False"
    assert "ZMQInteractiveShell" in book.shows("c2")


def test_values_are_shown_as_ipython_shows_them(book):
    book.run(a="{n: list(range(n)) for n in range(20)}", b="{'b', 'a'}", c="[['x' * 30] * 3]")
    assert book.shows("a").count("\n") == 19
    assert book.shows("b") == "{'a', 'b'}"
    assert book.shows("c").count("\n") == 2


def test_a_formatter_that_is_registered_with_the_shell_is_used(book):
    book.run_list(
        [
            "class Point:\n    pass",
            "formatters = get_ipython().display_formatter.formatters\n"
            "formatters['text/html'].for_type(Point, lambda point: '<b>point</b>')\n"
            "formatters['text/plain'].for_type(Point, lambda point, p, cycle: p.text('a point'))",
            "Point()",
        ]
    )
    (item,) = book["c2"].outputs
    assert (item.data["text/plain"], item.data["text/html"]) == ("a point", "<b>point</b>")


def test_display_shows_in_the_order_of_the_text_around_it(book):
    book.run(a="print('one')\ndisplay(1)\nprint('two')\ndisplay('x', 2)\n3")
    parts = [
        part.text if hasattr(part, "stream") else part.data["text/plain"] for part in book["a"].in_order()
    ]
    assert parts == ["one\n", "1", "two\n", "'x'", "2", "3"]


def test_display_handles_change_what_was_shown(book):
    book.run_list(["handle = display('old', display_id=True)", "handle.update('new')"])
    assert (texts(book, "c0"), texts(book, "c1")) == (["'new'"], [])


def test_inputs_and_outputs_have_numbers(book):
    book.run_list(["40 + 2", "_ + 1", "Out[1], _1, In[1], _i", "1;", "_", "__"])
    assert [book.shows(f"c{number}") for number in range(6)] == [
        "42",
        "43",
        "(42, 42, '40 + 2', '_ + 1')",
        "",
        "(42, 42, '40 + 2', '_ + 1')",
        "(42, 42, '40 + 2', '_ + 1')",
    ]


def test_an_underscore_that_a_cell_binds_is_left_alone(book):
    book.run_list(["_ = 'mine'", "1", "_"])
    assert book.shows("c2") == "'mine'"


def test_names_with_an_underscore_are_shared(book):
    book.run_list(["_x = 1\ndef _f(): return _x", "_f() + 1"])
    assert book.shows("c1") == "2"
    book.run(c0="_x = 5\ndef _f(): return _x")
    assert book.shows("c1") == "6"


def test_readers_follow_what_a_magic_defines(book):
    book.run_list(["n = 3", "%%time\ntotal = sum(range(n))", "total"])
    assert book.shows("c2") == "3"
    book.run(c0="n = 5")
    assert book.shows("c2") == "10"


def test_a_line_that_captures_a_command_reads_and_defines(book):
    book.run_list(["word = 'one'", "lines = !echo {word}; echo $word", "list(lines)"])
    assert book.shows("c2") == "['one', 'one']"
    book.run(c0="word = 'two'")
    assert book.shows("c2") == "['two', 'two']"


def test_text_of_a_command_is_its_cells(book):
    book.run(a="!echo out; echo err >&2\nprint('after')")
    assert book["a"].console.text() == "out\nerr\nafter\n"
    assert book["a"].console.text("stderr") == ""


def test_a_command_that_fails_is_no_error_of_its_cell(book):
    book.run(a="!exit 3", b="_exit_code")
    assert (book.status("a"), book.shows("b")) == ("ok", "3")


def test_text_of_a_command_is_captured_like_any_other(book):
    book.run_list(
        [
            "%%capture out\n!echo from a command\nprint('printed')\ndisplay(1)\n2",
            "out.stdout",
            "len(out.outputs)",
        ]
    )
    assert (book.shows("c0"), book.shows("c1"), book.shows("c2")) == (
        "",
        "'from a command\\nprinted\\n'",
        "2",
    )


def test_cell_magics_run_other_languages(book):
    book.run_list(
        [
            "%%bash --out text\necho $((6 * 7))",
            "text",
            "%%writefile made.txt\nsome text",
            "open('made.txt').read()",
            "%%html\n<b>bold</b>",
            "%%javascript\nvar x",
            "%%latex\n$x$",
        ]
    )
    assert (book.shows("c1"), book.shows("c3")) == ("'42\\n'", "'some text\\n'")
    shown = [set(book[cell].outputs[0].data) - {"text/plain"} for cell in ("c4", "c5", "c6")]
    assert shown == [{"text/html"}, {"application/javascript"}, {"text/latex"}]


def test_magics_of_the_user_work(book):
    book.run_list(
        [
            "from IPython.core.magic import register_line_magic, register_cell_magic\n"
            "@register_line_magic\ndef twice(line): return line * 2\n"
            "@register_cell_magic\ndef upper(line, cell): return cell.upper()",
            "%twice ab",
            "%%upper\nshout",
        ]
    )
    assert (book.shows("c1"), book.shows("c2")) == ("'abab'", "'SHOUT\\n'")


def test_an_unknown_magic_says_so(book):
    book.run(a="%nonsense 1")
    assert book.kind("a") == "UsageError"
    assert book.error("a").traceback == "UsageError: Line magic function `%nonsense` not found.\n"


def test_events_are_triggered_around_each_cell(book):
    book.run_list(
        [
            "seen = []\nevents = get_ipython().events\n"
            "events.register('pre_run_cell', lambda info: seen.append(info.raw_cell))\n"
            "events.register('post_run_cell', lambda result: seen.append(result.result))",
            "1 + 1",
            "seen",
        ]
    )
    assert book.shows("c2") == "[None, '1 + 1', 2, 'seen']"


def test_transformers_of_text_work_in_cells_that_were_rejected_before(book):
    book.run_list(
        [
            "def transform(lines):\n    return [line.replace('→', '=') for line in lines]\n"
            "get_ipython().input_transformers_cleanup.append(transform)",
            "x → 5",
            "x + 1",
        ]
    )
    assert (book.status("c1"), book.shows("c2")) == ("ok", "6")


def test_transformers_of_trees_work_from_the_next_cell_on(book):
    book.run_list(
        [
            "import ast\nclass Negate(ast.NodeTransformer):\n"
            "    def visit_Constant(self, node):\n"
            "        return ast.Constant(-node.value) if isinstance(node.value, int) else node\n"
            "get_ipython().ast_transformers.append(Negate())\n7",
            "7",
        ]
    )
    assert (book.shows("c0"), book.shows("c1")) == ("7", "-7")


def test_all_expressions_of_a_cell_can_be_shown(book):
    book.run_list(
        ["%config InteractiveShell.ast_node_interactivity = 'all'", "1\nfor n in (2, 3):\n    n\n4", "5;"]
    )
    assert (texts(book, "c1"), texts(book, "c2")) == (["1", "2", "3", "4"], [])


def test_figures_are_shown_once_their_cell_has_ended(book):
    book.run_list(["%matplotlib inline\nimport matplotlib.pyplot as plt", "plt.plot([1, 2])"])
    data = [item.data for item in book["c1"].outputs]
    assert [sorted(bundle) for bundle in data] == [["text/plain"], ["image/png", "text/plain"]]


def test_figures_are_shown_in_the_format_that_is_asked_for(book):
    book.run_list(
        [
            "%config InlineBackend.figure_formats = ['svg']",
            "import matplotlib.pyplot as plt",
            "plt.plot([1]);",
        ]
    )
    assert [sorted(item.data) for item in book["c2"].outputs] == [["image/svg+xml", "text/plain"]]


def test_help_is_left_for_the_frontend(book):
    book.run(a="len?", b="?len")
    for cell in "ab":
        (item,) = book[cell].outputs
        assert item.data[PAYLOAD_MIME]["source"] == "page"
        assert "Return the number of items" in item.data["text/plain"]


def test_what_frontends_are_asked_for_is_a_payload(book):
    book.run(a="get_ipython().set_next_input('x = 1')", b="exit", c="quit()")
    payloads = [book[cell].outputs[0].data[PAYLOAD_MIME] for cell in "abc"]
    assert [payload["source"] for payload in payloads] == ["set_next_input", "ask_exit", "ask_exit"]


def test_a_cell_of_one_line_may_leave_out_the_sign_of_a_magic(book, tmp_path):
    (tmp_path / "inner").mkdir()
    book.run_list(["cd inner", "pwd", "who = 1", "who"])
    assert book.shows("c1") == repr(str(tmp_path / "inner"))
    assert book.shows("c3") == "1"


def test_code_that_the_shell_runs_is_shown_in_the_calling_cell(book):
    book.run_list(
        [
            "get_ipython().run_cell('print(1)\\ny = 5\\ny + 1')\nNone",
            "y",
            "get_ipython().run_cell('1 / 0')\nNone",
        ]
    )
    assert book.shows("c0") == "1\n6"
    assert book.shows("c1") == "5"
    assert "ZeroDivisionError" in book.shows("c2")
    assert book.status("c2") == "ok"


def test_variables_are_listed_as_the_cells_have_bound_them(book):
    book.run_list(["x = 1\ny = 'a'", "%who_ls"])
    assert book.shows("c1") == "['x', 'y']"
    assert [variable.name for variable in book.client.variables()] == ["x", "y"]


@pytest.mark.parametrize(
    "source",
    [
        "!echo begun; sleep 60",
        "print('begun')\nx = !sleep 60",
        "%%time\nprint('begun')\n!sleep 60",
        "%timeit -n 1 -r 1 print('begun'), __import__('time').sleep(60)",
        "%%capture --no-stdout\nprint('begun')\n!sleep 60",
    ],
)
def test_an_interrupt_ends_what_a_cell_runs(book, source):
    book.client.run({"a": source}, wait=False)
    while "begun" not in (book["a"].console.text() if "a" in book.client.notebook.cells else ""):
        book.client.ping()
    book.client.interrupt()
    book.client.wait_idle()
    assert book.status("a") == "interrupted"
    assert len(book["a"].outputs) == 1


@pytest.mark.parametrize(
    "asking", ["%debug", "from IPython.core.debugger import set_trace\nset_trace()\nx = 1"]
)
def test_an_interrupt_at_the_prompt_of_a_debugger_is_for_the_cell(book, asking):
    book.run(fails="1 / 0")
    book.client.run({"a": asking}, wait=False)
    while not book.client.notebook.inputs:
        book.client.ping()
    book.client.interrupt()
    book.client.wait_idle()
    assert book.status("a") == "interrupted"


def test_a_debugger_looks_into_the_last_error(book):
    book.run(fails="def f(x):\n    y = x + 1\n    return 1 / 0\nf(3)")
    book.client.run({"a": "%debug"}, wait=False)
    answered = ""
    for line in ("p y", "q"):
        while not (asked := [each.id for each in book.client.notebook.inputs if each.id != answered]):
            book.client.ping()
        (answered,) = asked
        book.client.provide_input(answered, line)
    book.client.wait_idle()
    assert book.status("a") == "ok"
    assert "\n4\n" in book["a"].console.text("stdout")


def test_an_edited_module_is_seen_by_the_next_run_of_its_reader(book, tmp_path):
    module = tmp_path / "edited.py"
    module.write_text("value = 1\n")
    book.run_list(["%load_ext autoreload\n%autoreload 2", "import edited", "edited.value"])
    assert book.shows("c2") == "1"
    module.write_text("value = 22\n")
    later = time.time() + 5
    os.utime(module, (later, later))
    while not (book["c1"].stale and book["c2"].stale):
        book.client.ping()
    assert not book["c0"].stale
    book.run("c2")
    assert book.shows("c2") == "22"


def test_magics_are_completed_and_explained(book):
    book.run(a="%pwd")
    assert [found.text for found in book.client.complete("%timei", 6).items] == ["timeit"]
    assert "time" in [found.text for found in book.client.complete("%%ti", 4).items]
    assert "Time execution" in book.client.inspect("%timeit", 4).data["text/plain"]
