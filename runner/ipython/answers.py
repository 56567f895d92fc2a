"""Completion and inspection of magics, tried before those of names, and the labels of IPython's inspection.

All of this runs on the introspector's thread. It never makes the shell, since user code may be importing
IPython at the same time. Until a shell exists it knows the names of the magics that come with IPython, but
not their documentation.
"""

import re
from collections.abc import Callable
from typing import Any

from ...protocol.messages import Complete, Completion, Completions, Inspect, Inspection, Variables
from ..introspection.answers import find
from .inspection import labelled
from .line_magics import CODE, FOREIGN, LINE_MAGICS

#: The name of a magic that is being typed or is under the cursor, and the options of a magic.
_TYPED = re.compile(r"(?:^|[\s=])(%{1,2})([\w.]*)$")
_MAGIC = re.compile(r"(%{1,2})(\w+)$")

#: Names that no cell has bound.
_GIVEN = frozenset({"In", "Out", "exit", "get_ipython", "open", "quit"})

Answer = Callable[..., Any]


def answer(bridge: Any, others: Answer, request: Any, *context: Any) -> Any:
    """Return the answer to a request about magics; pass any other request on to `others`."""
    found = None
    if isinstance(request, Complete):
        found = _complete(bridge, request)
    elif isinstance(request, Inspect):
        found = _inspect(bridge, request) or _inspect_name(others, request, *context)
    elif isinstance(request, Variables):
        names, notebook, *more = context
        return others(request, _of_cells(names, notebook), notebook, *more)
    return others(request, *context) if found is None else found


def _of_cells(names: dict[Any, Any], notebook: Any) -> dict[Any, Any]:
    """Return the names without those that every cell has."""
    defined = {name for cell in list(notebook.cells.values()) for name in cell.defs}
    return {name: value for name, value in names.items() if name not in _GIVEN or name in defined}


def _complete(bridge: Any, request: Complete) -> Completions | None:
    before = request.code[: request.cursor]
    typed = _TYPED.search(before)
    if typed is None or (typed[1] == "%%" and before.strip() != typed[0].strip()):
        return None
    line, cell = _names(bridge)
    names = cell if typed[1] == "%%" else line
    items = [Completion(name, "magic") for name in sorted(names) if name.startswith(typed[2])]
    return Completions(request.id, items, request.cursor - len(typed[2]), request.cursor)


def _names(bridge: Any) -> tuple[set[str], set[str]]:
    """Return the names of line magics and of cell magics."""
    if bridge.shell is None:
        return set(LINE_MAGICS), {*CODE, *FOREIGN, "capture"} - {"!"}
    magics = bridge.shell.magics_manager.magics
    return set(magics["line"]), set(magics["cell"]) - {"!"}


def _inspect(bridge: Any, request: Inspect) -> Inspection | None:
    code, end = request.code, request.cursor
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    found = _MAGIC.search(code[:end])
    if found is None or bridge.shell is None:
        return None
    kind = "cell" if found[1] == "%%" else "line"
    function = bridge.shell.find_magic(found[2], kind)
    if function is None:
        return None
    document = f"{found[0]}\n\n{getattr(function, '__doc__', None) or ''}".rstrip()
    return Inspection(request.id, {"text/plain": document, "text/markdown": f"```text\n{document}\n```"})


def _inspect_name(others: Answer, request: Inspect, *context: Any) -> Inspection | None:
    """Return what `others` know of a name, as text laid out as IPython does it."""
    names, _, *describe = context
    found = find(request, {name: value for name, value in names.items() if type(name) is str})
    if found is None:
        return None
    answered = others(request, *context)
    text = labelled(*found, *describe[:1], detail=request.detail)
    return Inspection(request.id, {**answered.data, "text/plain": text})
