"""Notebook files: which cells a file holds, read without running it."""

from .load import NotebookFile, load

__all__ = ["NotebookFile", "load"]
