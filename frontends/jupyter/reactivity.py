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
        # The page that sent the last message.
        self._heard = ""
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
        # The cells of pages that are gone of which notes have spoken.
        self._noted: set[str] = set()

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

    def heard(self, session: str) -> None:
        """Note that the page with this session is there: it has sent a message."""
        self._heard = session

    def interrupt(self) -> None:
        """Run nothing of what waits."""
        self._due = True
        self._following.interrupt()

    def executed(self, cell: str, view: View) -> None:
        """Note that a client has executed `cell` of its notebook."""
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
        ours, unseen = self._stale_cells()
        frozen = {id for id in ours if (view := self._views.get(id)) is not None and _FROZEN in view.tags}
        ready, reasons = self._following.waiting(notebook, ours, frozen, self._call)
        if self._lazy:
            reasons = dict.fromkeys(ready, "run it to bring it up to date") | reasons
        elif ready:
            try:
                self._run = self._core.submit(
                    m.RunCells("", [m.Cell(ready[0], notebook.cells[ready[0]].source)])
                )
            except RequestError:
                # The kernel is closing, or there is no runner: a request will start one.
                pass
            return
        self._show(reasons, unseen)
        self._note_unseen(unseen.intersection(self._following.candidates))

    def _stale_cells(self) -> tuple[set[str], set[str]]:
        """Return the stale cells that a page draws which is there, and those of which it is gone.

        A page that was loaded again is another one, to Jupyter too.
        """
        there = {self._heard: True}
        ours: set[str] = set()
        unseen: set[str] = set()
        for id, cell in self._core.notebook.cells.items():
            view = self._views.get(id)
            if view is None or not cell.stale:
                continue
            if view.session not in there:
                there[view.session] = self._core.reaches(view.identities)
            (ours if there[view.session] else unseen).add(id)
        return ours, unseen

    def _call(self, cell: str) -> str:
        number = self._views.number_of(cell)
        return f"cell {cell!r}" if number is None else f"cell [{number}]"

    # Badges

    def _show(self, reasons: dict[str, str], unseen: set[str]) -> None:
        for id in [id for id in self._badges if id not in reasons]:
            del self._badges[id]
            cell, view = self._core.notebook.cells.get(id), self._views.get(id)
            if cell is not None and view is not None and id not in unseen:
                self._views.redraw(cell, view)
        for id, reason in reasons.items():
            cell, view = self._core.notebook.cells[id], self._views.get(id)
            # The badge would be all that the saved cell shows.
            if view is None or self._badges.get(id) == reason or not (cell.outputs or cell.console.chunks):
                continue
            kind = "update_display_data" if id in self._badges else "display_data"
            self._badges[id] = reason
            self._publisher.publish(kind, _note(f"stale: {reason}", f"cellwire-stale-{id}"), view.parent)

    def _note_unseen(self, unseen: set[str]) -> None:
        """Say under the cells that were executed what would follow, if the page that draws it were there."""
        executed, self._executed = self._executed, {}
        for id, view in executed.items():
            below = unseen.intersection(descendants(self._core.notebook, id)) if unseen else unseen
            if below:
                self._note_under(view, below, "this")
        if executed and (others := unseen - self._noted):
            # A widget or a state has changed.
            self._note_under(list(executed.values())[-1], others, "what has changed")
        self._noted &= unseen

    def _note_under(self, view: View, cells: set[str], on: str) -> None:
        self._noted |= cells
        depend = "1 cell that depends" if len(cells) == 1 else f"{len(cells)} cells that depend"
        text = f"{depend} on {on} ran before this page was loaded: run what is to follow once again"
        self._publisher.publish("display_data", _note(text, ""), view.parent)


def _note(text: str, display_id: str) -> dict[str, Any]:
    text = f"↻ {text}"
    html = text.replace("&", "&amp;").replace("<", "&lt;")
    return {
        "data": {"text/plain": text, "text/html": f'<small style="opacity: 0.7">{html}</small>'},
        "metadata": {},
        "transient": {"display_id": display_id} if display_id else {},
    }
