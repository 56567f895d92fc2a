"""Where each cell is drawn, and how the kernel's events are published for Jupyter.

A cell is drawn under the request that last executed it, whenever its output comes, also from a thread after
the reply, or when the cell runs again without a request. A cell that Jupyter did not execute is not drawn.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ...protocol import events as e
from ...protocol.mime_types import ERROR_MIME
from ...protocol.notebook import CellError, CellState, ConsoleChunk, Item
from . import errors
from .publisher import Publisher
from .wire import Message

#: The key in metadata that tells results from displays, and answers from other messages.
OWN = "cellwire"
#: Called with the number of an execution and the text of its result.
OnResult = Callable[[int, str], None]


class View:
    """Where and how one cell is drawn."""

    def __init__(self, message: Message, count: int, *, silent: bool, requested: bool = True) -> None:
        #: The header under which it is drawn now, and the header of its request.
        self.parent = self.home = message.header_bytes
        #: Messages of other pages that are being handled.
        self.guests: list[bytes] = []
        self.identities = message.identities
        self.session = message.session
        self.allow_stdin = bool(message.content.get("allow_stdin"))
        tags = message.metadata.get("tags")
        self.tags: list[str] = tags if isinstance(tags, list) else []
        self.count = count
        self.silent = silent
        #: Whether the request is in progress; its handling then publishes `busy` and `idle`.
        self.requested = requested
        #: Whether something was published since the outputs were cleared, or nothing needs to be.
        self.drawn = True
        #: The error of this run that was published.
        self.error: dict[str, Any] | None = None
        #: Text that is still in the cell although its items were cleared, and has not been drawn again.
        self.left: list[Any] = []


class Reduced(msgspec.Struct, frozen=True):
    """An event that removed something, and what is left of the cell after it: text and items in order.

    Jupyter can only remove everything, so the rest has to be published again. The rest is taken from the
    kernel's state when the event comes, since later events change that state.
    """

    event: e.OutputRemoved | e.OutputsCleared | e.ConsoleCleared
    left: list[Any]

    @property
    def cell(self) -> str:
        """The cell."""
        return self.event.cell


#: The events that become `Reduced`.
REDUCING = (e.OutputRemoved, e.OutputsCleared, e.ConsoleCleared)


class Views:
    """The cells that Jupyter draws."""

    def __init__(self, publisher: Publisher, on_result: OnResult) -> None:
        self._publisher = publisher
        self._on_result = on_result
        self._views: dict[str, View] = {}
        #: The view of the request in progress.
        self.current: View | None = None
        self._rules: dict[type, Callable[[View, Any], None]] = {
            e.CellStarted: self._cell_started,
            e.CellFinished: self._cell_finished,
            e.CellSkipped: self._cell_skipped,
            e.OutputAppended: self._output_appended,
            e.OutputReplaced: self._output_replaced,
            e.ConsoleWritten: self._console_written,
            Reduced: self._reduced,
        }

    def get(self, cell: str) -> View | None:
        """Return where a cell is drawn; None if it is not drawn."""
        return self._views.get(cell)

    def put(self, cell: str, view: View) -> None:
        """Draw a cell here from now on."""
        self._views[cell] = view

    def drop(self, cell: str) -> None:
        """Stop drawing a cell."""
        self._views.pop(cell, None)

    def go_to(self, cell: str, message: Message) -> None:
        """For now, draw a cell under `message`, if that comes from another page than the cell's request.

        A page that was loaded again does not know the request by which an earlier page executed the cell.
        """
        view = self._views.get(cell)
        if view is not None and view.session != message.session:
            view.guests.append(message.header_bytes)
            view.parent = message.header_bytes

    def come_home(self, cell: str, message: Message) -> None:
        """Draw the cell under its own request again, after `go_to`."""
        view = self._views.get(cell)
        if view is not None and message.header_bytes in view.guests:
            view.guests.remove(message.header_bytes)
            view.parent = view.guests[-1] if view.guests else view.home

    def number_of(self, cell: str) -> int | None:
        """Return the number that a cell has in its notebook; None if Jupyter did not execute it."""
        view = self._views.get(cell)
        return None if view is None else view.count

    def take(self, event: Any) -> None:
        """Publish what an event changes of a cell that is drawn."""
        kind = event.__class__
        rule = self._rules.get(kind)
        if rule is None:
            return
        view = self._views.get(event.cell)
        if view is not None:
            if view.left and not isinstance(event, Reduced):
                self._draw(view, event.cell, event.run, view.left)
                view.left = []
            rule(view, event)
        elif kind is e.ConsoleWritten and not event.cell and self.current is not None:
            # Text of no cell is shown only with some parent.
            self._publisher.write(event.stream, event.text, self.current.parent)

    def show_error(self, view: View, content: dict[str, Any]) -> None:
        """Publish an error of a cell."""
        names = ("ename", "evalue", "traceback")
        view.drawn, view.error = True, {name: content[name] for name in names}
        if content["ename"] == "UsageError":
            # The magic that was called says in one line what it wants.
            self._publisher.write("stderr", "\n".join(content["traceback"]) + "\n", view.parent)
        else:
            self._publisher.publish("error", view.error, view.parent)

    def redraw(self, cell: CellState, view: View) -> None:
        """Clear a cell, and publish again what it shows."""
        left = list(cell.in_order())
        self._publisher.publish("clear_output", {"wait": bool(left)}, view.parent)
        self._draw(view, cell.id, cell.run, left)

    def idle(self, parent: bytes) -> None:
        """Publish `idle` for a finished request, and `busy` again if another one is in progress."""
        self._publisher.status("idle", parent)
        if self.current is not None and self.current.parent != parent:
            # Clients show the last state that was published.
            self._publisher.status("busy", self.current.parent)

    # A run of a cell

    def _cell_started(self, view: View, event: Any) -> None:
        view.error = None
        if not view.requested:
            self._publisher.status("busy", view.parent)
            self._publisher.publish("clear_output", {"wait": True}, view.parent)
            view.drawn = False

    def _cell_finished(self, view: View, event: e.CellFinished) -> None:
        if event.error is not None and view.error is None:
            # The runner died and could not show the error.
            self.show_error(view, self._described(event.error))
        if not view.requested:
            if not view.drawn:
                self._publisher.publish("clear_output", {"wait": False}, view.parent)
                view.drawn = True
            self.idle(view.parent)

    def _cell_skipped(self, view: View, event: e.CellSkipped) -> None:
        self._cell_started(view, event)
        self._cell_finished(view, e.CellFinished(event.cell, event.run, event.status, 0.0, event.error))

    # Its outputs

    def _output_appended(self, view: View, event: e.OutputAppended[Any]) -> None:
        self._show(view, event.cell, event.run, event.item)

    def _show(self, view: View, cell: str, run: int, item: Any) -> None:
        data, metadata, own = bundle(item)
        view.drawn = True
        if ERROR_MIME in data:
            self.show_error(view, errors.of_item(data[ERROR_MIME], self.number_of))
        elif own.get("result"):
            if not view.silent:
                self._on_result(view.count, str(data.get("text/plain", "")))
                content = {"execution_count": view.count, "data": data, "metadata": metadata}
                self._publisher.publish("execute_result", content, view.parent)
        else:
            self._publisher.publish("display_data", _display(cell, run, item), view.parent)

    def _output_replaced(self, view: View, event: e.OutputReplaced[Any]) -> None:
        # Clients that execute one request at a time ignore messages that do not belong to it.
        parent = self.current.parent if self.current is not None else view.parent
        self._publisher.publish("update_display_data", _display(event.cell, event.run, event.item), parent)

    def _reduced(self, view: View, reduced: Reduced) -> None:
        event, left = reduced.event, reduced.left
        if isinstance(event, e.OutputsCleared):
            self._publisher.publish("clear_output", {"wait": event.wait}, view.parent)
            view.drawn = not event.wait
            # Usually the text is cleared next.
            view.left = left
        elif isinstance(event, e.ConsoleCleared) and view.left:
            view.left = left
        elif view.drawn:
            self._publisher.publish("clear_output", {"wait": bool(left)}, view.parent)
            self._draw(view, event.cell, event.run, left)

    def _draw(self, view: View, cell: str, run: int, parts: list[Any]) -> None:
        for part in parts:
            if isinstance(part, ConsoleChunk):
                self._publisher.write(part.stream, part.text, view.parent)
            else:
                self._show(view, cell, run, part)

    def _console_written(self, view: View, event: e.ConsoleWritten) -> None:
        view.drawn = True
        self._publisher.write(event.stream, event.text, view.parent)

    def _described(self, error: CellError) -> dict[str, Any]:
        return errors.of_cell(error, self.number_of)


def bundle(item: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the data of an item, the metadata for Jupyter, and the metadata for the binding."""
    data, metadata = item.data, item.metadata
    if isinstance(data, msgspec.Raw):
        data = msgspec.msgpack.decode(data)
    if isinstance(metadata, msgspec.Raw):
        metadata = msgspec.msgpack.decode(metadata)
    own = metadata.get(OWN)
    if own is None:
        return data, metadata, {}
    return data, {key: value for key, value in metadata.items() if key != OWN}, own


def _display(cell: str, run: int, item: Item) -> dict[str, Any]:
    data, metadata, own = bundle(item)
    name = own.get("display_id") or f"{cell}-{run}-{item.id}"
    return {"data": data, "metadata": metadata, "transient": {"display_id": name}}
