"""A document as one HTML page that needs no network: it contains figures, styles and attachments.

markdown-it renders Markdown and Pygments colors code; both come with the extra `save`, and without them the
text is shown as written. plotly's figures are drawn if plotly is installed here, since the page then contains
its script.
"""

import html
import json
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import count
from typing import Any

from .colored import colored
from .executed import Document
from .ipynb import joined
from .markdown import data_uri, image_of, shown_text

_PLOTLY = "application/vnd.plotly.v1+json"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e21;
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
pre { font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere }
.code { margin: 1rem 0 }
.source { background: #f5f6f8; border-left: 3px solid #c9cdd4; padding: .5rem .75rem }
.output { padding: .5rem .75rem; overflow-x: auto }
.stderr { background: #fff4f2 }
.error { background: #fdeceb }
img { max-width: 100% }
table { border-collapse: collapse; font-size: 14px }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e3e5e9; text-align: right }
"""


def page(document: Document, title: str) -> str:
    """Return the page."""
    numbers = count()
    cells = [_cell(cell, numbers) for cell in document["cells"]]
    body = "\n".join(cell for cell in cells if cell)
    scripts = _plotly_script() if 'class="plotly"' in body else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{_code_style()}</style>\n{scripts}</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _cell(cell: Document, numbers: "count[int]") -> str:
    source = joined(cell["source"]).strip("\n")
    about: dict[str, Any] = cell["metadata"].get("jupyter") or {}
    match cell["cell_type"]:
        case "markdown":
            return f'<div class="markdown">\n{_markdown(_with_attachments(source, cell))}</div>'
        case "code":
            code = "" if about.get("source_hidden") or not source else _code(source)
            outputs = [] if about.get("outputs_hidden") else [_output(o, numbers) for o in cell["outputs"]]
            inside = "\n".join(part for part in (code, *outputs) if part)
            return f'<div class="code" id="{html.escape(cell["id"])}">\n{inside}\n</div>' if inside else ""
        case _:
            return f"<pre>{html.escape(source)}</pre>"


def _output(output: Document, numbers: "count[int]") -> str:
    match output["output_type"]:
        case "stream":
            return _text(shown_text(output["text"]).rstrip("\n"), output["name"])
        case "error":
            return _text("\n".join(output["traceback"]), "error")
        case _:
            pass
    data: dict[str, Any] = output["data"]
    shown = ""
    if _PLOTLY in data and _plotly_script():
        id, figure = f"plotly-{next(numbers)}", json.dumps(data[_PLOTLY]).replace("</", "<\\/")
        shown = (
            f'<div class="plotly" id="{id}"></div>'
            f"<script>(f => Plotly.newPlot('{id}', f.data, f.layout, f.config))({figure})</script>"
        )
    elif "text/html" in data:
        shown = joined(data["text/html"])
    elif image := image_of(data):
        shown = f'<img alt="" src="{data_uri(*image)}">'
    elif "text/markdown" in data:
        shown = _markdown(joined(data["text/markdown"]))
    else:
        return _text(joined(data.get("text/latex", data.get("text/plain", ""))), "value")
    return f'<div class="output">{shown}</div>'


def _text(text: str, kind: str) -> str:
    return f'<pre class="output {html.escape(kind)}">{colored(text)}</pre>' if text else ""


def _with_attachments(source: str, cell: Document) -> str:
    attachments: dict[str, Any] = cell.get("attachments") or {}

    def address(match: re.Match[str]) -> str:
        image = image_of(attachments.get(match["name"], {}))
        return data_uri(*image) if image else match[0]

    return re.sub(r"attachment:(?P<name>[^\s)\"']+)", address, source)


def _markdown(text: str) -> str:
    renderer = _markdown_renderer()
    return renderer(text) if renderer else f"<pre>{html.escape(text)}</pre>\n"


@cache
def _markdown_renderer() -> Callable[[str], str] | None:
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        return None
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render


def _code(source: str) -> str:
    pygments = _pygments()
    shown = html.escape(source)
    if pygments is not None:
        lexer = pygments.lexers.PythonLexer(stripnl=False)
        shown = pygments.highlight(source, lexer, pygments.formatters.HtmlFormatter(nowrap=True)).rstrip("\n")
    return f'<pre class="source">{shown}</pre>'


def _code_style() -> str:
    pygments = _pygments()
    if pygments is None:
        return ""
    # Pygments marks magics as errors, which they are not.
    return pygments.formatters.HtmlFormatter().get_style_defs(".source") + "\n.source .err { border: 0 }"


@cache
def _pygments() -> Any:
    """Return the package, which has no types, or None if it is not installed."""
    try:
        import_module("pygments.lexers")
        import_module("pygments.formatters")
        return import_module("pygments")
    except ImportError:
        return None


@cache
def _plotly_script() -> str:
    try:
        return f"<script>{import_module('plotly.offline').get_plotlyjs()}</script>\n"
    except ImportError:
        return ""
