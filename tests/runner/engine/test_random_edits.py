"""Whatever is done to a notebook: where nothing is stale, it is as if it had been run once, from scratch."""

import ast
import asyncio
import builtins
from typing import Any

import msgspec
from cellwire.protocol import events as e
from cellwire.protocol.notebook import Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.analysis.analysis import AnalysisError, analyze
from cellwire.runner.engine import Engine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

CELLS = ["k", "l", "m", "n", "o", "p"]
NAMES = ["a", "b", "c", "d"]
FAULTS = ("SyntaxError", "ImportStar", "MultipleDefinitions", "Cycle")

expressions = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(" + ".join),
)
statements = st.one_of(
    st.tuples(st.sampled_from(NAMES), expressions).map(" = ".join),
    expressions,
    st.sampled_from(["1 / 0", "_t = 1", "a =", "b, c = 1, 2", "import math", "import math, string"]),
)
sources = st.lists(statements, max_size=3).map("\n".join)
awaiting = st.tuples(st.booleans(), sources).map(
    lambda drawn: "import asyncio as _asyncio\nawait _asyncio.sleep(0)\n" + drawn[1] if drawn[0] else drawn[1]
)
cell_ids = st.sampled_from(CELLS)


class Notebooks(RuleBasedStateMachine):
    """Edits of all kinds, beside the plainest engine there is."""

    @initialize()
    def open(self) -> None:
        self.events: list[Any] = []
        self.replica = Notebook()
        self.engine = Engine(self._receive)
        #: How many cells begin before an interrupt comes; below 0 none comes.
        self.patience = -1
        self.engine.hooks.pre_execution.append(self._interrupt_in_time)
        self.loop = asyncio.Runner()

    def _interrupt_in_time(self, _: Any) -> None:
        self.patience -= 1
        if self.patience == -1:
            self.engine.interrupt()

    def _receive(self, event: Any) -> None:
        self.events.append(event)
        apply(self.replica, event)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def _do(self, action: Any) -> None:
        self.events.clear()
        finished = self.loop.run(action)
        assert self.events[-1] == finished
        assert "cellwire itself" not in finished.reason, finished.reason
        started = [event.cell for event in self.events if type(event) is e.CellStarted]
        assert len(started) == len(set(started)), "a cell ran twice in one run"

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

    @rule(cell=cell_ids)
    def run_as_it_is(self, cell: str) -> None:
        if cell in self.replica.cells:
            self._do(self.engine.run([cell]))

    @rule(cell=cell_ids)
    def delete(self, cell: str) -> None:
        self._do(self.engine.delete([cell]))

    @rule(cell=cell_ids, disabled=st.booleans())
    def configure(self, cell: str, disabled: bool) -> None:
        self._do(self.engine.configure([cell], disabled=disabled))

    @rule(mode=st.sampled_from(["autorun", "lazy"]))
    def set_mode(self, mode: Any) -> None:
        self._do(self.engine.set_mode(mode))

    @rule()
    def run_stale(self) -> None:
        self._do(self.engine.run_stale())
        blocked = self._below(cell.id for cell in self.replica.cells.values() if cell.disabled)
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
            if kind == "Cycle":
                assert id in self._below(self._children(id))

    @invariant()
    def what_depends_on_a_stale_cell_is_stale(self) -> None:
        cells = self.replica.cells
        for id, cell in cells.items():
            if cell.stale:
                assert all(cells[child].stale for child in self._children(id))

    @invariant()
    def where_nothing_is_stale_all_is_as_from_scratch(self) -> None:
        cells = self.replica.cells
        if any(cell.stale for cell in cells.values()):
            return
        values, results = self._from_scratch()
        for id, (status, text) in results.items():
            assert cells[id].status == status, (id, cells[id])
            if status == "ok":
                assert [item.data["text/plain"] for item in cells[id].outputs] == text, id
        certain = {name: value for name, value in values.items() if name in NAMES}
        for name, value in certain.items():
            assert self.engine.globals[name] == value
        uncertain = {name for id in cells if id not in results for name in cells[id].defs}
        assert {n for n in NAMES if n in self.engine.globals} - uncertain == certain.keys() - uncertain

    def _works(self, id: str) -> bool:
        error = self.replica.cells[id].error
        return error is None or error.kind not in FAULTS

    def _children(self, id: str) -> list[str]:
        """Return the readers of what `id` defines; a cell with a fault defines nothing, but on a cycle."""
        cells = self.replica.cells
        error = cells[id].error
        if not self._works(id) and not (error and error.kind == "Cycle"):
            return []
        defs = set(cells[id].defs)
        kinds = {other.id: other.error.kind if other.error else "" for other in cells.values()}
        return [
            other.id
            for other in cells.values()
            if other.id != id
            and defs & set(other.refs)
            and (
                kinds[other.id] not in FAULTS
                if not error or error.kind != "Cycle"
                else kinds[other.id] == "Cycle"
            )
        ]

    def _below(self, ids: Any) -> set[str]:
        found: set[str] = set()
        todo = list(ids)
        while todo:
            id = todo.pop()
            if id not in found:
                found.add(id)
                todo += self._children(id)
        return found

    def _from_scratch(self) -> tuple[dict[str, Any], dict[str, tuple[str, list[str]]]]:
        """Run all cells in an order that their names allow.

        Returned are the names, and outcome and output of each cell whose ancestors all ended well; what
        happens to the others depends on how much their ancestors had bound.
        """
        left = [id for id in self.replica.order if self._works(id)]
        parents = {id: {other for other in left if id in self._children(other)} for id in left}
        values: dict[str, Any] = {"__builtins__": builtins}
        results: dict[str, tuple[str, list[str]]] = {}
        done: set[str] = set()
        while left:
            id = next(id for id in left if parents[id] <= done)
            left.remove(id)
            done.add(id)
            if all(results.get(parent, ("", []))[0] == "ok" for parent in parents[id]):
                results[id] = self._plain_run(self.replica.cells[id].source, values)
        return values, results

    def _plain_run(self, source: str, values: dict[str, Any]) -> tuple[str, list[str]]:
        tree = ast.parse(source.replace("await _asyncio.sleep(0)", "pass"))
        last = tree.body.pop().value if tree.body and isinstance(tree.body[-1], ast.Expr) else None  # pyright: ignore
        try:
            exec(compile(tree, "<oracle>", "exec"), values)
            value = eval(compile(ast.Expression(last), "<oracle>", "eval"), values) if last else None
        except Exception:
            return "error", []
        return "ok", [] if value is None else [repr(value)]


Notebooks.TestCase.settings = settings(max_examples=50, stateful_step_count=15, deadline=None)
TestRandomEdits = Notebooks.TestCase
