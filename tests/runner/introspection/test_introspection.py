import sys
import tracemalloc
from collections import Counter, defaultdict, deque, namedtuple
from typing import Any

import pytest
from cellwire.protocol.messages import Complete, Inspect, Variables
from cellwire.protocol.notebook import CellError, CellState, Notebook
from cellwire.runner.analysis.names import mangle
from cellwire.runner.introspection import answers
from cellwire.runner.introspection.answers import complete, inspect, variables
from cellwire.runner.introspection.short_text import short_text


class Trap:
    """A class whose property must not run."""

    @property
    def trap(self) -> int:
        raise AssertionError("user code has run")

    def method(self, size: int = 3) -> str:
        """Return nothing much."""
        return ""


@pytest.fixture(params=["jedi", "plain"])
def with_and_without_jedi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    answers._jedi.cache_clear()
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "jedi", None)


def texts(code: str, names: dict[str, Any], cursor: int | None = None, cell: str = "") -> list[str]:
    cursor = len(code) if cursor is None else cursor
    answer = complete(Complete("q", code, cursor, cell), names)
    assert answer.end == cursor
    assert all(item.text.startswith(code[answer.start : answer.end]) for item in answer.items)
    return [item.text for item in answer.items]


@pytest.mark.usefixtures("with_and_without_jedi")
def test_names_attributes_and_keywords_are_completed() -> None:
    names = {"apple": 1, "apricot": [], "text": "abc"}
    assert {"apple", "apricot"} <= set(texts("x = ap", names))
    assert texts("text.upp", names) == ["upper"]
    assert "lambda" in texts("lam", names)
    assert "len" in texts("le", names)


@pytest.mark.usefixtures("with_and_without_jedi")
def test_completion_is_for_the_cursor_and_not_for_the_end() -> None:
    assert texts("first = text.upp\nsecond = 1", {"text": ""}, cursor=16) == ["upper"]
    assert texts("ä = '𝒳'; text.upp", {"text": ""}) == ["upper"]


@pytest.mark.usefixtures("with_and_without_jedi")
def test_completion_runs_no_property() -> None:
    assert "trap" in texts("value.tr", {"value": Trap()})
    texts("value.trap.", {"value": Trap()})


@pytest.mark.usefixtures("with_and_without_jedi")
def test_completion_survives_anything() -> None:
    for code in ("", "(", "foo..", "'''", "1.", "\n\n", "def f(:\n  x.", "import ", "\x00", "lambda: ("):
        for cursor in (0, len(code), 99, -1):
            complete(Complete("q", code, cursor), {})


@pytest.mark.usefixtures("with_and_without_jedi")
def test_a_private_name_is_completed_in_its_own_cell_only() -> None:
    names = {mangle("_secret", "a"): [1], "public": 1}
    assert texts("_sec", names, cell="a") == ["_secret"]
    assert "append" in texts("_secret.app", names, cell="a")
    assert texts("_sec", names, cell="b") == []


def test_without_jedi_items_have_kinds_and_underscores_must_be_typed_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers._jedi.cache_clear()
    monkeypatch.setitem(sys.modules, "jedi", None)
    names = {"kind_class": Trap, "kind_module": sys, "kind_function": texts, "kind_value": 1}
    answer = complete(Complete("q", "kind_", 5), names)
    assert {item.text.removeprefix("kind_"): item.kind for item in answer.items} == {
        "class": "class",
        "module": "module",
        "function": "function",
        "value": "instance",
    }
    assert "__class__" not in texts("kind_value.", names)
    assert "__class__" in texts("kind_value.__cl", names)


def test_inspecting_a_function_gives_signature_and_documentation() -> None:
    data = inspect(Inspect("q", "x = value.method(1)", 12), {"value": Trap()}).data
    assert data["text/plain"] == "value.method(size: int = 3) -> str\n\nReturn nothing much."
    assert data["text/markdown"].startswith("```python\nvalue.method(size: int = 3) -> str\n```")


@pytest.mark.parametrize(("code", "cursor"), [("len(", 4), ("len(a, [1, ", 11), ("len", 0), ("len", 3)])
def test_inspecting_inside_a_call_is_about_what_is_called(code: str, cursor: int) -> None:
    assert inspect(Inspect("q", code, cursor), {}).data["text/plain"].startswith("len(obj, /)")


def test_inspecting_a_value_gives_its_type_and_value() -> None:
    data = inspect(Inspect("q", "rate", 2), {"rate": 3}).data
    assert data["text/plain"].startswith("rate: int = 3")
    assert inspect(Inspect("q", "sys", 1), {"sys": sys}).data["text/plain"].startswith("module sys")
    assert inspect(Inspect("q", "Trap", 1), {"Trap": Trap}).data["text/plain"].startswith("class Trap()")


def test_inspecting_an_unknown_name_gives_nothing_and_runs_nothing() -> None:
    names = {"value": Trap()}
    for code in ("nothing", "value.trap", "value.no_such", "", "1.5", "(", "value.trap.real"):
        assert inspect(Inspect("q", code, len(code)), names).data == {}


def test_variables_are_the_public_names_with_their_cells() -> None:
    rejected = CellState("b", defs=["x"], error=CellError("MultipleDefinitions", "x is also defined by a"))
    notebook = Notebook({"a": CellState("a", defs=["x", "gone"]), "b": rejected}, ["a", "b"])
    names = {"x": [1], "__name__": "__main__", "_": 1, mangle("_p", "a"): 1, "late": "text"}
    answer = variables(Variables("q"), names, notebook)
    assert [(v.name, v.cell, v.type, v.value) for v in answer.variables] == [
        ("late", "", "str", "'text'"),
        ("x", "a", "list", "[1]"),
    ]


