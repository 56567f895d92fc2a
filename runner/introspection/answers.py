"""Answers about names: `Complete`, `Inspect` and `Variables`.

Functions of the request, the globals and the notebook; they change nothing and, as far as possible, run
no user code: attributes are looked up without calling properties, classes are those that values have and
not those that they claim, and a value with a shape is described by it instead of by its `repr`. What user
code raises where it does run costs what it was asked for and nothing else. jedi completes if it is
installed; otherwise the completions are the names and attributes that exist. A cell's private names are
visible in that cell only.
"""

import builtins
import functools
import inspect as inspection
import keyword
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from ...protocol.messages import (
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
from ...protocol.notebook import Notebook
from ..analysis.names import is_mangled, mangle
from .short_text import qualname, short_text

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
#: Classes of functions and methods.
_ROUTINES = (*_PLAIN_ATTRIBUTES[:6], types.MethodType, types.MethodWrapperType)
#: A dotted name.
_PATH = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_MISSING = object()
#: The names that a class has itself, whatever its metaclass says.
_namespace: Callable[[type], Iterable[str]] = vars(type)["__dict__"].__get__

#: Returns a short text of a value.
Describe = Callable[[object], str]


def answer(
    request: Introspection,
    names: dict[Any, Any],
    notebook: Notebook,
    describe: Describe | None = None,
    elsewhere: Mapping[str, Variable] | None = None,
) -> Completions | Inspection | VariableList:
    """Return the answer to `request`; `describe` is called for the text of a value, see `short_text`.

    Of variables whose values are `elsewhere` and not in `names` there is nothing but what that says.
    """
    describe = describe or short_text
    # Whatever the cells have put into their globals.
    names = {name: value for name, value in names.items() if type(name) is str}
    remote = {name: at for name, at in (elsewhere or {}).items() if name not in names}
    match request:
        case Complete():
            return complete(request, {**dict.fromkeys(remote, object()), **names})
        case Inspect() if (at := remote.get(_name_at(request.code, request.cursor))) is not None:
            return Inspection(request.id, {"text/plain": f"{at.name}: {at.type} = {at.value}"})
        case Inspect():
            return inspect(request, names, describe)
        case Variables():
            found = variables(request, names, notebook, describe).variables
            return VariableList(request.id, sorted([*found, *remote.values()], key=lambda each: each.name))


def complete(request: Complete, names: dict[str, Any]) -> Completions:
    """Return what could stand at the cursor."""
    visible = _visible(names, request.cell)
    code, cursor = request.code, min(max(request.cursor, 0), len(request.code))
    before = code[:cursor]
    try:
        found = _jedi_completions(code, before, visible)
    except BaseException:
        found = None  # not installed, or confused by code that is being typed
    if found is None:
        found = _own_completions(before, visible)
    prefix, items = found
    return Completions(request.id, items, cursor - prefix, cursor)


def inspect(request: Inspect, names: dict[str, Any], describe: Describe | None = None) -> Inspection:
    """Return signature and documentation of the name at the cursor, or of the call around the cursor."""
    found = find(request, names)
    if found is None:
        return Inspection(request.id)
    name, value = found
    headline = _headline(name, value, describe or short_text)
    text = document(value)
    code = source(value) if request.detail > 0 else ""
    markdown = (_as_markdown(headline, "python"), _as_markdown(text), _as_markdown(code, "python"))
    return Inspection(
        request.id,
        {
            "text/plain": "\n\n".join(filter(None, (headline, text, code))),
            "text/markdown": "\n\n".join(filter(None, markdown)),
        },
    )


def find(request: Inspect, names: dict[str, Any]) -> tuple[str, Any] | None:
    """Return the name that `inspect` is asked about, and its value; None if there is none."""
    name = _name_at(request.code, request.cursor)
    value = _resolve(name, _visible(names, request.cell)) if name else _MISSING
    return None if value is _MISSING else (name, value)


def variables(
    request: Variables, names: dict[str, Any], notebook: Notebook, describe: Describe | None = None
) -> VariableList:
    """Return the public variables of the notebook, sorted by name."""
    # A cell that cannot run is not where a value is from.
    rejected = ("MultipleDefinitions", "Cycle")
    cells = [one for one in list(notebook.cells.values()) if not (one.error and one.error.kind in rejected)]
    definers = {name: cell.id for cell in cells for name in cell.defs}
    describe = describe or short_text
    return VariableList(
        request.id,
        [
            Variable(name, definers.get(name, ""), qualname(cast("type[Any]", type(value))), describe(value))
            for name, value in sorted(names.items(), key=lambda item: item[0])
            if not name.startswith("_") and not is_mangled(name)
        ],
    )


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
    path = before[_path_start(before, len(before)) :].rpartition(".")
    owner, prefix = path[0], path[2]
    if not re.fullmatch(_PATH, owner):
        owner = ""
    candidates: dict[str, Callable[[], str]] = {}
    if owner:
        value = _resolve(owner, names)
        if value is not _MISSING:
            candidates = {name: functools.partial(_kind, _attribute(value, name)) for name in _names(value)}
    elif not before[: len(before) - len(prefix)].endswith("."):
        everything = {**vars(builtins), **names}
        candidates = {name: functools.partial(_kind, value) for name, value in everything.items()}
        candidates |= {name: lambda: "keyword" for name in keyword.kwlist}
    return len(prefix), [
        Completion(name, kind())
        for name, kind in sorted(candidates.items())
        if name.startswith(prefix) and (prefix.startswith("_") or not name.startswith("_"))
    ]


def _names(value: object) -> list[str]:
    """Return the attributes that `value` says it has, or else those that its class has."""
    try:
        return [name for name in dir(value) if type(name) is str]
    except BaseException:
        return [name for kind in type.mro(type(value)) for name in _namespace(kind)]


def _kind(value: object) -> str:
    if _is(value, type):
        return "class"
    if _is(value, types.ModuleType):
        return "module"
    return "function" if _is(value, *_ROUTINES) else "instance"


def _is(value: object, *kinds: type) -> bool:
    """Return whether `value` is of one of `kinds`, whatever it says that its class is."""
    return issubclass(type(value), kinds)


# Looking up names


def _path_start(code: str, end: int) -> int:
    """Return where the letters, digits and dots begin that stand before `end`.

    One step for each of them: a pattern that is searched for looks at each place where it might begin.
    """
    while end and (code[end - 1].isalnum() or code[end - 1] in "_."):
        end -= 1
    return end


def _name_at(code: str, cursor: int) -> str:
    """Return the dotted name at `cursor`; if there is none, that of the call whose arguments it is in."""
    cursor = min(max(cursor, 0), len(code))
    found = _PATH.match(code, _path_start(code, cursor))
    if found:
        return found[0]
    depth = 0
    for index in range(cursor - 1, -1, -1):
        depth += (code[index] in ")]}") - (code[index] in "([{")
        if depth < 0:
            if code[index] == "(" and (call := _PATH.fullmatch(code, _path_start(code, index), index)):
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
        if _is(found, *_PLAIN_ATTRIBUTES) or not hasattr(kind, "__get__"):
            return getattr(value, name)
    except BaseException:
        pass
    return _MISSING


def explained(value: Any) -> Any:
    """Return what has the documentation and the source of `value`: itself or its class."""
    itself = _is(value, type, types.ModuleType, *_ROUTINES)
    return value if itself else cast("type[Any]", type(value))


def document(value: Any) -> str:
    """Return the documentation of a value, empty if there is none."""
    try:
        return inspection.getdoc(explained(value)) or ""
    except BaseException:
        return ""


def source(value: Any) -> str:
    """Return the source of a value, or of its class, empty if there is none."""
    try:
        return inspection.getsource(explained(value)).rstrip()
    except BaseException:
        return ""


def signature(value: Any) -> str:
    """Return how something is called, empty if that is not known."""
    try:
        return str(inspection.signature(value))
    except BaseException:
        return ""


def _headline(name: str, value: Any, describe: Describe) -> str:
    if _is(value, types.ModuleType):
        return f"module {types.ModuleType.__getattribute__(value, '__name__')}"
    if callable(value):
        return f"{'class ' if _is(value, type) else ''}{name}{signature(value) or '(…)'}"
    kind = cast("type[Any]", type(value))
    return f"{name}: {qualname(kind)} = {describe(value)}"


def _as_markdown(text: str, language: str = "text") -> str:
    """Return a text as Markdown that keeps its lines as they are."""
    return f"```{language}\n{text}\n```" if text else ""
