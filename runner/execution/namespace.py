"""The module that cells run in, and the versions of its names.

It is a fresh module named `__main__`, so that definitions look as in a script; pickle, dataclasses and
inspect find them once the module is registered. What a cell bound is removed when the cell runs again or is
deleted; so are its private names.

A name that several cells make has a version for each of them. A cell that is about to run finds the versions
made by the notebook above it; between runs the module holds those of the notebook's end. Versions are
references. The one in the module belongs to its `owner`, even if another cell changes the object; the others
are put aside, if a cell may need them or if they are light. What a cell that runs elsewhere defined stays
there: such a version is a `RemoteValue`. It is in `elsewhere` while it is the current version, and its name
is in the module only if the value was fetched.
"""

import builtins
import sys
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.machinery import ModuleSpec
from itertools import islice
from typing import Any

from ..analysis.compiler import CompiledCell
from ..dataflow.program import Program

_NOTHING: Mapping[str, object] = {}


#: Types of values that may be kept although nothing needs them: they refer to nothing that is large.
_LIGHT = frozenset((bool, bytes, complex, float, int, str, type(None), types.ModuleType))
_LIGHT_BYTES = 1000
#: How many versions are looked at for one to drop.
_LOOKED_AT = 4


class _Missing:
    """The version in which the name is missing."""


_MISSING = _Missing()


class RemoteValue:
    """A version of a name whose value stayed where the cell that made it ran."""

    __slots__ = ("cell", "copy", "lost", "name", "nbytes", "place", "ref", "text", "type", "where")

    def __init__(self, name: str, cell: str, place: Any, ref: object) -> None:
        self.name: str = name
        #: The cell that made it.
        self.cell: str = cell
        #: The place that has it, and the place's reference to it.
        self.place: Any = place
        self.ref: object = ref
        #: What is known of it without fetching it.
        self.type: str = ""
        self.text: str = ""
        self.nbytes: int = 0
        self.where: str = ""
        #: Why it is lost; empty if it is not.
        self.lost: str = ""
        #: The fetched value, while the version is put aside.
        self.copy: object = _MISSING

    @property
    def summary(self) -> str:
        """What the list of variables shows of it: a short text, its size, and where it is."""
        size = f"{self.nbytes:,} bytes on " if self.nbytes else ""
        return f"{self.text} ({self.lost or size + self.where})"


