"""Comms: two-way channels between objects of user code, such as widgets, and frontends.

The package `comm` defines them for kernels of any kind; it is patched when it is imported. What user code
sends becomes a `CommSent` event. What frontends send is handled on the main thread, in the context in which
the comm was opened or its target registered, so what a handler prints belongs to that cell.
"""

import sys
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from ...protocol.events import CommSent
from ...protocol.messages import SendComm
from ..attribution.after_import import after_import
from ..attribution.context import current_execution
from ..attribution.redirection import begin_new_item
from ..output.encoding import as_plain
from ..output.reports import report

#: The message that the calling handler handles, in Jupyter's form; empty elsewhere.
message_in_hand: ContextVar[dict[str, Any]] = ContextVar("message_in_hand")


class Comms:
    """The comms of this process; `emit` gets the events."""

    def __init__(self, emit: Callable[[CommSent], None]) -> None:
        self._emit = emit
        self._targets: dict[str, Context] = {}
        after_import("comm", self._install)

    async def deal_with(self, message: SendComm) -> None:
        """Let user code handle `message`. A coroutine, since tasks can be interrupted."""
        context = Context()
        try:
            # Only here: the message before this one may have opened the comm.
            context = self._context_for(message)
            context.run(self._deliver, message)
        except BaseException as error:
            context.run(report, "", error)

    def _context_for(self, message: SendComm) -> Context:
        """Return the context in which user code handles `message`."""
        if message.action == "open":
            context = self._targets.get(message.target)
        else:
            manager = _manager()
            # Of a comm that user code has made in its own way, it may be anything.
            context = getattr(manager and manager.comms.get(message.comm), "context", None)
        return context.copy() if isinstance(context, Context) else Context()

    def _deliver(self, message: SendComm) -> None:
        """Let user code handle `message`; close the comm if user code does not know it."""
        manager = _manager()
        if manager is None or (
            message.target not in manager.targets
            if message.action == "open"
            else message.comm not in manager.comms
        ):
            if message.action != "close":
                self._emit(CommSent(message.comm, "close"))
            return
        metadata = dict(message.metadata)
        header = metadata.pop("jupyter", {})
        jupyter_message: dict[str, Any] = {
            "header": header,
            "parent_header": {},
            "metadata": metadata,
            "content": {"comm_id": message.comm, "target_name": message.target, "data": message.data},
            "buffers": [memoryview(buffer) for buffer in message.buffers],
            "msg_type": f"comm_{message.action}",
            "msg_id": header.get("msg_id", ""),
        }
        message_in_hand.set(jupyter_message)
        try:
            getattr(manager, f"comm_{message.action}")(None, None, jupyter_message)
        finally:
            if message.action == "close":
                # The other frontends have to be notified.
                self._emit(CommSent(message.comm, "close"))

    def _install(self, module: Any) -> None:
        emit, targets = self._emit, self._targets

        base: Any = module.base_comm.BaseComm

        class Comm(base):
            """A comm whose other ends are the frontends."""

            def __init__(self, *args: Any, **options: Any) -> None:
                execution = current_execution.get()
                self.context = copy_context()
                self._cell = "" if execution is None else execution.cell
                base.__init__(self, *args, **options)
                if not self.primary:
                    # A frontend opened it; the others have to be notified.
                    emit(CommSent(self.comm_id, "open", self._cell, self.target_name))

            def publish_msg(
                self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
            ) -> None:
                action: Any = msg_type.removeprefix("comm_")
                metadata = as_plain(metadata or {})
                answered = message_in_hand.get({}).get("msg_id")
                if answered:
                    metadata["cellwire"] = {"answers": answered}
                begin_new_item()
                emit(
                    CommSent(
                        self.comm_id,
                        action,
                        self._cell,
                        self.target_name if action == "open" else "",
                        as_plain(data or {}),
                        metadata,
                        [bytes(memoryview(buffer).cast("B")) for buffer in buffers or ()],
                    )
                )

        register = module.CommManager.register_target

        def register_target(self: Any, target_name: str, f: Any) -> None:
            targets[target_name] = copy_context()
            register(self, target_name, f)

        module.create_comm = Comm
        module.CommManager.register_target = register_target


def _manager() -> Any:
    """Return the manager of the open comms; None if `comm` was not imported."""
    module: Any = sys.modules.get("comm")
    return None if module is None else module.get_comm_manager()
