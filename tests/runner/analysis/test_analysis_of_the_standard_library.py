"""The analysis against CPython's `symtable`, over the standard library's own sources.

The oracle walks the symbol tables and knows nothing of flow, handlers or private names. Where the two
differ, one of the rules that go beyond scoping must explain it; each rule says for which names that
may be, in which direction, and how often it was needed is counted.
"""

import ast
import symtable
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cellwire.runner.analysis.analysis import AnalysisError, analyze
from cellwire.runner.analysis.names import is_private

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
#: Modules of every age, written by many hands; every second one of them.
PATTERNS = (
    *("*.py", "asyncio/*.py", "concurrent/futures/*.py", "email/*.py", "importlib/*.py", "json/*.py"),
    *("logging/*.py", "multiprocessing/*.py", "unittest/*.py", "xml/*/*.py"),
)
FILES = sorted(path for pattern in PATTERNS for path in LIBRARY.glob(pattern))[::2]


class Names(NamedTuple):
    defs: set[str]
    refs: set[str]


class _AsGenerators(ast.NodeTransformer):
    """Turns comprehensions into generator expressions, which have the same scopes.

    From 3.12 on the symbol tables show comprehensions as they are compiled: merged into what is around.
    """

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def oracle(source: str) -> Names:
    """Return what the symbol tables of `source` say: globals bound, and read and not bound."""
    tree = ast.parse(source)
    if any(isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp) for node in ast.walk(tree)):
        source = ast.unparse(ast.fix_missing_locations(_AsGenerators().visit(tree)))
    module = symtable.symtable(source, "<oracle>", "exec")
    bound: set[str] = set()
    read: set[str] = set()
    tables = [module]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            name = symbol.get_name()
            binds = (
                symbol.is_assigned() or symbol.is_imported() or symbol.is_annotated() or symbol.is_parameter()
            )
            # In a function called `top`, symtable takes locals for globals.
            own = binds and not symbol.is_declared_global()
            if table is not module and (own or not symbol.is_global()):
                continue
            if symbol.is_referenced():
                read.add(name)
            if binds:
                bound.add(name)
    bound = {name for name in bound if not is_private(name)}
    return Names(bound, {name for name in read - bound if not is_private(name)})


def explanations(tree: ast.Module) -> dict[str, Names]:
    """Return for each rule of the analysis the names for which it may differ from the symbol tables."""
    rules = {
        rule: Names(set(), set())
        for rule in ("the name of a handler is no definition", "deleting is no definition",
                     "a class body reads the module until it binds the name",
                     "annotations kept as text are reads", "`super` is no read of `__class__`")
    }  # fmt: skip
    handlers, deletions, classes, annotations, cells = rules.values()
    cells.refs.add("__class__")
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            handlers.defs.add(node.name)
            handlers.refs.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            deletions.defs.add(node.id)
            deletions.refs.add(node.id)
        elif isinstance(node, ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                    classes.refs.add(inner.id)
                elif isinstance(inner, ast.FunctionDef | ast.ClassDef) and inner is not node:
                    classes.refs.add(inner.name)
        elif isinstance(node, ast.ImportFrom) and node.module == "__future__":
            annotations.refs.update(
                inner.id
                for outer in ast.walk(tree)
                for annotation in (getattr(outer, "annotation", None), getattr(outer, "returns", None))
                if annotation is not None
                for inner in ast.walk(annotation)
                if isinstance(inner, ast.Name)
            )
    return rules


def sources_of(path: Path) -> Iterator[tuple[str, ast.Module]]:
    """Return each top-level statement of a file, and the file itself if it is of modest size."""
    source = path.read_text("utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    lines = source.splitlines(keepends=True)
    if len(lines) < 400:
        yield source, tree
    for statement in tree.body:
        first = min([statement.lineno, *(line.lineno for line in getattr(statement, "decorator_list", []))])
        text = "".join(lines[first - 1 : statement.end_lineno])
        if statement.col_offset == 0 and len(text) < 20_000:
            try:
                yield text, ast.parse(text)
            except SyntaxError:  # several statements on a line, or a form feed that splits one
                continue


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_the_analysis_agrees_with_the_symbol_tables_on_the_standard_library() -> None:
    compared = 0
    explained: Counter[str] = Counter()
    unexplained: list[str] = []
    for path in FILES:
        for source, tree in sources_of(path):
            try:
                analysis = analyze(source)
            except AnalysisError as error:
                assert error.kind == "ImportStar", (path, error.message)  # noqa: PT017
                continue
            compared += 1
            expected = oracle(source)
            if (analysis.defs, analysis.refs) == expected:
                continue
            rules = explanations(tree)
            for kind in ("defs", "refs"):
                for name in getattr(analysis, kind) ^ getattr(expected, kind):
                    rule = next((rule for rule, names in rules.items() if name in getattr(names, kind)), None)
                    if rule is None:
                        unexplained.append(f"{path.name}:{kind}:{name}: {source[:80]!r}")
                    else:
                        explained[rule] += 1
    assert not unexplained, "\n".join(unexplained[:20])
    assert compared > 3_000
    # Each rule is needed, by few sources.
    assert explained.keys() <= explanations(ast.Module([], [])).keys()
    assert 0 < sum(explained.values()) < compared / 40
