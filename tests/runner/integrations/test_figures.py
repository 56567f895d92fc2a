import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.backend_bases
import matplotlib.pyplot as plt
import plotly.graph_objects
import plotly.io._renderers
import pytest
from cellwire.runner.attribution.context import NO_VALUE
from cellwire.runner.integrations.figures import capture_figures, install_figures


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    manager: Any = matplotlib.backend_bases.FigureManagerBase
    monkeypatch.setattr(manager, "__init__", manager.__init__)
    monkeypatch.setattr(manager, "show", manager.show)
    monkeypatch.setattr(plt, "show", plt.show)
    monkeypatch.setattr(plotly.io._renderers, "show", plotly.io._renderers.show)
    monkeypatch.setenv("MPLBACKEND", "agg")
    plt.switch_backend("agg")
    install_figures()
    yield
    plt.close("all")


def pictures(cell: Any) -> int:
    return sum("image/png" in item.data for item in cell.outputs)


def test_figures_left_open_are_appended_and_closed(cell: Any) -> None:
    plt.plot([1, 2])
    plt.figure()
    plt.title("second")
    capture_figures(cell.execution)
    assert pictures(cell) == 2
    assert plt.get_fignums() == []
    capture_figures(cell.execution)
    assert pictures(cell) == 2


def test_show_appends_at_once(cell: Any) -> None:
    plt.plot([1])
    plt.show()
    assert pictures(cell) == 1
    figure, axes = plt.subplots()
    axes.plot([1])
    figure.show()
    assert pictures(cell) == 2
    capture_figures(cell.execution)
    assert pictures(cell) == 2
    assert plt.get_fignums() == []


def test_an_empty_figure_is_closed_and_not_shown(cell: Any) -> None:
    plt.figure()
    capture_figures(cell.execution)
    assert cell.outputs == []
    assert plt.get_fignums() == []


@pytest.mark.parametrize("part", ["figure", "axes", "lines", "line"])
def test_the_figure_that_is_the_value_is_not_shown_twice(cell: Any, part: str) -> None:
    figure, axes = plt.subplots()
    lines = axes.plot([1])
    other = plt.figure()
    other.add_subplot()
    cell.execution.value = {"figure": figure, "axes": axes, "lines": lines, "line": lines[0]}[part]
    capture_figures(cell.execution)
    assert pictures(cell) == 1
    assert plt.get_fignums() == []


def test_a_value_that_is_no_figure_leaves_the_figures_to_the_hook(cell: Any) -> None:
    plt.plot([1])
    for value in (NO_VALUE, None, 3):
        cell.execution.value = value
        capture_figures(cell.execution)
    assert pictures(cell) == 1


def test_cells_that_draw_at_the_same_time_keep_their_figures(make_cell: Callable[[str], Any]) -> None:
    a, b = make_cell("a"), make_cell("b")
    with a:
        plt.subplots()
    with b:
        plt.subplots()
        plt.subplots()
        plt.show()
    assert (pictures(a), pictures(b)) == (0, 2)
    with b:
        capture_figures(b.execution)
    with a:
        capture_figures(a.execution)
    assert (pictures(a), pictures(b)) == (1, 2)


def test_figures_of_a_retired_run_are_closed_and_not_shown(make_cell: Callable[[str], Any]) -> None:
    a, b = make_cell("a"), make_cell("b")
    with a:
        plt.subplots()
        a.execution.retire()
    with b:
        capture_figures(b.execution)
    assert (a.outputs, b.outputs, plt.get_fignums()) == ([], [], [])


def test_figures_of_detached_code_are_left_alone(make_cell: Callable[[str], Any]) -> None:
    plt.subplots()
    with make_cell("a") as cell:
        capture_figures(cell.execution)
    assert (cell.outputs, len(plt.get_fignums())) == ([], 1)


def test_showing_a_figure_does_not_warn(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plt.plot([1])
        plt.show()
    assert pictures(cell) == 1


def test_a_figure_that_cannot_be_drawn_is_reported(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plt.title(r"$\nonsense$")
    capture_figures(cell.execution)
    assert "nonsense" in capsys.readouterr().err
    assert cell.texts[0].startswith("<Figure")
    assert plt.get_fignums() == []


def test_plotly_shows_a_figure_in_the_cell_unless_a_renderer_is_named(cell: Any, tmp_path: Any) -> None:
    figure = plotly.graph_objects.Figure()
    figure.show()
    assert "application/vnd.plotly.v1+json" in cell.outputs[0].data
    with pytest.raises(ValueError, match="no_such_renderer"):
        figure.show(renderer="no_such_renderer")


def test_installing_before_matplotlib_is_imported_works_and_imports_nothing() -> None:
    program = """
        import os, sys
        os.environ.pop("MPLBACKEND", None)
        from cellwire.runner.integrations import figures
        from cellwire.runner.attribution.context import current_execution, Execution
        from cellwire.runner.output.emitter import CallbackSink, Emitter
        from cellwire.runner.output.output_list import OutputList
        from cellwire.protocol.limits import Limits
        events = []
        execution = Execution("a", 1, OutputList(Emitter(CallbackSink(events.append)), "a", 1, Limits()))
        current_execution.set(execution)
        figures.install_figures()
        figures.capture_figures(execution)
        assert "matplotlib" not in sys.modules
        from matplotlib.pyplot import plot, show
        import matplotlib
        assert matplotlib.get_backend().lower() == "agg"
        plot([1, 2])
        show()
        assert len(events) == 1 and "image/png" in events[0].item.data
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_the_users_choice_of_a_backend_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("MPLBACKEND", "svg")
    install_figures()
    assert os.environ["MPLBACKEND"] == "svg"
    assert mpl.get_backend().lower() == "agg"
