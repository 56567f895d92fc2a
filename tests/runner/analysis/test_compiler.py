"""What the code of compiled cells does when it is run in one namespace."""

import __future__

import asyncio
import linecache
import sys
import traceback
import typing
from typing import Any

import pytest
from cellwire.runner.analysis.analysis import AnalysisError, analyze
from cellwire.runner.analysis.compiler import CompiledCell, cell_filename, compile_cell, unmangle
from cellwire.runner.analysis.names import is_mangled, is_private, mangle


def execute(compiled: CompiledCell, namespace: dict[str, Any]) -> Any:
    """Run a cell that does not await, and return its value."""
    if compiled.body is not None:
        exec(compiled.body, namespace)
    return eval(compiled.value, namespace) if compiled.value is not None else None


class Notebook:
    """Cells that run in one namespace."""

    def __init__(self) -> None:
        self.globals: dict[str, Any] = {"__name__": "__main__"}

    def run(self, source: str, cell: str = "a") -> Any:
        return execute(compile_cell(source, cell), self.globals)

    def public(self) -> set[str]:
        return {name for name in self.globals if not is_mangled(name) and not name.startswith("__")}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 1", 2),
        ("x = 1\nx", 1),
        ("x = 1\nx;", None),
        ("x = 1\nx ; # shown?", None),
        ("x = 1\nx # not hidden;", 1),
        ("';'", ";"),
        ("'''a;\nb;'''", "a;\nb;"),
        ("'''a;\nb;''';", None),
        ("(1,\n 2) # ;\n# ;\n", (1, 2)),
        ("(1,\n 2);\n# more\n\n", None),
        ("(3)", 3),
        ("((3));", None),
        ("4 \\\n ;", None),
        ("'é;'; 'ü'", "ü"),
        ("'é;'; 'ü';", None),
        ("1; 2", 2),
        ("5;\r\n", None),
        ("5\r\n", 5),
        ("5;\r# old line ends\r", None),
        ("\x0c5", 5),
        ("x = 1", None),
        ("if 1: 2", None),
        ("'doc'", "doc"),
        ("'doc'\n'other'", "other"),
        ("'doc';", None),
        ("", None),
        ("# nothing", None),
        ("from __future__ import annotations\n1", 1),
        ("(y := 6)", 6),
    ],
)
def test_the_trailing_expression_is_the_value_unless_a_semicolon_follows(source: str, value: object) -> None:
    assert Notebook().run(source) == value


def test_a_text_at_the_start_of_a_cell_does_not_become_the_docstring_of_all() -> None:
    notebook = Notebook()
    notebook.run("'doc'\nx = 1")
    assert set(notebook.globals) == {"__name__", "__builtins__", "x"}
    notebook.run("'doc'\nfrom __future__ import annotations\ny: Missing = 1")
    assert notebook.globals["y"] == 1


def test_the_body_and_the_value_are_awaited_where_they_await() -> None:
    async def go(source: str) -> Any:
        compiled = compile_cell(source, "a")
        namespace: dict[str, Any] = {"asyncio": asyncio}
        assert compiled.analysis.is_async is (compiled.body_is_async or compiled.value_is_async)
        if compiled.body is not None:
            done = eval(compiled.body, namespace)
            if compiled.body_is_async:
                await done
        if compiled.value is None:
            return None
        value = eval(compiled.value, namespace)
        return await value if compiled.value_is_async else value

    async def all_of_them() -> None:
        assert await go("x = await asyncio.sleep(0, 1)\nx + 1") == 2
        assert await go("x = 1\nawait asyncio.sleep(0, x + 1)") == 2
        assert await go("await asyncio.sleep(0, 3)") == 3
        assert await go("[await asyncio.sleep(0, n) for n in (1, 2)]") == [1, 2]
        assert await go("1") == 1

    asyncio.run(all_of_them())


def test_the_future_of_a_cell_is_that_of_both_its_parts_and_of_no_other_cell() -> None:
    notebook = Notebook()
    notebook.run("from __future__ import annotations\ndef f(x: Missing): pass", "a")
    with pytest.raises(NameError):
        notebook.run("def g(x: Missing): pass", "b")
    assert notebook.globals["f"].__annotations__ == {"x": "Missing"}
    value = compile_cell("from __future__ import annotations\n1", "a").value
    assert value is not None
    assert value.co_flags & __future__.annotations.compiler_flag


