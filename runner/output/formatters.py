"""Formatters for values of well-known libraries that do not format themselves.

matplotlib's figures, and what its plotting calls return, are pictures; plotly's figures are data for
plotly.js; what rich can print is text and HTML. Nothing here imports a library: if there is a value of
its class, the user has imported it. `formatter_for` comes after all of the value's own methods.
"""

import io
import sys
from collections.abc import Callable
from typing import Any, cast

import msgspec

#: Functions of libraries that are there: each takes a class and returns what formats its values, or None.
others: list[Callable[[type], Any]] = []

#: Width in characters to which rich lays out what it prints.
_RICH_COLUMNS = 100


def figure_of(value: object) -> Any:
    """Return the matplotlib figure that `value` is or shows, or None.

    Such a value is an artist (axes, a line, the figure itself), or a list or array of artists of one
    figure, as plotting calls return them.
    """
    if "matplotlib.artist" not in sys.modules:
        return None
    artist: type = sys.modules["matplotlib.artist"].Artist
    parts: Any = (value,)
    # By `type`, as everywhere here: what a value claims to be, a proxy for one, may raise.
    if issubclass(type(value), (list, tuple)):
        parts = cast("list[Any] | tuple[Any, ...]", value)
    elif issubclass(type(value), sys.modules["numpy"].ndarray) and cast("Any", value).dtype == object:
        parts = cast("Any", value).ravel().tolist()
    figures: list[Any] = []
    for part in parts:
        if not issubclass(type(part), artist):
            return None
        figure = _root(part)
        if figure not in figures:
            figures.append(figure)
    return figures[0] if len(figures) == 1 else None


def _root(artist: Any) -> Any:
    """Return the outermost figure around `artist`; None if it is in none."""
    figure = artist.figure
    while figure is not None and figure.figure is not figure:
        figure = figure.figure
    return figure


def figure_bundle(figure: Any) -> dict[str, Any]:
    """Return a matplotlib figure as PNG, and as SVG too where `rcParams["savefig.format"]` is "svg"."""
    formats = {"image/png": "png"}
    if sys.modules["matplotlib"].rcParams["savefig.format"] == "svg":
        formats["image/svg+xml"] = "svg"
    data: dict[str, Any] = {"text/plain": repr(figure)}
    for mime, name in formats.items():
        buffer = io.BytesIO()
        colours = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
        figure.savefig(buffer, format=name, bbox_inches="tight", **colours)
        data[mime] = buffer.getvalue()
    return data


def _artists_bundle(value: Any) -> dict[str, Any]:
    return {**figure_bundle(figure_of(value)), "text/plain": repr(value)}


def _plotly_bundle(figure: Any) -> dict[str, Any]:
    return {"application/vnd.plotly.v1+json": msgspec.json.decode(figure.to_json())}


def _rich_bundle(value: Any) -> dict[str, Any]:
    from rich.console import Console

    console = Console(file=io.StringIO(), record=True, width=_RICH_COLUMNS, force_jupyter=False)
    console.print(value)
    html = console.export_html(inline_styles=True, clear=False, code_format="<pre>{code}</pre>")
    return {"text/html": html, "text/plain": console.export_text().rstrip("\n")}


def formatter_for(value: object) -> Any:
    """Return the function that makes a mime bundle of `value`, or None if its class is of no library here."""
    if figure_of(value) is not None:
        return _artists_bundle
    kind = type(value)
    plotly = sys.modules.get("plotly.basedatatypes")
    if plotly is not None and issubclass(kind, plotly.BaseFigure):
        return _plotly_bundle
    if "rich" in sys.modules and (hasattr(kind, "__rich_console__") or hasattr(kind, "__rich__")):
        return _rich_bundle
    for other in others:
        formatter = other(kind)
        if formatter is not None:
            return formatter
    return None
