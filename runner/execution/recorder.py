"""The runner's record of the notebook: the one place where events about cells are emitted.

A `Recorder` holds the replica that plans are made from, and the emitter that carries events to the kernel.
Only events change the replica. It is the runner's counterpart of the kernel's `Store`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ...protocol import events
from ...protocol.notebook import Notebook
from ...protocol.reducer import apply
from ..output.emitter import CallbackSink, Emission, Emitter

_OUTPUT_EVENTS = frozenset(
    {events.OutputAppended, events.OutputReplaced, events.OutputRemoved, events.OutputsCleared}
)


class Recorder:
    """The current state of the notebook, and the way out for events."""

    def __init__(self, emit: Callable[[Any], object] | Emission, keep_outputs: bool = True) -> None:
        #: What frontends see of the notebook.
        self.notebook = Notebook()
        self._listener = emit if callable(emit) else None
        self._keep_outputs = keep_outputs
        self.emitter: Emission = Emitter(CallbackSink(self._deliver)) if callable(emit) else emit

    def emit(self, event: Any) -> None:
        """Apply and send `event`; it may be held until the next `flush`, before user code or an `await`."""
        if self._listener is None:
            apply(self.notebook, event)
            self.emitter.defer(event)
        else:
            self.emitter.emit(event)

    def emit_from(self, loop: asyncio.AbstractEventLoop, event: Any, dropped: Callable[[], bool]) -> None:
        """Send `event` at once, from a thread other than that of `loop`, unless it is `dropped` at its turn.

        Only the loop's thread may change the notebook, except where a listener applies each event.
        """

        def apply_here() -> None:
            if not dropped():
                apply(self.notebook, event)

        self.emitter.emit_step(lambda: None if dropped() else event)
        if self._listener is None:
            loop.call_soon_threadsafe(apply_here)

    def flush(self) -> None:
        """Send the events that were held back."""
        self.emitter.flush()

    def _deliver(self, event: Any) -> None:
        """Pass an event to the listener; output events of all threads come here too."""
        if self._keep_outputs or type(event) not in _OUTPUT_EVENTS:
            apply(self.notebook, event)
        if self._listener is not None:
            self._listener(event)
