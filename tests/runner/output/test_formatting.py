import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from cellwire.runner.output import formatting
from cellwire.runner.output.formatting import format_value, register_formatter


@pytest.fixture(autouse=True)
def no_registered_formatters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "_formatters", {})


@pytest.mark.parametrize(
    "value",
    [1, "text", None, 1.5, True, [1, 2], {"a": 1}, (), {1}, b"bytes", len, datetime.date(2024, 1, 1), int],
)
def test_a_plain_value_has_its_repr_and_nothing_else(value: object) -> None:
    assert format_value(value) == ({"text/plain": repr(value)}, {})


def test_every_repr_method_gives_its_mime_type() -> None:
    class Rich:
        def __repr__(self) -> str:
            return "rich"

        def _repr_html_(self) -> str:
            return "<b>rich</b>"

        def _repr_markdown_(self) -> str:
            return "**rich**"

        def _repr_svg_(self) -> str:
            return "<svg/>"

        def _repr_png_(self) -> bytes:
            return b"\x89PNG"

        def _repr_jpeg_(self) -> bytes:
            raise AssertionError("one raster image is enough")

        def _repr_pdf_(self) -> bytes:
            return b"%PDF"

        def _repr_latex_(self) -> str:
            return "$r$"

        def _repr_json_(self) -> dict[str, int]:
            return {"r": 1}

        def _repr_javascript_(self) -> str:
            return "r()"

    data, metadata = format_value(Rich())
    assert data == {
        "text/plain": "rich",
        "text/html": "<b>rich</b>",
        "text/markdown": "**rich**",
        "image/svg+xml": "<svg/>",
        "image/png": b"\x89PNG",
        "application/pdf": b"%PDF",
        "text/latex": "$r$",
        "application/json": {"r": 1},
        "application/javascript": "r()",
    }
    assert metadata == {}


def test_the_mime_bundle_comes_before_other_methods_and_these_before_registered_formatters() -> None:
    class Rich:
        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
            return {"text/html": "bundle"}

        def _repr_html_(self) -> str:
            return "method"

        def _repr_markdown_(self) -> str:
            return "method"

    register_formatter(
        Rich, lambda _: dict.fromkeys(["text/html", "text/markdown", "text/latex"], "registered")
    )
    data, _ = format_value(Rich())
    assert (data["text/html"], data["text/markdown"], data["text/latex"]) == (
        "bundle",
        "method",
        "registered",
    )


def test_metadata_comes_with_the_mime_types_that_are_used() -> None:
    class Rich:
        def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            return {"text/html": "<p>"}, {"text/html": {"isolated": True}, "own": 1}

        def _repr_html_(self) -> tuple[str, dict[str, Any]]:
            return "lost", {"lost": True}

        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            return b"png", {"width": 3}

    _, metadata = format_value(Rich())
    assert metadata == {"text/html": {"isolated": True}, "own": 1, "image/png": {"width": 3}}


@pytest.mark.parametrize("signature", ["self", "self, include=None, exclude=None", "self, **kwargs"])
def test_a_mime_bundle_method_may_take_arguments_or_not(signature: str) -> None:
    names: dict[str, Any] = {}
    exec(f"class Rich:\n def _repr_mimebundle_({signature}): return {{'text/html': 'x'}}", names)
    assert format_value(names["Rich"]())[0]["text/html"] == "x"


