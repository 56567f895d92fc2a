"""Whatever was done to a notebook: a cell that is not stale shows what a fresh run from top to bottom shows.

The oracle below is plain Python: it finds what each cell does with names by a walk over its tree, puts the
cells in order by brute force, and runs them with `exec`. None of the engine's code is in it.
"""

import ast
import builtins
import os
from typing import Any

import msgspec
import pytest
from cellwire.protocol.notebook import Redefine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from support.edits import CELLS, EditedNotebook, cell_ids

NAMES = ["a", "b", "c"]
FUNCTIONS = ["f", "g"]
BAD = ("error", "cancelled", "stopped")
ABSENT = object()

names = st.sampled_from(NAMES)
functions = st.sampled_from(FUNCTIONS)
expressions = st.one_of(
    st.integers(0, 9).map(str),
    names,
    st.tuples(names, names).map(" + ".join),
    functions.map("{}()".format),
)
#: What functions return; they call each other only so deep.
bodies = st.one_of(names, st.tuples(names, names).map(" + ".join), functions.map("{}(deep + 1)".format))
statements = st.one_of(
    st.tuples(names, expressions).map(" = ".join),
    st.tuples(names, expressions).map(" = ".join),
    expressions,
    names.map("{0} = {0} + 1".format),
    names.map("del {}".format),
    st.tuples(functions, bodies).map("def {0[0]}(deep=0): return 1 if deep > 3 else {0[1]}".format),
    st.tuples(names, functions).map("{0[0]} = {0[1]}".format),
    st.tuples(names, names).map("if {0[0]} == 1: {0[1]} = 7".format),
    names.map("for {} in range(3): pass".format),
    names.map("_t = {}".format),
    st.sampled_from(["1 / 0", "stop(True)", "a =", "lambda: a", "s, _put = state(1)\n_put(2)", "s()"]),
)
sources = st.lists(statements, min_size=1, max_size=3).map("\n".join)
cell_sources = st.tuples(st.integers(0, 5), sources).map(
    lambda drawn: f"{drawn[1]}\nawait sleep(0)" if drawn[0] == 0 else drawn[1]
)


@st.composite
def cells_with_names_of_their_own(draw: st.DrawFn) -> dict[str, str]:
    """Return cells that define nothing that another one defines: the names have the cell's id in them."""
    found: dict[str, str] = {}
    every = st.sampled_from(CELLS)
    for cell in draw(st.lists(cell_ids, min_size=1, max_size=4, unique=True)):
        reads = st.one_of(
            st.just("1"), every.map("a_{}".format), every.map("f_{}()".format), every.map("f_{}".format)
        )
        lines = st.one_of(
            reads,
            st.tuples(reads, reads).map(lambda two, cell=cell: f"a_{cell} = {two[0]}, {two[1]}"),
            every.map(lambda other, own=cell: f"def f_{own}(n=0): return a_{other}"),
            every.map(
                lambda other, cell=cell: f"def f_{cell}(deep=0): return deep > 2 or f_{other}(deep + 1)"
            ),
            st.sampled_from(["1 / 0", "a =", "stop(True)", "await sleep(0)"]),
        )
        found[cell] = "\n".join(draw(st.lists(lines, min_size=1, max_size=3)))
    return found


#: More of them are drawn by `make soak`.
EXAMPLES = int(os.environ.get("CELLWIRE_EXAMPLES", 150))
SETUP = "from asyncio import sleep\nfrom cellwire import state, stop"


class Stopped(BaseException):
    pass