def test_tracebacks_have_the_lines_and_the_names_of_the_source() -> None:
    notebook = Notebook()
    source = "x = 1\n\n\ndef _fails():\n    return x + _missing\n\n\n_fails()"
    compiled = compile_cell(source, "a/b 1")
    filename = cell_filename("a/b 1")
    assert compiled.filename == filename == "<cell a/b 1>"
    lines: list[str] = [*source.splitlines(keepends=True)]
    linecache.cache[filename] = (len(source), None, lines, filename)
    with pytest.raises(NameError) as caught:
        execute(compiled, notebook.globals)
    frames = traceback.extract_tb(caught.value.__traceback__)[-2:]
    assert [(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames] == [
        (filename, 8, "<module>", "_fails()"),
        (filename, 5, "_fails", "return x + _missing"),
    ]
    assert unmangle(str(caught.value)) == "name '_missing' is not defined"
    del linecache.cache[filename]


def test_a_file_name_is_printable_whatever_the_id_of_the_cell() -> None:
    assert cell_filename("a\0\n\ud800é") == "<cell a\\x00\\n\\ud800\\xe9>"
    assert Notebook().run("1", "a\0\n\ud800") == 1


# Private names


def test_two_cells_have_private_names_of_their_own() -> None:
    notebook = Notebook()
    notebook.run("_x = 1\ndef f(): return _x\ndef g():\n global _x\n _x += 10", "a")
    notebook.run("_x = 2\ndef h(): return _x", "b")
    notebook.run("g()", "c")
    assert notebook.run("f(), h()", "c") == (11, 2)
    assert notebook.public() == {"f", "g", "h"}
    with pytest.raises(NameError, match="_x"):
        notebook.run("_x", "c")


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("_x = 1\n[_x for _ in range(2)], {_x: _x}, [_x for _x in (5,)], _x", ([1, 1], {1: 1}, [5], 1)),
        ("_x = 1\n(lambda _x, *, _y=_x: (_x, _y))(3), (lambda: _x)()", ((3, 1), 1)),
        ("_x = 1\ndef f(_x, _y=_x): return _x, _y\nf(_x=2), f(_x, _y=3)", ((2, 1), (1, 3))),
        ("_x = 1\nclass C:\n _x = 2\n def m(self): return _x, self._x\nC().m()", (1, 2)),
        ("_x = 1\nclass C:\n y = _x\nC.y", 1),
        ("_x = 1\nclass C:\n _x = _x\n _x += 1\nC._x, _x", (2, 1)),
        ("_x = [1]\nclass C:\n _x += [2]\nC._x is _x, _x", (True, [1, 2])),
        (
            "_x = 1\nclass C:\n try: _x += 1 / 0\n except ZeroDivisionError: pass\nhasattr(C, '_x'), _x",
            (False, 1),
        ),
        ("_x = 1\nclass C:\n if 0: _x = 2\n y = _x\nC.y, hasattr(C, '_x')", (1, False)),
        ("_x = 1\nclass C:\n for _x in 2, 3: y = _x\nC.y, C._x, _x", (3, 3, 1)),
        ("class C:\n global _x\n _x = 4\n_x, hasattr(C, '_x')", (4, False)),
        ("class _C:\n __x = 1\n def m(self): return self.__x\n_C().m(), _C._C__x", (1, 1)),
        ("_C__x = 5\nclass C:\n def m(self): return __x\nC().m()", 5),
        ("_C__x = 5\nclass C:\n __x = __x\nC._C__x", 5),
        ("import os.path as _p, sys as _s\n_p.__name__, _s.__name__", ("posixpath", "sys")),
        (
            "from os import path as _p, sep\nfrom os import _exit\n_p.sep, sep, _exit.__name__",
            ("/", "/", "_exit"),
        ),
        ("import _thread\n_thread.__name__", "_thread"),
        ("def f():\n global _m\n import json as _m\nf()\n_m.__name__", "json"),
        ("for _i, *_r in [(1, 2, 3)]: pass\n_i, _r", (1, [2, 3])),
        ("with open(__import__('os').devnull) as _f: _n = _f.name\n_n", "/dev/null"),
        (
            "match {'a': 1, 'b': [2, 3]}:\n case {'a': _a, 'b': [*_b], **_c} as _d: pass\n_a, _b, _c",
            (1, [2, 3], {}),
        ),
        ("match 3:\n case int(real=_r): pass\n_r", 3),
        ("match 3:\n case _: _y = 4\n_y", 4),
        ("try: 1 / 0\nexcept ZeroDivisionError as _e: _t = str(_e)\n_t", "division by zero"),
        ("_x = 1\ndel _x\n'_x' in globals()", False),
        ("if (_n := 3) > 2: pass\n[(_m := k) for k in (1, 2)]\n_n, _m", (3, 2)),
        ("_x: int = 1\n_x", 1),
        ("_x = 1\nf'{_x=}'", "_x=1"),
        ("_ = 1\n__ = 2\nclass C:\n y = __\n_, __, C.y", (1, 2, 2)),
        ("def _d(f): return f.__name__\n@_d\ndef _f(): pass\n_f", "_f"),
        ("def f():\n global _g\n def _g(): return 1\nf()\n_g()", 1),
        ("def f():\n _x = 1\n def g():\n  nonlocal _x\n  _x += 1\n  return _x\n return g\nf()()", 2),
        ("_x = 1\ndef f():\n def g(): return _x\n return g\nf()()", 1),
    ],
)
def test_a_private_name_is_the_same_wherever_it_means_the_module_level(source: str, value: object) -> None:
    notebook = Notebook()
    assert notebook.run(source) == value
    assert not {name for name in notebook.globals if is_private(name)}


