"""Comms, which carry widgets: messages between objects of user code and their views in clients.

A client's message is passed on to the runner; of many, some wait until those before are handled. Until user
code has handled it the kernel is busy with that message, which keeps clients from sending more. What user
code sends because of it in the meantime is published under it: a page that has moved a slider takes no other
page's moves before it has seen its own come back. Anything else is published under the request that executed
the cell which opened the comm.
"""

from collections import deque
from functools import partial
from typing import Any, cast

from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from .connection_file import Channel
from .core import Core
from .publisher import Publisher
from .views import OWN, Views
from .wire import NO_PARENT, Message

#: How many messages the runner has at a time. Those beyond wait here, since the kernel refuses what more than
#: a few hundred requests would add, and no completion is to be refused for them.
_PASSED_ON = 64
#: Seconds after which what the kernel refused, as other frontends keep the runner busy, is passed on again.
_AGAIN = 0.1


class Comms:
    """The comms of one kernel, as its clients see them."""

    def __init__(self, core: Core, publisher: Publisher, views: Views) -> None:
        self._core, self._publisher, self._views = core, publisher, views
        # Comms that a client opened or is closing: clients do not expect a message about them.
        self._opened: set[str] = set()
        self._closing: set[str] = set()
        # Comms that a client opened and the kernel closed. A message that was under way is refused by a
        # second close, of which clients complain.
        self._closed: set[str] = set()
        # The messages that user code deals with, by id: their headers.
        self._in_hand: dict[str, bytes] = {}
        # How many messages the runner has, and those that it has not got yet.
        self._passed_on = 0
        self._waiting: deque[Message] = deque()

    def open(self, target: object) -> dict[str, dict[str, str]]:
        """Return the open comms by id, all or those of one target."""
        comms = self._core.notebook.comms
        return {comm.id: {"target_name": comm.target} for comm in comms if target in (None, comm.target)}

    def receive(self, channel: Channel, message: Message) -> bool:
        """Pass a message on to the runner; return whether it needs no more handling."""
        self._waiting.append(message)
        self._go_on()
        return False

    def _go_on(self) -> None:
        """Pass on messages that wait, as many as the runner may have."""
        while self._waiting and self._passed_on < _PASSED_ON:
            message = self._waiting.popleft()
            try:
                self._pass_on(message)
            except RequestError as error:
                if error.code == "busy":
                    self._waiting.appendleft(message)
                    if not self._passed_on:
                        self._core.later(_AGAIN, self._go_on)
                    return
                # There is no runner, and so no comm. The message may have only just come: first it is `busy`.
                self._core.later(0.0, partial(self._views.idle, message.header_bytes))

    def _pass_on(self, message: Message) -> None:
        """Raise RequestError if the runner cannot be asked."""
        content = message.content
        comm, action = str(content.get("comm_id", "")), message.type.removeprefix("comm_")
        data: Any = content.get("data")
        request = m.SendComm(
            "",
            comm,
            action,  # type: ignore[arg-type]
            str(content.get("target_name", "")),
            cast(dict[str, Any], data) if isinstance(data, dict) else {},
            # For code that asks which message it is handling.
            {**message.metadata, "jupyter": message.header},
            message.buffers,
        )
        state = next((other for other in self._core.notebook.comms if other.id == comm), None)
        opener = "" if state is None else state.cell
        id = str(message.header.get("msg_id", ""))

        def on_reply(reply: Any) -> None:
            self._passed_on -= 1
            self._in_hand.pop(id, None)
            self._views.come_home(opener, message)
            self._views.idle(message.header_bytes)
            if isinstance(reply, m.Error):
                self._drop()
            self._go_on()

        self._core.pass_on(request, on_reply)
        self._passed_on += 1
        self._in_hand[id] = message.header_bytes
        self._views.go_to(opener, message)
        if action == "open":
            self._opened.add(comm)
            self._closed.discard(comm)
        elif action == "close" and state is not None:
            self._closing.add(comm)

    def _drop(self) -> None:
        """Drop the messages that wait: the runner ended, and the comms with it."""
        while self._waiting:
            self._views.idle(self._waiting.popleft().header_bytes)

    def sent(self, event: e.CommSent) -> None:
        """Publish what user code sent through a comm."""
        if event.action == "open" and event.comm in self._opened:
            return
        if event.action == "close":
            if event.comm in self._closed:
                return
            if event.comm in self._opened:
                self._opened.remove(event.comm)
                self._closed.add(event.comm)
            if event.comm in self._closing:
                self._closing.remove(event.comm)
                return
        content: dict[str, Any] = {"comm_id": event.comm, "data": event.data}
        if event.action == "open":
            content |= {"target_name": event.target, "target_module": None}
        metadata = dict(event.metadata)
        own = metadata.pop(OWN, None)
        parent = (
            self._in_hand.get(cast(dict[str, Any], own).get("answers", "")) if isinstance(own, dict) else None
        )
        if parent is None:
            view = self._views.get(event.cell) or self._views.current
            parent = NO_PARENT if view is None else view.parent
        self._publisher.publish(f"comm_{event.action}", content, parent, metadata, event.buffers)

    def forget(self) -> None:
        """Forget all comms: the runner ended."""
        self._opened.clear()
        self._closing.clear()
        self._closed.clear()
        self._in_hand.clear()
