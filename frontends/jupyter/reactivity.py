"""What runs by itself, and what cells say that wait: after each request, while no client asks for anything.

One cell at a time, so that a request waits for one cell at most. A stale cell that does not run shows a badge
below its outputs, but only once nothing else runs: until then it may still get its turn.
"""

from typing import Any

from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from .core import Core
from .policy import Following, descendants
from .publisher import Publisher
from .views import Reduced, View, Views

#: Seconds after a reply in which another request is waited for.
FOLLOWING = 0.04
#: The tag of a cell that never runs by itself.
_FROZEN = "cellwire-frozen"


class Reactivity:
    """Runs the cells that follow a change; with `lazy` says only that they are stale."""

    def __init__(self, core: Core, publisher: Publisher, views: Views, *, lazy: bool) -> None:
        self._core, self._publisher, self._views = core, publisher, views
        self._lazy = lazy
        self._following = Following()
        # The page that asked last.
        self._session = ""
        # Replies after which the next request of *Run All* may be on its way.
        self._awaited = 0
        # Whether something has happened since `go_on` looked.
        self._due = False
        # The number of the run that goes on by itself; 0 if none does.
        self._run = 0
        # What the badge of a cell says, where one is shown.
        self._badges: dict[str, str] = {}
        # The cells that were executed since notes were shown, and where they are drawn.
        self._executed: dict[str, View] = {}

    @property
    def running(self) -> bool:
        """Whether a cell runs by itself."""
        return self._run != 0

    def take(self, event: Any) -> None:
        """Take an event of the kernel, before it is drawn."""
        if isinstance(event, Reduced):
            self._badges.pop(event.cell, None)
            return
        self._due = True
        self._following.take(event, self._core.notebook)
        if isinstance(event, e.CellStarted | e.CellSkipped):
            # What the cell shows is cleared.
            self._badges.pop(event.cell, None)
        elif isinstance(event, e.RunFinished) and event.run == self._run:
            self._run = 0

    def interrupt(self) -> None:
        """Run nothing of what waits."""
        self._due = True
        self._following.interrupt()

    def executed(self, cell: str, view: View) -> None:
        """Note that a client has executed `cell` of its notebook."""
        self._session = view.session
        self._executed[cell] = view
        self._following.execute(cell, self._core.notebook)

    def delete(self, cells: list[str]) -> None:
        """Note that cells are deleted next."""
        self._following.delete(cells, self._core.notebook, self._call)

    def replied(self) -> None:
        """Wait a moment for another request: one was answered."""
        self._awaited += 1
        self._core.later(FOLLOWING, self._waited)

    def _waited(self) -> None:
        self._awaited -= 1

    def go_on(self) -> None:
        """Run the next cell, or show why the others wait; called when no client waits for anything."""
        if self._run or self._awaited or not self._due:
            return
        self._due = False
        notebook = self._core.notebook
        ours = {
            id
            for id in notebook.order
            if (view := self._views.get(id)) is not None and view.session == self._session
        }
        frozen = {id for id in ours if (view := self._views.get(id)) is not None and _FROZEN in view.tags}
        ready, reasons = self._following.waiting(notebook, ours, frozen, self._call)
        if self._lazy:
            reasons = dict.fromkeys(ready, "run it to bring it up to date") | reasons
        elif ready:
            cell = notebook.cells[ready[0]]
            try:
                self._run = self._core.submit(m.RunCells("", [m.Cell(cell.id, cell.source, on=cell.on)]))
            except RequestError:
                # The kernel is closing, or there is no runner: a request will start one.
                pass
            return
        self._show(reasons)

    def _call(self, cell: str) -> str:
        number = self._views.number_of(cell)
        return f"cell {cell!r}" if number is None else f"cell [{number}]"

    # Badges

    def _show(self, reasons: dict[str, str]) -> None:
        for id in [id for id in self._badges if id not in reasons]:
            del self._badges[id]
            cell, view = self._core.notebook.cells.get(id), self._views.get(id)
            if cell is not None and view is not None:
                self._views.redraw(cell, view)
        for id, reason in reasons.items():
            cell, view = self._core.notebook.cells[id], self._views.get(id)
            # The badge would be all that the saved cell shows.
            if view is None or self._badges.get(id) == reason or not (cell.outputs or cell.console.chunks):
                continue
            kind = "update_display_data" if id in self._badges else "display_data"
            self._badges[id] = reason
            self._publisher.publish(kind, _note(f"stale: {reason}", f"cellwire-stale-{id}"), view.parent)
        executed, self._executed = self._executed, {}
        for id, view in executed.items():
            if number := self._unseen(id, view.session):
                cells = "1 cell that depends" if number == 1 else f"{number} cells that depend"
                text = f"{cells} on this ran before this page was loaded: run what is to follow once again"
                self._publisher.publish("display_data", _note(text, ""), view.parent)

    def _unseen(self, cell: str, session: str) -> int:
        """Return how many stale cells depend on `cell` and were executed by another page than this."""
        notebook = self._core.notebook
        if all(view is None or view.session == session for view in map(self._views.get, notebook.order)):
            return 0
        below = (self._views.get(id) for id in descendants(notebook, cell) if notebook.cells[id].stale)
        return sum(view is not None and view.session != session for view in below)


def _note(text: str, display_id: str) -> dict[str, Any]:
    text = f"↻ {text}"
    html = text.replace("&", "&amp;").replace("<", "&lt;")
    return {
        "data": {"text/plain": text, "text/html": f'<small style="opacity: 0.7">{html}</small>'},
        "metadata": {},
        "transient": {"display_id": display_id} if display_id else {},
    }
