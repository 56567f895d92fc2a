"""Answers to what frontends ask about names: `Complete`, `Inspect` and `Variables`.

Functions of the question, the globals and the notebook; they change nothing and, as far as that can
be had, run no user code: attributes are looked up without calling properties, and a value with a shape
is described by it instead of by its `repr`. Completion is jedi's where jedi is installed, and otherwise
made of the names and attributes that exist. A cell's private names are seen from that cell alone.
"""

import builtins
import functools
import inspect as introspection
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
#: What a class may hold under a name without running code when the attribute is read.
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
    question: Introspection, names: dict[str, Any], notebook: Notebook
) -> Completions | Inspection | VariableList:
    """Return the answer to `question`."""
    match question:
        case Complete():
            return complete(question, names)
        case Inspect():
            return inspect(question, names)
        case Variables():
            return variables(question, names, notebook)


def complete(question: Complete, names: dict[str, Any]) -> Completions:
    """Return what could stand at the cursor."""
    visible = _visible(names, question.cell)
    code, cursor = question.code, min(max(question.cursor, 0), len(question.code))
    before = code[:cursor]
    try:
        found = _jedi_completions(code, before, visible)
    except Exception:
        found = None  # not installed, or confused by code that is being typed
    if found is None:
        found = _own_completions(before, visible)
    prefix, items = found
    return Completions(question.id, items, cursor - prefix, cursor)


def inspect(question: Inspect, names: dict[str, Any]) -> Inspection:
    """Return signature and documentation of the name at the cursor, or of the call around it."""
    name = _name_at(question.code, question.cursor)
    value = _resolve(name, _visible(names, question.cell)) if name else _MISSING
    if value is _MISSING:
        return Inspection(question.id)
    headline = _headline(name, value)
    documented: Any = value if _explains_itself(value) else cast("type[Any]", type(value))
    document = introspection.getdoc(documented) or ""
    return Inspection(
        question.id,
        {
            "text/plain": f"{headline}\n\n{document}".rstrip(),
            "text/markdown": f"```python\n{headline}\n```\n\n{_as_markdown(document)}".rstrip(),
        },
    )


def variables(question: Variables, names: dict[str, Any], notebook: Notebook) -> VariableList:
    """Return the public variables of the notebook, sorted by name."""
    definers = {name: cell.id for cell in list(notebook.cells.values()) for name in cell.defs}
    return VariableList(
        question.id,
        [
            Variable(name, definers.get(name, ""), type(value).__qualname__, short_text(value))
            for name, value in sorted(dict(names).items())
            if not name.startswith("_") and not is_mangled(name)
        ],
    )


def short_text(value: object) -> str:
    """Return a short text of `value`, whatever its size and whatever its `repr` does."""
    try:
        kind = type(value)
        if introspection.getattr_static(kind, "shape", None) is not None and (shape := _shape(value)):
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
    """Lets what a `repr` raises through: that it does is worth seeing."""

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)


_short = _ShortRepr()
_short.maxstring = _VALUE_CHARS
_short.maxlevel = 3


def _visible(names: dict[str, Any], cell: str) -> dict[str, Any]:
    """Return the names as code of `cell` sees them: its own private ones as written, no other's."""
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
    """Return jedi, told not to run properties.

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
    """Return the completions of a plain or dotted name, and the length of what they complete."""
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
    return "function" if introspection.isroutine(value) else "instance"


# Looking things up


def _name_at(code: str, cursor: int) -> str:
    """Return the dotted name at `cursor`, or else that of the call whose arguments it is in."""
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
    """Return what a dotted name stands for, or `_MISSING`, running no user code."""
    first, *attributes = path.split(".")
    value: Any = names.get(first, vars(builtins).get(first, _MISSING))
    for attribute in attributes:
        if value is not _MISSING:
            value = _attribute(value, attribute)
    return value


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute if reading it runs no code, else `_MISSING`."""
    try:
        found = introspection.getattr_static(value, name)
        kind = cast("type[Any]", type(found))
        # In the instance or the module itself, or of a kind that does nothing when it is bound.
        if isinstance(found, _PLAIN_ATTRIBUTES) or not hasattr(kind, "__get__"):
            return getattr(value, name)
    except Exception:
        pass
    return _MISSING


def _explains_itself(value: object) -> bool:
    return isinstance(value, (type, types.ModuleType)) or introspection.isroutine(value)


def _headline(name: str, value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if callable(value):
        try:
            signature = str(introspection.signature(value))
        except (TypeError, ValueError):
            signature = "(…)"
        return f"{'class ' if isinstance(value, type) else ''}{name}{signature}"
    return f"{name}: {type(value).__qualname__} = {short_text(value)}"


def _as_markdown(document: str) -> str:
    """Return a docstring so that Markdown leaves its lines as they are."""
    return f"```text\n{document}\n```" if document else ""
