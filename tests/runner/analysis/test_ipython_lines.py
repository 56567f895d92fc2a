"""Lines of IPython where Python is expected: the error says whose they are and what to write instead."""

import pytest
from cellwire.runner.analysis.analysis import AnalysisError, analyze


def hint(source: str) -> str:
    with pytest.raises(AnalysisError) as caught:
        analyze(source)
    return caught.value.hint


@pytest.mark.parametrize(
    ("source", "line", "instead"),
    [
        ("!ls -l", "!ls -l", "subprocess.run('ls -l', shell=True)"),
        ("x = 1\nif x:\n    !echo it's", "!echo it's", """subprocess.run("echo it's", shell=True)"""),
        ("files = !ls", "files = !ls", "capture_output=True, text=True).stdout.splitlines()"),
        ("%time x = 1", "%time x = 1", "time.perf_counter()"),
        ("y = 1\n%timeit y + 1", "%timeit y + 1", "timeit.timeit("),
        ("t = %timeit -o f()", "t = %timeit -o f()", "timeit.timeit("),
        ("%matplotlib inline", "%matplotlib inline", "leave it out"),
        ("%cd folder", "%cd folder", "os.chdir("),
        ("\n%%bash\necho it's", "%%bash", "subprocess.run(...)"),
        ("%%writefile a.txt\nsome 'text", "%%writefile a.txt", "write what it does in Python"),
        ("x?", "x?", "help(x)"),
        ("y = 1\nx.method??", "x.method??", "help(x.method)"),
        ("?x.y;", "?x.y;", "help(x.y)"),
    ],
)
def test_a_line_of_ipython_is_called_so_and_replaced(source: str, line: str, instead: str) -> None:
    text = hint(source)
    assert text.startswith(f"`{line}` is")
    assert "IPython" in text
    assert instead in text


@pytest.mark.parametrize(
    "source",
    ["x = = 1", "x = 5 %", "!", "%", "print 'what?'", "(", "x = 'a?", "if x\n    y?.z", "a = 1\n  % b"],
)
def test_what_ipython_would_not_take_either_has_no_such_hint(source: str) -> None:
    assert hint(source) == ""


def test_what_python_takes_is_no_matter_of_ipython() -> None:
    assert analyze("x = 5\ny = (x\n%x)").defs == {"x", "y"}


def test_a_long_line_is_not_quoted_in_full() -> None:
    assert len(hint("%pip install " + "package " * 1000)) < 200
