"""With `%autoreload` on, cells that import a module become stale when the file of that module changes.

The magic itself reloads the module when the next cell begins. Once a cell has ended with autoreload switched
on, the files are checked about once a second while nothing runs. Installed modules and those of the standard
library are not watched.
"""

import asyncio
import contextvars
import os
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

#: Seconds between two checks.
_INTERVAL = 1.0
_STANDARD = os.path.dirname(os.__file__) + os.sep
#: Folders of installed modules.
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Watch:
    """Checks the files of the modules that cells have imported."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._shell: Any = None
        self._timer: asyncio.TimerHandle | None = None
        #: When the file of each module last changed, as of the last check.
        self._changed: dict[str, float] = {}

    def note(self, shell: Any) -> None:
        """Record the loaded modules after a cell, and start checking if autoreload is on."""
        self._shell = shell
        if not self._is_on():
            return
        for name, _, changed in self._modules():
            self._changed.setdefault(name, changed)
        if self._timer is None:
            self._wait()

    def _is_on(self) -> bool:
        magics = self._shell.magics_manager.registry.get("AutoreloadMagics")
        return magics is not None and magics._reloader.enabled

    def _wait(self) -> None:
        # Checks belong to no cell.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_INTERVAL, self._look, context=contextvars.Context())

    def _look(self) -> None:
        self._timer = None
        if not self._is_on():
            return
        if not self._engine.interrupts.running:
            modules = list(self._modules())
            new = {name for name, _, changed in modules if self._changed.get(name, changed) < changed}
            since = max((changed for name, _, changed in modules if name in new), default=0.0)
            self._changed.update((name, changed) for name, _, changed in modules)
            if new:
                self._engine.outdate(
                    self._importers(_users(new, [module for _, module, _ in modules]), since)
                )
        self._wait()

    def _modules(self) -> Iterator[tuple[str, ModuleType, float]]:
        """Return the modules that autoreload covers, and when the file of each last changed."""
        reloader = self._shell.magics_manager.registry["AutoreloadMagics"]._reloader
        loaded: dict[str, Any] = sys.modules.copy()
        for name, module in loaded.items():
            # Not by `getattr`: reading an attribute makes some modules load themselves.
            file: Any = vars(module).get("__file__") if isinstance(module, ModuleType) else None
            if not isinstance(file, str) or not file.endswith(".py") or file.startswith(_STANDARD):
                continue
            if any(folder in file for folder in _INSTALLED):
                continue
            if name == "__main__" or name.partition(".")[0] == "cellwire":
                continue
            if name in reloader.skip_modules or not (reloader.check_all or name in reloader.modules):
                continue
            try:
                yield name, module, os.stat(file).st_mtime
            except OSError:
                pass  # the file is gone: the module stays as it is

    def _importers(self, modules: Iterable[str], since: float) -> set[str]:
        """Return the cells that import one of these and last ran before the time `since`."""
        roots = {name.partition(".")[0] for name in modules}
        states = self._engine.notebook.cells
        return {
            cell
            for cell, code in self._engine.program.compiled.items()
            if states[cell].started < since and roots & {_root(source) for _, source in code.analysis.imports}
        }


def _root(imported: str) -> str:
    """Return the top-level package that an import statement, given as text, imports from."""
    return imported.split(" ")[1].partition(".")[0]


def _users(changed: set[str], modules: list[ModuleType]) -> set[str]:
    """Return `changed` and the modules that hold one of these, or something defined in one."""
    found = set(changed)
    grows = True
    while grows:
        more = {
            module.__name__ for module in modules if module.__name__ not in found and _uses(module, found)
        }
        found |= more
        grows = bool(more)
    return found


def _uses(module: ModuleType, others: set[str]) -> bool:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if name in others:
            return True
    return False
