"""Act on a library when, and only if, the user imports it.

`after_import(name, action)` calls `action(module)` as soon as the module's own code has run, before its
importer sees it, or at once if it is there already. So what an action replaces in a module is what
everyone gets, and nothing is imported for the sake of it. One finder stands in front of
`sys.meta_path`; for a name nobody waits for it costs a dictionary look-up.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Action = Callable[[Any], None]

_actions: dict[str, list[Action]] = {}


def after_import(name: str, action: Action) -> None:
    """Call `action` with the module `name` once it is imported. An action that raises is reported."""
    module = sys.modules.get(name)
    if module is not None:
        _carry_out(action, module)
        return
    _actions.setdefault(name, []).append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds what the other finders find, and has the loader carry out the actions."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _actions:
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
                # Taken out only here: a module may be looked for, or fail to load, without being imported.
                for action in _actions.pop(module.__name__, ()):
                    _carry_out(action, module)

            # A loader serves one module (of those that share one, the name tells which).
            loader.exec_module = exec_module
        return spec


_finder = _Finder()


def _carry_out(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception:
        sys.stderr.write(traceback.format_exc())
