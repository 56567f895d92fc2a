"""`asyncio.run` and its kin in a cell without `await`, as in a script.

Such a cell is called by a callback of the runner's loop, so asyncio takes it for code inside a running loop
and refuses to run another one. While a loop is started from there the runner's own is out of sight; it
stands still until the cell ends, as it does for any such cell. In a cell that awaits, asyncio refuses as
ever: there it is `await` that is meant.
"""

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable
from functools import wraps
from typing import Any


def install_event_loops() -> None:
    """Let cells run loops of their own; the host calls it once, before user code."""
    asyncio.run = asyncio.runners.run = _out_of_sight(asyncio.run)
    for kind, names in {
        asyncio.Runner: ("run",),
        asyncio.BaseEventLoop: ("run_forever", "run_until_complete"),
    }.items():
        for name in names:
            setattr(kind, name, _out_of_sight(getattr(kind, name)))


def _out_of_sight(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` so that it sees no running loop if it is called by no task."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        loop: Any = _get_running_loop()
        # The loop that is running says itself that it is.
        if loop is None or loop is next(iter(args), None) or asyncio.current_task(loop) is not None:
            return function(*args, **options)
        _set_running_loop(None)
        try:
            return function(*args, **options)
        finally:
            _set_running_loop(loop)

    return run