class Names:
    """What a cell of the little language above does with names."""

    def __init__(self, source: str) -> None:
        self.now: set[str] = set()
        self.later: set[str] = set()
        self.functions: set[str] = set()
        self.defs: set[str] = set()
        self.deleted: set[str] = set()
        self.rereads: set[str] = set()
        self.late_rereads: set[str] = set()
        self.maybe: set[str] = set()
        self.tree: ast.Module | None
        certain: set[str] = set()
        try:
            self.tree = ast.parse(source)
        except SyntaxError:
            self.tree = None
            return
        for statement in self.tree.body:
            self._walk(statement, certain)
        self.maybe = self.defs - certain
        everything = self.now | self.later
        self.rereads &= self.defs
        self.late_rereads &= self.defs
        self.now = {name for name in self.now if name not in self.defs}
        self.later = everything - self.defs - self.now
        self.deleted -= self.defs

    def _walk(self, node: ast.AST, certain: set[str]) -> None:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            own = {argument.arg for argument in node.args.args}
            known = certain | {node.name} if isinstance(node, ast.FunctionDef) else certain
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and part.id not in own and isinstance(part.ctx, ast.Load):
                    self.later.add(part.id)
                    self.functions.add(part.id)
                    if part.id not in known:
                        self.late_rereads.add(part.id)
            if isinstance(node, ast.FunctionDef):
                self._bind(node.name, certain)
        elif isinstance(node, ast.Assign):
            self._walk(node.value, certain)
            self._walk(node.targets[0], certain)
        elif isinstance(node, ast.If | ast.For):
            inner = set(certain)
            if isinstance(node, ast.For):
                self._walk(node.iter, certain)
                self._walk(node.target, inner)
            else:
                self._walk(node.test, certain)
            for statement in node.body:
                self._walk(statement, inner)
        elif isinstance(node, ast.Name) and not node.id.startswith("_"):
            if isinstance(node.ctx, ast.Store):
                self._bind(node.id, certain)
            else:
                self.now.add(node.id)
                if node.id not in certain:
                    self.rereads.add(node.id)
                if isinstance(node.ctx, ast.Del):
                    self.deleted.add(node.id)
                    certain.discard(node.id)
        else:
            for child in ast.iter_child_nodes(node):
                self._walk(child, certain)

    def _bind(self, name: str, certain: set[str]) -> None:
        if not name.startswith("_"):
            self.defs.add(name)
        certain.add(name)