class Namespace:
    """The global names of a notebook."""

    def __init__(self, program: Program, register: bool, most_versions: int = 0, file: str = "") -> None:
        self._program = program
        self._most_versions = most_versions
        self._module = types.ModuleType("__main__")
        self.globals: dict[str, Any] = self._module.__dict__
        # A dict, as `exec` would set it: some libraries that look names up rely on that.
        self.globals["__builtins__"] = vars(builtins)
        if file:
            self.globals["__file__"] = file
            # Otherwise processes that `multiprocessing` spawns would run the whole file to find its names.
            self.globals["__spec__"] = ModuleSpec("__main__", None)
        # Module attributes that a cell may replace, and that are put back when the cell goes.
        self._own = dict(self.globals)
        #: For each name, the cell whose version is in the module.
        self.owners: dict[str, str] = {}
        #: The current versions that are elsewhere.
        self.elsewhere: dict[str, RemoteValue] = {}
        # The versions that were put aside, by name and cell, oldest first.
        self._versions: dict[str, dict[str, object]] = {}
        #: Versions, by name and cell, that no cell needed when they were replaced: they are lost.
        self.dropped: set[tuple[str, str]] = set()
        #: Cells that have yet to begin in the current run: versions that they read are not dropped.
        self.queued: set[str] = set()
        # Names with more versions than they should have, as cells of this run have yet to read the oldest.
        self._crowded: set[str] = set()
        # Versions that nothing needed either, and that are kept because they are light.
        self._spare: dict[tuple[str, str], object] = {}
        # For each running cell, the names that it may bind or may leave as they are.
        self._unbound: dict[str, list[str]] = {}
        # For each running cell, what these names were before.
        self._before: dict[str, dict[str, Any]] = {}
        #: Names whose version in the module may not be that of the notebook's end.
        self.displaced: set[str] = set()
        # For each cell that ran, the definitions and private names of the code that ran.
        self._bound: dict[str, frozenset[str]] = {}
        self._private: dict[str, frozenset[str]] = {}
        if register:
            # The old module holds code that is being executed, so it must stay alive.
            self._replaced = sys.modules["__main__"]
            sys.modules["__main__"] = self._module

    def load(self, cell: str, only: Collection[str] | None = None) -> None:
        """Put the versions into the module that the notebook above `cell` makes.

        With `only`, just those of these names, since running cells need the others as they are.
        """
        graph = self._program.graph
        if graph.redefine != "live" and (graph.shared or graph.upward or self.displaced):
            hidden = self._program.sequence.hidden(cell)
            read = set(graph.reads(cell))
            for name in {*graph.shared, *self.displaced, *hidden, *graph.upward.intersection(read)}:
                if only is None or name in only:
                    makers = (
                        () if name in hidden else self._program.sequence.versions(cell, name, name in read)
                    )
                    self._load(name, makers)

    def enter(
        self,
        cell: str,
        code: CompiledCell,
        only: Collection[str] | None = None,
        take: Callable[[], object] | None = None,
    ) -> None:
        """Prepare the module for a run of `cell`, of which nothing is left.

        `only` is for `load`. For a cell that runs elsewhere, `take` collects what it finds.
        """
        graph = self._program.graph
        analysis = code.analysis
        if graph.shared or graph.upward or self.displaced:
            self.queued.discard(cell)
            self.load(cell, only)
        if take is not None:
            take()
        live = graph.redefine == "live"
        self._bound[cell] = analysis.defs if live else analysis.defs | analysis.deleted
        self._private[cell] = code.private_globals
        for name in self._bound[cell]:
            if not live:
                self._put_aside(name)
            elif self.owners.get(name, cell) != cell:
                self.dropped.add((name, self.owners[name]))
            self.owners[name] = cell
            if self.dropped:
                self.dropped.discard((name, cell))
            if name in graph.shared:
                self.displaced.add(name)
        if take is not None or self.elsewhere:
            for name in self._bound[cell]:
                self.elsewhere.pop(name, None)
                if take is not None:
                    self.globals.pop(name, None)
        if analysis.maybe_defs and not live:
            # They are removed, to find out whether the cell binds them, unless it may read them.
            self._unbound[cell] = list(analysis.maybe_defs.difference(graph.reads(cell)))
            for name in self._unbound[cell]:
                if name in graph.shared:
                    self.globals.pop(name, None)
        if analysis.is_open:
            self._before[cell] = self.globals.copy()
        # Warnings of earlier runs are gone with their output, and all cells count lines from 1.
        self.globals.pop("__warningregistry__", None)

    def leave(self, cell: str) -> None:
        """Restore the names that `cell`, which has ended, might have bound but did not."""
        for name in self._unbound.pop(cell, ()):
            if name not in self.globals and name not in self.elsewhere:
                self._bound[cell] -= {name}
                del self.owners[name]
                self._load(name, self._program.graph.makers_above(cell, name))

    def arrive(self, value: RemoteValue) -> None:
        """Make `value` the version of its name that its cell, which ran elsewhere, makes."""
        name = value.name
        if self.owners.get(name) == value.cell:
            self.elsewhere[name] = value
        elif value.cell in self._versions.get(name, ()):
            # A cell that did not wait for this value has already put its version aside.
            self._versions[name][value.cell] = value

    def is_copied(self, name: str) -> bool:
        """Return whether the value of `name` is lost at its place, but a copy of it is here."""
        return bool(self.elsewhere[name].lost) and name in self.globals

    def remote_values(self) -> list[RemoteValue]:
        """Return all versions that are elsewhere."""
        aside = [value for versions in self._versions.values() for value in versions.values()]
        return [*self.elsewhere.values(), *(value for value in aside if isinstance(value, RemoteValue))]

    def observed(self, cell: str) -> dict[str, object]:
        """Return the names whose value has changed since `cell` began, each with its value before.

        Attributes of the module itself are left out.
        """
        before = self._before.pop(cell, {})
        return {
            name: before.get(name, _MISSING)
            for name, value in self.globals.copy().items()
            if type(name) is str and before.get(name, _MISSING) is not value and not name.startswith("__")
        }

    def claim(self, cell: str, names: frozenset[str], before: Mapping[str, object] = _NOTHING) -> None:
        """Make `names` the names that `cell` bound, as its run has shown.

        `before` has the earlier values of some of them, which are versions of other cells.
        """
        for name in names - self._bound[cell]:
            owner = self.owners.get(name, cell)
            if owner != cell and name in before and self._program.redefine != "live":
                self._versions.setdefault(name, {})[owner] = before[name]
            self.owners[name] = cell
            self.displaced.add(name)
        self._bound[cell] |= names

    def lost_at_end(self, name: str) -> str | None:
        """Return the cell whose version of `name` belongs at the notebook's end, if that was dropped."""
        graph = self._program.graph
        for maker in reversed(graph.makers(name)):
            if (name, maker) in self.dropped:
                return maker
            there = self.owners.get(name) == maker or maker in self._versions.get(name, ())
            if there or (name, maker) in self._spare or name not in graph.names_of(maker).maybe_defs:
                return None
        return None

    def rest(self, needed: Collection[str] = (), waiting: Collection[str] = ()) -> None:
        """Put the versions of the notebook's end into the module, except of the names `needed`.

        `waiting` are cells of open runs that have yet to begin.
        """
        graph = self._program.graph
        self.queued = set(waiting)
        for name in [*self._crowded]:
            self._crowded.discard(name)
            while len(self._versions.get(name, ())) > self._most_versions and self._drop_oldest(name):
                pass
        for name in self.displaced.difference(needed):
            if graph.redefine != "live":
                # An older version does not belong there.
                lost = bool(self.dropped) and self.lost_at_end(name) is not None
                self._load(name, () if lost else graph.makers(name))
            self.displaced.discard(name)

    def keep_only(self, cell: str, names: frozenset[str]) -> None:
        """Remove the names that `cell` bound, except `names`."""
        bound = self._bound.get(cell, frozenset())
        if bound - names:
            self._bound[cell] = bound & names
            self._remove(cell, bound - names)

    def unbind(self, cell: str, keep: frozenset[str] = frozenset()) -> None:
        """Remove the names that `cell` bound, except those in `keep`, and its private names."""
        if cell in self._bound:
            self._remove(cell, self._bound.pop(cell) - keep)
            for name in self._private.pop(cell):
                self.globals.pop(name, None)

    def disown(self, cell: str) -> None:
        """Keep what `cell` bound, as names that belong to no cell."""
        for name in self._bound.pop(cell, ()):
            if self.owners.get(name) == cell:
                del self.owners[name]
            if name in self._versions:
                self._versions[name].pop(cell, None)
            self.dropped.discard((name, cell))
            self._spare.pop((name, cell), None)
        for name in self._private.pop(cell, ()):
            self.globals.pop(name, None)

    def prune(self, names: Collection[str]) -> None:
        """Drop the versions of `names` that no cell can need; the end may have others now."""
        if self._versions or self._spare:
            self.displaced.update(names)
        for name in self._versions.keys() & set(names):
            versions = self._versions[name]
            for cell in [cell for cell in versions if not self._program.graph.is_needed(cell, name)]:
                self._drop(name, cell, versions.pop(cell))
            if not versions:
                del self._versions[name]

    def names_of(self, value: object) -> list[tuple[str, str | None]]:
        """Return the names that have this very object as a version, each with the cell that made it."""
        found = [
            (name, self.owners.get(name)) for name, other in self.globals.copy().items() if other is value
        ]
        for name, versions in self._versions.items():
            found += [(name, cell) for cell, other in versions.items() if other is value]
        return found

    def _load(self, name: str, makers: Collection[str]) -> None:
        """Put the last existing version of those that `makers` made into the module, or none."""
        versions = self._versions.get(name, {})
        owner = self.owners.get(name)
        wanted = value = None
        for wanted in reversed([*makers]):
            if wanted == owner:
                return
            if wanted in versions:
                value = versions.pop(wanted)
                break
            if (name, wanted) in self._spare:
                value = self._spare.pop((name, wanted))
                break
        else:
            wanted, value = None, _MISSING
            if owner is None:
                return
        self.displaced.add(name)
        self._put_aside(name)
        self.elsewhere.pop(name, None)
        if isinstance(value, RemoteValue):
            self.elsewhere[name] = value
            value = value.copy
        if value is _MISSING:
            self.globals.pop(name, None)
        else:
            self.globals[name] = value
        if wanted is None:
            self.owners.pop(name, None)
        else:
            self.owners[name] = wanted

    def _put_aside(self, name: str) -> None:
        """Keep the version of `name` that is in the module if a cell may need it."""
        owner = self.owners.get(name)
        if owner is None:
            return
        if not self._program.graph.is_needed(owner, name):
            self._drop(name, owner, self.elsewhere.get(name, self.globals.get(name, _MISSING)))
            return
        versions = self._versions.setdefault(name, {})
        versions[owner] = self.globals.get(name, _MISSING)
        if name in self.elsewhere:
            remote = self.elsewhere[name]
            remote.copy = versions[owner]
            versions[owner] = remote
        if self._most_versions and len(versions) > self._most_versions and not self._drop_oldest(name):
            self._crowded.add(name)

    def _drop_oldest(self, name: str) -> bool:
        """Drop the oldest version of `name` that no cell has yet to read; return whether there was one.

        Only the oldest few are looked at.
        """
        # The version of the notebook's end is needed between runs.
        last = self._program.graph.makers(name)[-1]
        for cell in islice(self._versions[name], _LOOKED_AT):
            if cell != last and not self._is_awaited(name, cell):
                del self._versions[name][cell]
                self.dropped.add((name, cell))
                return True
        return False

    def _is_awaited(self, name: str, cell: str) -> bool:
        """Return whether a cell that has yet to begin finds the version of `name` that `cell` makes."""
        graph = self._program.graph
        if not self.queued:
            return False
        if not self.queued.isdisjoint(graph.readers_of(cell, name)):
            return True
        return any(cell in graph.reach(each, name) for each in self.queued.intersection(graph.carriers(name)))

    def _drop(self, name: str, cell: str, value: object) -> None:
        """Give up a version that nothing needs, unless it is light."""
        if type(value) in _LIGHT and sys.getsizeof(value) <= _LIGHT_BYTES:
            self._spare[name, cell] = value
        else:
            self.dropped.add((name, cell))

    def _remove(self, cell: str, names: Iterable[str]) -> None:
        for name in names:
            self.dropped.discard((name, cell))
            self._spare.pop((name, cell), None)
            if name in self._versions:
                self._versions[name].pop(cell, None)
            if self.owners.get(name) == cell:
                del self.owners[name]
                self.globals.pop(name, None)
                self.elsewhere.pop(name, None)
                if name in self._own:
                    self.globals[name] = self._own[name]
                if name in self._versions or self._spare:
                    self.displaced.add(name)
