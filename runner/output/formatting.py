"""From a value to a mime bundle: what a frontend can show of it.

`format_value` asks, in this order, `_repr_mimebundle_`, the other `_repr_*_` methods, the registered
formatters and those of `formatters.py`; the first to give a mime type wins it. `text/plain` is always
there. A formatter that raises costs its own mime types only; its traceback goes to standard error.

The result holds what msgpack and JSON have in common, plus bytes for images: numpy scalars, dates,
sets and the like become plain numbers, text and lists here, once. Text is not shortened here, however
long: `limits.item_bytes` bounds an item, whatever it is made of.

Formatting runs user code, so no lock may be held around it.
"""

import base64
import binascii
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from .encoding import as_plain, escape_surrogates
from .formatters import formatter_for
from .reports import name_of_class, qualname_of_class, report, report_of_value

#: A mime bundle: mime type to text, bytes (images) or a JSON-like value.
Data = dict[str, Any]
Metadata = dict[str, Any]
#: Returns a bundle, a pair of bundle and metadata, or None to add nothing.
Formatter = Callable[[Any], Data | tuple[Data, Metadata] | None]

#: Methods that give one mime type each.
_METHODS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_pdf_": "application/pdf",
    "_repr_latex_": "text/latex",
    "_repr_json_": "application/json",
    "_repr_javascript_": "application/javascript",
}
_BINARY = {"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"}
#: No class defines it, so a value that has it has every attribute, and its methods mean nothing.
_CANARY = "_repr_cellwire_canary_"

#: Classes whose values have no methods to be asked; a module may have functions of these names.
UNASKED: frozenset[type] = frozenset(
    {str, int, float, bool, type(None), list, dict, tuple, set, bytes, ModuleType}
)

_formatters: dict[type | str, Formatter] = {}

#: Formats values in place of all that is here; it returns None for a value that it leaves to that, and an
#: empty bundle for one that has shown itself.
whole: Callable[[Any], tuple[Data, Metadata] | None] | None = None


def register_formatter(of: type | str, formatter: Formatter) -> None:
    """Format values of class `of`, and of its subclasses, with `formatter` too.

    A string means `module.qualified_name` and does not import the module. The formatter of the most
    derived registered class is used; registering a class again replaces its formatter.
    """
    _formatters[of] = formatter


def format_value(value: object) -> tuple[Data, Metadata]:
    """Return the mime bundle of `value` and its metadata; never raises an `Exception`."""
    if whole is not None:
        try:
            formatted = whole(value)
        except Exception as error:
            report("", error)
            formatted = None
        if formatted is not None:
            return formatted
    data: Data = {}
    metadata: Metadata = {}
    kind = type(value)
    formatters: tuple[Formatter | None, ...] = ()
    try:
        if kind not in UNASKED and not issubclass(kind, type) and _method(value, _CANARY) is None:
            _ask_methods(value, data, metadata)
        formatters = (_registered(kind), formatter_for(value))
    except Exception as error:
        report("", error)  # of a metaclass
    for formatter in formatters:
        if formatter is not None:
            _guard(lambda formatter=formatter: _merge(formatter(value), data, metadata))
    if "text/plain" not in data:
        data["text/plain"] = plain_text(value)
    return data, metadata


def normalized(data: Data) -> Data:
    """Return a bundle that someone else has made, with each content in the form of its mime type."""
    return {str(mime): _content(str(mime), content) for mime, content in data.items()}


def plain_text(value: object) -> str:
    """Return `repr(value)`; if that raises, report it and return a text that says so."""
    try:
        return escape_surrogates(str.__str__(repr(value)))
    except Exception as error:
        report_of_value(error)
        return unshown(value, error)


def unshown(value: object, error: BaseException) -> str:
    """Return what is shown instead of `value`, whose `repr` has raised `error`."""
    return f"<{qualname_of_class(type(value))} object; its repr raised {name_of_class(type(error))}>"