class Oracle:
    """A fresh run of `cells`, sources by id in notebook order."""

    def __init__(self, cells: dict[str, str], redefine: Redefine) -> None:
        self.order = list(cells)
        self.redefine = redefine
        self.names = {cell: Names(source) for cell, source in cells.items()}
        self.working = [cell for cell in self.order if self.names[cell].tree is not None]
        self.place = {cell: index for index, cell in enumerate(self.order)}
        self._find_edges()
        self._drop_cycles()
        self._carry()
        self.sequence = self._in_order()
        self._run()

    def makers(self, name: str) -> list[str]:
        return [c for c in self.working if name in self.names[c].defs or name in self.names[c].deleted]

    def binding(self, reader: str, name: str, below: bool = True) -> str | None:
        above = [maker for maker in self.makers(name) if self.place[maker] < self.place[reader]]
        if above:
            return above[-1]
        if not below or hasattr(builtins, name) or name in self.names[reader].defs:
            return None
        definers = [c for c in self.makers(name) if name in self.names[c].defs and c != reader]
        return definers[0] if definers else None

    def _find_edges(self) -> None:
        self.hard: dict[str, set[str]] = {}
        self.static: dict[str, set[str]] = {}
        self.deferred: dict[str, dict[str, str]] = {}
        for cell in self.working:
            names = self.names[cell]
            now = {self.binding(cell, name) for name in names.now | names.rereads} - {None}
            bound = {name: self.binding(cell, name) for name in names.later | names.late_rereads}
            self.hard[cell] = now  # pyright: ignore
            self.deferred[cell] = {name: maker for name, maker in bound.items() if maker is not None}
            self.static[cell] = self.hard[cell] | set(self.deferred[cell].values())

    def _drop_cycles(self) -> None:
        def reached(start: str) -> set[str]:
            found: set[str] = set()
            todo = [*self.hard[start]]
            while todo:
                here = todo.pop()
                if here not in found:
                    found.add(here)
                    todo += self.hard[here]
            return found

        self.cyclic = {cell for cell in self.working if cell in reached(cell)}

    def _carry(self) -> None:
        """Find what cells may read through functions that they have from others."""
        dependent = {cell: set(self.static[cell]) for cell in self.working}
        carried: dict[str, set[str]] = {cell: set(self.names[cell].functions) for cell in self.working}
        self.carried: dict[str, dict[str, str]] = {cell: {} for cell in self.working}
        grown = True
        while grown:
            grown = False
            for cell in self.working:
                names = {name for parent in dependent[cell] for name in carried[parent]} - carried[cell]
                carried[cell] |= names
                grown |= bool(names)
                own = self.names[cell]
                for name in carried[cell] - own.defs - own.now - own.later:
                    maker = self.binding(cell, name)
                    if maker is not None and maker != cell and name not in self.carried[cell]:
                        self.carried[cell][name] = maker
                        dependent[cell].add(maker)
                        grown = True

    def _followed(self, cell: str) -> dict[str, str]:
        """Return the deferred reads that the order follows if they close no circle."""
        bound = {**self.carried[cell], **self.deferred[cell]}
        if self.redefine == "error" or any(self.place[p] > self.place[cell] for p in self.hard[cell]):
            return bound
        return {name: maker for name, maker in bound.items() if self.place[maker] < self.place[cell]}

    def _chain(self, cell: str, name: str) -> list[str]:
        """Return whose version `cell` may find, nearest first; one that may leave the name passes it on."""
        above = [maker for maker in self.makers(name) if self.place[maker] < self.place[cell]]
        if not above:
            below = self.binding(cell, name)
            return [] if below is None else [below]
        chain: list[str] = []
        for maker in reversed(above):
            chain.append(maker)
            if name not in self.names[maker].maybe:
                break
        return chain

    def _passed(self, cell: str) -> set[str]:
        names = self.names[cell]
        read = names.now | names.later | names.rereads | names.late_rereads | self.carried[cell].keys()
        return {maker for name in read for maker in self._chain(cell, name)[1:]}

    def _in_order(self) -> list[str]:
        before = {c: self.hard[c] | set(self._followed(c).values()) | self._passed(c) for c in self.working}
        reach = {cell: set(parents) for cell, parents in before.items()}
        for through in self.working:
            for cell in self.working:
                if through in reach[cell]:
                    reach[cell] |= reach[through]
        self.before = {
            c: {p for p in before[c] if p in self.hard[c] or c not in reach[p]} for c in self.working
        }
        left = [cell for cell in self.working if cell not in self.cyclic]
        sequence: list[str] = []
        while left:
            free = [c for c in left if not self.before[c] & set(left)]
            sequence.append(free[0])
            left.remove(free[0])
        return sequence

    def _run(self) -> None:
        self.results: dict[str, tuple[str, str | None]] = {}
        versions: dict[tuple[str, str], Any] = {}
        scope: dict[str, Any] = {}
        for cell in self.sequence:
            bad = [p for p in self.static[cell] if p in self.before[cell] and p not in self.cyclic]
            bad = [parent for parent in bad if self.results.get(parent, ("ok", None))[0] in BAD]
            scope.clear()
            scope.update(__builtins__=builtins, stop=_stop, state=_state)
            for name in {name for other in self.working for name in self.names[other].defs}:
                value = self._visible(cell, name, versions)
                if value is not ABSENT:
                    scope[name] = value
            if bad:
                self.results[cell] = ("cancelled", None)
                continue
            names = self.names[cell]
            read = names.now | names.later | names.rereads | names.late_rereads | self.carried[cell].keys()
            # What the cell may leave as it is, and does not read, is missed afterwards if it did.
            left = names.maybe - read
            for name in left:
                scope.pop(name, None)
            self.results[cell] = self._plain_run(cell, scope)
            for name in names.defs | names.deleted:
                if name in scope or name not in left:
                    versions[name, cell] = scope.get(name, ABSENT)

    def _visible(self, cell: str, name: str, versions: dict[tuple[str, str], Any]) -> Any:
        names = self.names[cell]
        through_functions = {**self.carried[cell], **self.deferred[cell]}
        if name in through_functions and name not in names.now:
            chain = [maker for maker in self._chain(cell, name) if maker in self.before[cell]]
            if through_functions[name] not in chain:
                return ABSENT
        elif name in names.now or name in names.rereads:
            nearest, *others = self._chain(cell, name) or [""]
            chain = [nearest, *(maker for maker in others if maker in self.before[cell])]
        else:
            chain = [m for m in reversed(self.makers(name)) if self.place[m] < self.place[cell]]
        for maker in chain:
            if (name, maker) in versions:
                return versions[name, maker]
        return ABSENT

    def _plain_run(self, cell: str, scope: dict[str, Any]) -> tuple[str, str | None]:
        tree = self.names[cell].tree
        assert tree is not None
        body = [s for s in tree.body if "Await" not in ast.dump(s)]
        last = None
        if body and body[-1] is tree.body[-1] and isinstance(value := body[-1], ast.Expr):
            last = ast.Expression(value.value)
            del body[-1]
        try:
            exec(compile(ast.Module(body, []), "<oracle>", "exec"), scope)
            value = eval(compile(last, "<oracle>", "eval"), scope) if last is not None else None
        except Stopped:
            return "stopped", None
        except Exception:
            return "error", None
        # Functions have an address.
        return "ok", None if value is None or "<" in repr(value) else repr(value)


