"""`asyncio.run` and its kin in a cell without `await`, as in a script.

Such a cell is called by a callback of the runner's loop, so asyncio sees a running loop and refuses to run
another one. While such a cell starts a loop, the runner's own loop is hidden; it stands still until the cell
ends, as for any such cell. In a cell that awaits, asyncio still refuses: such a cell should use `await`.
"""

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable
from functools import wraps
from typing import Any


def install_event_loops() -> None:
    """Let cells run loops of their own; the host calls this once, before user code."""
    asyncio.run = asyncio.runners.run = _out_of_sight(asyncio.run)
    for kind, names in {
        asyncio.Runner: ("run",),
        asyncio.BaseEventLoop: ("run_forever", "run_until_complete"),
    }.items():
        for name in names:
            setattr(kind, name, _out_of_sight(getattr(kind, name)))


def _out_of_sight(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` wrapped so that it sees no running loop, unless a task calls it."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        loop: Any = _get_running_loop()
        # A loop sets this while it runs.
        if loop is None or loop is next(iter(args), None) or asyncio.current_task(loop) is not None:
            return function(*args, **options)
        _set_running_loop(None)
        try:
            return function(*args, **options)
        finally:
            _set_running_loop(loop)

    return run
