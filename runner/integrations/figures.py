"""matplotlib in a cell: figures become output items, without a window and without IPython.

`plt.show()` and `figure.show()` append figures when they are called; figures still open when a cell ends
are appended then, by the post-execution hook `capture_figures`. Either way they are closed, so that figures
do not pile up from run to run. A figure belongs to the execution in whose context it was made, so async
cells and threads that draw at the same time do not show each other's. Which figure is current is left to
pyplot. plotly's `figure.show()` appends too, unless it names a renderer.

Nothing is imported here: a library is patched when the user imports it.
"""

import os
import sys
from typing import Any

from ..api.output import output
from ..attribution.after_import import after_import
from ..attribution.context import Execution, current_execution
from ..output.formatters import figure_of
from ..output.formatting import format_value

_OWNER = "_cellwire_execution"


def install_figures() -> None:
    """Make `show()` append figures to the calling cell; the host calls it once, before user code."""
    os.environ.setdefault("MPLBACKEND", "agg")
    after_import("matplotlib.backend_bases", _patch_managers)
    after_import("matplotlib.pyplot", _patch_pyplot)
    after_import("plotly.io._renderers", _patch_plotly)


def capture_figures(execution: Execution) -> None:
    """Append the figures that the execution left open, and close them. A post-execution hook.

    A figure that the cell's value shows is only closed, and so is one on which nothing was drawn.
    """
    if "matplotlib._pylab_helpers" not in sys.modules:
        return
    registry = sys.modules["matplotlib._pylab_helpers"].Gcf
    shown = figure_of(execution.value)
    for manager in registry.get_all_fig_managers():
        owner = getattr(manager, _OWNER, execution)
        if owner is not execution and not (owner is not None and owner.retired):
            continue
        figure = manager.canvas.figure
        registry.destroy(manager)
        if owner is execution and figure is not shown and figure.get_children()[1:]:
            execution.outputs.append(*format_value(figure))


def _patch_managers(module: Any) -> None:
    """Record the execution that makes a figure; `show()` of a backend without windows appends it."""
    base = module.FigureManagerBase
    initialise = base.__init__

    def __init__(self: Any, canvas: Any, num: int) -> None:
        initialise(self, canvas, num)
        setattr(self, _OWNER, current_execution.get())

    base.__init__ = __init__
    base.show = _show_manager


def _show_manager(manager: Any) -> None:
    output.append(manager.canvas.figure)
    sys.modules["matplotlib._pylab_helpers"].Gcf.destroy(manager)


def _patch_pyplot(module: Any) -> None:
    """Make `plt.show()` show this execution's figures and leave those of others alone."""
    show = module.show

    def show_own(*args: Any, **options: Any) -> None:
        managers: list[Any] = sys.modules["matplotlib._pylab_helpers"].Gcf.get_all_fig_managers()
        if any(manager.show.__func__ is not _show_manager for manager in managers):
            show(*args, **options)  # a backend with windows, chosen by the user
            return
        here = current_execution.get()
        for manager in managers:
            if getattr(manager, _OWNER, here) is here:
                manager.show()

    module.show = show_own


def _patch_plotly(module: Any) -> None:
    """Make plotly's `show()` append the figure if it names no renderer."""
    show = module.show

    def show_here(fig: Any, renderer: str | None = None, *args: Any, **options: Any) -> None:
        if renderer is None:
            output.append(fig)
        else:
            show(fig, renderer, *args, **options)

    module.show = show_here
