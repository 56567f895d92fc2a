"""Input requests of user code, on Jupyter's stdin channel.

A request goes to the client whose request executed the cell, if that client said that it can answer. To end
the input, a client sends the character of Ctrl-D.

A client connects to each channel separately, and its request to execute may come before it can receive on
this one. So a request that cannot be delivered is sent again.
"""

from functools import partial

from ...protocol import events as e
from ...protocol.errors import RequestError
from .core import Core
from .publisher import Publisher
from .views import View, Views
from .wire import Message

_END = "\x04"
#: Seconds until a request is sent again at first, and at most.
_SOON, _LATER = 0.01, 1.0


class InputRequests:
    """Input requests that clients have not answered."""

    def __init__(self, core: Core, publisher: Publisher, views: Views) -> None:
        self._core, self._publisher, self._views = core, publisher, views
        # The ids of requests, oldest first, each with the client and with the id of the message that asks it,
        # which is empty until that is sent.
        self._open: dict[str, tuple[str, list[bytes]]] = {}

    def requested(self, event: e.InputRequested) -> None:
        """Ask the client that executed the cell, or refuse."""
        view = self._views.get(event.cell)
        if view is None and not event.cell:
            view = self._views.current
        if view is None or not view.allow_stdin:
            try:
                self._core.refuse_input(event.id)
            except RequestError:
                # User code has stopped waiting.
                pass
            return
        self._open[event.id] = ("", view.identities)
        self._ask(event, view, _SOON)

    def _ask(self, event: e.InputRequested, view: View, wait: float) -> None:
        """Ask a client, now or once it is connected; `wait` seconds pass before it is tried again."""
        if event.id not in self._open:
            return
        content = {"prompt": event.prompt, "password": event.password}
        asked = self._publisher.request(view.identities, content, view.parent)
        self._open[event.id] = (asked, view.identities)
        if not asked:
            self._core.later(wait, partial(self._ask, event, view, min(2 * wait, _LATER)))

    def closed(self, event: e.InputClosed) -> None:
        """Forget a request that was answered or withdrawn."""
        self._open.pop(event.id, None)

    def forget(self) -> None:
        """Forget all requests: the runner ended."""
        self._open.clear()

    def receive(self, message: Message) -> None:
        """Pass on an answer: to the request that it names, or to the client's oldest one if it names none."""
        named = message.parent.get("msg_id")
        ids = [
            id
            for id, (asked, identities) in self._open.items()
            if (asked == named if named else identities == message.identities)
        ]
        if not ids:
            return
        value = str(message.content.get("value", ""))
        try:
            self._core.provide_input(ids[0], None if value == _END else value)
        except RequestError:
            # Another frontend has answered already.
            pass
