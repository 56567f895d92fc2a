"""Answers about names: `Complete`, `Inspect` and `Variables`.

Functions of the request, the globals and the notebook; they change nothing and, as far as possible, run
no user code: attributes are looked up without calling properties, and a value with a shape is described
by it instead of by its `repr`. jedi completes if it is installed; otherwise the completions are the names
and attributes that exist. A cell's private names are visible in that cell only.
"""

import builtins
import functools
import inspect as inspection
import keyword
import re
import reprlib
import types
from collections.abc import Callable
from typing import Any, cast

from ..protocol.messages import (
    Complete,
    Completion,
    Completions,
    Inspect,
    Inspection,
    Introspection,
    Variable,
    VariableList,
    Variables,
)
from ..protocol.notebook import Notebook
from .analysis.names import is_mangled, mangle

#: Characters of a value in a list of variables.
_VALUE_CHARS = 120
#: Values in a class whose attribute can be read without running code.
_PLAIN_ATTRIBUTES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MemberDescriptorType,
    classmethod,
    staticmethod,
)
_MISSING = object()


def answer(
    request: Introspection, names: dict[str, Any], notebook: Notebook
) -> Completions | Inspection | VariableList:
    """Return the answer to `request`."""
    match request:
        case Complete():
            return complete(request, names)
        case Inspect():
            return inspect(request, names)
        case Variables():
            return variables(request, names, notebook)


def complete(request: Complete, names: dict[str, Any]) -> Completions:
    """Return what could stand at the cursor."""
    visible = _visible(names, request.cell)
    code, cursor = request.code, min(max(request.cursor, 0), len(request.code))
    before = code[:cursor]
    try:
        found = _jedi_completions(code, before, visible)
    except Exception:
        found = None  # not installed, or confused by code that is being typed
    if found is None:
        found = _own_completions(before, visible)
    prefix, items = found
    return Completions(request.id, items, cursor - prefix, cursor)


def inspect(request: Inspect, names: dict[str, Any]) -> Inspection:
    """Return signature and documentation of the name at the cursor, or of the call around the cursor."""
    name = _name_at(request.code, request.cursor)
    value = _resolve(name, _visible(names, request.cell)) if name else _MISSING
    if value is _MISSING:
        return Inspection(request.id)
    headline = _headline(name, value)
    documented: Any = value if _explains_itself(value) else cast("type[Any]", type(value))
    document = inspection.getdoc(documented) or ""
    return Inspection(
        request.id,
        {
            "text/plain": f"{headline}\n\n{document}".rstrip(),
            "text/markdown": f"```python\n{headline}\n```\n\n{_as_markdown(document)}".rstrip(),
        },
    )


def variables(request: Variables, names: dict[str, Any], notebook: Notebook) -> VariableList:
    """Return the public variables of the notebook, sorted by name."""
    definers = {name: cell.id for cell in list(notebook.cells.values()) for name in cell.defs}
    return VariableList(
        request.id,
        [
            Variable(name, definers.get(name, ""), type(value).__qualname__, short_text(value))
            for name, value in sorted(dict(names).items())
            if not name.startswith("_") and not is_mangled(name)
        ],
    )


def short_text(value: object) -> str:
    """Return a short text of `value`, however large it is and whatever its `repr` does."""
    try:
        kind = type(value)
        if inspection.getattr_static(kind, "shape", None) is not None and (shape := _shape(value)):
            return f"{kind.__qualname__} of shape {shape}"
        text = _short.repr(value)
    except Exception as error:
        return f"<repr raised {type(error).__name__}: {error}>"[:_VALUE_CHARS]
    return text if len(text) <= _VALUE_CHARS else f"{text[: _VALUE_CHARS - 1]}…"


def _shape(value: Any) -> str:
    """Return the dimensions of an array or a frame; empty for a scalar."""
    shape: Any = value.shape
    return " × ".join(map(str, shape))


class _ShortRepr(reprlib.Repr):
    """Lets exceptions of a `repr` through, so that `short_text` can show them."""

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)


_short = _ShortRepr()
_short.maxstring = _VALUE_CHARS
_short.maxlevel = 3


