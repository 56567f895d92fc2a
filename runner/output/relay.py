"""Output lists that are shown inside other lists: those of an embedded notebook.

The engine of the embedded notebook has a `Relay` as its emitter. Each change of one of its lists is one step
of the process's emitter. In that step the relay keeps the content, and turns the change into changes of the
lists that show it, its `View`s. A view's list may itself belong to a relay, so notebooks nest, and one lock
orders everything. Events of the embedded notebook never reach the frontends.

An item that is shown keeps its place. A cell that runs again fills the places of its last run first; those
left over at its end are removed, and further items are added at the end of the list.

A step may be called again after an interruption, see `emitter.py`, so each changes the state idempotently.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from ...protocol.events import (
    CellFinished,
    CellsDeleted,
    CellSkipped,
    CellStarted,
    OutputAppended,
    OutputRemoved,
    OutputReplaced,
    OutputsCleared,
)
from .emitter import Emission
from .encoding import encode_bundle
from .output_list import EncodedItem, ItemRef, OutputList

_NOTHING = msgspec.Raw(b"\x80")


#: What happens to a list.
ListEvent = OutputAppended[EncodedItem] | OutputReplaced[EncodedItem] | OutputRemoved | OutputsCleared


class _KeptList:
    """What the list of a cell holds since the cell has started."""

    __slots__ = ("items", "next", "run")

    def __init__(self, run: int) -> None:
        self.run = run
        #: Greater than the id of every item so far.
        self.next = 0
        self.items: dict[int, EncodedItem] = {}

    def change(self, event: ListEvent) -> None:
        if isinstance(event, OutputAppended):
            self.next = event.item.id + 1
            self.items[event.item.id] = event.item
        elif isinstance(event, OutputReplaced):
            if event.item.id in self.items:
                self.items[event.item.id] = event.item
        elif isinstance(event, OutputRemoved):
            self.items.pop(event.item, None)
        else:
            self.items = {}


class _ShownList:
    """Where the items of a cell are in the list of a view."""

    __slots__ = ("complete", "refs", "replaced", "reused", "since", "spare")

    def __init__(self, since: object, spare: tuple[ItemRef, ...] = (), complete: bool = True) -> None:
        #: What began it: the list that is kept of the cell, or the call that shows it.
        self.since = since
        #: Whether all items are shown, and new ones are as they come.
        self.complete = complete
        #: Places of an earlier run of the cell, which the first items of this one take.
        self.spare = spare
        #: By the id of the item; an item that is removed leaves its entry.
        self.refs: dict[int, ItemRef] = {}
        #: The items that have such a place.
        self.reused: set[int] = set()
        #: The item that replaced all others last, and the places that there were.
        self.replaced: tuple[int, tuple[ItemRef, ...]] = (-1, ())


class View:
    """The items of an embedded notebook in the list of the cell that shows them."""

    def __init__(self, outputs: OutputList) -> None:
        self.outputs: OutputList = outputs
        self._shown: dict[str, _ShownList] = {}

    def __contains__(self, cell: str) -> bool:
        return cell in self._shown

    # Steps: each returns the events of the list, and may be called again.

    def show(self, cell: str, items: Iterable[EncodedItem], call: object, complete: bool) -> list[Any]:
        """Show `items`, the next ones of `cell`, unless another call shows it; `complete` if they are all."""
        shown = self._shown.setdefault(cell, _ShownList(call, complete=False))
        if shown.since is not call:
            return []
        shown.complete = complete
        return [self._append(shown, item) for item in items]

    def begin(self, cell: str, kept: object) -> None:
        """Prepare for the items of the next run of `cell`."""
        shown = self._shown.get(cell)
        if shown is None:
            self._shown[cell] = _ShownList(kept)
        elif shown.since is not kept:
            self._shown[cell] = _ShownList(kept, self._places(shown))

    def end(self, cell: str) -> list[Any]:
        """Remove the places of an earlier run of `cell` that the last one has not taken."""
        shown = self._shown.get(cell)
        spare = shown.spare[len(shown.refs) :] if shown is not None else ()
        return [self.outputs.remove_step(ref) for ref in spare]

    def delete(self, cell: str) -> list[Any]:
        """Remove all that is shown of `cell`."""
        shown = self._shown.get(cell)
        return [] if shown is None else [self.outputs.remove_step(ref) for ref in shown.refs.values()]

    def replace_all(self, cell: str, item: EncodedItem) -> list[Any]:
        """Show `item` in place of all others of `cell`."""
        shown = self._shown.get(cell)
        if shown is None or not shown.complete:
            return []
        if shown.replaced[0] != item.id:
            shown.replaced = item.id, self._places(shown)
        places = shown.replaced[1]
        if not places:
            return [self._append(shown, item)]
        shown.refs = {item.id: places[0]}
        removed = [self.outputs.remove_step(ref) for ref in places[1:]]
        return [*removed, self.outputs.replace_step(places[0], (item.data, item.metadata))]

    def change(self, event: ListEvent) -> list[Any]:
        """Do what has happened to a list that is kept."""
        shown = self._shown.get(event.cell)
        if shown is None:
            return []  # it will be shown as it is then
        if isinstance(event, OutputAppended):
            return [self._append(shown, event.item)] if shown.complete else []
        if isinstance(event, OutputsCleared):
            return self.delete(event.cell)
        ref = shown.refs.get(event.item if isinstance(event, OutputRemoved) else event.item.id)
        if ref is None:
            return []
        if isinstance(event, OutputRemoved):
            return [self.outputs.remove_step(ref)]
        return [self.outputs.replace_step(ref, (event.item.data, event.item.metadata))]

    def _append(self, shown: _ShownList, item: EncodedItem) -> Any:
        ref = shown.refs.get(item.id)
        if ref is None:
            spare = shown.spare[len(shown.refs) : len(shown.refs) + 1]
            ref = ItemRef()
            if spare and spare[0] in self.outputs:
                ref = spare[0]
                shown.reused.add(item.id)
            shown.refs[item.id] = ref
        step = self.outputs.replace_step if item.id in shown.reused else self.outputs.append_step
        return step(ref, (item.data, item.metadata))

    def _places(self, shown: _ShownList) -> tuple[ItemRef, ...]:
        found = (*shown.refs.values(), *shown.spare[len(shown.refs) :])
        return tuple(ref for ref in found if ref in self.outputs)


class Relay:
    """The way out for the events of an embedded notebook: an emitter, for its engine.

    `listen` is called with each event that is not of a list, on the engine's thread. For a cell that begins,
    or is skipped, it returns a mime bundle that the cell shows at once, or None.
    """

    def __init__(self, around: Emission, listen: Callable[[Any], dict[str, Any] | None]) -> None:
        #: What sends the events of this process.
        self.root: Emission = around.root if isinstance(around, Relay) else around
        self._listen = listen
        self._lists: dict[str, _KeptList] = {}
        # Never changed in place, as steps of other threads read it.
        self._views: tuple[View, ...] = ()

    def emit(self, event: Any) -> None:
        """Take `event`."""
        self.defer(event)
        self.flush()

    def emit_step(self, step: Callable[[], Any]) -> None:
        """Carry out a change of a list."""
        self.root.emit_step(partial(self._carry_out, step))

    def defer_step(self, step: Callable[[], Any]) -> None:
        """Carry out a change of a list with the next emission."""
        self.root.defer_step(partial(self._carry_out, step))

    def defer(self, event: Any) -> None:
        """Take `event`; what it means for lists goes out with the next emission."""
        bundle = self._listen(event)
        if isinstance(event, (CellStarted, CellSkipped)):
            self.root.defer_step(partial(self._begin, event.cell, _KeptList(event.run)))
        if bundle is not None:
            item = EncodedItem(0, msgspec.Raw(encode_bundle(bundle)), _NOTHING)
            self.defer_step(lambda: OutputAppended(event.cell, event.run, item))
        if isinstance(event, (CellFinished, CellSkipped)):
            self.root.defer_step(partial(self._end, event.cell))
        elif isinstance(event, CellsDeleted):
            self.root.defer_step(partial(self._delete, event.cells))

    def flush(self) -> None:
        """Send what was held back."""
        self.root.flush()

    def add_view(self, view: View) -> None:
        """Let `view` follow from here on."""
        self._views = (*(each for each in self._views if not each.outputs.retired), view)

    def remove_views(self) -> None:
        """Show changes nowhere."""
        self._views = ()

    def show(self, view: View, cells: Sequence[str]) -> None:
        """Show those of `cells` in `view` that it does not show yet."""
        if cells:
            call = object()
            self.root.emit_step(
                lambda: [event for cell in cells for event in self._show(view, cell, call, 0, None)]
            )

    def show_between(self, view: View, cell: str, call: object, start: int, stop: int | None) -> None:
        """Show the items of `cell` with ids from `start` to below `stop`, or to the end, in `view`.

        The calls that show one cell bit by bit have the same `call`. Items that are added before the last of
        them are shown by it.
        """
        self.root.emit_step(partial(self._show, view, cell, call, start, stop))

    def items(self, cell: str) -> list[EncodedItem]:
        """Return what the list of `cell` holds."""
        kept = self._lists.get(cell)
        return [] if kept is None else list(kept.items.copy().values())

    def next_id(self, cell: str) -> int:
        """Return the id that the next item of `cell` will have."""
        kept = self._lists.get(cell)
        return 0 if kept is None else kept.next

    # Steps

    def _carry_out(self, step: Callable[[], Any]) -> Any:
        made = step()
        if made is None or isinstance(made, Exception):
            return made
        return self.translate(cast("list[Any]", made) if type(made) is list else [made])

    def translate(self, events: Sequence[ListEvent]) -> list[Any]:
        """Keep what has happened to lists here, and return what that means for lists of the frontends."""
        made: list[Any] = []
        for number, event in enumerate(events):
            kept = self._lists.get(event.cell)
            if kept is None or kept.run != event.run:
                continue
            kept.change(event)
            if isinstance(event, OutputsCleared) and number + 1 < len(events):
                continue  # what follows replaces all
            replaces = number > 0 and isinstance(events[number - 1], OutputsCleared)
            for view in self._views:
                if replaces and isinstance(event, OutputAppended):
                    made += _outside(view, view.replace_all(event.cell, event.item))
                else:
                    made += _outside(view, view.change(event))
        return made

    def _begin(self, cell: str, kept: _KeptList) -> None:
        for view in self._views:
            view.begin(cell, kept)
        self._lists[cell] = kept

    def _end(self, cell: str) -> list[Any]:
        return [event for view in self._views for event in _outside(view, view.end(cell))]

    def _delete(self, cells: Sequence[str]) -> list[Any]:
        made = [
            event for view in self._views for cell in cells for event in _outside(view, view.delete(cell))
        ]
        for cell in cells:
            self._lists.pop(cell, None)
        return made

    def _show(self, view: View, cell: str, call: object, start: int, stop: int | None) -> list[Any]:
        items = [item for item in self.items(cell) if start <= item.id and (stop is None or item.id < stop)]
        return _outside(view, view.show(cell, items, call, stop is None))


def _outside(view: View, events: Iterable[Any]) -> list[Any]:
    """Return what the `events` of a view's list mean for the frontends."""
    made = [event for event in events if event is not None]
    around = view.outputs.emitter
    return around.translate(made) if isinstance(around, Relay) else made
