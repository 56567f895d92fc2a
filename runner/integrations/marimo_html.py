"""Shows marimo's values by the methods with which marimo asks for their display, `_mime_` and `_display_`.

A slider is `<marimo-slider data-initial-value='3' ...></marimo-slider>`, of which only marimo's frontend
draws anything. Like `<video>`, the element can contain what other frontends show instead: its label and
value.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import msgspec

from ..output.formatters import others
from ..output.formatting import Data, Metadata, format_value
from .marimo_elements import holds_elements

_EMPTY = re.compile(r"(<(marimo-[\w-]+)((?: [\w-]+='[^']*')*) ?>)(</\2>)")
_ATTRIBUTE = re.compile(r" data-([\w-]+)='([^']*)'")
#: The attributes that may hold what an element shows; the first one that exists does.
_CONTENT = ("json-data", "diagram", "data", "value", "initial-value")
_CONTENT_CHARS = 300
#: How marimo writes values in JSON that JSON itself cannot express.
_TYPED = re.compile(r"text/(\w+)[\w+]*:(.*)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def patch_html(module: Any) -> None:
    """Give frontends HTML with content in the elements that marimo's frontend would draw, and text."""
    as_html: Callable[[Any], str] = module.Html._repr_html_

    @wraps(as_html)
    def _repr_html_(self: Any) -> str:
        return _EMPTY.sub(_filled, as_html(self))

    def __repr__(self: Any) -> str:
        if "_value_frontend" in vars(self):
            # An element that contains others may contain a password.
            hidden = holds_elements(self) or self._component_args.get("kind") == "password"
            return f"{type(self).__name__}({'' if hidden else f'value={self.value!r}'})"
        return (getattr(self, "_repr_markdown_", None) or self._repr_html_)()

    module.Html._repr_html_, module.Html.__repr__ = _repr_html_, __repr__
    others.append(_formatter_of)


def _formatter_of(kind: type) -> Any:
    """Return the formatter for values of a class with marimo's methods, or None."""
    if hasattr(kind, "_mime_"):
        return _by_mime
    return _by_display if hasattr(kind, "_display_") else None


def _by_display(value: Any) -> tuple[Data, Metadata]:
    return format_value(value._display_())


def _by_mime(value: Any) -> Data:
    mime, content = value._mime_()
    if mime.endswith(("json", "+mimebundle")) and isinstance(content, str):
        content = msgspec.json.decode(content)
    elif isinstance(content, str) and content.startswith("data:") and ";base64," in content:
        content = content.partition(",")[2]
    return cast("Data", content) if mime == "application/vnd.marimo+mimebundle" else {mime: content}


def _filled(match: re.Match[str]) -> str:
    opening, _, attributes, closing = match.groups()
    try:
        return f"{opening}{_content(attributes)}{closing}"
    except msgspec.DecodeError:
        return match[0]


def _content(attributes: str) -> str:
    """Return the HTML that stands for an element with these attributes."""
    from html import escape, unescape  # marimo has imported it

    given: dict[str, Any] = {
        name: msgspec.json.decode(unescape(value)) for name, value in _ATTRIBUTE.findall(attributes)
    }
    if "html" in given:
        return str(given["html"])
    parts = [str(given["label"])] if given.get("label") else []
    shown = next((given[name] for name in _CONTENT if given.get(name) is not None), None)
    if shown is not None:
        text = shown if isinstance(shown, str) else msgspec.json.encode(_untyped(shown)).decode()
        parts.append(escape(text[:_CONTENT_CHARS] + "…" * (len(text) > _CONTENT_CHARS)))
    return " ".join(parts)


def _untyped(value: Any) -> Any:
    """Return a value from JSON, with values that JSON cannot express as their text."""
    from html import unescape

    if isinstance(value, dict):
        return {key: _untyped(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_untyped(each) for each in cast("list[Any]", value)]
    if isinstance(value, str) and (typed := _TYPED.fullmatch(value)):
        kind, text = typed.groups()
        return unescape(_TAG.sub("", _EMPTY.sub(_filled, text))) if kind == "html" else text
    return value
