"""The text of an HTML fragment, for displays that cannot render it."""

import re
from html.parser import HTMLParser

_HIDDEN = frozenset(["head", "script", "style", "svg", "template"])
#: Elements before and after which a new line begins.
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tr",
        "ul",
    ]
)


class _Text(HTMLParser):
    """Collects the text; a tab stands between the cells of a table row."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        #: The last character, which decides whether white space is shown.
        self._last = "\n"
        self._hidden = 0
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in _HIDDEN
        self._preformatted += tag == "pre"
        if tag in _BLOCKS:
            self._add("\n")
        if tag == "li":
            self._add("- ")
        elif tag in ("td", "th") and self._last != "\n":
            self._add("\t")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self._preformatted = max(0, self._preformatted - (tag == "pre"))
        if tag in _BLOCKS:
            self._add("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._preformatted:
            data = re.sub(r"\s+", " ", data)
            if self._last in "\n\t ":
                data = data.lstrip(" ")
        self._add(data)

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self._last = text[-1:] or self._last


def html_text(html: str) -> str:
    """Return the text that a browser would show, without empty lines; empty if there is none."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (re.sub(r" *\t", "  ", line).rstrip() for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)
