"""What is known of a value, under the labels of IPython's inspection; no user code runs for it."""

import inspect
import types
from collections.abc import Callable
from typing import Any, cast

from ..introspection.answers import document, explained, signature, source
from ..introspection.short_text import qualname, short_text

_SIZED: tuple[type, ...] = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


def labelled(name: str, value: Any, describe: Callable[[object], str] | None = None, *, detail: int) -> str:
    """Return signature or value, documentation, file and type; with `detail` the source, if there is one."""
    kind = cast("type[Any]", type(value))
    own = explained(value) is value
    module = issubclass(kind, types.ModuleType)
    is_class = issubclass(kind, type)
    fields: dict[str, str] = {}
    if own and not module:
        called = signature(value)
        fields["Init signature" if is_class else "Signature"] = f"{name}{called}" if called else ""
    else:
        fields["Type"] = qualname(kind)
        fields["String form"] = (describe or short_text)(value)
        fields["Length"] = str(len(value)) if kind in _SIZED else ""
    code = source(value) if detail > 0 else ""
    fields["Source" if code else "Docstring"] = code or document(value) or "<no docstring>"
    fields["File"] = _file(value)
    if own and not module:
        fields["Type"] = qualname(kind)
    width = max(map(len, fields)) + 2
    return "\n".join(_line(label, text, width) for label, text in fields.items() if text)


def _line(label: str, text: str, width: int) -> str:
    return f"{label}:\n{text}" if "\n" in text else f"{label + ':':<{width}}{text}"


def _file(value: Any) -> str:
    """Return the file of a value or its class; empty if there is none, as for what a cell defines."""
    try:
        file = inspect.getfile(explained(value))
    except BaseException:
        return ""
    return "" if file.startswith("<") else file
