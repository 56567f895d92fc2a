"""`mo.status.progress_bar` and `mo.status.spinner` as cellwire's own progress."""

from functools import wraps
from typing import Any

from ...protocol.mime_types import Progress
from ..api.progress import Spinner, progress_bar, progress_data, spinner
from .marimo_runtime import marimo_runs, replace, say_once


def patch_status(module: Any) -> None:
    """Show progress as an item of the calling cell, and report that toasts are not shown."""
    module.progress_bar.__new__ = _new_bar(module.progress_bar)
    _patch_spinner(module.spinner)
    replace(module, "toast", toast)


def _new_bar(bar_class: type) -> Any:
    def __new__(cls: type[Any], collection: Any = None, *, disabled: bool = False, **options: Any) -> Any:
        # Subclasses are marimo's own, for tqdm.
        if cls is not bar_class or disabled or marimo_runs():
            return object.__new__(cls)
        if isinstance(collection, range):
            options["total"] = None  # marimo counts in the steps of a range
        given = {name: value for name, value in options.items() if value is not None}
        return progress_bar(collection, **given)

    return staticmethod(__new__)


def _patch_spinner(spinner_class: Any) -> None:
    enter, leave = spinner_class.__enter__, spinner_class.__exit__

    @wraps(enter)
    def __enter__(self: Any) -> Any:
        if marimo_runs():
            return enter(self)
        shown = spinner(self.title or "", self.subtitle or "", self.remove_on_exit)
        self._cellwire_spinner = shown
        return shown.__enter__()

    @wraps(leave)
    def __exit__(self: Any, *error: Any) -> None:
        shown: Spinner | None = getattr(self, "_cellwire_spinner", None)
        (leave if shown is None else Spinner.__exit__)(shown or self, *error)

    def _repr_mimebundle_(self: Any, **_: Any) -> dict[str, Any]:
        return progress_data(Progress(self.title or "", self.subtitle or ""))

    spinner_class.__enter__, spinner_class.__exit__ = __enter__, __exit__
    spinner_class._repr_mimebundle_ = _repr_mimebundle_


def toast(title: str, description: str = "", kind: object = None) -> None:
    """Say that there is no place for toasts."""
    say_once("mo.status.toast shows nothing: only marimo's own frontend has toasts.")