def test_short_text_is_short_whatever_the_value() -> None:
    import numpy
    import pandas

    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    endless: list[Any] = []
    endless.append(endless)
    values = [
        "x" * 10**7,
        list(range(10**6)),
        10**5000,
        Broken(),
        endless,
        dict.fromkeys(range(999), "y" * 999),
    ]
    assert all(len(short_text(value)) <= 120 for value in values)
    assert short_text(Broken()) == "<repr raised ValueError: no>"
    assert short_text(numpy.zeros((1000, 3))) == "ndarray of shape 1000 × 3"
    assert short_text(pandas.DataFrame({"a": [1, 2]})) == "DataFrame of shape 2 × 1"
    assert short_text(numpy.float64(0.5)) == "np.float64(0.5)"


def test_each_kind_of_request_is_answered() -> None:
    for request in (Complete("1"), Inspect("2"), Variables("3")):
        assert answers.answer(request, {}, Notebook()).id == request.id


@pytest.mark.usefixtures("with_and_without_jedi")
def test_names_that_are_no_text_are_passed_over() -> None:
    names: dict[Any, Any] = {5: 1, ("a",): 2, "apple": 3}
    variables: Any = answers.answer(Variables("q"), names, Notebook())
    assert [variable.name for variable in variables.variables] == ["apple"]
    assert texts("app", {"apple": 3}) == ["apple"]
    completions: Any = answers.answer(Complete("q", "ap", 2), names, Notebook())
    assert "apple" in [item.text for item in completions.items]


def odd_values(failure: type[BaseException]) -> list[Any]:
    """Return values that raise `failure` wherever they are asked."""

    def fail(*_: object) -> Any:
        raise failure

    class Claims:
        __class__ = property(fail)  # type: ignore[assignment]
        __repr__ = __dir__ = fail  # type: ignore[assignment]

    class Guarded:
        __getattribute__ = fail

    class Shaped:
        shape = property(fail)
        __doc__ = property(fail)  # type: ignore[assignment]

    class Called:
        __signature__ = property(fail)
        __call__ = fail

    class Meta(type):
        __getattribute__ = fail

    class Odd(metaclass=Meta):
        pass

    class Complaint(Exception):
        __str__: Any = fail

    class Complains:
        def __repr__(self) -> str:
            raise Complaint

    return [Claims(), Guarded(), Shaped(), Called(), Odd, Odd(), Complains()]


@pytest.mark.parametrize("failure", [ValueError, SystemExit, KeyboardInterrupt, MemoryError])
@pytest.mark.usefixtures("with_and_without_jedi")
def test_values_that_raise_cost_nothing_but_their_own_texts(failure: type[BaseException]) -> None:
    for odd in odd_values(failure):
        names = {"odd": odd, "other": 1}
        assert [v.name for v in variables(Variables("q"), names, Notebook()).variables] == ["odd", "other"]
        assert texts("oth", names) == ["other"]
        texts("odd.", names)
        inspect(Inspect("q", "odd", 1), names)
        assert "int" in inspect(Inspect("q", "other", 1), names).data["text/plain"]


def test_an_attribute_that_a_broken_dir_hides_is_found_in_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers._jedi.cache_clear()
    monkeypatch.setitem(sys.modules, "jedi", None)

    class Hides:
        visible = 1

        def __dir__(self) -> Any:
            raise SystemExit

    assert texts("it.vis", {"it": Hides()}) == ["visible"]


def test_collections_show_their_first_entries_without_calling_user_code() -> None:
    class Own(dict[Any, Any]):
        def __repr__(self) -> str:
            return "its own"

        def __iter__(self) -> Any:
            raise AssertionError

    class Plain(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError

    pair = namedtuple("pair", "left right")
    for value, text in [
        ((1,), "(1,)"),
        (set(), "set()"),
        ({1}, "{1}"),
        (frozenset({1}), "frozenset({1})"),
        (deque([1]), "deque([1])"),
        (range(10**20), f"range(0, {10**20})"),
        ([[[[1]]]], "[[[[...]]]]"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, ...]"),
        (defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
        (Counter("aab"), "Counter({'a': 2, 'b': 1})"),
        (pair(list(range(9)), 1), "pair([0, 1, 2, 3, 4, 5, ...], 1)"),
        (Own(), "its own"),
        (Plain([1]), "[1]"),
        (b"x" * 500, f"b'{'x' * 117}…"),
        (1 << 5000, "<int of 5,001 bits>"),
    ]:
        assert short_text(value) == text


def test_what_is_not_shown_of_a_large_value_is_not_looked_at() -> None:
    """Counted in memory: the whole texts of these are larger than they are."""
    for value in (
        bytes(10**7),
        bytearray(10**7),
        "é" * 10**7,
        [10**6] * 10**6,
        Counter(range(10**5)),
        defaultdict(int, dict.fromkeys(range(10**5), 1)),
        deque([1] * 10**6),
        frozenset(range(10**5)),
    ):
        tracemalloc.start()
        short_text(value)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 20_000, type(value)


def test_the_name_at_the_cursor_is_found_in_steps_that_grow_with_its_length() -> None:
    """Counted in characters that are looked at, in a text that counts."""
    looks = 0

    class Counted(str):
        def __getitem__(self, at: Any) -> Any:
            nonlocal looks
            looks += 1
            return str.__getitem__(self, at)

    for size in (1_000, 10_000):
        code = Counted(f"'{'ACGT' * size}'\nlen(")
        looks = 0
        assert answers._name_at(code, len(code)) == "len"
        assert looks <= 5 * len(code)
        assert answers._path_start(Counted("a" * size), size) == 0
