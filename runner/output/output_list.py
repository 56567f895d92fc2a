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
from typing import Any, Final, SupportsIndex

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
from .emitter import Emission
from .encoding import encode_bundle

_NOTHING = msgspec.Raw(b"\x80")
#: The metadata of the value of a cell, which tells it from what the cell has displayed.
RESULT: Final[dict[str, Any]] = {"cellwire": {"result": True}}
_RESULT = msgspec.Raw(encode_bundle(RESULT))

#: A mime bundle and its metadata, encoded.
Content = tuple[msgspec.Raw, msgspec.Raw]


class EncodedItem(msgspec.Struct, frozen=True, gc=False):
    """An `Item` with encoded content: the same bytes on the wire."""

    id: int
    data: msgspec.Raw
    metadata: msgspec.Raw


class OutputList:
    """The items of run `run` of cell `cell`, in order."""

    def __init__(self, emitter: Emission, cell: str, run: int, limits: Limits) -> None:
        self.cell: str = cell
        self.run: int = run
        self.emitter: Emission = emitter
        self.limits: Limits = limits
        self._ids = count()
        # The ids in order. True for the one item that says the list is full.
        self._order: dict[int, bool] = {}
        #: Whether every change is ignored.
        self.retired: bool = False
        # The items that were made where the cell runs, if that is elsewhere, by their ids there.
        self._made_elsewhere: dict[int, ItemRef] | None = None

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, ref: "ItemRef") -> bool:
        return ref.id in self._order

    def append(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "ItemHandle":
        """Add an item at the end and return its handle."""
        ref = ItemRef()
        self._change(partial(self.append_step, ref, self._content(data, metadata)))
        return ItemHandle(self, ref)

    def append_soon(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Add an item at the end; it is sent with the emitter's next emission."""
        if not self.retired:
            self.emitter.defer_step(partial(self.append_step, ItemRef(), self._content(data, metadata)))

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> "ItemHandle":
        """Make this item the only one and return its handle."""
        ref = ItemRef()
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
        new, found = ItemRef(), ItemRef()
        self._change(partial(self._replace_at_index, number, new, found, self._content(data, metadata)))
        return ItemHandle(self, new if found.id < 0 else found)

    def clear(self, wait: bool = False) -> None:
        """Remove every item; with `wait`, displays may show them until something new comes."""
        self._change(partial(self._clear, wait))

    def relay(self, event: Any) -> None:
        """Carry out `event`, a change of the list or the text that belongs to the cell where it runs.

        Items get ids of this list: those made here, for an error, stand in one order with the others.
        """
        if self._made_elsewhere is None:
            self._made_elsewhere = {}
        self._change(partial(self._relay, event, self._made_elsewhere))

    def retire(self) -> None:
        """Ignore every later change."""
        self.retired = True

    def _change(self, step: Callable[[], Any]) -> None:
        if not self.retired:
            self.emitter.emit_step(step)

    def _content(self, data: dict[str, Any], metadata: dict[str, Any] | None) -> Content:
        """Return an item's bundle and metadata, encoded; a notice instead if they are too large."""
        content = msgspec.Raw(encode_bundle(data))
        if metadata is RESULT:
            details = _RESULT
        else:
            details = msgspec.Raw(encode_bundle(metadata)) if metadata else _NOTHING
        size = len(content) + len(details)
        if size > self.limits.item_bytes:
            return _notice(
                f"[output of {size:,} bytes left out: limits.item_bytes is {self.limits.item_bytes:,}]"
            )
        return content, details

    # Steps, for the emitter alone. Each returns the events that carry it out, and may be called again.

    def append_step(self, ref: "ItemRef", content: Content) -> OutputAppended[EncodedItem] | None:
        """Add an item at the end, which `ref` names from here on."""
        if self.retired:
            return None
        if ref.id < 0:
            ref.id = next(self._ids)
        surplus = self._order.get(ref.id)
        if surplus is None:
            if len(self._order) > self.limits.items:
                return None
            surplus = self._order[ref.id] = len(self._order) == self.limits.items
        if surplus:
            content = _notice(f"[further outputs left out: limits.items is {self.limits.items:,}]")
        return OutputAppended(self.cell, self.run, EncodedItem(ref.id, *content))

    def _replace_all(self, ref: "ItemRef", content: Content) -> list[Any]:
        if self.retired:
            return []
        if ref.id < 0:
            ref.id = next(self._ids)
        self._order = {ref.id: False}
        appended = OutputAppended(self.cell, self.run, EncodedItem(ref.id, *content))
        return [OutputsCleared(self.cell, self.run), appended]

    def _replace_at_index(self, index: int, new: "ItemRef", found: "ItemRef", content: Content) -> Any:
        length = len(self._order)
        if found.id >= 0:
            return self.replace_step(found, content)
        if new.id >= 0 or index == length:
            return self.append_step(new, content)
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
        return self.replace_step(found, content)

    def replace_step(self, ref: "ItemRef", content: Content) -> OutputReplaced[EncodedItem] | None:
        """Give the item of `ref`, if it is there, other content."""
        if self.retired or ref.id not in self._order:
            return None
        return OutputReplaced(self.cell, self.run, EncodedItem(ref.id, *content))

    def remove_step(self, ref: "ItemRef") -> OutputRemoved | None:
        """Remove the item of `ref`."""
        if self.retired:
            return None
        self._order.pop(ref.id, None)
        return OutputRemoved(self.cell, self.run, ref.id)

    def _relay(self, event: Any, refs: dict[int, "ItemRef"]) -> Any:
        if self.retired:
            return None
        if type(event) is ConsoleWritten:
            return msgspec.structs.replace(event, before=next(reversed(self._order), -1) + 1)
        if type(event) is ConsoleCleared:
            return event
        if type(event) is OutputsCleared:
            return self._clear(event.wait)
        if type(event) is OutputRemoved:
            ref = refs.get(event.item)
            return None if ref is None else self.remove_step(ref)
        item = event.item
        if type(event) is OutputAppended:
            return self.append_step(refs.setdefault(item.id, ItemRef()), (item.data, item.metadata))
        ref = refs.get(item.id)
        return None if ref is None else self.replace_step(ref, (item.data, item.metadata))

    def _clear(self, wait: bool) -> OutputsCleared | None:
        if self.retired:
            return None
        self._order = {}
        return OutputsCleared(self.cell, self.run, wait)


class ItemHandle:
    """Changes one item of a list. Does nothing once the item is gone or the list retired."""

    __slots__ = ("_list", "_ref")

    def __init__(self, list: OutputList, ref: "ItemRef") -> None:
        self._list = list
        self._ref = ref

    def replace(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Give the item other content, at its place in the list."""
        content = self._list._content(data, metadata)
        self._list._change(partial(self._list.replace_step, self._ref, content))

    def remove(self) -> None:
        """Remove the item from the list."""
        self._list._change(partial(self._list.remove_step, self._ref))


class ItemRef:
    """The id of an item. The step that appends the item sets it, so ids grow in the order of the list."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id: int = -1


def _notice(text: str) -> Content:
    return msgspec.Raw(encode_bundle({"text/plain": text})), _NOTHING
