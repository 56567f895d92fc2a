"""What magics and shell lines do with names: a tree in which their calls are replaced by the code they run.

IPython's transformer turns what is not Python into calls that take its text as an argument. The analysis of
names works on another tree, in which each such call is replaced by what it does: `%time x = f(y)` by the
assignment, `!ls {folder}` by a read of `folder`. This tree is never executed.
"""

import ast
import re
import string
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from ..analysis.analysis import AnalysisError
from .line_magics import CODE, EVALUATED, FOREIGN, IN_FUNCTION, OPEN, TEXT

_DOLLAR = re.compile(r"(?<!\$)\$([^\W\d]\w*)")
_OUTPUT = re.compile(r"--(?:out|err|proc)[\s=]+([^\W\d]\w*)")
#: The options of rpy2's magics and similar ones that name the variables that go in and come out.
_IMPORTED = re.compile(r"(?:^|\s)(?:-i|--input)[\s=]+([\w,]+)")
_EXPORTED = re.compile(r"(?:^|\s)(?:-o|--output)[\s=]+([\w,]+)")
_NAME = re.compile(r"[^\W\d]\w*")

#: Returns the tree of a source of this language.
Parse = Callable[[str], ast.Module]


class Spelled(NamedTuple):
    """A tree without magics."""

    tree: ast.Module
    #: Whether one of the magics may bind names that are not in the tree.
    is_open: bool
    #: Names that only the text of commands reads: a command leaves a name that is not defined as it stands.
    weak: frozenset[str]


def spell_out(tree: ast.Module, parse: Parse) -> Spelled:
    """Replace the calls of magics in `tree` by what they run; `parse` is for the code in their text."""
    walk = _Spelling(parse)
    tree = cast("ast.Module", walk.visit(tree))
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node not in walk.expanded
    }
    weak = frozenset(node.id for node in walk.expanded if node.id not in read)
    return Spelled(ast.fix_missing_locations(tree), walk.is_open, weak)


class _Spelling(ast.NodeTransformer):
    def __init__(self, parse: Parse) -> None:
        self._source_tree = parse
        self.is_open = False
        #: The reads in the text of commands.
        self.expanded: set[ast.Name] = set()

    def visit_Expr(self, node: ast.Expr) -> Any:
        code = self._called(node.value)
        if code is None:
            return self.generic_visit(node)
        return [ast.copy_location(part, node) for part in code] or ast.copy_location(ast.Pass(), node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        """A line such as `x = %time f(y)`, which may bind more than `x`."""
        code = self._called(node.value)
        if code is None:
            return self.generic_visit(node)
        node.value = ast.Constant(None)
        return [*(ast.copy_location(part, node) for part in code), self.generic_visit(node)]

    def visit_Call(self, node: ast.Call) -> Any:
        """A call inside an expression: only what it reads is kept."""
        code = self._called(node)
        if code is None:
            return self.generic_visit(node)
        reads = {
            part.id
            for statement in code
            for part in ast.walk(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
        }
        names: list[ast.expr] = [ast.Name(name, ast.Load()) for name in sorted(reads)]
        return ast.copy_location(ast.Tuple(names, ast.Load()), node)

    def _called(self, node: ast.expr) -> list[ast.stmt] | None:
        """Return what a call of a magic or of the shell runs; None if `node` is another call."""
        match node:
            case ast.Call(ast.Attribute(ast.Call(ast.Name("get_ipython"), []), method), args):
                given = [part.value for part in args if isinstance(part, ast.Constant)]
                texts = [text for text in given if isinstance(text, str)]
                if len(texts) != len(args):
                    return None
                match method, texts:
                    case ("system" | "getoutput" | "getoutput_pexpect", [line]):
                        return self._expanded(line)
                    case "run_line_magic", [name, line]:
                        return self._line_magic(name, line)
                    case "run_cell_magic", [name, line, body]:
                        return self._cell_magic(name, line, body)
                    case "magic", [line]:
                        name, _, line = line.strip().lstrip("%").partition(" ")
                        return self._line_magic(name, line)
                    case _:
                        return None
            case _:
                return None

    def _line_magic(self, name: str, line: str) -> list[ast.stmt]:
        if name in CODE:
            return self._code(name, line, "")
        if name == "aimport":
            modules = re.findall(r"(?<![-\w.])[\w.]+", line)
            return self._nested("\n".join(f"import {module}" for module in modules))
        if name == "store":
            self.is_open |= "-r" in line.split() or "-z" in line.split()
            return self._nested("\n".join(_NAME.findall(line.partition(">")[0])) if "-" not in line else "")
        if name in OPEN:
            self.is_open = True
        return [] if name in TEXT else self._expanded(line)

    def _cell_magic(self, name: str, line: str, body: str) -> list[ast.stmt]:
        if name in CODE:
            return self._code(name, line, body)
        if name == "capture":
            target = re.sub(r"--\S+", "", line).strip()
            bound = self._nested(f"{target} = None") if _NAME.fullmatch(target) else []
            return [*self._nested(body), *bound]
        if name in FOREIGN:
            return [*self._expanded(line), *_assigned(_OUTPUT.findall(line))]
        self.is_open = True
        read = [each for found in _IMPORTED.findall(line) for each in found.split(",")]
        bound = [each for found in _EXPORTED.findall(line) for each in found.split(",")]
        return [*self._expanded(line), *self._nested("\n".join(read)), *_assigned(bound)]

    def _code(self, name: str, line: str, body: str) -> list[ast.stmt]:
        """Return the Python code that a magic runs."""
        statement, evaluated = _without_options(line, CODE[name])
        code = [*self._nested("\n".join(evaluated)), *self._nested(statement), *self._nested(body)]
        return _kept_inside(code) if name in IN_FUNCTION and code else code

    def _nested(self, source: str) -> list[ast.stmt]:
        """Return the code in a magic's text, with the magics inside it spelled out too."""
        try:
            tree = self._source_tree(source) if source.strip() else ast.Module([], [])
        except AnalysisError:
            return []
        return self.visit(tree).body

    def _expanded(self, text: str) -> list[ast.stmt]:
        """Return the expressions whose values IPython puts into a command: `{expression}` and `$name`."""
        fields: list[str] = []
        try:
            for _, field, spec, _ in string.Formatter().parse(text):
                if field:
                    fields.append(f"{field}:{spec}" if spec else field)
        except ValueError:
            fields = []  # braces that are the command's own
        code = [part for field in [*fields, *_DOLLAR.findall(text)] for part in self._nested(field)]
        nodes = [node for part in code for node in ast.walk(part)]
        self.expanded.update(node for node in nodes if isinstance(node, ast.Name))
        return code


def _without_options(line: str, with_value: str) -> tuple[str, list[str]]:
    """Return what follows the options of a magic, and the options' values that are expressions."""
    rest, evaluated = line.strip(), list[str]()
    while found := re.match(r"-(?:-[\w-]+|(\w)(\S*))\s*", rest):
        rest = rest[found.end() :]
        letter, value = found[1], found[2]
        if letter and letter in with_value:
            if not value:
                value, _, rest = rest.partition(" ")
            if letter in EVALUATED:
                evaluated.append(value)
        rest = rest.lstrip()
    return rest, evaluated


def _assigned(names: list[str]) -> list[ast.stmt]:
    found = [name for name in names if name.isidentifier()]
    return [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in found]


def _kept_inside(code: list[ast.stmt]) -> list[ast.stmt]:
    """Return a class with `code`: like a function that is called, it reads at once and binds nothing."""
    around: Any = ast.parse("class _: pass").body[0]
    around.body = code
    return [around]
