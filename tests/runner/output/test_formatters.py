"""With the real libraries: what their values look like."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator

import altair
import matplotlib as mpl
import numpy
import pandas
import PIL.Image
import plotly.graph_objects
import polars
import pytest
import rich.table
import sympy
from cellwire.runner.output.encoding import encode_bundle
from cellwire.runner.output.formatters import figure_of
from cellwire.runner.output.formatting import format_value
from matplotlib.figure import Figure

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def without_windows() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield


def test_a_matplotlib_figure_is_a_picture() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])
    data, _ = format_value(figure)
    assert data["image/png"].startswith(PNG)
    assert data["text/plain"].startswith("<Figure size")
    assert "image/svg+xml" not in data
    encode_bundle(data)


def test_a_matplotlib_figure_is_svg_too_where_the_user_saves_svg() -> None:
    figure = Figure()
    figure.subplots().set_title("title")
    with mpl.rc_context({"savefig.format": "svg"}):
        data, _ = format_value(figure)
    assert data["image/png"].startswith(PNG)
    assert "<svg" in data["image/svg+xml"]


def test_what_plotting_calls_return_shows_its_figure() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    lines = axes[0].plot([1, 2])
    bars = axes[1].bar([1], [2])
    for value in (axes, axes[0], lines, lines[0], bars, axes[0].set_title("t"), figure):
        assert figure_of(value) is figure, value
        data, _ = format_value(value)
        assert data["image/png"].startswith(PNG)
        assert data["text/plain"] == repr(value)


def test_an_artist_inside_a_subfigure_shows_the_whole_figure() -> None:
    figure = Figure()
    axes = figure.subfigures(1, 2, squeeze=False)[0, 0].subplots()
    assert figure_of(axes) is figure


def test_values_that_are_not_one_figure_are_not_shown_as_one() -> None:
    from matplotlib.lines import Line2D

    one, other = Figure(), Figure()
    for value in (
        [one, other],
        [],
        (),
        [1],
        numpy.arange(3),
        numpy.array([1, "a"], object),
        Line2D([], []),
        1,
    ):
        assert figure_of(value) is None
        assert list(format_value(value)[0]) == ["text/plain"]


def test_a_pandas_frame_is_a_table() -> None:
    data, _ = format_value(pandas.DataFrame({"a": [1, 2]}))
    assert "<table" in data["text/html"]
    assert "a" in data["text/plain"]
    assert data.keys() == {"text/html", "text/plain"}


def test_a_pandas_series_is_text() -> None:
    assert format_value(pandas.Series([1], name="s"))[0] == {"text/plain": repr(pandas.Series([1], name="s"))}


def test_a_polars_frame_is_a_table() -> None:
    data, _ = format_value(polars.DataFrame({"a": [1, 2]}))
    assert "<table" in data["text/html"]
    assert "shape: (2, 1)" in data["text/plain"]


def test_a_plotly_figure_is_data_for_plotly_and_html() -> None:
    figure = plotly.graph_objects.Figure(plotly.graph_objects.Scatter(y=numpy.array([1.0, 2.0])))
    data, _ = format_value(figure)
    assert data["application/vnd.plotly.v1+json"]["data"][0]["type"] == "scatter"
    assert "plotly" in data["text/html"].lower()
    encode_bundle(data)


def test_an_altair_chart_is_html_or_what_its_renderer_makes() -> None:
    frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
    chart = altair.Chart(frame).mark_bar().encode(x="a:Q", y="b:Q")
    assert "vega" in format_value(chart)[0]["text/html"]
    with altair.renderers.enable("mimetype"):
        data, _ = format_value(chart)
    assert any(mime.startswith("application/vnd.vegalite") for mime in data)
    encode_bundle(data)


def test_a_pil_image_is_one_picture() -> None:
    data, _ = format_value(PIL.Image.new("RGB", (3, 2)))
    assert data["image/png"].startswith(PNG)
    assert "image/jpeg" not in data


def test_a_sympy_expression_is_latex() -> None:
    x = sympy.Symbol("x")
    data, _ = format_value(x**2 / 2)
    assert data["text/latex"] == r"$\displaystyle \frac{x^{2}}{2}$"
    assert data["text/plain"] == "x**2/2"


def test_what_rich_prints_is_text_and_html() -> None:
    table = rich.table.Table("Name")
    table.add_row("[bold]Ada[/bold]")
    data, _ = format_value(table)
    assert "Ada" in data["text/plain"]
    assert "bold" in data["text/html"]

    class Own:
        def __rich__(self) -> str:
            return "[bold]own[/bold] <tag>"

    data, _ = format_value(Own())
    assert data["text/plain"] == "own <tag>"
    assert "&lt;" in data["text/html"]


def test_numpy_values_have_their_repr() -> None:
    for value in (numpy.arange(3), numpy.float64(1.5), numpy.array([[1]])):
        assert format_value(value) == ({"text/plain": repr(value)}, {})


def test_formatting_imports_no_library() -> None:
    program = """
        import sys
        from cellwire.runner import introspection
        from cellwire.runner.api import output, progress, throttle, values
        from cellwire.runner.attribution import after_import, input, redirection
        from cellwire.runner.integrations import figures, ipython_display
        from cellwire.runner.output import formatters, formatting
        figures.install_figures()
        ipython_display.install_displays()
        input.install_input(print)
        class Value:
            def __rich__(self): return ""
        for value in (1, [1], Value()):
            formatting.format_value(value)
        libraries = "matplotlib numpy pandas polars plotly altair PIL sympy rich IPython jedi getpass zmq"
        loaded = set(libraries.split()) & set(sys.modules)
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
