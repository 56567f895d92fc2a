"""What cells are written in: how a source becomes Python, and what that does with names.

`PYTHON` is the language of Python alone. Another one is a subclass: it may accept more than Python does, and
have other rules for names. A notebook has one language, which `Program` is given.
"""

import ast
from typing import NamedTuple

from .analysis import AnalysisError, find_names, parse
from .name_usage import NameUsage
from .names import is_private


class Parsed(NamedTuple):
    """A cell as Python."""

    #: What Python runs, and what tracebacks show: the source itself where that is Python.
    source: str
    tree: ast.Module


class Language:
    """Python, whose names with one leading underscore belong to their cell."""

    #: Grows when sources that were compiled before may now mean something else.
    version: int = 0
    #: Whether cells that await may run beside others, which see the same process as they do.
    overlaps: bool = True

    def parse(self, source: str, filename: str) -> Parsed:
        """Return `source` as Python.

        Raises: AnalysisError if it is not of this language.
        """
        try:
            return Parsed(source, parse(source, filename))
        except AnalysisError as error:
            if "IPython" in error.hint:
                error.hint += '; or have the cells read as IPython does, with dialect="ipython"'
            raise

    def find_names(self, parsed: Parsed) -> NameUsage:
        """Return what a cell does with names.

        Raises: AnalysisError if it is nested too deeply, or has a star import that cannot be followed.
        """
        return find_names(parsed.tree, follow_stars=True)

    def tracks(self, name: str) -> bool:
        """Return whether cells depend on each other by `name`, which is not private to a cell."""
        return not is_private(name)


PYTHON = Language()
