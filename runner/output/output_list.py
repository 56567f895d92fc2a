"""The output items of one run of one cell, shared by everything that the cell started.

Only the order of the items' ids is held here: their content is encoded once, on the way in, and lives
in the replicas. Every change is one step of the emitter, and steps are taken and sent in one order,
so the list here and the list in each replica go through the same states whichever threads change it.
A step that a signal handler interrupts by raising is called again, so each changes the order by one
idempotent call.

A retired list ignores every change. Two limits show where they are reached: an item larger than
`item_bytes` becomes an item that says so, and so does the first item beyond `items`.
"""

from collections.abc import Callable
from functools import partial
from itertools import count, islice
from operator import index as as_index
from typing import Any, SupportsIndex

import msgspec

from ...protocol.events import (
    ConsoleCleared,
    ConsoleWritten,
    OutputAppended,
    OutputRemoved,
    OutputReplaced,
    OutputsCleared,
)
from ...protocol.limits import Limits
from .emitter import Emitter
from .encoding import encode_bundle

_NOTHING = msgspec.Raw(b"\x80")

#: A mime bundle and its metadata, encoded.
_Content = tuple[msgspec.Raw, msgspec.Raw]


class EncodedItem(msgspec.Struct, frozen=True, gc=False):
    """An `Item` with encoded content: the same bytes on the wire."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw


class OutputList:
    """The items of run `run` of cell `cell`, in order."""

    def __init__(self, emitter: Emitter, cell: str, run: int, limits: Limits) -> None:
        self.cell: str = cell
        self.run: int = run
        self._emitter = emitter
        self._limits = limits
        self._ids = count()
        # The ids in order. True for the one item that says the list is full.
        self._order: dict[int, bool] = {}
        self._retired = False
        # The items that were made where the cell runs, if that is elsewhere, by their ids there.
        self._made_elsewhere: dict[int, _ItemRef] | None = None

    def __len__(self) -> int:
        return len(self._order)

    def append(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "ItemHandle":
        """Add an item at the end and return its handle."""
        ref = _ItemRef()
        self._change(partial(self._append, ref, self._content(data, metadata)))
        return ItemHandle(self, ref)

    def append_soon(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Add an item at the end; it is sent with the emitter's next emission."""
        if not self._retired:
            self._emitter.defer_step(partial(self._append, _ItemRef(), self._content(data, metadata)))

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "ItemHandle":
        """Make this item the only one and return its handle."""
        ref = _ItemRef()
        self._change(partial(self._replace_all, ref, self._content(data, metadata)))
        return ItemHandle(self, ref)

    def replace_at_index(
        self, index: SupportsIndex, data: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> "ItemHandle":
        """Replace the item at `index`; an index equal to the length appends.

        A replaced item keeps its id and its handles. A call from `__del__` or a signal handler in the
        middle of an emission takes effect after that, and is dropped if the index is out of range then.

        Raises: IndexError if `index` is out of range; TypeError if it is no integer.
        """
        number = as_index(index)
        new, found = _ItemRef(), _ItemRef()
        self._change(partial(self._replace_at_index, number, new, found, self._content(data, metadata)))
        return ItemHandle(self, new if found.id < 0 else found)

    def clear(self) -> None:
        """Remove every item."""
        self._change(self._clear)

    def relay(self, event: Any) -> None:
        """Carry out `event`, a change of the list or the text that belongs to the cell where it runs.

        Items get ids of this list: those made here, for an error, stand in one order with the others.
        """
        if self._made_elsewhere is None:
            self._made_elsewhere = {}
        self._change(partial(self._relay, event, self._made_elsewhere))

    def retire(self) -> None:
        """Ignore every later change."""
        self._retired = True

    def _change(self, step: Callable[[], Any]) -> None:
        if not self._retired:
            self._emitter.emit_step(step)

    def _content(self, data: dict[str, Any], metadata: dict[str, Any] | None) -> _Content:
        """Return an item's bundle and metadata, encoded; a notice instead if they are too large."""
        content = msgspec.Raw(encode_bundle(data))
        details = msgspec.Raw(encode_bundle(metadata)) if metadata else _NOTHING
        size = len(content) + len(details)
        if size > self._limits.item_bytes:
            return _notice(
                f"[output of {size:,} bytes left out: limits.item_bytes is {self._limits.item_bytes:,}]"
            )
        return content, details

    def _append(self, ref: "_ItemRef", content: _Content) -> OutputAppended[EncodedItem] | None:
        if self._retired:
            return None
        if ref.id < 0:
            ref.id = next(self._ids)
        surplus = self._order.get(ref.id)
        if surplus is None:
            if len(self._order) > self._limits.items:
                return None
            surplus = self._order[ref.id] = len(self._order) == self._limits.items
        if surplus:
            content = _notice(f"[further outputs left out: limits.items is {self._limits.items:,}]")
        return OutputAppended(self.cell, self.run, EncodedItem(ref.id, *content))

    def _replace_all(self, ref: "_ItemRef", content: _Content) -> list[Any]:
        if self._retired:
            return []
        if ref.id < 0:
            ref.id = next(self._ids)
        self._order = {ref.id: False}
        appended = OutputAppended(self.cell, self.run, EncodedItem(ref.id, *content))
        return [OutputsCleared(self.cell, self.run), appended]

    def _replace_at_index(self, index: int, new: "_ItemRef", found: "_ItemRef", content: _Content) -> Any:
        length = len(self._order)
        if found.id >= 0:
            return self._replace(found, content)
        if new.id >= 0 or index == length:
            return self._append(new, content)
        if not -length <= index < length:
            return IndexError(f"no output at index {index}: the list has {length}")
        # Counted from the nearer end: recent items change most.
        index %= length
        near_end = index > length // 2
        ids = (
            islice(reversed(self._order), length - 1 - index, None)
            if near_end
            else islice(self._order, index, None)
        )
        found.id = next(ids)
        return self._replace(found, content)

    def _replace(self, ref: "_ItemRef", content: _Content) -> OutputReplaced[EncodedItem] | None:
        if self._retired or ref.id not in self._order:
            return None
        return OutputReplaced(self.cell, self.run, EncodedItem(ref.id, *content))

    def _remove(self, ref: "_ItemRef") -> OutputRemoved | None:
        if self._retired:
            return None
        self._order.pop(ref.id, None)
        return OutputRemoved(self.cell, self.run, ref.id)

    def _relay(self, event: Any, refs: dict[int, "_ItemRef"]) -> Any:
        if self._retired:
            return None
        if type(event) is ConsoleWritten:
            return msgspec.structs.replace(event, before=next(reversed(self._order), -1) + 1)
        if type(event) is ConsoleCleared:
            return event
        if type(event) is OutputsCleared:
            return self._clear()
        if type(event) is OutputRemoved:
            ref = refs.get(event.item)
            return None if ref is None else self._remove(ref)
        item = event.item
        if type(event) is OutputAppended:
            return self._append(refs.setdefault(item.id, _ItemRef()), (item.data, item.metadata))
        ref = refs.get(item.id)
        return None if ref is None else self._replace(ref, (item.data, item.metadata))

    def _clear(self) -> OutputsCleared | None:
        if self._retired:
            return None
        self._order = {}
        return OutputsCleared(self.cell, self.run)


class ItemHandle:
    """Changes one item of a list. Does nothing once the item is gone or the list retired."""

    __slots__ = ("_list", "_ref")

    def __init__(self, list: OutputList, ref: "_ItemRef") -> None:
        self._list = list
        self._ref = ref

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Give the item other content, at its place in the list."""
        content = self._list._content(data, metadata)
        self._list._change(partial(self._list._replace, self._ref, content))

    def remove(self) -> None:
        """Remove the item from the list."""
        self._list._change(partial(self._list._remove, self._ref))


class _ItemRef:
    """The id of an item. The step that appends the item sets it, so ids grow in the order of the list."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id: int = -1


def _notice(text: str) -> _Content:
    return msgspec.Raw(encode_bundle({"text/plain": text})), _NOTHING
