"""Execute requests: a queue, of which one after the other is begun, and the replies.

The next request is begun when the one before is answered, or once its cell is on its way to where it runs,
such as a cluster. The kernel then runs both if neither needs the other.

A request with a `cellId` runs that cell of the notebook. Any other request runs a loose cell, which uses the
namespace but is not part of the graph. It is deleted some requests later.
Once the run has finished, one more run of loose cells evaluates the request's expressions, and then the
request is answered. An error aborts the requests that wait behind it.
"""

import ast
import time
import traceback
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, cast

from ...kernel.diagnostics import report
from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from ...protocol.mime_types import PAYLOAD_MIME
from ...protocol.notebook import CellError
from . import errors
from .connection_file import Channel
from .core import Core
from .execute_request import ExecuteRequest
from .history import History
from .loose_cells import LooseCells
from .publisher import Publisher
from .reactivity import Reactivity
from .views import View, Views, bundle
from .wire import Message, now

#: How long the reply to an error waits for requests that follow at once, and how long after it requests may
#: arrive that were sent before, in seconds. Clients send all cells of a notebook at once.
_FOLLOWING = 0.01
_UNDERWAY = 0.1


class Executions:
    """Executes one request after the other."""

    def __init__(
        self,
        core: Core,
        publisher: Publisher,
        views: Views,
        history: History,
        reactivity: Reactivity,
        on_idle: Callable[[], None],
        before_cell: Callable[[str, str, Callable[[], None]], None],
    ) -> None:
        self._core, self._publisher, self._views, self._history = core, publisher, views, history
        self._reactivity = reactivity
        self._on_idle = on_idle
        self._before_cell = before_cell
        #: The last message on the control channel, for code that asks for it.
        self.control_header: dict[str, Any] = {}
        self._queue: deque[ExecuteRequest] = deque()
        # The requests in progress, and the one among them that the next has to wait for.
        self._begun: list[ExecuteRequest] = []
        self._current: ExecuteRequest | None = None
        self._going_on = False
        self._count = 0
        self._loose = LooseCells()
        # When an error aborted the queue: by the monotonic clock, and by the clock of message headers.
        self._aborted = (0.0, 0.0)

    @property
    def busy(self) -> bool:
        """Whether a request is in progress or waits."""
        return bool(self._begun or self._queue)

    def receive(self, channel: Channel, message: Message) -> None:
        """Accept a request."""
        request = ExecuteRequest(channel, message)
        if self._was_sent_before_error(message):
            self._abort(request)
            return
        self._queue.append(request)
        self.go_on()

    def take(self, event: Any) -> bool:
        """Handle an event; return whether it concerns only a request, and nothing is drawn for it."""
        run: int = getattr(event, "run", 0)
        request = next((each for each in self._begun if run and each.run == run), None)
        if isinstance(event, e.RunFinished):
            if request is not None:
                self._run_finished(request, event)
            return request is not None
        cell: str = getattr(event, "cell", "")
        if request is None or not cell:
            return False
        if cell in request.asked:
            return self._take_result(request, event)
        if cell == request.cell:
            if isinstance(event, e.CellFinished | e.CellSkipped):
                request.error = event.error
            elif isinstance(event, e.OutputAppended):
                return self._take_payload(request, cast(Any, event).item)
        return False

    # A request, step by step

    def go_on(self) -> None:
        """Begin the next request, unless a cell runs by itself, drawn under the request it last had."""
        if self._going_on:
            return
        self._going_on = True
        try:
            while self._may_begin():
                request = self._queue.popleft()
                try:
                    self._begin(request)
                except Exception as error:
                    # Those that wait are not to wait for ever.
                    report(traceback.format_exc())
                    self._finish(request, _failure(type(error).__name__, str(error)))
        finally:
            self._going_on = False

    def _may_begin(self) -> bool:
        if self._current is not None or not self._queue or self._reactivity.running:
            return False
        cell = self._queue[0].cell_id
        return not cell or all(each.cell_id != cell for each in self._begun)

    def _begin(self, request: ExecuteRequest) -> None:
        message = request.message
        blank = not request.code.strip()
        self._begun.append(request)
        self._current = request
        self._publisher.status("busy", message.header_bytes)
        if request.stored and not blank:
            self._count += 1
            # A client that answers no questions has nobody who would look at history.
            kept = bool(message.content.get("allow_stdin"))
            self._history.add(self._count, request.code, kept=kept)
        request.count = self._count
        request.started = now()
        if not request.silent:
            content = {"code": request.code, "execution_count": request.count}
            self._publisher.publish("execute_input", content, message.header_bytes)
        self._forget_deleted(request)
        request.cell = request.cell_id or self._loose.new()
        view = View(message, request.count, silent=request.silent)
        request.view = self._views.current = view
        if not request.readable:
            self._finish(request, _failure("RequestError", "the code of an execute_request is a text"))
            return
        if blank:
            self._evaluate(request)
            return
        self._views.put(request.cell, view)
        if request.cell_id:
            self._reactivity.executed(request.cell_id, view)
        about = {
            "jupyter": {
                "header": message.header,
                "metadata": message.metadata,
                "session": message.session,
                "count": request.count,
                "silent": request.silent,
                "store": request.stored,
                "control": self.control_header,
            }
        }
        cells = [m.Cell(request.cell, request.code, about, loose=not request.cell_id, on=request.on)]
        self._before_cell(request.cell, request.code, lambda: self._run(request, cells))

    def _run(self, request: ExecuteRequest, cells: list[m.Cell]) -> None:
        run = m.RunCells("", cells)
        try:
            try:
                request.run = self._core.submit(run)
            except RequestError as error:
                if error.code != "runner_unavailable":
                    raise
                self._core.revive()
                request.run = self._core.submit(run)
        except RequestError as error:
            self._finish(request, errors.of_request(error))
        else:
            if request.on and self._current is request:
                self._current = self._views.current = None
                self.go_on()

    def _run_finished(self, request: ExecuteRequest, event: e.RunFinished) -> None:
        if request.asked:
            self._delete(list(request.asked))
            for name in request.asked.values():
                # The value None shows nothing.
                request.results.setdefault(name, _value({"text/plain": "None"}, {}))
            self._finish(request)
            return
        if request.error is None and event.status in ("interrupted", "dropped"):
            request.error = CellError("Interrupted", event.reason)
        if request.error is None and event.reason:
            request.error = CellError("RunnerDied", event.reason)
        if request.error is not None:
            self._finish(request, {"status": "error", **self._described(request.error)})
        else:
            self._evaluate(request)

    def _evaluate(self, request: ExecuteRequest) -> None:
        """Evaluate the expressions of a request, and then finish it."""
        cells: list[m.Cell] = []
        for name, source in request.expressions.items():
            try:
                ast.parse(str(source).strip(), mode="eval")
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                content = errors.named(type(error).__name__, str(error))
                request.results[name] = {"status": "error", **content}
                continue
            cell = self._loose.new()
            request.asked[cell] = name
            cells.append(m.Cell(cell, str(source).strip(), loose=True))
        if cells:
            self._run(request, cells)
        else:
            self._finish(request)

    def _finish(self, request: ExecuteRequest, error: dict[str, Any] | None = None) -> None:
        """Answer a request, and begin the next one."""
        view = request.view
        if error is not None and view is not None:
            if view.error is None:
                # The cell itself could not show it.
                self._views.show_error(view, error)
            error = {**error, **(view.error or {})}
        request.outcome = error or {"status": "ok"}
        if error is not None and request.stop_on_error:
            self._core.later(_FOLLOWING, partial(self._conclude, request))
        else:
            self._conclude(request)

    def close(self) -> None:
        """Send the replies that are held back."""
        for request in [*self._begun]:
            self._conclude(request)

    def _conclude(self, request: ExecuteRequest) -> None:
        """Send the reply to a finished request, unless that is done."""
        if request.outcome is None or request not in self._begun:
            return
        content = {
            **request.outcome,
            "execution_count": request.count,
            "user_expressions": request.results,
            "payload": request.payload,
        }
        before_reply = time.time()
        self._publisher.reply(request.channel, request.message, "execute_reply", content, request.started)
        self._begun.remove(request)
        if self._current is request:
            self._current = self._views.current = None
        self._views.idle(request.message.header_bytes)
        if self._begun and self._current is None:
            # Clients show the last state that was published.
            self._publisher.status("busy", self._begun[-1].message.header_bytes)
        if request.view is not None:
            request.view.requested = False
        self._reactivity.replied()
        if request.cell and not request.cell_id:
            self._keep_loose_cell(request)
        if request.stop_on_error and content["status"] == "error":
            self._aborted = (time.monotonic(), before_reply)
            waiting, self._queue = self._queue, deque()
            for other in waiting:
                self._abort(other)
        self.go_on()
        if not self.busy:
            self._on_idle()

    # Events of a request that draw nothing

    def _take_result(self, request: ExecuteRequest, event: Any) -> bool:
        name = request.asked[event.cell]
        kind = event.__class__
        if kind is e.OutputAppended:
            data, metadata, own = bundle(event.item)
            if own.get("result"):
                request.results[name] = _value(data, metadata)
        elif kind in (e.CellFinished, e.CellSkipped) and event.error is not None:
            request.results[name] = {"status": "error", **self._described(event.error)}
        elif kind is e.ConsoleWritten:
            self._publisher.write(event.stream, event.text, request.message.header_bytes)
        return True

    def _take_payload(self, request: ExecuteRequest, item: Any) -> bool:
        data, _, own = bundle(item)
        request.displays = request.displays or "display_id" in own
        if PAYLOAD_MIME not in data:
            return False
        payload: dict[str, Any] = data[PAYLOAD_MIME]
        if payload.get("source") == "set_next_input":
            request.payload = [other for other in request.payload if other.get("source") != "set_next_input"]
        request.payload.append(payload)
        return True

    # An error aborts waiting requests

    def _was_sent_before_error(self, message: Message) -> bool:
        """Whether the client sent this request, which came after an error, before it knew of the error."""
        at, by_clock = self._aborted
        if time.monotonic() - at > _UNDERWAY:
            return False
        try:
            return datetime.fromisoformat(str(message.header.get("date"))).timestamp() < by_clock
        except (ValueError, OverflowError):
            return False

    def _abort(self, request: ExecuteRequest) -> None:
        message = request.message
        self._publisher.status("busy", message.header_bytes)
        # Clients show the count, and an aborted request has none.
        content = {"status": "aborted", "execution_count": None}
        self._publisher.reply(request.channel, message, "execute_reply", content)
        self._views.idle(message.header_bytes)
        view = self._views.get(request.cell_id)
        if view is not None:
            # What its cell shows from here on is drawn under this request.
            self._views.put(request.cell_id, View(message, view.count, silent=False, requested=False))

    # Cells

    def _keep_loose_cell(self, request: ExecuteRequest) -> None:
        if request.silent:
            self._delete([request.cell])
        else:
            self._delete(self._loose.keep(request.cell, displays=request.displays))

    def _forget_deleted(self, request: ExecuteRequest) -> None:
        """Forget cells that a client calls deleted.

        It also does so for cells that were cut and pasted, or whose deletion was undone. So their names stay.
        """
        deleted: Any = request.message.metadata.get("deletedCells")
        if isinstance(deleted, list):
            cells = [
                cell for cell in cast(list[Any], deleted) if isinstance(cell, str) and cell != request.cell_id
            ]
            self._reactivity.delete(cells)
            self._delete(cells, keep=True)

    def _delete(self, cells: list[str], *, keep: bool = False) -> None:
        known = [cell for cell in cells if cell in self._core.notebook.cells]
        for cell in known:
            self._views.drop(cell)
        if known:
            try:
                self._core.submit(m.DeleteCells("", known, keep))
            except RequestError:
                # The kernel is closing, or its runner is gone and these cells' values with it.
                pass

    def _described(self, error: CellError) -> dict[str, Any]:
        return errors.of_cell(error, self._views.number_of)


def _value(data: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "data": data, "metadata": metadata}


def _failure(kind: str, message: str) -> dict[str, Any]:
    return {"status": "error", **errors.named(kind, message)}
