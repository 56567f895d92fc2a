"""Whatever was done to a notebook: a cell that is not stale shows what a fresh run from top to bottom shows.

The oracle below is plain Python: it finds what each cell does with names by a walk over its tree, puts the
cells in order by brute force, and runs them with `exec`. None of the engine's code is in it.
"""

import ast
import asyncio
import builtins
import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from types import ModuleType
from typing import Any

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import Notebook, Redefine
from cellwire.protocol.reducer import apply
from cellwire.runner.engine import Engine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

CELLS = ["k", "l", "m", "n", "o", "p"]
NAMES = ["a", "b", "c"]
FUNCTIONS = ["f", "g"]
BAD = ("error", "cancelled", "stopped")
ABSENT = object()

names = st.sampled_from(NAMES)
functions = st.sampled_from(FUNCTIONS)
expressions = st.one_of(
    st.integers(0, 9).map(str),
    # A version of it is not kept if nothing needs it.
    st.integers(0, 9).map("Fraction({})".format),
    names,
    st.tuples(names, names).map(" + ".join),
    functions.map("{}()".format),
    names.map("[{} for _ in range(2)]".format),
    st.tuples(names, names).map("[{0[0]} for {0[0]} in [{0[1]}]]".format),
    names.map("(lambda own={}: own)()".format),
)
#: A module with a star to import, and what that binds.
STARRED = ModuleType("two_names")
vars(STARRED).update(a=11, b=Fraction(12))
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
    names.map("{} += 1".format),
    st.tuples(names, names, names).map("try: {0[0]} = {0[1]}\nexcept Exception: {0[2]} = 5".format),
    st.tuples(names, names).map("if ({0[0]} := {0[1]}) == 2: pass".format),
    st.tuples(names, names).map("if {0[0]} == 1: del {0[1]}".format),
    st.tuples(names, names, names).map("class _K: {0[0]} = {0[1]}\n{0[2]} = _K.{0[0]}".format),
    names.map("def _put():\n  global {0}\n  {0} = 4\n_put()".format),
    names.map("import math as {}".format),
    st.just("from two_names import *"),
    names.map("_t = {}".format),
    st.sampled_from(["1 / 0", "stop(True)", "a =", "lambda: a", "s, _put = state(1)\n_put(2)", "s()"]),
)
WAITS = "await sleep(0)"
sources = st.lists(statements, min_size=1, max_size=3).map("\n".join)
#: Every fourth cell awaits, once or twice.
waiting_sources = st.tuples(
    st.lists(statements, min_size=1, max_size=3), st.lists(st.integers(0, 3), min_size=1, max_size=2)
).map(lambda drawn: "\n".join(_with_waits(*drawn)))
cell_sources = st.one_of(sources, sources, sources, waiting_sources)
cell_ids = st.sampled_from(CELLS)