def test_a_formatter_that_raises_costs_its_own_mime_type_only(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __repr__(self) -> str:
            return "broken"

        def _repr_html_(self) -> str:
            raise ZeroDivisionError("in html")

        def _repr_markdown_(self) -> str:
            return "fine"

    assert format_value(Broken())[0] == {"text/plain": "broken", "text/markdown": "fine"}
    written = capsys.readouterr()
    assert "ZeroDivisionError: in html" in written.err
    assert "_repr_html_" in written.err
    assert written.out == ""


def test_a_repr_that_raises_leaves_a_text_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no repr")

    assert "its repr raised ValueError" in format_value(Broken())[0]["text/plain"]
    assert "ValueError: no repr" in capsys.readouterr().err


def test_what_python_itself_raises_for_a_value_is_reported_without_frames(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken:
        def __repr__(self) -> Any:
            return 5

    assert "its repr raised TypeError" in format_value(Broken())[0]["text/plain"]
    assert capsys.readouterr().err == "TypeError: __repr__ returned non-string (type int)\n"


def test_an_interrupt_in_a_formatter_is_not_swallowed() -> None:
    class Slow:
        def _repr_html_(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        format_value(Slow())


def test_a_class_is_not_formatted_like_its_instances() -> None:
    class Rich:
        def _repr_html_(self) -> str:
            return "<b>"

    assert list(format_value(Rich)[0]) == ["text/plain"]


def test_a_value_that_has_every_attribute_has_its_repr_only() -> None:
    class Everything:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: "nonsense"

    assert list(format_value(Everything())[0]) == ["text/plain"]


def test_a_value_whose_attributes_raise_has_its_repr(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("closed")

    assert list(format_value(Closed())[0]) == ["text/plain"]
    assert capsys.readouterr().err == ""


def test_the_most_derived_registered_class_wins_and_names_need_no_import() -> None:
    class Animal: ...

    class Dog(Animal): ...

    register_formatter(Animal, lambda _: {"text/html": "animal"})
    assert format_value(Dog())[0]["text/html"] == "animal"
    register_formatter(
        f"{Dog.__module__}.{Dog.__qualname__}", lambda _: ({"text/html": "dog"}, {"text/html": 1})
    )
    assert format_value(Dog())[0]["text/html"] == "dog"
    assert format_value(Dog())[1] == {"text/html": 1}
    assert format_value(Animal())[0]["text/html"] == "animal"


def test_a_built_in_class_can_have_a_formatter() -> None:
    register_formatter(int, lambda value: {"text/html": f"<i>{value}</i>"})
    assert format_value(3)[0] == {"text/html": "<i>3</i>", "text/plain": "3"}
    register_formatter(dict, lambda _: None)
    assert format_value({})[0] == {"text/plain": "{}"}


def test_images_become_bytes_and_texts_become_text() -> None:
    class Mixed:
        def _repr_mimebundle_(self) -> dict[str, Any]:
            return {
                "image/png": "iVBORw==",
                "image/jpeg": bytearray(b"jpeg"),
                "image/svg+xml": "<svg>é</svg>".encode(),
                "text/html": 3,
                "text/plain": None,
            }

    data, _ = format_value(Mixed())
    assert data["image/png"] == b"\x89PNG"
    assert data["image/jpeg"] == b"jpeg"
    assert data["image/svg+xml"] == "<svg>é</svg>"
    assert data["text/html"] == "3"
    assert data["text/plain"].startswith("<")


def test_a_bundle_that_contains_itself_costs_its_mime_type(capsys: pytest.CaptureFixture[str]) -> None:
    class Endless:
        def _repr_json_(self) -> list[Any]:
            endless: list[Any] = []
            endless.append(endless)
            return endless

    assert list(format_value(Endless())[0]) == ["text/plain"]
    assert "RecursionError" in capsys.readouterr().err


def test_text_is_never_shortened() -> None:
    assert len(format_value("x" * 1_000_000)[0]["text/plain"]) == 1_000_002


def test_lone_surrogates_become_escapes() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "\udcff"

    assert format_value(Odd())[0]["text/plain"] == "\\udcff"


def test_a_formatter_that_is_a_generator_function_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_: object) -> Iterator[int]:
        yield 1

    register_formatter(float, wrong)  # type: ignore[arg-type]
    assert format_value(1.0)[0] == {"text/plain": "1.0"}
    assert "AttributeError" in capsys.readouterr().err


def test_a_value_that_answers_to_every_name_is_shown_all_the_same() -> None:
    class Answers:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    assert not formatting.show_itself(Answers())
