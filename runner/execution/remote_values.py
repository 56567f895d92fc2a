"""Moves values to where cells need them: sends those of this process, and fetches those that are elsewhere.

A value of this process is sent again only after a cell that names it, and so may have changed it in place,
has run here. A value that is elsewhere is fetched if a cell that runs here names it, or calls `cw.fetch`; the
namespace keeps the copy until the value's cell runs again.
"""

import asyncio
import sys
import types
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from ...protocol.events import ConsoleWritten
from ..dataflow.plan import Planner
from ..dataflow.program import Change
from ..places.place import CannotFetch, Input, Module, Place, PlaceError, Referred
from .lifecycle import CellLifecycle
from .namespace import Namespace, RemoteValue
from .recorder import Recorder
from .state_updates import PendingUpdates


class Here(NamedTuple):
    """A value of this process that a cell needs elsewhere."""

    value: object
    #: The cell that made it; empty if it is not known.
    cell: str


class _Sent(NamedTuple):
    """A value that was sent, and its form."""

    place: Place
    value: object
    #: How often states had been set by then.
    changes: int
    input: Input
    ref: object

    def holds(self, place: Place, value: object, changes: int) -> bool:
        """Return whether `place` already has this very `value`, unchanged."""
        if self.place is not place or self.value is not value or self.changes != changes:
            return False
        return not isinstance(self.input, Referred) or place.is_there(self.ref)


class RemoteValues:
    """The values of a notebook that are sent elsewhere or are there."""

    def __init__(
        self,
        recorder: Recorder,
        lifecycle: CellLifecycle,
        planner: Planner,
        namespace: Namespace,
        updates: PendingUpdates,
    ) -> None:
        self._recorder = recorder
        self._lifecycle = lifecycle
        self._planner = planner
        self._program = planner.program
        self._namespace = namespace
        self._updates = updates
        self._sent: dict[tuple[str, str], _Sent] = {}
        lifecycle.fetch = self.fetch_now
        lifecycle.on_forget = self._forget

    def ran(self, cell: str) -> None:
        """Note that `cell` runs here, and may change in place what it names."""
        if self._sent:
            names = set(self._program.graph.reads(cell))
            for key in [key for key in self._sent if key[0] in names]:
                del self._sent[key]

    def _forget(self, cell: str) -> None:
        """Forget what was sent of a cell that runs again or is deleted."""
        for key in [key for key in self._sent if key[1] == cell]:
            del self._sent[key]

    async def send(self, place: Place, cell: str, values: dict[str, Here]) -> dict[str, tuple[Input, object]]:
        """Return `values` as inputs of a task, after sending those that the place does not have."""
        given: dict[str, tuple[Input, object]] = {}
        fresh: dict[str, Here] = {}
        carries = bool(self._program.graph.carried(cell))
        for name, here in values.items():
            value: Any = here.value
            if isinstance(value, types.ModuleType) and sys.modules.get(value.__name__) is value:
                given[name] = Module(value.__name__), None
                continue
            known = self._sent.get((name, here.cell))
            if known is not None and not carries and known.holds(place, value, self._updates.changes):
                given[name] = known.input, known.ref
            else:
                fresh[name] = here
        if fresh:
            changes = self._updates.changes

            def send() -> dict[str, tuple[Input, object]]:
                return {name: place.send(name, here.cell, here.value) for name, here in fresh.items()}

            sent = await asyncio.to_thread(send)
            for name, here in fresh.items():
                self._sent[name, here.cell] = _Sent(place, here.value, changes, *sent[name])
            given.update(sent)
        return given

    def to_fetch(self, cell: str) -> list[RemoteValue]:
        """Return the values that `cell`, which runs here, names and that are only elsewhere."""
        namespace = self._namespace
        names = namespace.elsewhere.keys() & set(self._program.graph.reads(cell))
        return [namespace.elsewhere[name] for name in sorted(names) if name not in namespace.globals]

    async def fetch(self, values: list[RemoteValue]) -> None:
        """Fetch copies of `values` into the namespace.

        Raises: CannotFetch if one cannot be fetched.
        """
        fetched = await self.get(values)
        for value, copy in zip(values, fetched, strict=True):
            if self._namespace.elsewhere.get(value.name) is value:
                self._namespace.globals[value.name] = copy
            else:
                value.copy = copy

    def fetch_now(self, name: str) -> Any:
        """Return the value of a name, from wherever it is; blocks."""
        namespace = self._namespace
        if name in namespace.globals:
            return namespace.globals[name]
        value = namespace.elsewhere.get(name)
        if value is None:
            raise NameError(f"cw.fetch: there is no variable {name!r}, here or elsewhere", name=name)
        return _get([value])[0]

    async def get(self, values: list[RemoteValue]) -> list[Any]:
        """Return copies of `values`.

        Raises: CannotFetch if one cannot be fetched.
        """
        return await asyncio.to_thread(_get, values)

    def note_lost(self, refs: Collection[object], where: str, reason: str) -> None:
        """Note that values are lost."""
        gone = [value for value in self._namespace.remote_values() if value.ref in refs and not value.lost]
        for value in gone:
            value.lost = f"the worker {where} has gone" + (f": {reason}" if reason else "")
        by_cell: dict[str, list[str]] = {}
        for value in gone:
            by_cell.setdefault(value.cell, []).append(value.name)
        for cell, names in by_cell.items():
            text = f"cellwire: {', '.join(names)} of cell {cell!r} went with the worker {where}\n"
            self._recorder.emit(ConsoleWritten("", 0, "stderr", text))
        cells = self._recorder.notebook.cells
        # A cell that is about to run makes them again.
        outdated = {cell for cell in by_cell if cells[cell].status not in ("queued", "running")}
        self._lifecycle.mark_stale(self._planner.no_run(0, Change(rebound=outdated)).stale)
        self._recorder.flush()


def _get(values: Iterable[RemoteValue]) -> list[Any]:
    """Return `values`, fetched together; blocks.

    Raises: CannotFetch if one cannot be fetched.
    """
    values = list(values)
    found: dict[RemoteValue, Any] = {}
    by_place: dict[Place, list[RemoteValue]] = {}
    for value in values:
        if value.lost:
            raise CannotFetch(
                f"`{value.name}` of cell {value.cell!r} is lost: {value.lost}",
                f"run cell {value.cell!r} again",
            )
        if isinstance(value.ref, Module):
            try:
                __import__(value.ref.name)
            except ImportError as error:
                raise CannotFetch(
                    f"`{value.name}` of cell {value.cell!r} is a module that is not installed here: {error}",
                    "install it here, or run the cell that needs it there",
                ) from None
            found[value] = sys.modules[value.ref.name]
        else:
            by_place.setdefault(value.place, []).append(value)
    for place, wanted in by_place.items():
        place.check()
        found.update(zip(wanted, place.fetch([value.ref for value in wanted]), strict=True))
    for value, copy in found.items():
        if isinstance(copy, PlaceError):
            named = f"`{value.name}` of cell {value.cell!r}"
            message = copy.message
            if not message.startswith(named):
                message = f"{named} cannot be fetched: {message}"
            raise CannotFetch(message, copy.hint)
    return [found[value] for value in values]
