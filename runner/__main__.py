"""The runner process: `python -P -m cellwire.runner LINK CONTROL SHARED`, three inherited descriptors.

What this process consists of has built-in functions of its own: a cell that replaces `builtins.len` does so
for itself and for libraries, but not for the engine and for what that stands on.
"""

import builtins
import sys
from importlib.machinery import PathFinder
from typing import Any

#: Packages and modules that the engine, the event loop and the reports of errors are made of.
_FOUNDATIONS = frozenset(
    {
        *("ast", "asyncio", "cellwire", "contextlib", "heapq", "inspect", "linecache", "selectors"),
        *("symtable", "traceback", "weakref", "_weakrefset"),
    }
)
_BUILTINS = dict(vars(builtins))


class _Finder(PathFinder):
    """Finds what the ordinary finder finds, and gives foundations their own built-in functions."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] not in _FOUNDATIONS:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                module.__builtins__ = _BUILTINS
                execute(module)

            spec.loader.exec_module = exec_module
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder)
    from .host import serve

    serve(*map(int, sys.argv[1:4]))
