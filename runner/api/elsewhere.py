"""`cw.fetch` and `cw.on_retire`: values of cells that run elsewhere, and what a cell does before it goes."""

from collections.abc import Callable
from typing import Any

from ..attribution.context import current_execution


def fetch(name: str) -> Any:
    """Return the value of the notebook's variable `name`, which a cell defined where it ran.

    A cell that names the variable in its code needs no call: the value is fetched before it runs.

    Raises: NameError if no value is elsewhere under this name; CannotFetch if it is lost or does not pickle.
    """
    execution = current_execution.get()
    if execution is None or execution.fetch is None:
        raise NameError(f"cw.fetch: no value of {name!r} is elsewhere", name=name)
    return execution.fetch(name)


def on_retire(function: Callable[[], object]) -> None:
    """Have `function` called before this cell runs again or is deleted, the last one given first.

    For what a cell starts and Python does not end by itself: `cw.on_retire(cluster.close)`. Outside a cell
    nothing is retired and nothing called.
    """
    execution = current_execution.get()
    if execution is not None:
        if execution.on_retire is None:
            execution.on_retire = []
        execution.on_retire.append(function)
