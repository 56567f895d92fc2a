"""Whether a source is complete: what IPython says of it, without IPython."""

import pytest
from cellwire.frontends.jupyter.completeness import completeness

_SOURCES = [
    "",
    "1 + 1",
    "# c",
    "a = 1\nb = 2",
    "x = 1;",
    "import = 3",
    "a\n  b",
    "'abc",
    "x = '''abc",
    "a = (1,\n",
    "x = [\n 1,",
    "print('x'",
    "lambda: (yield",
    "\\",
    "a = 1 + \\",
    "await f()",
    "async def f():\n    await x",
    "def f():",
    "def f():\n    x",
    "def f():\n    x\n",
    "def f():\n    return 1",
    "def f(): return 1",
    "class A:\n    x = 1\n\n",
    "if x: pass",
    "if 1:\n    x\nelse:\n    y\n",
    "for i in x:\n    if i:\n        a",
    "for i in x:\n    pass",
    "try:\n    x",
    "try:\n    x\nexcept E:\n    pass\n",
    "@decorator",
    "%time x",
    "%lsmagic",
    "%%time",
    "%%bash\nls",
    "%%bash\nls\n",
    "%%bash\nls\n\n",
    "x = !ls",
    "x = %time y",
    "!ls",
    "ls?",
    "?ls",
    "a.b??",
    "for i in x:\n    !ls {i}",
]


@pytest.mark.parametrize("source", _SOURCES)
def test_it_is_what_ipython_says(source: str) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    status, indentation = TransformerManager().check_complete(source)
    assert completeness(source) == (status, " " * (indentation or 0))


@pytest.mark.parametrize("source", ["(" * 1000, "-" * 100_000 + "1", "\0"])
def test_sources_that_the_compiler_does_not_take_are_no_error(source: str) -> None:
    assert completeness(source)[0] in {"invalid", "incomplete"}
