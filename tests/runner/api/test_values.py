from cellwire.runner.api.values import html, md, mime
from cellwire.runner.output.formatting import format_value


def test_markdown_keeps_its_text_without_the_common_indentation() -> None:
    value = md("""
        # Title

            code
        """)
    data, _ = format_value(value)
    assert data == {"text/markdown": "# Title\n\n    code", "text/plain": "# Title\n\n    code"}
    assert str(value) == "# Title\n\n    code"


def test_html_is_unchanged() -> None:
    data, _ = format_value(html(" <b>1 < 2</b> "))
    assert data == {"text/html": " <b>1 < 2</b> ", "text/plain": " <b>1 < 2</b> "}


def test_a_bundle_renders_unchanged_and_always_has_plain_text() -> None:
    data, metadata = format_value(mime({"image/png": b"png"}, {"image/png": {"width": 1}}))
    assert data == {"image/png": b"png", "text/plain": "<image/png>"}
    assert metadata == {"image/png": {"width": 1}}
    assert repr(mime({"text/plain": "own"})) == "own"


def test_changing_a_bundle_later_does_not_change_the_value() -> None:
    bundle = {"text/html": "before"}
    value = mime(bundle)
    bundle["text/html"] = "after"
    assert format_value(value)[0]["text/html"] == "before"
