"""Runs cells that follow a change, and shows why others wait; only while no request is in progress.

It runs one cell at a time, so that a request waits for at most one cell. A stale cell that does not run shows
a badge below its outputs, but only once nothing else runs: until then its turn may still come.
"""

from typing import Any

from ...protocol import events as e
from ...protocol import messages as m
from ...protocol.errors import RequestError
from .core import Core
from .policy import Following, descendants
from .publisher import Publisher
from .views import Reduced, View, Views

#: For how many seconds after a reply no cell is started, in case another request comes.
FOLLOWING = 0.04
#: For how many seconds after the first message of a page other pages count as neither connected nor gone. The
#: connection of a page that is loaded again may end only after the first message of the new one.
IN_DOUBT = 1.0
#: The tag of a cell that never runs by itself.
_FROZEN = "cellwire-frozen"


class Reactivity:
    """Runs the cells that follow a change; with `lazy` it only shows that they are stale."""

    def __init__(self, core: Core, publisher: Publisher, views: Views, *, lazy: bool) -> None:
        self._core, self._publisher, self._views = core, publisher, views
        self._lazy = lazy
        self._following = Following()
        # The session of the page that sent the last message.
        self._heard = ""
        # All sessions that were heard, and how many of them were first heard just now.
        self._known: set[str] = set()
        self._new = 0
        # The session that each connection belongs to. A server may give all its pages the same identity, and
        # what is sent there reaches the one that connected last.
        self._session_of: dict[bytes, str] = {}
        # How many replies were just sent, after which the next request of *Run All* may be on its way.
        self._awaited = 0
        # Whether something has happened since the last `go_on`.
        self._due = False
        # The number of the run that was started here; 0 if none is in progress.
        self._run = 0
        # The text of the badge that each cell shows.
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
        """Handle an event of the kernel, before it is drawn."""
        if isinstance(event, Reduced):
            self._badges.pop(event.cell, None)
            return
        self._due = True
        self._following.take(event, self._core.notebook)
        if isinstance(event, e.CellStarted | e.CellSkipped):
            # The outputs of the cell are cleared.
            self._badges.pop(event.cell, None)
        elif isinstance(event, e.RunFinished) and event.run == self._run:
            self._run = 0

    def heard(self, session: str, identities: list[bytes]) -> None:
        """Note that the page with this session is connected: it has sent a message."""
        self._heard = self._session_of[b"".join(identities)] = session
        if session in self._known:
            return
        if self._known:
            self._new += 1
            self._core.later(IN_DOUBT, self._settled)
        self._known.add(session)

    def _settled(self) -> None:
        self._new -= 1
        self._due = True

    def interrupt(self) -> None:
        """Do not run the waiting cells."""
        self._due = True
        self._following.interrupt()

    def executed(self, cell: str, view: View) -> None:
        """Note that a client has executed `cell` of its notebook."""
        self._executed[cell] = view
        self._following.execute(cell, self._core.notebook)

    def delete(self, cells: list[str]) -> None:
        """Note that cells are about to be deleted."""
        self._following.delete(cells, self._core.notebook, self._call)

    def replied(self) -> None:
        """Wait a moment for another request, since one was answered."""
        self._awaited += 1
        self._core.later(FOLLOWING, self._waited)

    def _waited(self) -> None:
        self._awaited -= 1

    def go_on(self) -> None:
        """Run the next cell, or show why the others wait; called when no request is in progress."""
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
            cell = notebook.cells[ready[0]]
            try:
                self._run = self._core.submit(m.RunCells("", [m.Cell(cell.id, cell.source, on=cell.on)]))
            except RequestError:
                # The kernel is closing, or there is no runner; a request will start one.
                pass
            return
        if not self._new:
            self._show(reasons, unseen)
            self._note_unseen(unseen.intersection(self._following.candidates))

    def _stale_cells(self) -> tuple[set[str], set[str]]:
        """Return the stale cells that a connected page draws, and those whose page is gone; none in doubt.

        A page that was reloaded is another page, as it is to Jupyter.
        """
        there = {self._heard: True}
        ours: set[str] = set()
        unseen: set[str] = set()
        for id, cell in self._core.notebook.cells.items():
            view = self._views.get(id)
            if view is None or not cell.stale or (self._new and view.session != self._heard):
                continue
            if view.session not in there:
                there[view.session] = self._is_there(view)
            (ours if there[view.session] else unseen).add(id)
        return ours, unseen

    def _is_there(self, view: View) -> bool:
        connected = self._session_of[b"".join(view.identities)]
        return connected == view.session and self._core.reaches(view.identities)

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
            # Otherwise the saved cell would show nothing but the badge.
            if view is None or self._badges.get(id) == reason or not (cell.outputs or cell.console.chunks):
                continue
            kind = "update_display_data" if id in self._badges else "display_data"
            self._badges[id] = reason
            self._publisher.publish(kind, _note(f"stale: {reason}", f"cellwire-stale-{id}"), view.parent)

    def _note_unseen(self, unseen: set[str]) -> None:
        """Say under the executed cells how many others would follow if their page were connected."""
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
        depend, them = ("cell that depends", "it") if len(cells) == 1 else ("cells that depend", "them")
        text = (
            f"{len(cells)} {depend} on {on} ran before this page was loaded: "
            f"run {them} again to let {them} follow"
        )
        self._publisher.publish("display_data", _note(text, ""), view.parent)


def _note(text: str, display_id: str) -> dict[str, Any]:
    text = f"↻ {text}"
    html = text.replace("&", "&amp;").replace("<", "&lt;")
    return {
        "data": {"text/plain": text, "text/html": f'<small style="opacity: 0.7">{html}</small>'},
        "metadata": {},
        "transient": {"display_id": display_id} if display_id else {},
    }
