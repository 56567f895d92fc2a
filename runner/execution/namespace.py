"""The module that cells run in, and who has bound what in it.

A fresh module named `__main__`, so that what cells define looks as in a script: pickle, dataclasses and
inspect find it where they look if it is registered. What a cell has bound is removed when the cell is
run again or goes away; private names go with it.
"""

import builtins
import sys
import types
from collections.abc import Iterable
from typing import Any

from ..analysis.compiler import CompiledCell


class Namespace:
    """The global names of a notebook."""

    def __init__(self, register: bool) -> None:
        self._module = types.ModuleType("__main__")
        self.globals: dict[str, Any] = self._module.__dict__
        self.globals["__builtins__"] = builtins
        #: The cell that has bound a name last.
        self.owners: dict[str, str] = {}
        # What each cell that has run may have bound, as its code was then: definitions and private names.
        self._bound: dict[str, frozenset[str]] = {}
        self._private: dict[str, frozenset[str]] = {}
        if register:
            # The module that was there holds code that is being executed: it must stay alive.
            self._replaced = sys.modules["__main__"]
            sys.modules["__main__"] = self._module

    def bind(self, cell: str, code: CompiledCell) -> None:
        """Note that `cell` is about to bind its definitions."""
        self._bound[cell] = code.analysis.defs
        self._private[cell] = code.private_globals
        for name in code.analysis.defs:
            self.owners[name] = cell
        # What earlier runs have warned of is gone with their output, and cells count their lines alike.
        self.globals.pop("__warningregistry__", None)

    def keep_only(self, cell: str, names: frozenset[str]) -> None:
        """Remove what `cell` has bound and is not among `names`."""
        bound = self._bound.get(cell, frozenset())
        if bound - names:
            self._bound[cell] = bound & names
            self._remove(cell, bound - names)

    def unbind(self, cell: str, keep: frozenset[str] = frozenset()) -> None:
        """Remove all that `cell` has bound, but names in `keep`, and its private names."""
        if cell in self._bound:
            self._remove(cell, self._bound.pop(cell) - keep)
            for name in self._private.pop(cell):
                self.globals.pop(name, None)

    def names_of(self, value: object) -> list[str]:
        """Return the global names whose value is this very object."""
        return [name for name, other in self.globals.copy().items() if other is value]

    def _remove(self, cell: str, names: Iterable[str]) -> None:
        for name in names:
            if self.owners.get(name) == cell:
                del self.owners[name]
                self.globals.pop(name, None)
