"""What a frontend needs: functions that start kernels and attach to them, the client, and its types.

Events are the classes of `cellwire.protocol.events`; `cellwire.protocol.blocking` has the same client
without `await`.

Names are imported when they are first used, so that the kernel and the runner, which need a few types
of this package, load neither anyio nor (the runner) zmq.
"""

from importlib import import_module

# As in typing, which a kernel does not import before it starts the runner.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import blocking, events
    from .client.event_stream import EventStream
    from .client.kernel_client import KernelClient
    from .client.launch import attach, connect, launch_kernel, start_kernel
    from .connection import Connection, Settings, read_connection_file
    from .errors import (
        AuthenticationError,
        CellwireError,
        ConnectionFileError,
        EventsLost,
        KernelDied,
        NotebookFileError,
        ProtocolError,
        RequestError,
    )
    from .limits import Limits
    from .messages import Cell
    from .notebook import CellError, CellState, Console, Item, Notebook

_HOMES = {
    "AuthenticationError": "errors",
    "Cell": "messages",
    "CellError": "notebook",
    "CellState": "notebook",
    "CellwireError": "errors",
    "Connection": "connection",
    "ConnectionFileError": "errors",
    "Console": "notebook",
    "EventStream": "client.event_stream",
    "EventsLost": "errors",
    "Item": "notebook",
    "KernelClient": "client.kernel_client",
    "KernelDied": "errors",
    "Limits": "limits",
    "Notebook": "notebook",
    "NotebookFileError": "errors",
    "ProtocolError": "errors",
    "RequestError": "errors",
    "Settings": "connection",
    "attach": "client.launch",
    "blocking": "blocking",
    "connect": "client.launch",
    "events": "events",
    "launch_kernel": "client.launch",
    "read_connection_file": "connection",
    "start_kernel": "client.launch",
}

__all__ = [
    "AuthenticationError",
    "Cell",
    "CellError",
    "CellState",
    "CellwireError",
    "Connection",
    "ConnectionFileError",
    "Console",
    "EventStream",
    "EventsLost",
    "Item",
    "KernelClient",
    "KernelDied",
    "Limits",
    "Notebook",
    "NotebookFileError",
    "ProtocolError",
    "RequestError",
    "Settings",
    "attach",
    "blocking",
    "connect",
    "events",
    "launch_kernel",
    "read_connection_file",
    "start_kernel",
]


def __getattr__(name: str) -> "Any":
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
