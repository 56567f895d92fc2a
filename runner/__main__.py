"""The runner process: `python -P -m cellwire.runner LINK CONTROL SHARED`, three inherited descriptors.

What this process consists of has built-in functions of its own: a cell that replaces `builtins.len` does so
for itself and for libraries, but not for the engine and for what that stands on.

TLS is loaded when it is first used: asyncio imports it, and it would be a sixth of the memory of a runner.
"""

import builtins
import gc
import sys
from _thread import RLock
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

#: Packages and modules that the engine, the event loop and the reports of errors are made of.
_FOUNDATIONS = frozenset(
    {
        *("ast", "asyncio", "cellwire", "contextlib", "heapq", "inspect", "linecache", "selectors"),
        *("symtable", "traceback", "weakref", "_weakrefset"),
    }
)
_BUILTINS = dict(vars(builtins))
_Execute = Callable[[ModuleType], None]
#: What is loaded when it is first used.
_LATER = frozenset({"asyncio.sslproto", "ssl"})


class _Later(ModuleType):
    """A module whose code runs when an attribute is first looked for that only the code can give it.

    Then it is of the ordinary class: no method may take for granted that it still is of this one.
    """

    def __getattr__(self, name: str) -> Any:
        _load(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        # An import gives such names to any module.
        if not name.startswith("__"):
            _load(self)
        ModuleType.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        _load(self)
        return list(ModuleType.__dir__(self))


#: What runs the code of each module that is not loaded yet. The lock is held while one is being loaded.
_loaders: dict[ModuleType, _Execute] = {}
_loading = RLock()


def _load(module: ModuleType) -> None:
    """Run the code of a module that is not loaded; does nothing while it runs in this thread."""
    with _loading:
        execute = _loaders.pop(module, None)
        if execute is None:
            return
        try:
            execute(module)
            module.__class__ = ModuleType
        finally:
            if type(module) is _Later:
                # It failed, and is loaded again when it is used again.
                _loaders[module] = execute


def _create(spec: ModuleSpec) -> ModuleType:
    """Return a module that will be loaded later."""
    return _Later(spec.name)


def _leave(execute: _Execute, module: ModuleType) -> None:
    """Have `execute` run the code of the module later."""
    _loaders[module] = execute


class _Finder(PathFinder):
    """Finds what the ordinary finder finds, gives foundations their own built-ins, and has TLS wait."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        own, later = fullname.partition(".")[0] in _FOUNDATIONS, fullname in _LATER
        if not own and not later:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            if own:
                module.__builtins__ = _BUILTINS
            execute(module)

        loader.exec_module = exec_module
        # What imports `ssl` has to learn at once that Python was built without it.
        if later and super().find_spec("_ssl") is not None:
            loader.create_module = _create
            loader.exec_module = partial(_leave, exec_module)
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder)
    # Modules leave next to no garbage; looking for it takes a tenth of the time of their import, and later on
    # would take time from user code.
    gc.disable()
    from ..protocol.lean_imports import import_msgspec

    import_msgspec()
    from .host import serve

    gc.freeze()
    gc.enable()

    serve(*map(int, sys.argv[1:4]))
