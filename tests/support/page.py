"""A notebook's page, as JupyterLab keeps it: a cell shows what the messages about its last request say."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cellwire.frontends.jupyter.reactivity import FOLLOWING
from cellwire.protocol.blocking import KernelClient, connect
from cellwire.protocol.events import CellStarted

from .jupyter import Jupyter, idle
from .waiting import wait_until


class Page:
    """The cells of one page. It shows outputs as JupyterLab does, a `clear_output(wait=True)` included."""

    def __init__(self, jupyter: Jupyter, native: KernelClient) -> None:
        self.jupyter, self.native = jupyter, native
        self.sources: dict[str, str] = {}
        self.outputs: dict[str, list[Any]] = {}
        self.deleted: list[str] = []
        self._cells: dict[str, str] = {}
        self._clearing: set[str] = set()
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._started = native.events(buffer=1_000_000)

    # Gestures

    def send(self, cell: str, source: str | None = None, **metadata: Any) -> str:
        """Execute a cell, edited if `source` is given; return the id of the request."""
        if source is not None:
            self.sources[cell] = source
        self.outputs[cell] = []
        self._clearing.discard(cell)
        content = {"code": self.sources[cell], "silent": False, "store_history": True, "allow_stdin": True}
        content |= {"user_expressions": {}, "stop_on_error": metadata.pop("stop_on_error", True)}
        metadata = {"cellId": cell, "deletedCells": self.deleted, **metadata}
        self.deleted = []
        id = self.jupyter.send("shell", "execute_request", content, **metadata)
        self._cells = {parent: other for parent, other in self._cells.items() if other != cell} | {id: cell}
        return id

    def run(self, cell: str, source: str | None = None, **metadata: Any) -> list[str]:
        """Execute a cell, wait until everything is at rest, and return the cells that have run."""
        id = self.send(cell, source, **metadata)
        self.jupyter.reply(id)
        return self.rest()

    def run_all(self, **sources: str) -> list[str]:
        """Execute cells as `Run All` does, and return the cells that have run."""
        requests = [self.send(cell, source) for cell, source in (sources or dict(self.sources)).items()]
        for id in requests:
            self.jupyter.reply(id)
        return self.rest()

    def delete(self, cell: str) -> None:
        """Delete a cell; the kernel hears of it with the next request."""
        self.deleted.append(cell)

    def send_move(self, model: str, **state: Any) -> str:
        """Set traits of a widget, as its view does, and return the id of the message."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.jupyter.send("shell", "comm_msg", {"comm_id": model, "data": data})

    def move(self, model: str, **state: Any) -> None:
        """Set traits of a widget, and wait until user code has dealt with it."""
        self.jupyter.until(self.send_move(model, **state), idle)

    # What there is to see

    def rest(self) -> list[str]:
        """Return, once nothing runs or is about to, the cells that have run since the last time."""
        ran: list[str] = []
        before = -1

        def at_rest() -> bool:
            nonlocal before
            # After a reply the kernel waits for another request; then it looks for what to run next before it
            # takes one.
            time.sleep(2 * FOLLOWING)
            self.jupyter.ask("kernel_info_request")
            self.native.ping()
            last, before = before, self.native.seq
            return last == before and self.native.notebook.idle

        wait_until(at_rest)
        # Other pages have marks of their own.
        mark = f"~mark {id(self)}"
        self.native.run({mark: ""})
        for event in self._started:
            if isinstance(event, CellStarted):
                if event.cell == mark:
                    break
                ran.append(event.cell)
        self.native.delete([mark])
        self._draw()
        return [cell for cell in ran if not cell.startswith("~")]

    def shows(self, cell: str) -> list[str]:
        """Return what a cell shows, as text."""
        self._draw()
        return [self._text(output) for output in self.outputs[cell]]

    def _text(self, output: dict[str, Any]) -> str:
        return output.get("text") or output.get("ename") or output.get("data", {}).get("text/plain", "")

    def _draw(self) -> None:
        waiting, self.jupyter.published = self.jupyter.news(), []
        for message in waiting:
            cell = self._cells.get(message["parent_header"].get("msg_id", ""))
            content, kind = message["content"], message["msg_type"]
            if kind == "update_display_data":
                for display in self._displays.get(content["transient"]["display_id"], ()):
                    display["data"] = content["data"]
            elif cell is None:
                continue
            elif kind == "clear_output":
                if content["wait"]:
                    self._clearing.add(cell)
                else:
                    self._clear(cell)
            elif kind in ("stream", "error", "display_data", "execute_result"):
                if cell in self._clearing:
                    self._clear(cell)
                output = dict(content)
                self.outputs[cell].append(output)
                name = content.get("transient", {}).get("display_id")
                if name:
                    self._displays.setdefault(name, []).append(output)

    def _clear(self, cell: str) -> None:
        self.outputs[cell] = []
        self._clearing.discard(cell)


@contextmanager
def opened(jupyter: Jupyter) -> Iterator[Page]:
    """Open a page on a kernel, beside which a native frontend watches."""
    file = jupyter.ask("kernel_info_request")["banner"].rpartition(" ")[2]
    with connect(file) as native:
        yield Page(jupyter, native)
