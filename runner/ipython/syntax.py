"""The language of ordinary notebooks: Python, and what IPython turns into Python.

A source that is Python stays as it is, and IPython is not imported for it. Any other source goes through
IPython's transformer: `%time f(x)` becomes `get_ipython().run_line_magic('time', 'f(x)')`. A single line that
begins with the name of a magic (`cd /tmp`, `ls`) is that magic, if as Python it would only fail when it runs.
Once user code has registered transformers of its own, all cells go through them, also those that were
compiled before.

All names are shared, also those with an underscore, except those that IPython keeps for itself (`_`, `_i`,
`In`): each cell has its own, so cells never depend on each other by them. Without IPython a cell may still
contain the magics that only set up what cellwire has anyway.
"""

import ast
import builtins
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from ..analysis.analysis import AnalysisError, find_names, parse
from ..analysis.language import Language, Parsed
from ..analysis.name_usage import NameUsage
from .line_magics import LINE_MAGICS, SET_UP

#: Names that IPython keeps for itself.
_KEPT = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_[iod]h|_exit_code|In|Out")
_FIRST_WORD = re.compile(r"\s*([^\W\d]\w*)")
#: Names whose functions may bind any name.
_BINDERS = frozenset({"exec", "globals", "locals", "vars", "get_ipython"})
#: Names that call themselves where a cell consists of nothing else.
LEAVING = ("exit", "quit")
#: Names that are always there besides Python's builtins, and those that the shell binds when it is made.
BUILTINS = frozenset({"display", "get_ipython"})
_BOUND_BY_SHELL = BUILTINS.union(LEAVING, ["open"])


class IPythonLanguage(Language):
    """Python as IPython extends it.

    `make_shell` returns the shell of this process; without it only the transformer is used. `is_bound` says
    whether a name is defined in the notebook.
    """

    #: IPython's shell and its magics can handle only one cell at a time.
    overlaps = False

    def __init__(
        self,
        make_shell: Callable[[], Any] | None = None,
        is_bound: Callable[[str], bool] = lambda name: False,
    ) -> None:
        #: Returns the shell, which the first call makes.
        self.make_shell = make_shell
        self._is_bound = is_bound
        #: The shell, once it has been made.
        self.shell: Any = None
        #: Whether user code has registered transformers, which then see all sources.
        self.transforms_all: bool = False
        self._transformer: Any = None

    def parse(self, source: str, filename: str) -> Parsed:
        parsed = self._parse(source, filename)
        if self.shell is None or (
            not self.shell.ast_transformers and self.shell.ast_node_interactivity == "last_expr"
        ):
            return parsed
        return Parsed(parsed.source, self._transform_tree(parsed.tree))

    def find_names(self, parsed: Parsed) -> NameUsage:
        tree = parsed.tree
        spelled = None
        if "get_ipython" in parsed.source:
            # A separate tree, in which what magics run replaces their calls.
            from .spelling import spell_out  # plain cells do not need it

            tree = parse(parsed.source, "<cell>")
            spelled = spell_out(tree, lambda body: self._parse(body, "<magic>").tree)
            tree = spelled.tree
        found = find_names(tree, follow_stars=True, shared=True)
        if spelled is not None:
            # The text of a magic names variables as they are written.
            found.private_uses.clear()
            found.private_uses_in_class.clear()
        for names in (*found[:9], found.starred):
            names.difference_update(list(filter(_KEPT.fullmatch, names)))
        is_open = found.is_open or bool(_BINDERS & found.refs) or (spelled is not None and spelled.is_open)
        # What is there without any cell is not taken from one below, as with Python's own builtins.
        weak = _BOUND_BY_SHELL & found.refs
        return found._replace(is_open=is_open, weak=weak if spelled is None else weak | spelled.weak)

    def tracks(self, name: str) -> bool:
        return name not in _BOUND_BY_SHELL and not _KEPT.fullmatch(name)

    def _parse(self, source: str, filename: str) -> Parsed:
        if self.transforms_all:
            transformed = self._transform(source)
            return Parsed(transformed, parse(transformed, filename))
        try:
            tree = parse(source, filename)
        except AnalysisError as error:
            rejected = error
        else:
            if not self._is_command(source, tree):
                return Parsed(source, tree)
            rejected = None
        if rejected is not None and not is_installed():
            return self._without_ipython(source, filename, rejected)
        transformed = self._transform(source)
        if rejected is not None and transformed.strip() == source.strip():
            raise rejected
        return Parsed(transformed, parse(transformed, filename))

    def _transform(self, source: str) -> str:
        """Return what IPython makes of `source`."""
        try:
            if self.make_shell is not None:
                text: str = self.make_shell().transform_cell(source)
                return text
            if self._transformer is None:
                from IPython.core.inputtransformer2 import TransformerManager

                self._transformer = TransformerManager()
            text = self._transformer.transform_cell(source)
        except SyntaxError as error:
            raise AnalysisError(
                "SyntaxError", error.msg or "rejected by IPython", error.lineno or 0, error.offset or 0
            ) from None
        word = _FIRST_WORD.match(text)
        if word and text.count("\n") == 1 and word[1] in LINE_MAGICS and text.strip() == source.strip():
            return f"get_ipython().run_line_magic({word[1]!r}, {source.strip()[len(word[1]) :].strip()!r})\n"
        return text

    def _is_command(self, source: str, tree: ast.Module) -> bool:
        """Return whether a one-line source begins with a magic's name that is not defined as a variable."""
        if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr) or "\n" in source.strip():
            return False
        word = _FIRST_WORD.match(source)
        if word is None:
            return False
        name = word[1]
        if name in LEAVING:
            return source.strip() == name and not self._is_bound(name) and is_installed()
        if hasattr(builtins, name) or self._is_bound(name):
            return False
        return (name in LINE_MAGICS and is_installed()) or (
            self.shell is not None and self.shell.find_line_magic(name) is not None
        )

    def _transform_tree(self, tree: ast.Module) -> ast.Module:
        try:
            tree = self.shell.transform_ast(tree)
        except Exception as error:  # `InputRejected`
            raise AnalysisError("SyntaxError", f"rejected by an AST transformer: {error}") from None
        from .interactivity import show_expressions

        return show_expressions(tree, self.shell.ast_node_interactivity)

    def _without_ipython(self, source: str, filename: str, rejected: AnalysisError) -> Parsed:
        """Return `source` without the magics that only set up what is there anyway.

        Raises: AnalysisError if it contains more of IPython, with what to install.
        """
        text = "\n".join(
            re.sub(SET_UP, r"\g<indent>pass  # \g<magic>", line) if re.fullmatch(SET_UP, line) else line
            for line in source.split("\n")
        )
        try:
            return Parsed(text, parse(text, filename))
        except AnalysisError as error:
            if error.hint:
                error.hint = f"install IPython (`pip install ipython`), or else: {error.hint}"
                raise error from None
        raise rejected


def is_installed() -> bool:
    """Return whether IPython can be imported here."""
    try:
        return find_spec("IPython") is not None
    except (ImportError, ValueError):
        return False