def _visible(names: dict[str, Any], cell: str) -> dict[str, Any]:
    """Return the names that code of `cell` can use: its own private names as written, no other cell's."""
    own = mangle("", cell) if cell else None
    visible: dict[str, Any] = {}
    for name, value in dict(names).items():
        if not is_mangled(name):
            visible[name] = value
        elif own is not None and name.startswith(own):
            visible[name.removeprefix(own)] = value
    return visible


# Completion


@functools.cache
def _jedi() -> Any:
    """Return jedi, configured not to run properties.

    Raises: ImportError if it is not installed.
    """
    import jedi

    jedi.settings.allow_unsafe_interpreter_executions = False
    return jedi


def _jedi_completions(code: str, before: str, names: dict[str, Any]) -> tuple[int, list[Completion]]:
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
    found = _jedi().Interpreter(code, [names]).complete(line, column)
    prefix = found[0].get_completion_prefix_length() if found else 0
    return prefix, [Completion(each.name_with_symbols, each.type) for each in found]


def _own_completions(before: str, names: dict[str, Any]) -> tuple[int, list[Completion]]:
    """Return the completions of a plain or dotted name, and the length of the part that is written."""
    written = re.search(r"(?:(\w+(?:\.\w+)*)\.)?(\w*)$", before)
    owner, prefix = written.groups("") if written else ("", "")
    candidates: dict[str, Callable[[], str]] = {}
    if owner:
        value = _resolve(owner, names)
        if value is not _MISSING:
            candidates = {name: functools.partial(_kind, _attribute(value, name)) for name in dir(value)}
    elif not before[: len(before) - len(prefix)].endswith("."):
        everything = {**vars(builtins), **names}
        candidates = {name: functools.partial(_kind, value) for name, value in everything.items()}
        candidates |= {name: lambda: "keyword" for name in keyword.kwlist}
    return len(prefix), [
        Completion(name, kind())
        for name, kind in sorted(candidates.items())
        if name.startswith(prefix) and (prefix.startswith("_") or not name.startswith("_"))
    ]


def _kind(value: object) -> str:
    if isinstance(value, type):
        return "class"
    if isinstance(value, types.ModuleType):
        return "module"
    return "function" if inspection.isroutine(value) else "instance"


# Looking up names


def _name_at(code: str, cursor: int) -> str:
    """Return the dotted name at `cursor`; if there is none, that of the call whose arguments it is in."""
    start = len(code[:cursor]) - len(re.findall(r"[\w.]*$", code[:cursor])[0])
    found = re.match(r"\w+(?:\.\w+)*", code[start:])
    if found and not found[0][0].isdigit():
        return found[0]
    depth = 0
    for index in range(min(cursor, len(code)) - 1, -1, -1):
        depth += (code[index] in ")]}") - (code[index] in "([{")
        if depth < 0:
            if code[index] == "(" and (call := re.search(r"[^\W\d]\w*(?:\.\w+)*$", code[:index])):
                return call[0]
            depth = 0
    return ""


def _resolve(path: str, names: dict[str, Any]) -> Any:
    """Return the value of a dotted name, or `_MISSING`, without running user code."""
    first, *attributes = path.split(".")
    value: Any = names.get(first, vars(builtins).get(first, _MISSING))
    for attribute in attributes:
        if value is not _MISSING:
            value = _attribute(value, attribute)
    return value


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute if reading it runs no code, otherwise `_MISSING`."""
    try:
        found = inspection.getattr_static(value, name)
        kind = cast("type[Any]", type(found))
        # It is in the instance or module itself, or of a type that runs nothing when it is bound.
        if isinstance(found, _PLAIN_ATTRIBUTES) or not hasattr(kind, "__get__"):
            return getattr(value, name)
    except Exception:
        pass
    return _MISSING


def _explains_itself(value: object) -> bool:
    return isinstance(value, (type, types.ModuleType)) or inspection.isroutine(value)


def _headline(name: str, value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if callable(value):
        try:
            signature = str(inspection.signature(value))
        except (TypeError, ValueError):
            signature = "(…)"
        return f"{'class ' if isinstance(value, type) else ''}{name}{signature}"
    return f"{name}: {type(value).__qualname__} = {short_text(value)}"


def _as_markdown(document: str) -> str:
    """Return a docstring as Markdown that keeps its lines as they are."""
    return f"```text\n{document}\n```" if document else ""
