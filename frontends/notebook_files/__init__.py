"""Notebook files: which cells a file holds, read without running it; and files saved with their outputs."""

from typing import TYPE_CHECKING, Any

from .load import NotebookFile, load

if TYPE_CHECKING:
    from .writing import save

__all__ = ["NotebookFile", "load", "save"]


def __getattr__(name: str) -> Any:
    # What only reads a file starts sooner without it.
    if name != "save":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .writing import save

    return save
