"""ipywidgets as inputs: cells that read a trait of a widget by a global name follow that trait.

When a trait that frontends see changes, in a frontend or in Python, cells that read that attribute of the
widget run again. Cells that only show or observe the widget do not.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..attribution.after_import import after_import
from ..output.reports import report

#: Called with an object that has changed, and the names of its changed attributes.
OnChange = Callable[[object, Iterable[str]], None]


class _Reporter:
    """Stands in for a missing IPython shell, without which errors of handlers would be silent."""

    def showtraceback(self) -> None:
        """Report the current exception."""
        error = sys.exception()
        if error is not None:
            report("", error)


def install_widgets(on_change: OnChange) -> None:
    """Call `on_change` when a widget changes; the host calls this once, before user code."""

    reporter = _Reporter()

    def patch(module: Any) -> None:
        notify_change = module.Widget.notify_change

        def notify_change_and_tell(self: Any, change: Any) -> None:
            notify_change(self, change)
            if self.comm is not None and change["type"] == "change" and change["name"] in self.keys:
                on_change(self, [change["name"]])

        module.Widget.notify_change = notify_change_and_tell
        get_ipython = module.get_ipython
        module.get_ipython = lambda: get_ipython() or reporter

    after_import("ipywidgets.widgets.widget", patch)
