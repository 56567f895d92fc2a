"""Code that the binding itself runs in the runner, in loose cells beside those of the notebook."""

from collections.abc import Callable
from typing import Any

from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from .core import Core
from .views import bundle

#: The prefix of the ids of these cells.
_CELL = "~own-"
#: Called with a cell's value as a mime bundle, or None if it failed, and with the text that it printed.
OnResult = Callable[[dict[str, Any] | None, str], None]

_LISTENING = """\
import asyncio, sys, threading
import debugpy
for thread in threading.enumerate():
    if thread.name.startswith("cellwire"):
        thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True
result = debugpy.listen(("127.0.0.1", 0))
asyncio.get_running_loop().call_soon(lambda: sys.modules["pydevd"].get_global_debugger().enable_tracing())
"""
_LIST_MODULES = """\
import json, sys
found = [(name, getattr(getattr(module, "__spec__", None), "origin", None))
         for name, module in list(sys.modules.items())]
print(json.dumps([(name, origin) for name, origin in found if str(origin).endswith(".py")]))
result = None
"""


def _apart(source: str) -> str:
    """Return an expression that executes `source` apart from the user's names; its value is `result`."""
    return f"(lambda names: (exec({source!r}, names), names['result'])[1])({{}})"


#: A trace function set by a cell is gone when its code ends, so tracing is enabled by a later callback.
LISTEN = f"await __import__('asyncio').sleep(0, {_apart(_LISTENING)})"
#: Prints the modules that have a source file, as JSON.
MODULES = _apart(_LIST_MODULES)


class OwnCode:
    """Runs loose cells and passes on their results."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._cells = 0
        self._running: dict[str, OnResult] = {}
        self._shown: dict[str, tuple[dict[str, Any], str]] = {}

    def run(self, source: str, on_result: OnResult) -> None:
        """Run `source`, and call `on_result` once when it has ended."""
        self._cells += 1
        cell = f"{_CELL}{self._cells}"
        self._running[cell] = on_result
        about = {"jupyter": {"silent": True, "store": False}}
        try:
            self._core.submit(m.RunCells("", [m.Cell(cell, source, about, loose=True)]))
        except RequestError:
            del self._running[cell]
            on_result(None, "")

    def take(self, event: Any) -> bool:
        """Handle an event of the kernel; return whether it is from one of these cells."""
        if isinstance(event, e.RunnerDied):
            running, self._running = self._running, {}
            for on_result in running.values():
                on_result(None, "")
            return False
        cell = str(getattr(event, "cell", ""))
        if not cell.startswith(_CELL):
            return False
        data, text = self._shown.get(cell, ({}, ""))
        kind = event.__class__
        if kind is e.OutputAppended:
            self._shown[cell] = (bundle(event.item)[0], text)
        elif kind is e.ConsoleWritten:
            self._shown[cell] = (data, text + event.text)
        elif kind in (e.CellFinished, e.CellSkipped):
            self._shown.pop(cell, None)
            on_result = self._running.pop(cell, None)
            if on_result is not None:
                on_result(data if event.status == "ok" else None, text)
            self._delete(cell)
        return True

    def _delete(self, cell: str) -> None:
        try:
            self._core.submit(m.DeleteCells("", [cell]))
        except RequestError:
            # The kernel is closing.
            pass
