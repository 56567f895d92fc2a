"""Whatever is done to a notebook whose names have one definer each: it is as if it had run once from scratch.

`Model` says by definition what a fresh run does: where each name is read from, and what follows from that
for order, cycles and outcomes. The cells drawn here read names only while they run.
"""

import ast
import builtins
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from cellwire.protocol import events as e
from cellwire.runner.analysis.analysis import AnalysisError, analyze
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from support.edits import EditedNotebook, cell_ids

NAMES = ["a", "b", "c", "d"]
ABSENT = object()
OWN_FAULTS = ("SyntaxError", "ImportStar", "MultipleDefinitions")
FAULTS = (*OWN_FAULTS, "Cycle")

expressions = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(" + ".join),
)
statements = st.one_of(
    st.tuples(st.sampled_from(NAMES), expressions).map(" = ".join),
    expressions,
    st.sampled_from(NAMES).map("del {}".format),
    st.sampled_from(["1 / 0", "_t = 1", "a =", "b, c = 1, 2", "import math", "import math, string"]),
)
sources = st.lists(statements, max_size=3).map("\n".join)
awaiting = st.tuples(st.booleans(), sources).map(
    lambda drawn: "import asyncio as _asyncio\nawait _asyncio.sleep(0)\n" + drawn[1] if drawn[0] else drawn[1]
)


