"""Act on a library when, and only if, the user imports it.

`after_import(name, on_import)` calls `on_import(module)` as soon as the module's own code has run, before
its importer sees it, or at once if the module is already imported. So every importer gets the functions
that `on_import` puts in, and nothing is imported only to be changed. One finder stands first in
`sys.meta_path`; for any other name it costs a dictionary look-up.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..output.reports import report

OnImport = Callable[[Any], None]

_callbacks: dict[str, list[OnImport]] = {}


def after_import(name: str, on_import: OnImport) -> None:
    """Call `on_import` with the module `name` once it is imported; if it raises, that is reported."""
    module = sys.modules.get(name)
    if module is not None:
        _call(on_import, module)
        return
    _callbacks.setdefault(name, []).append(on_import)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds what the other finders find, and makes the loader call the callbacks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _callbacks:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                break
        else:
            return None
        loader: Any = spec.loader
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                # Removed only here: a module may be looked for, or fail to load, without being imported.
                for on_import in _callbacks.pop(module.__name__, ()):
                    _call(on_import, module)

            # A loader serves one module; where several share one, the name tells them apart.
            loader.exec_module = exec_module
        return spec


_finder = _Finder()


def _call(on_import: OnImport, module: ModuleType) -> None:
    try:
        on_import(module)
    except BaseException as error:
        report("", error)
