"""What the binding needs from the kernel: the requests that it makes, and the loop's timers.

`door.Door` implements it in the kernel's own process. Nothing here waits: a run ends with its `RunFinished`
event, and the reply to any other request comes as a call.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ...protocol import messages as m
from ...protocol.notebook import Notebook
from .dap import DebugAdapter


class Core(Protocol):
    """The kernel."""

    @property
    def notebook(self) -> Notebook:
        """The state after the newest event, which may be newer than the one being handled."""
        ...

    @property
    def connection_file(self) -> str:
        """The connection file of the kernel's own protocol."""
        ...

    def submit(self, request: m.Run) -> int:
        """Accept a run and return its number.

        Raises: RequestError if runs are refused.
        """
        ...

    def pass_on(self, request: m.Introspection | m.SendComm, on_reply: Callable[[Any], None]) -> None:
        """Pass a request on to the runner; `on_reply` is called in order with the events around the reply.

        Raises: RequestError if there is no runner or it has too many requests already.
        """
        ...

    def interrupt(self) -> None:
        """Interrupt the running cells and drop the waiting runs."""
        ...

    def replace(self) -> None:
        """Replace the runner."""
        ...

    def revive(self) -> None:
        """Start a runner if there is none."""
        ...

    def provide_input(self, id: str, text: str | None) -> None:
        """Answer an input request with a text; None is the end of input.

        Raises: RequestError if user code does not wait for it.
        """
        ...

    def refuse_input(self, id: str) -> None:
        """Make user code that asks for input fail.

        Raises: RequestError if user code does not wait for it.
        """
        ...

    def shut_down(self, reason: str) -> None:
        """End the kernel."""
        ...

    def connect(
        self, port: int, on_event: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> DebugAdapter:
        """Connect to a debug adapter on this machine.

        Raises: OSError if none listens there.
        """
        ...

    def reaches(self, identities: list[bytes]) -> bool:
        """Return whether a client is connected."""
        ...

    def later(self, seconds: float, callback: Callable[[], None]) -> object:
        """Call `callback` once, after `seconds`."""
        ...
