"""What one cell defines, reads and deletes, found without running it.

`analyze` does all of it for callers that need only the names; `compiler` uses the same functions and keeps
the code. Whatever CPython's parser, symbol table or code generator rejects is an `AnalysisError`, so a cell
that was analysed can be run.

A name counts as read before its definition (`rereads`) if there is a path through the cell's statements
on which the read comes first: `df = df.dropna()`, `n += 1`, a read after `if c: x = 1`. The bodies
of functions do not count, as they run when the function is called; those of classes and comprehensions do.
"""

import ast
import inspect
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import Any, Literal

import msgspec

from .name_usage import NameUsage, find_usage

#: How deep calls may be nested unless user code says otherwise.
_USUAL_DEPTH = 1000

ErrorKind = Literal["SyntaxError", "ImportStar"]


class AnalysisError(Exception):
    """Raised when a cell cannot be run, whatever the other cells are."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        line: int = 0,
        offset: int = 0,
        hint: str = "",
        end_line: int = 0,
        end_offset: int = 0,
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        #: Where, all from 1; 0 for what is unknown. The end is after the last character.
        self.line = line
        self.offset = offset
        self.end_line = end_line
        self.end_offset = end_offset
        #: What to write instead; may be empty.
        self.hint = hint
        #: The line and a caret below it, as Python shows them; may be empty.
        self.excerpt = excerpt


class Analysis(msgspec.Struct, frozen=True):
    """What a cell does with the names that all cells share."""

    #: Names that the cell binds.
    defs: frozenset[str] = frozenset()
    #: Names that it reads, in any scope, and does not define; including builtins.
    refs: frozenset[str] = frozenset()
    #: Names that it defines and may read before that.
    rereads: frozenset[str] = frozenset()
    #: Names that it deletes and does not define; all of them are in `refs`.
    deleted: frozenset[str] = frozenset()
    #: Its private names, which are in none of the other sets.
    privates: frozenset[str] = frozenset()
    #: Whether it has a top-level `await`, `async for` or `async with`.
    is_async: bool = False
    #: Whether it consists of imports.
    import_only: bool = False
    #: Each name that an import binds, with what is imported: the symmetric difference of two cells contains
    #: the imports that were added, removed or changed.
    imports: frozenset[tuple[str, str]] = frozenset()
    #: Names in `refs` that it reads while it runs.
    immediate: frozenset[str] = frozenset()
    #: Names in `refs` that only the bodies of its functions read. What is in neither of the two is never
    #: evaluated: annotations of local variables, and all under `from __future__ import annotations`.
    deferred: frozenset[str] = frozenset()
    #: Names that the bodies of its functions read, including its own definitions.
    function_reads: frozenset[str] = frozenset()
    #: Names in `defs` that one of its functions reads which exists before the name is certainly bound.
    late_rereads: frozenset[str] = frozenset()
    #: Names in `defs` that it may leave as they were, as in `if x: y = 1`.
    maybe_defs: frozenset[str] = frozenset()
    #: Names in `defs` that only star imports bind, as far as is known before the cell runs.
    starred: frozenset[str] = frozenset()
    #: The modules of its star imports.
    stars: tuple[str, ...] = ()
    #: Whether it may bind names that its source does not show, which are known only once it has run.
    is_open: bool = False
    #: Names in `immediate` that it reads if there is a definition above, and otherwise does not need.
    weak: frozenset[str] = frozenset()
    #: In which statement, counted from 0, a name in `defs` is certainly bound; the others may not be.
    bound_in: Mapping[str, int] = {}
    #: In which statement it first reads a name, while it runs, that may not be bound by then.
    read_in: Mapping[str, int] = {}


def analyze(source: str) -> Analysis:
    """Return what `source` does with names.

    Raises: AnalysisError if Python rejects it, or if it has a star import, since what that binds depends on
        what is installed; `compile_cell` follows it.
    """
    tree = parse(source, "<cell>")
    found = find_names(tree)
    return to_analysis(found, is_import_only(tree), is_async(compile_tree(tree, "<cell>", "exec")))


def parse(source: str, filename: str) -> ast.Module:
    """Return the tree of `source`.

    Raises: AnalysisError if it is not Python.
    """
    return _compile(source, filename, "exec", ast.PyCF_ONLY_AST)


def compile_tree(
    tree: ast.Module | ast.Expression, filename: str, mode: Literal["exec", "eval"], flags: int = 0
) -> CodeType:
    """Return the code of `tree`.

    Raises: AnalysisError if there is none.
    """
    return _compile(tree, filename, mode, flags)


def find_names(tree: ast.Module, follow_stars: bool = False, shared: bool = False) -> NameUsage:
    """Return what `tree` does with names.

    What `from m import *` binds is not in the source. It is looked for where `m` is installed if
    `follow_stars`, and corrected once the cell has run. If names are `shared`, none is the cell's own for its
    leading underscore, and a star import that cannot be followed leaves the cell open.

    Raises: AnalysisError if it is nested too deeply, or has a star import that cannot be followed.
    """
    try:
        found = find_usage(tree, follow_stars, shared)
    except RecursionError:
        with _deep_stack():
            return find_names(tree, follow_stars, shared)
    if found.unknown_stars and shared:
        return found._replace(is_open=True)
    if found.unknown_stars:
        star = found.unknown_stars[0]
        module = "." * star.level + (star.module or "")
        if star.level:
            why = "is relative, and a cell is in no package"
        elif follow_stars:
            why = f"cannot be followed: there is no module {module!r}"
        else:
            why = "hides which names the cell defines"
        raise AnalysisError(
            "ImportStar",
            f"`from {module} import *` {why}",
            star.lineno,
            star.col_offset + 1,
            f"name them: `from {module} import first, second`"
            + ("" if star.level else f", or `import {module}` and write `{module}.first`"),
        )
    return found


def to_analysis(found: NameUsage, import_only: bool, is_async: bool) -> Analysis:
    """Return `found` as an analysis."""
    return Analysis(
        frozenset(found.defs),
        frozenset(found.refs),
        frozenset(found.rereads),
        frozenset(found.deleted),
        frozenset(found.privates),
        is_async,
        import_only,
        frozenset(found.imports),
        frozenset(found.immediate),
        frozenset(found.deferred),
        frozenset(found.function_reads),
        frozenset(found.late_rereads),
        frozenset(found.maybe_defs),
        frozenset(found.starred),
        tuple([star.module or "" for star in found.stars]),
        found.is_open,
        frozenset(found.weak),
        found.bound_in,
        found.read_in,
    )


def is_import_only(tree: ast.Module) -> bool:
    """Return whether `tree` consists of imports."""
    for statement in tree.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return False
    return bool(tree.body)


def is_async(code: CodeType | None) -> bool:
    """Return whether evaluating `code` gives an awaitable."""
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def _compile(source: Any, filename: str, mode: str, flags: int) -> Any:
    _silence_warnings()
    try:
        return compile(source, filename, mode, flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        known = (error.end_offset or 0) > 0
        raise AnalysisError(
            "SyntaxError",
            error.msg,
            error.lineno or 0,
            max(error.offset or 0, 0),
            _ipython_hint(source, error.lineno or 0),
            end_line=error.end_lineno or 0 if known else 0,
            end_offset=error.end_offset or 0 if known else 0,
            excerpt="".join(traceback.format_exception_only(error)),
        ) from None
    except MemoryError:
        raise too_deep() from None
    except RecursionError:
        with _deep_stack():
            return _compile(source, filename, mode, flags)
    except UnicodeEncodeError as error:
        line = error.object.count("\n", 0, error.start) + 1
        surrogate = f"U+{ord(error.object[error.start]):04X}"
        raise AnalysisError(
            "SyntaxError",
            f"the source contains {surrogate}, half of a surrogate pair, which is no character",
            line,
            error.start - error.object.rfind("\n", 0, error.start),
            f"write it as the escape \\u{ord(error.object[error.start]):04x} within a string",
        ) from None
    except ValueError as error:
        raise AnalysisError("SyntaxError", str(error)) from None


def _ipython_hint(source: Any, line: int) -> str:
    from .ipython_lines import hint  # sources that Python rejects are rare

    return hint(source, line) if isinstance(source, str) else ""


def too_deep() -> AnalysisError:
    """Return the error of a source so deeply nested that looking at it exhausts the stack."""
    return AnalysisError(
        "SyntaxError",
        "the source is nested too deeply",
        hint="give parts of the expression names of their own",
    )


@contextmanager
def _deep_stack() -> Iterator[None]:
    """Allow Python's usual depth of calls, which user code may have lowered.

    Raises: AnalysisError if it is allowed already.
    """
    limit = sys.getrecursionlimit()
    if limit >= _USUAL_DEPTH:
        raise too_deep() from None
    sys.setrecursionlimit(_USUAL_DEPTH)
    try:
        yield
    finally:
        try:
            sys.setrecursionlimit(limit)
        except RecursionError:
            pass  # the stack is deeper than that already


class _CellFiles:
    """Matches the file names of cells, in place of a pattern."""

    def __init__(self) -> None:
        #: Whether there was something to match since this was reset.
        self.noticed = False
        #: Whether nothing is matched, so that warnings are shown.
        self.shown = False

    def match(self, module: str) -> bool:
        if not module.startswith("<cell"):
            return False
        self.noticed = True
        return not self.shown


#: Warnings about the source of a cell would be printed, or be errors if the user made them so, each
#: time that it is looked at. `catch_warnings` is not for a process with threads: it would undo what
#: they do to the filters meanwhile.
cell_files = _CellFiles()
_SILENCE = ("ignore", None, Warning, cell_files, 0)


def _silence_warnings() -> None:
    """See to it that no other filter comes first."""
    filters: list[Any] = warnings.filters  # pyright: ignore[reportAssignmentType]
    if type(filters) is not list:
        return  # what a cell has put there; nothing works with it
    if not filters or filters[0] is not _SILENCE:
        if _SILENCE in filters:
            filters.remove(_SILENCE)
        filters.insert(0, _SILENCE)
