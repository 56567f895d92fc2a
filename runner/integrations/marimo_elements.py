"""`mo.ui` elements as inputs: cells that read the value of an element by a global name follow it.

An element keeps the value that it begins with, since only marimo's frontend can move it; its cell says so.
From Python, `element._update(value)` sets what that frontend would send. Cells that read an attribute of the
element's class, such as `value`, then run again. If an element contains others, all its readers run again,
since code can take an element out of it in many ways.
"""

import sys
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from ..api.state import StateChange, object_change, state_listener
from .marimo_runtime import say_once

_NOTICE = (
    "mo.ui elements keep the values they begin with: only marimo's own frontend can show and move them. "
    "element._update(value) moves one from Python."
)

_Listener = Callable[[StateChange], None]

#: The listener of each element that does not belong to marimo's own runtime, by the element's id. Not an
#: attribute of the element, since elements are copied with their attributes.
_elements: dict[str, tuple["weakref.ref[Any]", _Listener | None]] = {}
#: The ids of the elements that are being updated; they update the elements that they contain.
_updating: set[str] = set()


def patch_elements(module: Any) -> None:
    """Make cells follow elements whose value changes."""
    element_class = module.UIElement
    initialise, as_markdown = element_class._initialize, element_class._repr_markdown_

    @wraps(initialise)
    def _initialize(self: Any, initialization_args: Any) -> None:
        initialise(self, initialization_args)
        if self._ctx is None:
            id: str = self._id
            gone: Callable[[Any], Any] = lambda _: _elements.pop(id, None)  # noqa: E731
            _elements[id] = weakref.ref(self, gone), state_listener.get()
            if not _is_anywidget(self):
                say_once(_NOTICE)

    @wraps(as_markdown)
    def _repr_markdown_(self: Any) -> str | None:
        # Frontends would show this, the source of the HTML.
        return None if self._ctx is None else as_markdown(self)

    element_class._initialize = _initialize
    element_class._repr_markdown_ = _repr_markdown_
    for name in ("_update", "_update_value"):
        if hasattr(element_class, name):
            setattr(element_class, name, _telling(name, getattr(element_class, name)))


def _telling(name: str, update: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return a method that updates an element, makes cells follow, and updates the element around it."""

    @wraps(update)
    def update_and_tell(self: Any, value: Any) -> None:
        if self._ctx is not None:
            update(self, value)
            return
        id: str = self._id
        _updating.add(id)
        try:
            update(self, value)
        finally:
            _updating.discard(id)
        _tell(self, _attributes(self))
        lens = self._lens
        if lens is not None and lens.parent_id not in _updating and lens.parent_id in _elements:
            parent = _elements[lens.parent_id][0]()
            if parent is not None:
                getattr(parent, name)({lens.key: value})

    return update_and_tell


def _tell(element: Any, attributes: set[str]) -> None:
    """Make cells follow that read one of these attributes of the element, or all readers if none is given."""
    _, listener = _elements.get(element._id, (None, None))
    if listener is not None:
        listener(object_change(element, attributes))


def holds_elements(element: Any) -> bool:
    """Return whether an element contains others."""
    return hasattr(element, "elements") or hasattr(element, "element")


def _attributes(element: Any) -> set[str]:
    """Return the attributes by which cells read an element's value; none if it contains other elements."""
    if holds_elements(element):
        return set()
    base = sys.modules["marimo._plugins.ui._core.ui_element"].UIElement
    classes = type(element).__mro__
    own = classes[: classes.index(base)]
    return {"value", *(name for each in own for name in vars(each) if not name.startswith("_"))}


def _is_anywidget(element: Any) -> bool:
    module: Any = sys.modules.get("marimo._plugins.ui._impl.from_anywidget")
    return module is not None and isinstance(element, module.anywidget)


def patch_anywidget(module: Any) -> None:
    """Make cells that read a widget through `mo.ui.anywidget` follow it as they follow a widget itself."""
    initialise = module.anywidget._initialize

    @wraps(initialise)
    def _initialize(self: Any, initialization_args: Any) -> None:
        initialise(self, initialization_args)
        if self._ctx is None:
            element = weakref.ref(self)

            def changed(change: Any) -> None:
                wrapper, name = element(), change["name"]
                if wrapper is not None and name in wrapper.widget.keys:
                    _tell(wrapper, {"value", "widget", name})

            self.widget.observe(changed)

    module.anywidget._initialize = _initialize
