"""Compiled cells against plain execution, for random programs in which few names mean many things.

The programs terminate, and tell what they do by calling the builtins that `run` provides: two versions
of a program that behave alike leave the same journal.
"""

import builtins
import dis
from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import Any, TypeVar

import pytest
from cellwire.runner.analysis.analysis import AnalysisError
from cellwire.runner.analysis.compiler import CompiledCell, compile_cell
from cellwire.runner.analysis.names import is_mangled, is_private, mangle, unmangle
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

T = TypeVar("T")
NAMES = ("a", "b", "_p", "_q", "e", "__m")


class _Writer:
    """Writes statements; `choose` returns one of the alternatives."""

    def __init__(self, choose: Callable[[Sequence[Any]], Any]) -> None:
        self.choose = choose
        self.lines: list[str] = []

    def name(self) -> str:
        return self.choose(NAMES)

    def expression(self, depth: int, walrus: bool) -> str:
        kinds = ["name", "name", "number"]
        if depth:
            kinds += [
                "call",
                "and",
                "or",
                "if",
                "lambda",
                "list",
                "set",
                "sum",
                "chain",
                *["walrus"] * 2 * walrus,
            ]
        kind = self.choose(kinds)

        def part(inner_walrus: bool = walrus) -> str:
            return self.expression(depth - 1, inner_walrus)

        match kind:
            case "name":
                return self.name()
            case "number":
                return self.choose(("0", "1"))
            case "call":
                return f"note({part()}, {part()})"
            case "and" | "or":
                return f"({part()} {kind} {self.choose(('', 'not '))}{part()})"
            case "if":
                return f"({part()} if {part()} else {part()})"
            case "chain":
                return f"(0 < note({part()}) < note({part()}) < note({part()}))"
            case "lambda":
                return f"(lambda {self.name()}={part()}, *, _k=1: {part()})(_k=0)"
            case "walrus":
                return f"({self.name()} := note({part()}))"
            case _:
                # Neither a walrus in what is iterated over, nor one on the name of the iteration.
                over = f"{self.name()} in (0, note({part(False)}))"
                condition = self.choose(("", f" if {part()}"))
                inner = f"note({part()}) for {over}{condition}"
                return {"list": f"[{inner}]", "set": f"{{{inner}}}", "sum": f"sum({inner})"}[kind]

    def block(self, kind: str, indent: str, depth: int, loop: bool = False) -> None:
        for _ in range(self.choose((1, 2, 3))):
            self.statement(kind, indent, depth, loop)

    def statement(self, kind: str, indent: str, depth: int, loop: bool) -> None:
        def line(text: str) -> None:
            self.lines.append(indent + text)

        def inner(of: str = kind, in_loop: bool = loop) -> None:
            self.block(of, indent + " ", depth - 1, in_loop)

        def value(walrus: bool = True) -> str:
            return self.expression(2, walrus and kind != "class")

        kinds = ["assign", "assign", "note", "augmented", "delete", "annotated", "import", "unpack"]
        if depth:
            kinds += ["if", "for", "while", "try", "with", "def", "class", "match"]
        if loop:
            kinds += ["leave"]
        match self.choose(kinds):
            case "assign":
                line(f"{self.name()} = {self.name()} = note({value()})")
            case "note":
                line(f"note({value()})")
            case "augmented":
                line(f"{self.name()} += note({value()})")
            case "delete":
                line(f"del {self.name()}")
            case "annotated":
                line(f"{self.name()}: note({value(False)}){self.choose(('', ' = note(1)'))}")
            case "unpack":
                line(f"{self.name()}, *{self.name()} = note({value()}), 1, 2")
            case "import":
                line(
                    self.choose((f"import os.path as {self.name()}", f"from os import sep as {self.name()}"))
                )
            case "leave":
                line(f"if {value()}: {self.choose(('break', 'continue'))}")
            case "if":
                line(f"if {value()}:")
                inner()
                if self.choose((True, False)):
                    line(f"elif {value()}:")
                    inner()
                if self.choose((True, False)):
                    line("else:")
                    inner()
            case "for":
                line(f"for {self.name()} in (0, note({value()})):")
                inner(in_loop=True)
                if self.choose((True, False)):
                    line("else:")
                    inner()
            case "while":
                line(f"while {self.choose(('rounds()', 'rounds() and ' + value(), 'True'))}:")
                line(" if not rounds(): break")
                inner(in_loop=True)
            case "try":
                line("try:")
                inner()
                line(f" note({value()}, 1 // 0)")
                line(f"except {self.choose(('ZeroDivisionError', 'Exception'))} as {self.name()}:")
                inner()
                line(self.choose(("except NameError: pass", "except BaseException: note(1)")))
                if self.choose((True, False)):
                    line("finally:")
                    inner()
            case "with":
                line(f"with manager({value()}) as {self.name()}:")
                inner()
            case "match":
                line(f"match note({value()}), 1, {{'k': 2}}:")
                line(f" case [1, {self.name()}, *{self.name()}_s] if {value()}:")
                self.block(kind, indent + "  ", depth - 1, loop)
                line(f" case [_, 1, {{'k': {self.name()}}}]:")
                self.block(kind, indent + "  ", depth - 1, loop)
                line(f" case {self.choose(('_', self.name()))}:")
                self.block(kind, indent + "  ", depth - 1, loop)
            case "def":
                function = self.choose(("f", "_f"))
                decorator = self.choose(("", "@same"))
                if decorator:
                    line(decorator)
                line(f"def {function}({self.name()}=note({value()}), *{self.name()}_s, _k=2):")
                declared = self.choose(("", "", "global", "global", "nonlocal"))
                if declared:
                    line(f" {declared} {self.name()}")
                inner("function", False)
                line(f" return note({self.name()}, _k)")
                line(f"note({function}(_k=3))")
            case _:
                name = self.choose(("C", "_C"))
                line(f"class {name}(note_base):")
                if self.choose((True, False, False)):
                    line(f" global {self.name()}")
                inner("class", False)
                line(f" def method(self, _k={self.name()}): return note({self.name()}, _k)")
                line(f"note(sorted({name}.names()), {name}().method())")


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Return the source of a program; whether it is one is for the compiler to say."""

    def choose(alternatives: Sequence[T]) -> T:
        return alternatives[draw(st.integers(0, len(alternatives) - 1))]

    writer = _Writer(choose)
    for _ in range(draw(st.integers(1, 4))):
        writer.statement("module", "", 2, False)
    return "\n".join(writer.lines)


def run(
    execute: Callable[[dict[str, Any]], None], bound: dict[str, Any]
) -> tuple[list[object], dict[str, Any]]:
    """Return the journal of `execute`, and the namespace that it leaves behind, begun with `bound`."""
    journal: list[object] = []
    left = 20

    def note(*values: object) -> int:
        journal.append(
            [value if isinstance(value, int | str | list) else type(value).__name__ for value in values]
        )
        return len(journal) % 3

    def rounds() -> bool:
        nonlocal left
        left -= 1
        return left > 0

    class Manager:
        def __init__(self, value: object) -> None:
            self.value = value

        def __enter__(self) -> object:
            return self.value

        def __exit__(self, *_: object) -> None:
            note("exit")

    class Base:
        @classmethod
        def names(cls) -> list[str]:
            return [name for name in vars(cls) if not name.endswith("__")]

    provided = {"note": note, "rounds": rounds, "manager": Manager, "note_base": Base, "same": lambda it: it}
    namespace = {"__builtins__": {**vars(builtins), **provided}, "__name__": "cell", **bound}
    try:
        execute(namespace)
    except Exception as error:
        journal.append((type(error).__name__, str(error)))
    del namespace["__builtins__"], namespace["__name__"]
    return journal, namespace


def codes(code: CodeType | None) -> Iterator[CodeType]:
    if code is not None:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from codes(constant)


def check_names(compiled: CompiledCell) -> None:
    """Assert that the code uses private names as globals where they are mangled, and as nothing else."""
    for part in (*codes(compiled.body), *codes(compiled.value)):
        parameters = part.co_argcount + part.co_kwonlyargcount
        assert not any(map(is_mangled, part.co_varnames[:parameters]))
        for instruction in dis.get_instructions(part):
            if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"):
                assert not is_private(instruction.argval) or instruction.argval in _moved(part), instruction
            elif instruction.opname.endswith(("_ATTR", "_METHOD", "IMPORT_NAME", "IMPORT_FROM")):
                assert not is_mangled(instruction.argval), instruction


def _moved(code: CodeType) -> set[str]:
    """Return the names of functions and classes that get another name right after they are defined."""
    return {
        instruction.argval for instruction in dis.get_instructions(code) if "DELETE_" in instruction.opname
    }


#: Programs are large and slow to draw, and many are thrown away.
EXPECTED = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]
FEW = settings(max_examples=120, suppress_health_check=EXPECTED)


def shown(namespace: dict[str, Any]) -> dict[str, object]:
    return {
        unmangle(name): value if isinstance(value, int | str | list) else type(value).__name__
        for name, value in namespace.items()
        if name != "__annotations__"
    }


BOUND = {"a": 1, "b": 2, "_p": 5, "_q": 6}


def run_cell(compiled: CompiledCell, bound: dict[str, Any]) -> tuple[list[object], dict[str, Any]]:
    def execute(namespace: dict[str, Any]) -> None:
        if compiled.body is not None:
            exec(compiled.body, namespace)
        if compiled.value is not None:
            eval(compiled.value, namespace)

    bound = {mangle(name, "x") if is_private(name) else name: value for name, value in bound.items()}
    journal, namespace = run(execute, bound)
    if journal and isinstance(journal[-1], tuple):
        kind, message = journal[-1]
        journal[-1] = (kind, unmangle(message))
    return journal, namespace


@FEW
@given(programs())
def test_a_compiled_cell_does_what_its_source_does(source: str) -> None:
    try:
        plain = compile(source, "<cell x>", "exec", dont_inherit=True)
    except SyntaxError:
        with pytest.raises(AnalysisError):
            compile_cell(source, "x")
        return
    compiled = compile_cell(source, "x")
    analysis = compiled.analysis
    check_names(compiled)
    # A handler hides the variable of another cell; in the plain source it removes it instead.
    handled = {unmangle(name) for name in compiled.private_globals if not is_private(unmangle(name))}
    assume(not handled & (analysis.refs | analysis.deleted))
    expected = run(lambda namespace: exec(plain, namespace), dict(BOUND))
    journal, namespace = run_cell(compiled, BOUND)
    kept = {name: value for name, value in BOUND.items() if name in handled}
    assert journal == expected[0]
    assert shown(namespace) == {**shown(expected[1]), **kept}


@FEW
@given(programs())
def test_what_a_cell_binds_and_depends_on_is_in_its_analysis(source: str) -> None:
    try:
        compiled = compile_cell(source, "x")
    except AnalysisError:
        return
    analysis = compiled.analysis
    _, namespace = run_cell(compiled, {})
    assert shown(namespace).keys() <= analysis.defs | analysis.privates | {"e"}
    calls = "def " in source or "lambda" in source
    for name in {"a", "b", "e"} - analysis.refs - analysis.rereads:
        # Whether another cell has bound the name makes no difference; for a name of the cell's own,
        # functions may have read it too early.
        if name not in analysis.defs or not calls:
            others = {other: value for other, value in BOUND.items() if other != name}
            journals = [run_cell(compiled, {**others, **own})[0] for own in ({}, {name: 1}, {name: 7})]
            assert journals[0] == journals[1] == journals[2]