def _is_defined(kind: type, name: str) -> bool:
    """Return whether a class has an attribute, whatever its instances answer when they are asked for one."""
    return any(name in vars(base) for base in type.mro(kind))


def show_itself(value: object) -> bool:
    """Call `_ipython_display_` of a value that has it; return whether the value has shown itself with it.

    Such a method appends what it likes; a registered formatter comes before it. `UNASKED` says which values
    need not be given to this.
    """
    kind = type(value)
    try:
        if issubclass(kind, type) or not _is_defined(kind, "_ipython_display_"):
            return False
        method = _method(value, "_ipython_display_")
        if method is None or _registered(kind) is not None or formatter_for(value) is not None:
            return False
        method()
    except NotImplementedError:
        return False
    except Exception as error:
        report("", error)
        return False
    return True


def _ask_methods(value: object, data: Data, metadata: Metadata) -> None:
    """Add what `_repr_mimebundle_` and the other `_repr_*_` methods of `value` return."""
    bundle = _method(value, "_repr_mimebundle_")
    if bundle is not None:
        _guard(lambda: _merge(_call_bundle(bundle), data, metadata))
    for name, mime in _METHODS.items():
        # One raster image is enough: a JPEG is made only where there is no PNG.
        if mime in data or (mime == "image/jpeg" and "image/png" in data):
            continue
        method = _method(value, name)
        if method is not None:
            _guard(lambda method=method, mime=mime: _merge(_tagged(method(), mime), data, metadata))


def _method(value: object, name: str) -> Callable[..., Any] | None:
    try:
        method = getattr(value, name, None)
    except Exception:
        return None  # a property or a `__getattr__` that fails counts as absent
    return method if callable(method) else None


def _call_bundle(method: Callable[..., Any]) -> Any:
    """Call `_repr_mimebundle_` with the arguments that IPython passes, if it takes them."""
    try:
        inspect.signature(method).bind(include=None, exclude=None)
    except (TypeError, ValueError):
        return method()
    return method(include=None, exclude=None)


def _tagged(result: Any, mime: str) -> Any:
    """Return the result of a `_repr_*_` method, data or a pair of data and metadata, as a bundle."""
    if isinstance(result, tuple):
        content, about = cast("tuple[Any, Any]", result)
        return {mime: content}, {mime: about} if about else {}
    return {mime: result}


def _merge(result: Any, data: Data, metadata: Metadata) -> None:
    """Add the mime types of `result` that are not in `data` yet, and their metadata."""
    about: Metadata = {}
    if isinstance(result, tuple):
        result, about = cast("tuple[Any, Any]", result)
        about = about or {}
    bundle = cast("Data", result or {})
    for mime, content in bundle.items():
        if content is not None and mime not in data:
            data[str(mime)] = _content(str(mime), content)
            if mime in about:
                metadata[str(mime)] = as_plain(about[mime])
    for key in about.keys() - bundle.keys():
        metadata.setdefault(str(key), as_plain(about[key]))


def _content(mime: str, content: Any) -> Any:
    """Return `content` in the form of its mime type: bytes for images, text for text."""
    if mime in _BINARY and isinstance(content, str):
        try:
            return base64.b64decode(content)
        except (binascii.Error, ValueError):
            return escape_surrogates(content)
    if mime.startswith("text/") or mime == "image/svg+xml":
        if isinstance(content, (bytes, bytearray)):
            return content.decode("utf-8", "replace")
        return escape_surrogates(str(content))
    return as_plain(content)


def _registered(kind: type) -> Formatter | None:
    """Return the formatter that was registered for `kind` or its nearest base class."""
    if _formatters:
        for base in kind.__mro__:
            formatter = _formatters.get(base) or _formatters.get(f"{base.__module__}.{base.__qualname__}")
            if formatter is not None:
                return formatter
    return None


def _guard(step: Callable[[], None]) -> None:
    """Call `step`; if it raises, report that and go on without what it would have added."""
    try:
        step()
    except Exception as error:
        report_of_value(error)
