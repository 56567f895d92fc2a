"""Input requests of user code, on Jupyter's stdin channel.

A request goes to the client whose request executed the cell, if that client said that it can answer. To end
the input, a client sends the character of Ctrl-D.
"""

from ...protocol import events as e
from ...protocol.errors import RequestError
from .core import Core
from .publisher import Publisher
from .views import Views
from .wire import Message

_END = "\x04"


class InputRequests:
    """Input requests that clients have not answered."""

    def __init__(self, core: Core, publisher: Publisher, views: Views) -> None:
        self._core, self._publisher, self._views = core, publisher, views
        # The ids of requests, oldest first, each with that of the message that asks a client, and the client.
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
        content = {"prompt": event.prompt, "password": event.password}
        asked = self._publisher.request(view.identities, content, view.parent)
        self._open[event.id] = (asked, view.identities)

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
