"""The output items of one run of one cell, shared by everything that the cell started.

What is held here is only the order of the items' ids: their content is encoded once, on the way in,
and lives in the replicas. Every change is one step of the emitter's queue, decided and sent in that
order, so the list here and the list in each replica go through the same states whichever threads
change it. Steps may be interrupted by a signal handler that raises and are carried out again, so
each changes the order by one idempotent call.

A retired list changes no more. Two bounds are visible where they are reached: an item larger than
`item_bytes` becomes an item that says so, and so does the first item beyond `items`.
"""

from collections.abc import Callable
from functools import partial
from itertools import count, islice
from typing import Any

import msgspec

from ..protocol.events import OutputAppended, OutputRemoved, OutputReplaced, OutputsCleared
from ..protocol.limits import Limits
from .emission import Emitter
from .encodable import encode_bundle

_NOTHING = msgspec.Raw(b"\x80")


class EncodedItem(msgspec.Struct, frozen=True):
    """An `Item` on its way out: the same bytes when encoded."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw


class OutputList:
    """The items of run `run` of cell `cell`, in order."""

    def __init__(self, emitter: Emitter, cell: str, run: int, limits: Limits) -> None:
        self.cell = cell
        self.run = run
        self._emitter = emitter
        self._limits = limits
        self._ids = count()
        # The ids in order. The value tells the one item that says that there are too many.
        self._order: dict[int, bool] = {}
        self._retired = False

    def __len__(self) -> int:
        return len(self._order)

    def append(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "Handle":
        """Add an item at the end and return its handle."""
        item = self._encoded(data, metadata)
        self._change(partial(self._append, item))
        return Handle(self, item.id)

    def append_soon(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Add an item at the end; it is sent with the emitter's next event."""
        if not self._retired:
            self._emitter.defer_step(partial(self._append, self._encoded(data, metadata)))

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "Handle":
        """Make this item the only one and return its handle."""
        item = self._encoded(data, metadata)
        self._change(partial(self._replace_all, item))
        return Handle(self, item.id)

    def replace_at_index(
        self, index: int, data: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> "Handle":
        """Put an item in the place of the one at `index`; an index equal to the length appends.

        An item that is replaced keeps its id and its handles. Called from `__del__` or a signal handler
        in the middle of an emission, it is carried out after that, and is dropped if there is no such
        index by then.

        Raises: IndexError if `index` is out of range.
        """
        item = self._encoded(data, metadata)
        found: list[int] = []
        self._change(partial(self._replace_at_index, index, item, found))
        return Handle(self, found[-1] if found else item.id)

    def clear(self) -> None:
        """Remove every item."""
        self._change(self._clear)

    def retire(self) -> None:
        """Drop every later change."""
        self._retired = True

    def _change(self, step: Callable[[], Any]) -> None:
        if not self._retired:
            self._emitter.perform(step)

    def _encoded(self, data: dict[str, Any], metadata: dict[str, Any] | None, id: int = -1) -> EncodedItem:
        """Return the item with a new id or that of an item that it replaces."""
        content = msgspec.Raw(encode_bundle(data))
        details = msgspec.Raw(encode_bundle(metadata)) if metadata else _NOTHING
        size = len(content) + len(details)
        if size > self._limits.item_bytes:
            content, details = _notice(
                f"[output of {size:,} bytes left out: limits.item_bytes is {self._limits.item_bytes:,}]"
            )
        return EncodedItem(next(self._ids) if id < 0 else id, content, details)

    def _append(self, item: EncodedItem) -> OutputAppended[EncodedItem] | None:
        if self._retired:
            return None
        surplus = self._order.get(item.id)
        if surplus is None:
            if len(self._order) > self._limits.items:
                return None
            surplus = self._order[item.id] = len(self._order) == self._limits.items
        if surplus:
            text = f"[further outputs left out: limits.items is {self._limits.items:,}]"
            item = EncodedItem(item.id, *_notice(text))
        return OutputAppended(self.cell, self.run, item)

    def _replace_all(self, item: EncodedItem) -> list[Any]:
        if self._retired:
            return []
        self._order = {item.id: False}
        return [OutputsCleared(self.cell, self.run), OutputAppended(self.cell, self.run, item)]

    def _replace_at_index(self, index: int, item: EncodedItem, found: list[int]) -> Any:
        length = len(self._order)
        if item.id in self._order or index == length:
            return self._append(item)
        if not -length <= index < length:
            return IndexError(f"no output at index {index}: the list has {length}")
        # From the nearer end: recent items change most.
        index %= length
        near_end = index > length // 2
        ids = (
            islice(reversed(self._order), length - 1 - index, None)
            if near_end
            else islice(self._order, index, None)
        )
        found.append(next(ids))
        return self._replace(EncodedItem(found[-1], item.data, item.metadata))

    def _replace(self, item: EncodedItem) -> OutputReplaced[EncodedItem] | None:
        if self._retired or item.id not in self._order:
            return None
        return OutputReplaced(self.cell, self.run, item)

    def _remove(self, id: int) -> OutputRemoved | None:
        if self._retired:
            return None
        self._order.pop(id, None)
        return OutputRemoved(self.cell, self.run, id)

    def _clear(self) -> OutputsCleared | None:
        if self._retired:
            return None
        self._order = {}
        return OutputsCleared(self.cell, self.run)


class Handle:
    """One item of a list, for whoever appended it. Does nothing once the item or its list is gone."""

    __slots__ = ("_id", "_list")

    def __init__(self, list: OutputList, id: int) -> None:
        self._list = list
        self._id = id

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Give the item a new content; its place is kept."""
        item = self._list._encoded(data, metadata, self._id)
        self._list._change(partial(self._list._replace, item))

    def remove(self) -> None:
        """Take the item out of the list."""
        self._list._change(partial(self._list._remove, self._id))


def _notice(text: str) -> tuple[msgspec.Raw, msgspec.Raw]:
    return msgspec.Raw(encode_bundle({"text/plain": text})), _NOTHING
