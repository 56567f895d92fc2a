"""Values that render as what they hold: `md(text)`, `html(text)` and `mime(bundle)`.

As the last expression of a cell, or given to `cw.output`, they become items like any other value;
printed, or without a kernel, they are their text.
"""

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any


class Rendered:
    """A value that is shown as a mime bundle; its `repr` is the bundle's `text/plain`."""

    def __init__(self, bundle: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
        self.bundle: dict[str, Any] = dict(bundle)
        self.metadata: dict[str, Any] = dict(metadata or {})

    def __repr__(self) -> str:
        return str(self.bundle.get("text/plain", f"<{', '.join(self.bundle) or 'empty mime bundle'}>"))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle, self.metadata


def md(text: str) -> Rendered:
    """Return `text` as Markdown; the indentation that all of its lines share is removed."""
    text = cleandoc(text)
    return Rendered({"text/markdown": text, "text/plain": text})


def html(text: str) -> Rendered:
    """Return `text` as HTML, unchanged: escape what you put into it."""
    return Rendered({"text/html": text, "text/plain": text})


def mime(bundle: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Rendered:
    """Return a value that is shown as `bundle`, mime type to text, bytes or JSON-like data."""
    return Rendered(bundle, metadata)
