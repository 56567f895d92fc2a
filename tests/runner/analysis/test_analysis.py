"""What `analyze` says about one cell."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from cellwire.runner.analysis.analysis import Analysis, AnalysisError, analyze

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cases" / "analysis.json").read_text("utf-8")
)


def runs_here(case: dict[str, Any]) -> bool:
    return sys.version_info >= tuple(map(int, case.get("min_python", "3.11").split(".")))


@pytest.mark.parametrize("case", [case for case in CASES if runs_here(case)], ids=lambda case: case["code"])
def test_a_case_of_the_corpus_holds(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(AnalysisError) as caught:
            analyze(case["code"])
        assert caught.value.kind == case["error"]
        return
    analysis = analyze(case["code"])
    found = {key: sorted(getattr(analysis, key)) for key in ("defs", "refs", "deleted")}
    assert found == {key: case[key] for key in found}
    assert analysis.is_async is case["is_async"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="type parameters have defaults from 3.13 on")
def test_the_default_of_a_type_parameter_is_read() -> None:
    assert analyze("def d[T = Dflt](x: T): ...").refs == {"Dflt"}
    assert analyze("class D[*Ts = *Pack, **P = Args](Base[*Ts]): ...").refs == {"Pack", "Args", "Base"}


def check(source: str, defs: str = "", refs: str = "", **others: str) -> None:
    """Assert what `source` defines, reads and so on; names are given as words."""
    analysis = analyze(source)
    expected = {"rereads": "", "deleted": "", "privates": "", **others, "defs": defs, "refs": refs}
    for key, words in expected.items():
        assert getattr(analysis, key) == set(words.split()), (key, source)


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("class C:\n y = x\n x = 1", "C", "x"),
        ("class C:\n x = 1\n y = x", "C", ""),
        ("class C:\n if c: x = 1\n y = x", "C", "c x"),
        ("class C:\n if c: x = 1\n else: x = 2\n y = x", "C", "c"),
        ("class C:\n if not c: raise E\n else: x = 2\n y = x", "C", "c E"),
        ("class C:\n for i in s: x = i\n y = x", "C", "s x"),
        ("class C:\n while True:\n  x = 1\n  break\n y = x", "C", ""),
        ("class C:\n while (n := f()): pass\n y = n", "C", "f"),
        ("class C:\n while t:\n  x = 1\n  break\n else: x = 2\n y = x", "C", "t"),
        ("class C:\n try: x = f()\n except E: pass\n y = x", "C", "f E x"),
        ("class C:\n try: x = f()\n except E: x = 1\n y = x", "C", "f E"),
        ("class C:\n try: f()\n finally: x = 1\n y = x", "C", "f"),
        ("class C:\n try: pass\n except E as e: pass\n y = e", "C", "E e"),
        ("class C:\n with f() as x: y = 1\n z = x, y", "C", "f"),
        ("class C:\n x += 1", "C", "x"),
        ("class C:\n x: int\n y = x", "C", "int x"),
        ("class C:\n x: int = 1\n y = x", "C", "int"),
        ("class C:\n x = 1\n del x\n y = x", "C", "x"),
        ("class C:\n del x", "C", ""),
        ("class C:\n def m(self): pass\n n = m", "C", ""),
        ("class C:\n x = 1\n y = [x for _ in x]", "C", "x"),
        ("class C:\n x = 1\n y = [k for k in x]", "C", ""),
        ("class C:\n x = 1\n y = (lambda: x)", "C", "x"),
        ("class C:\n x = 1\n def m(self, a=x): return x", "C", "x"),
        ("class C:\n x = 1\n class D:\n  y = x", "C", "x"),
        ("class C:\n import x\n y = x", "C", ""),
        ("class C:\n match v:\n  case 1: x = 1\n  case _: x = 2\n y = x", "C", "v"),
        ("class C:\n match v:\n  case 1: x = 1\n y = x", "C", "v x"),
        ("class C:\n match v:\n  case [x, y]: z = x\n  case {'k': z, **r}: w = r", "C", "v"),
        ("class C:\n a and (x := 1)\n y = x", "C", "a x"),
        ("class C:\n if a and (x := 1): y = x", "C", "a"),
        ("class C:\n if not (a and (x := 1)): raise E\n y = x", "C", "a E"),
        ("class C:\n if a or (x := 1): y = x", "C", "a x"),
        ("class C:\n assert a and (x := 1), m\n y = x", "C", "a m"),
        ("class C:\n y = (x := 1) if a else x", "C", "a x"),
        ("class C:\n y = x if (x := a) else 1", "C", "a"),
        ("class C:\n a < b < (x := 1)\n y = x", "C", "a b x"),
        ("class C:\n a < (x := 1)\n y = x", "C", "a"),
        ("class C:\n global g\n g = 1\n h = g, i", "C g", "i"),
        ("class C:\n def m(self): return __class__, super().m", "C", "super"),
        ("class C:\n y = __class__", "C", "__class__"),
        ("class C:\n class D:\n  y = __class__", "C", ""),
        ("def f():\n x = 1\n class C:\n  x = x", "f", "x"),
        ("def f():\n x = 1\n class C:\n  y = x", "f", ""),
    ],
)
def test_a_class_body_reads_the_module_where_it_has_maybe_not_bound_the_name(
    source: str, defs: str, refs: str
) -> None:
    check(source, defs, refs)


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("[y for x in xs if (y := f(x))]", "y", "xs f"),
        ("[[y for y in x if k] for x in xs if y]", "", "xs k y"),
        ("[x for x in xs for y in x if y for z in w(y)]", "", "xs w"),
        ("[x for x in x for x in x]", "", "x"),
        ("{k: v for k, v in d.items() if k not in s}", "", "d s"),
        ("(x for x in a)\nx", "", "a x"),
        ("def f():\n return [(w := x) for x in xs], w", "f", "xs"),
        ("def f():\n global w\n [(w := x) for x in xs]", "f w", "xs"),
        ("[lambda: (w := x) for x in xs]", "", "xs"),
        ("{x: x for x in range(3)}, x", "", "range x"),
        ("f(a for a in b)(a)", "", "f b a"),
    ],
)
def test_a_comprehension_keeps_its_names_and_a_walrus_in_it_does_not(
    source: str, defs: str, refs: str
) -> None:
    check(source, defs, refs)


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("def f(a, /, b: A = d, *c: B, k: C = e, **o: D) -> R:\n return a, b, c, k, o", "f", "A B C D R d e"),
        ("@outer(a)\n@inner\nclass K(B, m=M): pass", "K", "outer a inner B M"),
        ("def f():\n x = y\n def g():\n  nonlocal x\n  x = z\n  del x", "f", "y z"),
        ("def f():\n global x\n def g():\n  return x", "f", "x"),
        ("def f():\n x = 1\n def g():\n  global x\n  return x", "f", "x"),
        ("def f():\n x = 1\n def g():\n  global x\n  x = 2", "f x", ""),
        ("def f():\n import a.b, c.d as e\n return a, e, c", "f", "c"),
        ("def f():\n with open(p) as h: return h", "f", "open p"),
        ("def f():\n x: T\n x: U = 1\n return x", "f", "T U"),
        ("def f():\n (x): T\n return x", "f", "T x"),
        ("def f():\n for i, *r in s: pass\n else: return r, i", "f", "s"),
        ("def f():\n try: pass\n except* E as e: e\n return e", "f", "E"),
        ("def f():\n match v:\n  case K(a=x) | [x]: return x", "f", "v K"),
        ("def f():\n class f: pass\n return f", "f", ""),
        ("f = lambda x, *y, z=z, **w: (x, y, z, w, v)", "f", "z v"),
        ("def f():\n global a, b\n a += 1\n for b in c: pass", "f a b", "c"),
        ("def f():\n global g\n def g(): pass", "f g", ""),
        ("def f():\n global g\n class g: pass", "f g", ""),
        ("def f():\n global unused", "f", ""),
        ("def f():\n if 0: a\n return\n b", "f", "a b"),
    ],
)
def test_a_function_reads_and_binds_globals_as_in_cpython(source: str, defs: str, refs: str) -> None:
    check(source, defs, refs)


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("x: int", "x", "int"),
        ("(x): int", "", "int"),
        ("(x): int = 1", "x", "int"),
        ("x.y: T = v", "", "x T v"),
        ("x[i]: T", "", "x i T"),
        ("x: 'T'", "x", ""),
        ("x: List['T']", "x", "List"),
        ("from __future__ import annotations\nx: T\ndef f(a: A) -> R: b: B", "annotations x f", "T A R B"),
        ("from __future__ import annotations\nclass C:\n k = int\n x: k", "annotations C", "int"),
        ("class C:\n k = int\n x: k\n def m(self, a: k) -> k: pass", "C", "int"),
    ],
)
def test_annotations_are_read_unless_they_are_strings(source: str, defs: str, refs: str) -> None:
    check(source, defs, refs)


@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("try: pass\nexcept E as e: pass\ne", "", "E e"),
        ("e\ntry: pass\nexcept E as e: e", "", "E e"),
        ("try: pass\nexcept E as e: e = 1", "", "E"),
        ("try: pass\nexcept E as e:\n class C:\n  x = e", "C", "E"),
        ("try: pass\nexcept E as e:\n class C:\n  e = e", "C", "E"),
        ("try: pass\nexcept E as e: r = [e for _ in e], lambda: e", "r", "E"),
        ("try: pass\nexcept E as e:\n def f(e): return e", "f", "E"),
        ("try: pass\nexcept E as e:\n try: pass\n except F as e: e\n e\ne", "", "E F e"),
        ("try: pass\nexcept E as e:\n try: pass\n except F as d: d, e\n d\n", "", "E F d"),
        ("try: pass\nexcept E as e: pass\nelse: e", "", "E e"),
        ("try: pass\nexcept E as e: pass\nfinally: e", "", "E e"),
        ("try: pass\nexcept e as e: pass", "", "e"),
        ("try: pass\nexcept E as e: pass\nexcept F: e", "", "E F e"),
        ("try: pass\nexcept* E as e: e", "", "E"),
        ("def f():\n return e\ntry: pass\nexcept E as e: f()", "f", "E e"),
        ("def f():\n global e\n try: pass\n except E as e: return e", "f", "E"),
        ("def f():\n try: pass\n except E as e:\n  def g():\n   global e\n   e = 1", "f e", "E"),
    ],
)
def test_the_name_of_a_handler_means_the_exception_in_the_handler_alone(
    source: str, defs: str, refs: str
) -> None:
    check(source, defs, refs)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("del x", {"refs": "x", "deleted": "x"}),
        ("x = 1\ndel x", {"defs": "x"}),
        ("del x\nx = 1", {"defs": "x", "rereads": "x"}),
        ("del (x, [y, z.w])", {"refs": "x y z", "deleted": "x y"}),
        ("del x[i]", {"refs": "x i"}),
        ("def f():\n global x\n del x", {"defs": "f", "refs": "x", "deleted": "x"}),
        ("class C:\n global x\n del x", {"defs": "C", "refs": "x", "deleted": "x"}),
        ("if c: del x", {"refs": "c x", "deleted": "x"}),
        ("del _x", {"privates": "_x"}),
        ("for x in s: pass\ndel x", {"defs": "x", "refs": "s", "rereads": "x"}),
    ],
)
def test_deleting_a_name_of_another_cell_is_told_from_deleting_an_own_one(
    source: str, expected: dict[str, str]
) -> None:
    check(source, **expected)


@pytest.mark.parametrize(
    ("source", "rereads"),
    [
        ("df = df.dropna()", "df"),
        ("n += 1", "n"),
        ("x = x", "x"),
        ("x = 1\nx = x", ""),
        ("if c: x = 1\nx", "x"),
        ("if c: x = 1\nelse: x = 2\nx", ""),
        ("for i in s: x = i\nx, i", "x i"),
        ("while c: x = 1\nx", "x"),
        ("with f() as x: y = x\nx, y", ""),
        ("try: x = 1\nexcept E: pass\nx", "x"),
        ("try: x = 1\nexcept E: raise\nx", ""),
        ("try: x = 1\nexcept E: x\nx", "x"),
        ("x, y = y, x", "x y"),
        ("x: int\nx", "x"),
        ("x: x = 1", ""),
        ("def f(): return x\nx = 1", ""),
        ("def f(a=x): pass\nx = 1", "x"),
        ("@f\ndef f(): pass", "f"),
        ("class f(f): pass", "f"),
        ("class C:\n y = x\nx = 1", "x"),
        ("class C:\n def m(self): return x\nx = 1", ""),
        ("[x for _ in s]\nx = 1", "x"),
        ("(x for _ in s)\nx = 1", "x"),
        ("print(x := 1, x)", ""),
        ("print(x, x := 1)", "x"),
        ("s = {k: (y := k) for k in d}\ny", "y"),
        ("import a\na = a.b", ""),
        ("a = a.b\nimport a", "a"),
        ("del x\nx = 1", "x"),
        ("x = _x = 1\n_x = _x", ""),
        ("_x = _x", ""),
        ("for x in x: pass", "x"),
        ("for x in s: break\nelse: x = 1\nx", ""),
        ("lambda: x\nx = 1", ""),
        ("match v:\n case [x]: x\n case x: x\nx", ""),
    ],
)
def test_a_name_that_is_maybe_read_before_its_own_definition_is_reread(source: str, rereads: str) -> None:
    analysis = analyze(source)
    assert analysis.rereads == set(rereads.split())
    assert not analysis.rereads & analysis.refs


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "_x = 1; __y = 2; ___z = 3; __w__ = 4; _ = __ = 5",
            {"defs": "__y ___z __w__", "privates": "_x _ __"},
        ),
        ("import _thread\nimport _a.b\nfrom m import _c, d as _d", {"privates": "_thread _a _c _d"}),
        ("def _f(_a, *_b, _c=_d): return _a, _b, _c, _e", {"privates": "_f _d _e"}),
        ("o._x\nf(_y=1)", {"refs": "o f"}),
        ("def f():\n global _x\n _x = 1", {"defs": "f", "privates": "_x"}),
        ("try: pass\nexcept E as _e: _e", {"refs": "E", "privates": "_e"}),
        ("class C:\n _x = 1\n y = _x", {"defs": "C"}),
        ("class C:\n _x = _x", {"defs": "C", "privates": "_x"}),
        ("[_x for _x in _xs]", {"privates": "_xs"}),
    ],
)
def test_private_names_are_listed_where_they_mean_the_module_level(
    source: str, expected: dict[str, str]
) -> None:
    check(source, **expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class C:\n def m(self): return __x", {"defs": "C", "privates": "_C__x"}),
        ("class C:\n def m(self, __x): return __x", {"defs": "C"}),
        ("class C:\n __x = 1\n y = __x", {"defs": "C"}),
        ("class C:\n global __x\n __x = 1", {"defs": "C", "privates": "_C__x"}),
        ("class C:\n def m(self): return __x__", {"defs": "C", "refs": "__x__"}),
        ("class __:\n def m(self): return __x", {"refs": "__x", "privates": "__"}),
        ("class C(__x): pass", {"defs": "C", "refs": "__x"}),
    ],
)
def test_double_underscores_in_a_class_are_what_python_makes_of_them(
    source: str, expected: dict[str, str]
) -> None:
    check(source, **expected)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are new in 3.12")
@pytest.mark.parametrize(
    ("source", "defs", "refs"),
    [
        ("type A[*Ts, **P] = Callable[P, tuple[*Ts, A]]", "A", "Callable tuple"),
        ("class C[T: B](Base[T]):\n def m[U: T](self, x: U, y=d) -> V: return T, U, w", "C", "B Base d V w"),
        ("def f[T](x: T = T): pass", "f", "T"),
        ("@T\ndef f[T](): pass", "f", "T"),
        ("class C:\n k = 1\n type A = k\n type B = l", "C", "l"),
        ("class C:\n type A = later\n later = 1", "C", "later"),
        ("def f():\n type A = B\n return A", "f", "B"),
        ("class C[__T]:\n x: __T", "C", ""),
        ("type _A = B\ndef f(x: _A): pass", "f", "B"),
    ],
)
def test_type_parameters_have_a_scope_of_their_own(source: str, defs: str, refs: str) -> None:
    analysis = analyze(source)
    assert (analysis.defs, analysis.refs) == (set(defs.split()), set(refs.split()))


@pytest.mark.parametrize(
    ("source", "is_async"),
    [
        ("await x", True),
        ("[x async for x in y]", True),
        ("(x async for x in y)", True),
        ("[await x for x in y]", True),
        ("async with a: pass", True),
        ("def f(a=await x): pass", True),
        ("async def f(): await x", False),
        ("f'{await x}';", True),
    ],
)
def test_a_cell_is_async_if_running_it_gives_a_coroutine(source: str, is_async: bool) -> None:
    assert analyze(source).is_async is is_async


@pytest.mark.parametrize(
    ("source", "import_only", "imports"),
    [
        ("import a, b.c\nfrom . import d as e # why", True, "a=import a|b=import b.c|e=from . import d"),
        ("import a.b, a.c", True, "a=import a.b|a=import a.c"),
        ("import a.b\nimport a.c as a", True, "a=import a.c as"),
        ("from m import x\nfrom n import x", True, "x=from n import x"),
        ("import a\nx = 1", False, "a=import a"),
        ("import _a", True, ""),
        ("def f(): import a", False, ""),
        ("", False, ""),
        ("'doc'\nimport a", False, "a=import a"),
    ],
)
def test_what_is_imported_is_known_for_each_name(source: str, import_only: bool, imports: str) -> None:
    analysis = analyze(source)
    assert analysis.import_only is import_only
    assert {f"{name}={what}" for name, what in analysis.imports} == {
        part for part in imports.split("|") if part
    }


@pytest.mark.parametrize(
    "source",
    [
        "return 1",
        "yield 1",
        "await = 1",
        "continue",
        "x = (yield)",
        "class C:\n await x",
        "def f():\n await x",
        "nonlocal x",
        "def f():\n x = 1\n global x",
        "def f(x):\n global x",
        "def f(a, a): pass",
        "def f():\n from m import *",
        "[x := 1 for x in y]",
        "[_x for _x in y if (_x := 1)]",
        "[(x := 1) for y in (x := [1])]",
        "class C:\n [(x := 1) for y in z]",
        "None = 1",
        "del ()()",
        "from __future__ import braces",
        "x = 1\nfrom __future__ import annotations",
        "try: pass\nexcept: pass\nexcept E: pass",
        "match x:\n case y: pass\n case z: pass",
        "\tx = 1\n        y = 2",
        "if x:\n\ty\n        z",
        "x = 1\n  y = 2",
        "x = $",
        "'",
        "(",
        "\ufeffx = 1",
        "x\0y",
        "x = '\ud800'",
        "x = 1\n\udfffy",
        "-" * 100_000 + "1",
        "(" * 1000 + ")" * 1000,
        "x = " + "9" * 5000,
        "\n".join(" " * depth + "if x:" for depth in range(200)),
        "\n".join(" " * depth + "for x in y:" for depth in range(30)) + " pass",
    ],
    ids=lambda source: ascii(source[:30]),
)
def test_whatever_python_rejects_is_a_syntax_error_of_the_cell(source: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        analyze(source)
    assert caught.value.kind == "SyntaxError"
    assert caught.value.message


@pytest.mark.parametrize("part", ["+ x", ".x", "(y)", "[z]", " if x else x"])
def test_a_long_chain_is_analysed_or_refused_but_never_a_crash(part: str) -> None:
    assert analyze("x" + part * 150).refs >= {"x"}
    try:
        analyze("x" + part * 20_000)
    except AnalysisError as error:
        assert error.kind == "SyntaxError"  # noqa: PT017


def test_a_long_chain_of_elif_is_analysed_like_a_short_one() -> None:
    analysis = analyze(
        "if a: x = 0\n" + "".join(f"elif a{n}: x = 0\n" for n in range(300)) + "else: x = 0\nx"
    )
    assert (analysis.defs, analysis.rereads, len(analysis.refs)) == ({"x"}, set(), 301)


@pytest.mark.parametrize(
    ("source", "defs"),
    [
        ("x = 1\r\ny = 2\r\n", "x y"),
        ("x = 1\ry = 2", "x y"),
        ("x = 1\x0c\ny = 2\n\x0c\nz = 3", "x y z"),
        ("# -*- coding: latin-1 -*-\nx = 'é'", "x"),
        ("# coding: no such\nx = 1", "x"),
        ("if 1:\n\tx = 1\n\ty = 2", "x y"),
        ("ﬁ = 1", "fi"),
        ("x = 1 \\\n  + 2", "x"),
        ("   \n\n# only a comment", ""),
    ],
)
def test_the_text_of_a_source_is_read_as_cpython_reads_it(source: str, defs: str) -> None:
    assert analyze(source).defs == set(defs.split())


def test_an_error_says_where_it_is_and_what_to_write_instead() -> None:
    with pytest.raises(AnalysisError) as caught:
        analyze("x = 1\nreturn x")
    assert (caught.value.line, caught.value.message) == (2, "'return' outside function")
    with pytest.raises(AnalysisError) as caught:
        analyze("if x:\n  from a.b import *")
    assert (caught.value.line, caught.value.offset) == (2, 3)
    assert "from a.b import first, second" in caught.value.hint
    with pytest.raises(AnalysisError) as caught:
        analyze("x = 1\ny = '\ud800'")
    assert (caught.value.line, caught.value.offset) == (2, 6)
    assert "U+D800" in caught.value.message


@pytest.mark.parametrize("source", ["x is 1", "'\\d'", "assert (x, 'y')", "1 in 'x'()", "0in x"])
def test_warnings_about_a_source_are_neither_errors_nor_printed(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyze(source)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        analyze(source)
        analyze(source)
        assert len(warnings.filters) == len(set(map(id, warnings.filters)))
        warnings.resetwarnings()
        analyze(source)
    assert capsys.readouterr().err == ""


def test_the_future_of_cellwires_own_modules_is_not_that_of_a_cell() -> None:
    assert analyze("x: (y := 1) = 2").defs == {"x", "y"}
    with pytest.raises(AnalysisError):
        analyze("from __future__ import annotations\nx: (y := 1) = 2")


def test_equal_analyses_are_equal() -> None:
    assert analyze("x = y") == analyze("x  =  y  # the same") != analyze("x = z")
    assert analyze("") == Analysis()