@pytest.mark.parametrize("operator", ["+", "-", "*", "@", "/", "//", "%", "**", "<<", ">>", "&", "|", "^"])
def test_a_private_name_is_changed_in_a_class_as_anywhere(operator: str) -> None:
    number = "__import__('numpy').eye(1)" if operator == "@" else "7"
    change = f"_x {operator}= {number}\n"
    expected = Notebook().run(f"_x = {number}\n{change}repr(_x)")
    assert Notebook().run(f"_x = {number}\nclass C:\n {change}repr(C._x)") == expected
    with pytest.raises(TypeError) as anywhere:
        Notebook().run(f"_x = print\n_x {operator}= None")
    with pytest.raises(TypeError) as in_class:
        Notebook().run(f"_x = print\nclass C:\n _x {operator}= None")
    assert str(in_class.value) == str(anywhere.value)


def test_functions_and_classes_with_private_names_are_called_as_they_were_written() -> None:
    notebook = Notebook()
    notebook.run("class _C:\n class D: pass\n def m(self): pass\nasync def _f(): pass\nc, f = _C, _f")
    c, f = notebook.globals["c"], notebook.globals["f"]
    assert (c.__name__, c.__qualname__, repr(c)) == ("_C", "_C", "<class '__main__._C'>")
    assert (c.D.__qualname__, c.m.__qualname__, f.__name__, f.__code__.co_name) == (
        "_C.D",
        "_C.m",
        "_f",
        "_f",
    )
    assert notebook.public() == {"c", "f"}


def test_annotations_kept_as_text_name_the_private_class() -> None:
    notebook = Notebook()
    notebook.run("from __future__ import annotations\nclass _C: pass\ndef f(x: _C): pass\nc = _C")
    sys_modules = typing.get_type_hints(notebook.globals["f"], notebook.globals)
    assert sys_modules == {"x": notebook.globals["c"]}


def test_importing_a_part_of_a_private_package_binds_the_package(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_package").mkdir()
    (tmp_path / "_package" / "__init__.py").touch()
    (tmp_path / "_package" / "part.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Notebook().run("import sys, _package.part\n_package.__name__, _package.part.x") == ("_package", 1)
    del sys.modules["_package"], sys.modules["_package.part"]


def test_a_handler_leaves_the_variables_of_other_cells_alone() -> None:
    notebook = Notebook()
    notebook.run("e = 2.7", "a")
    source = (
        "try: 1 / 0\nexcept ZeroDivisionError as e:\n def f(): return e\n r = f(), [e for _ in 'a']\nr, e"
    )
    (read, listed), outside = notebook.run(source, "b")
    assert isinstance(read, ZeroDivisionError)
    assert listed == [read]
    assert outside == 2.7
    with pytest.raises(NameError, match=r"name '\w*e' is not defined"):
        notebook.run("f()", "c")


def test_a_handler_unbinds_the_name_where_the_cell_defines_it_too_as_python_does() -> None:
    notebook = Notebook()
    notebook.run("e = 1\ntry: 1 / 0\nexcept ZeroDivisionError as e: e = 2")
    assert "e" not in notebook.globals


def test_the_private_globals_of_a_cell_are_listed() -> None:
    source = "_x = 1\ndef f(_y): global _z\ntry: pass\nexcept E as e: _w"
    assert {unmangle(name) for name in compile_cell(source, "a").private_globals} == {"_x", "_w", "e"}
    assert compile_cell("x = y", "a").private_globals == frozenset()


@pytest.mark.parametrize("cell", ["a", "", "Zelle 1", "é/ꞏ\n", "_", "1", "ǀ", "'\"\\"])
def test_names_are_kept_apart_and_shown_as_written_whatever_the_id_of_the_cell(cell: str) -> None:
    for name in ("_x", "__", "_", "e"):
        kept = mangle(name, cell)
        assert kept.isidentifier()
        assert not kept.startswith("_")
        assert (is_mangled(kept), unmangle(f"name '{kept}' and {kept}")) == (
            True,
            f"name '{name}' and {name}",
        )
    assert len({mangle("_x", other) for other in (cell, cell + "_", cell + "ꞏ", f"{cell}ǀ", cell + " ")}) == 5


@pytest.mark.parametrize(
    "source",
    ["[(_x := 1) for _x in y]", "_x = 1\nreturn _x", "def f():\n _x = 1\n global _x", "(_x) = 1 = 2"],
)
def test_an_error_is_found_although_renaming_would_hide_it_and_has_the_written_name(source: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        compile_cell(source, "a")
    assert not any(map(is_mangled, caught.value.message.replace("'", " ").split()))


def test_compiling_says_what_analysing_says() -> None:
    for source in ("x = _y", "await x", "'doc'\nimport a", "class _C:\n _x = _x", "import a, _b.c;", ""):
        assert compile_cell(source, "a").analysis == analyze(source)