def _with_waits(lines: list[str], places: list[int]) -> list[str]:
    lines = list(lines)
    for place in places:
        lines.insert(place, WAITS)
    return lines


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
SETUP = "from asyncio import sleep\nfrom fractions import Fraction\nfrom cellwire import state, stop"
GIVEN = {"sleep", "Fraction", "state", "stop"}


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
        #: In which statement a name is certainly bound, and first read before that.
        self.bound_in: dict[str, int] = {}
        self.read_in: dict[str, int] = {}
        self.tree: ast.Module | None
        certain: set[str] = set()
        try:
            self.tree = ast.parse(source)
        except SyntaxError:
            self.tree = None
            return
        for index, statement in enumerate(self.tree.body):
            self.statement = index
            self._walk(statement, certain)
            for name in certain:
                self.bound_in.setdefault(name, index)
        for names in (self.now, self.later, self.functions):
            names -= GIVEN
        self.maybe = self.defs - certain
        everything = self.now | self.later
        self.rereads &= self.defs
        self.late_rereads &= self.defs
        self.now = {name for name in self.now if name not in self.defs}
        self.later = everything - self.defs - self.now
        self.deleted -= self.defs

    def _walk(self, node: ast.AST, certain: set[str]) -> None:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            self._walk_function(node, certain)
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                # One assignment each, of a name that the class alone has.
                assert isinstance(statement, ast.Assign)
                self._walk(statement.value, certain)
        elif isinstance(node, ast.ListComp):
            loop = node.generators[0]
            self._walk(loop.iter, certain)
            if isinstance(node.elt, ast.Name) and node.elt.id != ast.unparse(loop.target):
                self._walk(node.elt, certain)
        elif isinstance(node, ast.Assign | ast.NamedExpr):
            self._walk(node.value, certain)
            self._walk(node.targets[0] if isinstance(node, ast.Assign) else node.target, certain)
        elif isinstance(node, ast.AugAssign):
            assert isinstance(node.target, ast.Name)
            self._walk(ast.Name(node.target.id, ast.Load()), certain)
            self._walk(node.value, certain)
            self._walk(node.target, certain)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                for name in ("a", "b") if alias.name == "*" else (str(alias.asname),):
                    self._bind(name, certain)
        elif isinstance(node, ast.Try):
            before = set(certain)
            self._walk_all(node.body, certain)
            handled = before & certain
            self._walk_all(node.handlers[0].body, handled)
            certain &= handled
        elif isinstance(node, ast.If | ast.For):
            inner = set(certain)
            if isinstance(node, ast.For):
                self._walk(node.iter, certain)
                self._walk(node.target, inner)
            else:
                self._walk(node.test, certain)
                inner |= certain
            self._walk_all(node.body, inner)
            # What the body deletes is certain no more.
            certain &= inner
        elif isinstance(node, ast.Name) and not node.id.startswith("_"):
            if isinstance(node.ctx, ast.Store):
                self._bind(node.id, certain)
            else:
                self.now.add(node.id)
                if node.id not in certain:
                    self.rereads.add(node.id)
                    self.read_in.setdefault(node.id, self.statement)
                if isinstance(node.ctx, ast.Del):
                    self.deleted.add(node.id)
                    certain.discard(node.id)
        else:
            self._walk_all(ast.iter_child_nodes(node), certain)

    def _walk_all(self, nodes: Iterable[ast.AST], certain: set[str]) -> None:
        for node in nodes:
            self._walk(node, certain)

    def _walk_function(self, node: ast.FunctionDef | ast.Lambda, certain: set[str]) -> None:
        self._walk_all(node.args.defaults, certain)
        own = {argument.arg for argument in node.args.args}
        known = certain | {node.name} if isinstance(node, ast.FunctionDef) else certain
        for body in node.body if isinstance(node, ast.FunctionDef) else [node.body]:
            for part in ast.walk(body):
                if isinstance(part, ast.Name) and part.id not in own and isinstance(part.ctx, ast.Load):
                    self.later.add(part.id)
                    self.functions.add(part.id)
                    if part.id not in known:
                        self.late_rereads.add(part.id)
                elif isinstance(part, ast.Global):
                    self.defs.update(part.names)
        if isinstance(node, ast.FunctionDef):
            self._bind(node.name, certain)

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
        self.by_call: dict[str, set[str]] = {cell: set() for cell in self.working}
        carried: dict[str, set[str]] = {cell: set(self.names[cell].functions) for cell in self.working}
        self.carried: dict[str, dict[str, str]] = {cell: {} for cell in self.working}
        grown = True
        while grown:
            grown = False
            for cell in self.working:
                for parent in self.static[cell] | self.by_call[cell]:
                    grown |= bool(carried[parent] - carried[cell])
                    carried[cell] |= carried[parent]
                    for name in carried[parent] - self.carried[cell].keys():
                        maker = self.binding(cell, name)
                        if maker is not None and maker != cell and self._may_find(cell, name, parent):
                            self.carried[cell][name] = maker
                            self.by_call[cell].update(self._chain(cell, name))
                            grown = True

    def _may_find(self, cell: str, name: str, parent: str) -> bool:
        """Return whether a function that `cell` has from `parent`, and calls, finds another cell's `name`."""
        own = self.names[cell]
        if name in own.now | own.later | own.rereads | own.late_rereads:
            return False
        bound = own.bound_in.get(name)
        if name not in own.defs or bound is None or parent in self.by_call[cell]:
            return True
        every = {each for other in self.working for each in self.names[other].defs}
        read = [each for each in every if parent in self._chain(cell, each)]
        later = own.later | own.late_rereads
        return any(own.read_in.get(each, bound + 1) <= bound or each in later for each in read)

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
        versions = self.versions = dict[tuple[str, str], Any]()
        scope: dict[str, Any] = {}
        for cell in self.sequence:
            bad = [p for p in self.static[cell] if p in self.before[cell] and p not in self.cyclic]
            bad = [parent for parent in bad if self.results.get(parent, ("ok", None))[0] in BAD]
            scope.clear()
            scope.update(__builtins__=builtins, Fraction=Fraction, stop=_stop, state=_state)
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

    def at_the_end(self, name: str) -> Any:
        """Return the version of `name` that the last cell leaves."""
        makers = [maker for maker in self.makers(name) if (name, maker) in self.versions]
        return self.versions[name, makers[-1]] if makers else ABSENT

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
        body = [s for s in tree.body if ast.unparse(s) != WAITS]
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