def _stop(condition: object) -> None:
    raise Stopped


drawn_cells = st.runner().flatmap(lambda machine: machine.some_cells)


def _state(value: Any) -> tuple[Any, Any]:
    holder = [value]
    return lambda: holder[0], lambda new: holder.__setitem__(0, new)


class Histories(EditedNotebook):
    """Edits of all kinds in a notebook whose cells may redefine names."""

    redefine: Redefine = "allow"
    some_cells = st.dictionaries(cell_ids, cell_sources, min_size=1, max_size=4)

    @initialize()
    def open(self) -> None:
        self.open_engine(self.redefine)
        self._do(self.engine.run({"setup": SETUP}))

    @rule(cells=drawn_cells)
    def run_sources(self, cells: dict[str, str]) -> None:
        self._do(self.engine.run(cells))

    @rule(cells=drawn_cells, patience=st.integers(0, 3))
    def run_and_interrupt(self, cells: dict[str, str], patience: int) -> None:
        self.patience = patience
        self._do(self.engine.run(cells))
        self.patience = -1

    @rule(cells=drawn_cells)
    def sync(self, cells: dict[str, str]) -> None:
        self._do(self.engine.sync(cells))

    @rule(order=st.permutations(CELLS))
    def move(self, order: list[str]) -> None:
        cells = {
            "setup": SETUP,
            **{c: self.replica.cells[c].source for c in order if c in self.replica.cells},
        }
        self._do(self.engine.sync(cells))

    @rule()
    def run_stale(self) -> None:
        self._do(self.engine.run_stale())
        for cell in self.replica.cells.values():
            assert not cell.stale or cell.disabled or cell.stale_reason == "disabled", cell

    @rule()
    def run_all(self) -> None:
        self._do(self.engine.run())

    @invariant()
    def replicas_are_equal(self) -> None:
        assert msgspec.msgpack.encode(self.replica) == msgspec.msgpack.encode(self.engine.notebook)
        assert not self.replica.runs

    @invariant()
    def every_cell_that_is_not_stale_shows_what_a_fresh_run_shows(self) -> None:
        cells = {cell: self.replica.cells[cell].source for cell in self.replica.order if cell != "setup"}
        oracle = Oracle(cells, self.redefine)
        for cell in cells:
            state = self.replica.cells[cell]
            if cell in oracle.cyclic:
                assert state.error is not None
                assert state.error.kind == "Cycle", cell
            elif cell not in oracle.working:
                assert state.error is not None
                assert state.error.kind == "SyntaxError", cell
            elif not state.stale:
                shown = [
                    item.data["text/plain"] for item in state.outputs if "<" not in item.data["text/plain"]
                ]
                expected, text = oracle.results[cell]
                assert (state.status, cell) == (expected, cell), (state, self._dump(cells))
                if expected == "ok":
                    assert shown == ([] if text is None else [text]), (cell, self._dump(cells))

    def _dump(self, cells: dict[str, str]) -> str:
        return "\n".join(f"# %% {cell}\n{source}" for cell, source in cells.items())


class HistoriesOfUniqueNames(Histories):
    """The same where each name has one definer, and the order of cells means nothing."""

    redefine: Redefine = "error"
    some_cells = cells_with_names_of_their_own()


@pytest.mark.parametrize("machine", [Histories, HistoriesOfUniqueNames])
def test_a_cell_that_is_not_stale_shows_what_a_fresh_run_shows(machine: type[Histories]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=12, deadline=None)
    )
