"""What the analysis sees of each magic, shell line and question mark."""

import pytest
from cellwire.protocol.messages import Cell
from cellwire.runner.analysis.compiler import compile_cell
from cellwire.runner.dataflow.program import Program
from cellwire.runner.ipython.syntax import IPythonLanguage

LANGUAGE = IPythonLanguage()


def analysis(source):
    return compile_cell(source, "cell", language=LANGUAGE).analysis


def names(text):
    return frozenset(text.split())


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        # Magics that run Python.
        ("%time x = f(y)", "x", "f y"),
        ("%%time\nx = f(y)", "x", "f y"),
        ("%%time\nx = 1\n!echo {x} {y}", "x", "y"),
        ("x = %time f(y)", "x", "f y"),
        ("%prun -s cumulative -l 5 x = f(y)", "x", "f y"),
        ("%%prun -q\nx = f(y)", "x", "f y"),
        ("%memit x = f(y)", "x", "f y"),
        ("%lprun -f g x = f(y)", "x", "f g y"),
        ("%debug x = f(y)", "x", "f y"),
        # Those that run it in a function.
        ("%timeit f(y)", "", "f y"),
        ("%timeit -n 10 -r 3 x = f(y)", "", "f y"),
        ("%%timeit x = y\nz = x + w", "", "y w"),
        ("t = %timeit -o f(y)", "t", "f y"),
        # Commands.
        ("!ls", "", ""),
        ("!ls {folder} $name", "", "folder name"),
        ("!awk '{print $1}' file", "", ""),
        ("!echo {a + b} {c[1:2]} {{d}} $$e", "", "a b c"),
        ("x = !ls {d} $q", "x", "d q"),
        ("!!ls {d}", "", "d"),
        ("!pip install {p}", "", "p"),
        ("if a:\n    !ls {b}", "", "a b"),
        ("for i in y:\n    x = !echo {i}", "i x", "y"),
        ("def f(a):\n    !ls {a} {b}", "f", "b"),
        # Cell magics with a body that is none of Python's here.
        ("%%bash\necho $x", "", ""),
        ("%%bash --out o --err e\necho", "o e", ""),
        ("%%script {program}\nx = 1", "", "program"),
        ("%%writefile {path}\nx = y", "", "path"),
        ("%%html\n<b>{x}</b>", "", ""),
        ("%%javascript\nvar x = y", "", ""),
        ("%%latex\n$x$", "", ""),
        ("%%markdown\n# {x}", "", ""),
        ("%%python\nx = y", "", ""),
        # Those whose body is.
        ("%%capture out\nx = f(y)", "out x", "f y"),
        ("%%capture --no-stderr out\nx = 1", "out x", ""),
        ("%%capture\nx = y", "x", "y"),
        # Line magics that read what is in braces.
        ("%cd {path}", "", "path"),
        ("%env A={b}", "", "b"),
        ("%matplotlib inline", "", ""),
        ("%load_ext autoreload\n%autoreload 2", "", ""),
        ("%aimport package.module", "package", ""),
        ("%config InlineBackend.figure_format = 'svg'", "", ""),
        ("%pip install {p}", "", "p"),
        ("%store x y", "", "x y"),
        ("%unknown $x", "", "x"),
        ("x = %unknown {y}", "x", "y"),
        # Help.
        ("a?", "", ""),
        ("?a.b", "", ""),
        ("a??", "", ""),
        ("%pinfo a", "", ""),
        # As they are written in Python.
        ("get_ipython().run_line_magic('time', 'x = y')", "x", "y"),
        ("get_ipython().system('ls {d}')", "", "d"),
        ("x = get_ipython().getoutput('ls {d}')", "x", "d"),
        # Without `%`.
        ("cd {path}", "", "path"),
        ("pip install {p}", "", "p"),
        ("ls", "", ""),
    ],
)
def test_a_magic_defines_and_reads_what_it_runs(source, defs, refs):
    found = analysis(source)
    assert (found.defs, found.refs) == (names(defs), names(refs))
    assert not found.is_open


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("%run script.py", "", ""),
        ("%run {path}", "", "path"),
        ("%pylab inline", "", ""),
        ("%store -r x", "", ""),
        ("%reset -f", "", ""),
        ("%load file.py", "", ""),
        ("%%cython\nx = y", "", ""),
        ("%%R -i a,b -o c\nc <- a + b", "c", "a b"),
        ("%%unknown {x}\nbody", "", "x"),
        ("%time exec(code)", "", "exec code"),
        ("exec('x = 1')", "", "exec"),
        ("globals()['x'] = 1", "", "globals"),
        ("ip = get_ipython()\nip.run_cell('x = 1')", "ip", "get_ipython"),
        ("from nowhere_at_all import *", "", ""),
    ],
)
def test_a_cell_that_may_bind_anything_is_open(source, defs, refs):
    found = analysis(source)
    assert (found.defs, found.refs) == (names(defs), names(refs))
    assert found.is_open


def test_a_read_of_a_magic_happens_while_the_cell_runs():
    assert analysis("%timeit f(y)").immediate == {"f", "y"}
    assert analysis("!ls {d}").immediate == {"d"}
    assert analysis("def f():\n    !ls {d}").deferred == {"d"}


def test_what_only_the_text_of_a_command_reads_is_bound_to_no_cell_below():
    assert analysis("!echo {a} $b").weak == {"a", "b"}
    assert analysis("x = a\n!echo {a} {c}").weak == {"c"}
    program = Program("allow", LANGUAGE)
    cells = {"above": "a = 1", "command": "%%script bash -c 'echo $a $line'\n", "below": "line = 1"}
    program.declare([Cell(id, source) for id, source in cells.items()])
    assert program.graph.parents("command") == {"above"}
    assert program.graph.children("below") == set()


def test_a_name_that_ipython_provides_is_not_taken_from_a_cell_below():
    program = Program("allow", LANGUAGE)
    cells = {"shows": "display(1)", "imports": "from IPython.display import display", "again": "display(2)"}
    program.declare([Cell(id, source) for id, source in cells.items()])
    assert program.graph.parents("shows") == set()
    assert program.graph.parents("again") == {"imports"}


def test_names_with_an_underscore_are_shared():
    found = analysis("_x = 1\nfrom m import _y\ndef _f(): return _z")
    assert (found.defs, found.refs, found.privates) == ({"_x", "_y", "_f"}, {"_z"}, set())


@pytest.mark.parametrize("name", ["_", "__", "___", "_i", "_ii", "_3", "_i3", "_ih", "_dh", "In", "Out"])
def test_names_that_ipython_keeps_connect_no_cells(name):
    assert not analysis(f"for {name} in y: pass").defs
    assert analysis(f"{name} + x").refs == {"x"}


def test_the_name_of_a_handler_is_seen_by_a_magic_in_it():
    compiled = compile_cell("try: f()\nexcept Exception as e:\n    !echo {e}", "cell", language=LANGUAGE)
    assert compiled.body is not None
    assert "e" in compiled.body.co_names
    assert not compiled.analysis.defs


def test_a_name_that_stands_for_something_is_no_magic():
    language = IPythonLanguage(None, {"ls", "time"}.__contains__)
    assert compile_cell("ls", "cell", language=language).analysis.refs == {"ls"}
    assert compile_cell("time", "cell", language=language).analysis.refs == {"time"}
    assert compile_cell("cd", "cell", language=language).analysis.refs == frozenset()
