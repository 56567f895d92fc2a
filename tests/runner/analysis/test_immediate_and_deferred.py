"""When a cell reads a name: while it runs, when its functions are called, or never."""

import dis
from types import CodeType

import pytest
from cellwire.runner.analysis.analysis import analyze


@pytest.mark.parametrize(
    ("source", "immediate", "deferred"),
    [
        ("x", "x", ""),
        ("def f(a=d): return a + x", "d", "x"),
        ("@x\ndef f(): return x", "x", ""),
        ("y = x; g = lambda: x", "x", ""),
        ("lambda: [x for _ in s]", "", "x s"),
        ("[x for _ in s], (y for _ in s)", "x y s", ""),
        ("async def f(): return await x", "", "x"),
        ("class C(B):\n y = x\n def m(self): return z", "B x", "z"),
        ("def f():\n class C:\n  y = x\n  z: T", "", "x T"),
        ("def f():\n def g(): return x\n return g", "", "x"),
        ("def f():\n x = 1\n return x", "", ""),
        ("def f():\n global x\n del x", "", "x"),
        ("del x", "x", ""),
        ("del x\ndef f(): return x", "x", ""),
        ("_p = 1\ndef f(): return _p, _q", "", ""),
        ("len(x)", "len x", ""),
    ],
)
def test_a_read_is_immediate_unless_it_stands_in_the_body_of_a_function(
    source: str, immediate: str, deferred: str
) -> None:
    analysis = analyze(source)
    assert analysis.immediate == set(immediate.split())
    assert analysis.deferred == set(deferred.split())
    assert analysis.refs == analysis.immediate | analysis.deferred


@pytest.mark.parametrize(
    ("source", "immediate", "deferred", "never"),
    [
        ("x: T", "T", "", ""),
        ("class C:\n x: T", "T", "", ""),
        ("def f(a: A, *b: B) -> R: pass", "A B R", "", ""),
        ("def f(): x: T", "", "", "T"),
        ("def f():\n x: T = y", "", "y", "T"),
        ("def f():\n x: T\n return T", "", "T", ""),
        ("def f():\n a.b: T = c\n x[i]: U", "", "a c x i", "T U"),
        ("def f():\n def g(a: A): pass", "", "A", ""),
        ("from __future__ import annotations\ndef f(a: A) -> R: b: B\nx: X", "", "", "A B R X"),
        ("from __future__ import annotations\nclass C(B):\n x: T = v", "B v", "", "T"),
        ("from __future__ import annotations\nx: T\nT", "T", "", ""),
    ],
)
def test_an_annotation_that_python_never_evaluates_is_neither_immediate_nor_deferred(
    source: str, immediate: str, deferred: str, never: str
) -> None:
    analysis = analyze(source)
    assert analysis.immediate == set(immediate.split())
    assert analysis.deferred == set(deferred.split())
    assert analysis.refs - analysis.immediate - analysis.deferred == set(never.split())
    assert not analysis.function_reads & set(never.split())
    assert loaded(source) & analysis.refs == analysis.immediate | analysis.deferred


def loaded(source: str) -> set[str]:
    """Return the names that the code of `source` loads, in any scope, as Python compiles it."""
    found: set[str] = set()
    todo = [compile(source, "<source>", "exec", dont_inherit=True)]
    while todo:
        code = todo.pop()
        todo += [part for part in code.co_consts if isinstance(part, CodeType)]
        steps = dis.get_instructions(code)
        found.update(step.argval for step in steps if step.opname in ("LOAD_NAME", "LOAD_GLOBAL"))
    return found


@pytest.mark.parametrize(
    ("source", "function_reads", "late_rereads"),
    [
        ("def f(): return x", "x", ""),
        ("x\ndef f(): return x", "x", ""),
        ("x = 1\ndef f(): return x", "x", ""),
        ("def f(): return x\nx = 1", "x", "x"),
        ("def f(): return x\nf()\nx = 1\nf()", "x", "x"),
        ("if c: x = 1\ndef f(): return x", "x", "x"),
        ("if c: x = 1\nelse: x = 2\ndef f(): return x", "x", ""),
        ("while c:\n def f(): return x\n x = 1", "x", "x"),
        ("try: x = 1\nexcept E: pass\ndef f(): return x", "x", "x"),
        ("x = 1\ndel x\ndef f(): return x", "x", "x"),
        ("x = (lambda: x)()", "x", "x"),
        ("def f():\n global x\n x = 1\n return x", "x", ""),
        ("def f(): return f", "f", ""),
        ("@once\ndef f(): return f", "f", "f"),
        ("def f(): return g()\ndef g(): return f()", "f g", "g"),
        ("class C:\n def m(self): return C", "C", ""),
        ("@registered\nclass C:\n def m(self): return C", "C", "C"),
        ("[x for _ in s]\nx = 1", "", ""),
        ("def f(): return _x", "", ""),
    ],
)
def test_what_functions_read_is_known_and_which_of_it_may_come_before_the_cells_own_definition(
    source: str, function_reads: str, late_rereads: str
) -> None:
    analysis = analyze(source)
    assert analysis.function_reads == set(function_reads.split())
    assert analysis.late_rereads == set(late_rereads.split())
    assert analysis.late_rereads <= analysis.defs


@pytest.mark.parametrize(
    ("source", "bound_in", "read_in"),
    [
        ("x = f()\ny = x", {"x": 0, "y": 1}, {"f": 0}),
        ("if c: x = 1\nx = 2\nf(x)", {"x": 1}, {"c": 0, "f": 2}),
        ("if c: x = 1\nelse: x = 2", {"x": 0}, {"c": 0}),
        ("for x in s: f()", {}, {"s": 0, "f": 0}),
        ("x = 1\ndel x\nx", {"x": 0}, {"x": 2}),
        ("import a.b\n[f() for _ in s]", {"a": 0}, {"s": 1, "f": 1}),
        ("class C:\n y = f()\n y", {"C": 0}, {"f": 0}),
        ("def g(): return f()\nlambda: f", {"g": 0}, {}),
        ("try: x = f()\nexcept E: pass", {}, {"f": 0, "E": 0}),
    ],
)
def test_in_which_statement_a_name_is_bound_and_read_is_known(
    source: str, bound_in: dict[str, int], read_in: dict[str, int]
) -> None:
    analysis = analyze(source)
    assert (dict(analysis.bound_in), dict(analysis.read_in)) == (bound_in, read_in)
