"""Progress that libraries show: rich's live displays as output items, tqdm's bars in the cell that made them.

rich draws a live display on a terminal, and elsewhere prints its last state when it ends. In a cell it
becomes an item that is replaced whenever rich would draw; `Progress`, `track` and `status` are live displays
too. tqdm has one thread in the process that refreshes stalled bars, whichever cell made them.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..api.output import output
from ..attribution.after_import import after_import
from ..attribution.context import current_execution

_ITEM = "_cellwire_item"


def install_progress() -> None:
    """Show the progress of libraries that the user imports; the host calls it once, before user code."""
    after_import("rich.live", _patch_rich)
    after_import("tqdm.std", _patch_tqdm)


def _patch_rich(module: Any) -> None:
    refresh, stop = module.Live.refresh, module.Live.stop

    @wraps(refresh)
    def refresh_item(live: Any) -> None:
        if _is_drawn(live):
            refresh(live)
            return
        with live._lock:
            item = getattr(live, _ITEM, None)
            shown = live.get_renderable()
            if item is None:
                setattr(live, _ITEM, output.append(shown))
            else:
                item.replace(shown)

    @wraps(stop)
    def stop_item(live: Any) -> None:
        started = live._started
        stop(live)
        if started and live.transient and (item := getattr(live, _ITEM, None)) is not None:
            item.remove()

    module.Live.refresh, module.Live.stop = refresh_item, stop_item


def _is_drawn(live: Any) -> bool:
    """Return whether rich draws a live display itself: outside cells, or on what it takes for a terminal."""
    console = live.console
    return (
        current_execution.get() is None
        or console.is_terminal
        or console.is_jupyter
        or not getattr(console.file, "follows_redirection", False)
    )


def _patch_tqdm(module: Any) -> None:
    original: Callable[[Any], Callable[[str], None]] = module.tqdm.status_printer

    @wraps(original)
    def status_printer(file: Any) -> Callable[[str], None]:
        shown = original(file)
        execution = current_execution.get()

        def show(text: str) -> None:
            token = current_execution.set(execution)
            try:
                shown(text)
            finally:
                current_execution.reset(token)

        return show

    module.tqdm.status_printer = staticmethod(status_printer)