class Model:
    """A fresh run of `cells`, sources by id in notebook order, without those that are wrong by themselves."""

    def __init__(self, cells: dict[str, str]) -> None:
        self.sources = cells
        self.names = {id: analyze(source) for id, source in cells.items()}
        self.parents = {id: self._parents(id) for id in cells}
        self.cyclic = {id for id in cells if id in self._reached(id)}
        self.sequence = self.ordered(cells.keys() - self.cyclic)
        #: Status, outputs and the cell that is the cause, of each cell that is on no cycle.
        self.results: dict[str, tuple[str, list[str], str]] = {}
        self._versions: dict[tuple[str, str], Any] = {}
        for id in self.sequence:
            self.results[id] = self._result(id)

    def makers(self, name: str) -> list[str]:
        return [id for id, names in self.names.items() if name in names.defs | names.deleted]

    def binding(self, reader: str, name: str) -> str | None:
        order = list(self.sources)
        above = [id for id in self.makers(name) if order.index(id) < order.index(reader)]
        if above:
            return above[-1]
        if name in self.names[reader].defs:
            return None
        return next((id for id in self.makers(name) if id != reader and name in self.names[id].defs), None)

    def children(self, parent: str) -> set[str]:
        return {id for id, parents in self.parents.items() if parent in parents}

    def below(self, ids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        todo = [id for id in ids if id in self.sources]
        while todo:
            id = todo.pop()
            if id not in found:
                found.add(id)
                todo += self.children(id)
        return found

    def ordered(self, ids: Collection[str]) -> list[str]:
        """Return `ids` so that each comes when all its parents are done, and else in notebook order."""
        left = [id for id in self.sources if id in ids]
        found: list[str] = []
        while left:
            found.append(next(id for id in left if not self.parents[id] & set(left)))
            left.remove(found[-1])
        return found

    def at_the_end(self) -> dict[str, Any]:
        """Return the names as the last cells that made them have left them."""
        found: dict[str, Any] = {}
        for name in NAMES:
            versions = [self._versions[name, id] for id in self.makers(name) if (name, id) in self._versions]
            if versions and versions[-1] is not ABSENT:
                found[name] = versions[-1]
        return found

    def _parents(self, id: str) -> set[str]:
        read = self.names[id].refs | self.names[id].rereads
        return {maker for name in read if (maker := self.binding(id, name)) is not None}

    def _reached(self, id: str) -> set[str]:
        found: set[str] = set()
        todo = [*self.parents[id]]
        while todo:
            here = todo.pop()
            if here not in found:
                found.add(here)
                todo += self.parents[here]
        return found

    def _result(self, id: str) -> tuple[str, list[str], str]:
        causes = [
            self.results[parent][2]
            for parent in self.parents[id]
            if self.results.get(parent, ("ok",))[0] != "ok"
        ]
        if causes:
            return "cancelled", [], min(causes, key=list(self.sources).index)
        scope: dict[str, Any] = {"__builtins__": builtins}
        names = self.names[id]
        for name in names.refs | names.rereads:
            maker = self.binding(id, name)
            value = self._versions.get((name, maker), ABSENT) if maker else ABSENT
            if value is not ABSENT:
                scope[name] = value
        status, outputs = self._plain_run(self.sources[id], scope)
        for name in names.defs | names.deleted:
            self._versions[name, id] = scope.get(name, ABSENT)
        return status, outputs, id

    def _plain_run(self, source: str, scope: dict[str, Any]) -> tuple[str, list[str]]:
        tree = ast.parse(source.replace("await _asyncio.sleep(0)", "pass"))
        last = tree.body.pop().value if tree.body and isinstance(tree.body[-1], ast.Expr) else None  # pyright: ignore
        try:
            exec(compile(tree, "<model>", "exec"), scope)
            value = eval(compile(ast.Expression(last), "<model>", "eval"), scope) if last else None
        except Exception:
            return "error", []
        return "ok", [] if value is None else [repr(value)]


class Notebooks(EditedNotebook):
    """Edits of all kinds, beside the plainest engine there is."""

    @initialize()
    def open(self) -> None:
        self.open_engine("error")

    def _do(self, action: Any) -> e.RunFinished:
        finished = super()._do(action)
        assert self.events[-1] == finished
        started = [event.cell for event in self.events if type(event) is e.CellStarted]
        assert len(started) == len(set(started)), "a cell ran twice in one run"
        model = self._model()
        for event in self.events:
            if type(event) is e.RunPlanned:
                assert event.cells == model.ordered(event.cells)
        return finished

    @rule(cells=st.dictionaries(cell_ids, awaiting, min_size=1, max_size=4))
    def run_sources(self, cells: dict[str, str]) -> None:
        self._do(self.engine.run(cells))

    @rule(cells=st.dictionaries(cell_ids, awaiting, min_size=1, max_size=4), patience=st.integers(0, 4))
    def run_and_interrupt(self, cells: dict[str, str], patience: int) -> None:
        self.patience = patience
        self._do(self.engine.run(cells))
        interrupted = {cell.id for cell in self.replica.cells.values() if cell.status == "interrupted"}
        if self.patience < 0:
            assert self.events[-1].status == "interrupted"
            assert interrupted
        assert all(self.replica.cells[cell].stale for cell in interrupted)
        self.patience = -1

    @rule(cells=st.dictionaries(cell_ids, sources, min_size=1, max_size=4))
    def sync(self, cells: dict[str, str]) -> None:
        self._do(self.engine.sync(cells))
        assert not [event for event in self.events if type(event) is e.CellStarted]

    @rule()
    def run_stale(self) -> None:
        self._do(self.engine.run_stale())
        blocked = self._model().below(cell.id for cell in self.replica.cells.values() if cell.disabled)
        stale = {cell.id for cell in self.replica.cells.values() if cell.stale}
        assert stale <= blocked

    @invariant()
    def replicas_are_equal(self) -> None:
        assert msgspec.msgpack.encode(self.replica) == msgspec.msgpack.encode(self.engine.notebook)
        assert not self.replica.runs
        assert sorted(self.replica.order) == sorted(self.replica.cells)

    @invariant()
    def faults_are_faults(self) -> None:
        cells = self.replica.cells
        faulty = {id: c.error.kind for id, c in cells.items() if c.error and c.error.kind in FAULTS}
        claims: dict[str, list[str]] = {}
        for id, cell in cells.items():
            try:
                analysis = analyze(cell.source)
            except AnalysisError:
                assert faulty[id] == "SyntaxError"
                assert cell.defs == cell.refs == []
            else:
                assert faulty.get(id) != "SyntaxError"
                assert cell.defs == sorted(analysis.defs)
                assert cell.refs == sorted(analysis.refs)
                for name in analysis.defs:
                    claims.setdefault(name, []).append(id)
        for name, claimants in claims.items():
            valid = [id for id in claimants if faulty.get(id) != "MultipleDefinitions"]
            assert len(valid) <= 1, f"{name} has several definers"
        for id, kind in faulty.items():
            if kind == "MultipleDefinitions":
                assert any(len(claims[name]) > 1 for name in cells[id].defs)
        assert {id for id, kind in faulty.items() if kind == "Cycle"} == self._model().cyclic

    @invariant()
    def what_depends_on_a_stale_cell_is_stale(self) -> None:
        cells = self.replica.cells
        model = self._model()
        for id in model.sequence:
            if cells[id].stale:
                assert all(cells[child].stale for child in model.children(id) - model.cyclic)

    @invariant()
    def every_cell_that_is_not_stale_is_as_from_scratch(self) -> None:
        model = self._model()
        for id, (status, outputs, cause) in model.results.items():
            cell = self.replica.cells[id]
            if cell.stale:
                continue
            if cell.status == "idle":
                assert not ast.parse(cell.source).body, id
            else:
                assert cell.status == status, (id, cell)
            if status == "ok":
                assert [item.data["text/plain"] for item in cell.outputs] == outputs, id
            elif status == "cancelled":
                assert cell.error is not None
                assert (cell.error.kind, cell.error.cells) == ("Cancelled", [cause]), id

    @invariant()
    def where_nothing_is_stale_the_namespace_is_as_from_scratch(self) -> None:
        if not any(cell.stale for cell in self.replica.cells.values()):
            assert {n: self.engine.globals[n] for n in NAMES if n in self.engine.globals} == (
                self._model().at_the_end()
            )

    def _model(self) -> Model:
        cells = self.replica.cells
        invalid = {id for id, cell in cells.items() if cell.error and cell.error.kind in OWN_FAULTS}
        return Model({id: cells[id].source for id in self.replica.order if id not in invalid})


Notebooks.TestCase.settings = settings(max_examples=50, stateful_step_count=15)
TestRandomEdits = Notebooks.TestCase