class Histories(RuleBasedStateMachine):
    """Edits of all kinds in a notebook whose cells may redefine names."""

    redefine: Redefine = "allow"
    some_cells = st.dictionaries(cell_ids, cell_sources, min_size=1, max_size=4)

    @initialize(versions=st.sampled_from([0, 1, 100]))
    def open(self, versions: int) -> None:
        self.replica = Notebook()
        self.engine = Engine(
            lambda event: apply(self.replica, event), limits=Limits(versions=versions), redefine=self.redefine
        )
        #: How many cells begin before an interrupt comes; below 0 none comes.
        self.patience = -1
        self.engine.hooks.pre_execution.append(self._interrupt_in_time)
        self.loop = asyncio.Runner()
        self._do(self.engine.run({"setup": SETUP}))

    def _interrupt_in_time(self, _: Any) -> None:
        self.patience -= 1
        if self.patience == -1:
            self.engine.interrupt()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def _do(self, action: Any) -> e.RunFinished:
        finished = self.loop.run(action)
        assert "cellwire itself" not in finished.reason, finished.reason
        return finished

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

    @rule(cell=cell_ids)
    def run_as_it_is(self, cell: str) -> None:
        if cell in self.replica.cells:
            self._do(self.engine.run([cell]))

    @rule(cells=st.lists(cell_ids, min_size=2, max_size=4, unique=True))
    def run_several(self, cells: list[str]) -> None:
        self._do(self.engine.run([cell for cell in cells if cell in self.replica.cells]))

    @rule(cells=st.lists(cell_ids, min_size=1, max_size=3, unique=True))
    def delete(self, cells: list[str]) -> None:
        self._do(self.engine.delete(cells))

    @rule(cell=cell_ids, disabled=st.booleans())
    def configure(self, cell: str, disabled: bool) -> None:
        self._do(self.engine.configure([cell], disabled=disabled))

    @rule(mode=st.sampled_from(["autorun", "lazy"]))
    def set_mode(self, mode: Any) -> None:
        self._do(self.engine.set_mode(mode))

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
        self._compare_names(oracle, cells)

    def _compare_names(self, oracle: Oracle, cells: dict[str, str]) -> None:
        """Compare the names that are there between runs, as far as all cells that make them have run well."""
        states = self.replica.cells
        for name in {name for cell in oracle.working for name in oracle.names[cell].defs}:
            makers = oracle.makers(name)
            if all(states[maker].status == "ok" and not states[maker].stale for maker in makers):
                found, expected = self.engine.globals.get(name, ABSENT), oracle.at_the_end(name)
                assert (found is ABSENT) == (expected is ABSENT), (name, self._dump(cells))
                if "<" not in repr(expected):
                    assert repr(found) == repr(expected), (name, self._dump(cells))

    def _dump(self, cells: dict[str, str]) -> str:
        return "\n".join(f"# %% {cell}\n{source}" for cell, source in cells.items())


class HistoriesOfUniqueNames(Histories):
    """The same where each name has one definer, and the order of cells means nothing."""

    redefine: Redefine = "error"
    some_cells = cells_with_names_of_their_own()


@pytest.mark.parametrize("machine", [Histories, HistoriesOfUniqueNames])
def test_a_cell_that_is_not_stale_shows_what_a_fresh_run_shows(
    machine: type[Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, STARRED.__name__, STARRED)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=12, deadline=None)
    )
