"""What runs by itself, over drawn histories of gestures, on an engine in this process."""

import asyncio
import os
from typing import Any

import pytest
from cellwire.frontends.jupyter.policy import INTERRUPTED, Following, contested_names, descendants
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.notebook import CellError, Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.engine import Engine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

CELLS = ("a", "b", "c", "d", "e")
SOURCES = (
    "x = 1",
    "x = 2",
    "y = x + 1",
    "z = y * 2",
    "z = x + y",
    "x",
    "print(z)",
    "w = 1 / (x - 1)",
    "w",
    "def f(): return x",
    "f()",
    "y = y + 1 if 'y' in globals() else 0",
    "for i in range(2): pass",
    "i",
    "",
    "del x",
)


class Page:
    """Pages that execute cells; what follows runs one at a time, as the binding does it."""

    def __init__(self) -> None:
        self.notebook = Notebook()
        self.following = Following()
        #: The page that draws each cell, and the pages that are there.
        self.drawn: dict[str, str] = {}
        self.there = {"first"}
        self.frozen: set[str] = set()
        #: The cell that was cut last, and its source.
        self.cut: tuple[str, str] | None = None
        #: What an interrupt has stopped, until it or what it depends on is executed.
        self.left_alone: set[str] = set()
        self.ran: list[str] = []
        self.runner = asyncio.Runner()
        self.engine = self._engine()

    def _engine(self) -> Engine:
        engine = Engine(self._take, redefine="live")
        self.runner.run(engine.set_mode("lazy"))
        return engine

    def _take(self, event: Any) -> None:
        apply(self.notebook, event)
        self.following.take(event, self.notebook)
        if isinstance(event, e.CellStarted | e.CellSkipped):
            self.ran.append(event.cell)

    def close(self) -> None:
        self.runner.close()

    @property
    def ours(self) -> set[str]:
        """The cells that a page draws which is there."""
        return {cell for cell, page in self.drawn.items() if page in self.there}

    def execute(self, cell: str, source: str, page: str = "first") -> None:
        self.there.add(page)
        self.drawn[cell] = page
        self.left_alone -= {cell, *descendants(self.notebook, cell)}
        self.following.execute(cell, self.notebook)
        self.runner.run(self.engine.run([m.Cell(cell, source)]))
        self.left_alone -= set(descendants(self.notebook, cell))

    def execute_in_console(self, source: str) -> None:
        self.runner.run(self.engine.run([m.Cell("~1", source, loose=True)]))
        self.runner.run(self.engine.delete(["~1"]))

    def interrupt(self) -> None:
        stale = {id for id in self.ours if id in self.notebook.cells and self.notebook.cells[id].stale}
        self.left_alone |= stale & self.following.candidates
        self.following.interrupt()

    def delete(self, cell: str) -> None:
        if cell in self.notebook.cells:
            self.drawn.pop(cell, None)
            self.following.delete([cell], self.notebook, str)
            self.runner.run(self.engine.delete([cell], keep=True))

    def crash(self, cell: str) -> None:
        """Let the runner die in a cell."""
        if cell in self.notebook.cells:
            self._take(e.CellStarted(cell, 1_000_000, 0.0))
        self.restart()

    def restart(self) -> None:
        """Replace the runner, as the kernel does when it has died."""
        cells = [self.notebook.cells[id] for id in self.notebook.order]
        stale = [cell.id for cell in cells if cell.run and not cell.stale]
        if stale:
            self._take(e.CellsMarked(stale))
        self._take(e.RunnerDied("died"))
        self.engine = Engine(self._take, redefine="live")
        declared = [e.CellDeclared(cell.id, cell.source, cell.revision) for cell in cells]
        self.engine.restore(declared, mode="lazy")

    def waiting(self) -> tuple[list[str], dict[str, str]]:
        return self.following.waiting(self.notebook, self.ours, self.frozen, str)

    def settle(self, steps: int = 100) -> None:
        """Run what follows, at most so many cells."""
        for _ in range(steps):
            ready, _ = self.waiting()
            if not ready:
                return
            self._check(ready[0])
            before = len(self.ran)
            self.runner.run(self.engine.run([m.Cell(ready[0], self.notebook.cells[ready[0]].source)]))
            *needed, last = self.ran[before:]
            assert last == ready[0]
            # A definer whose value was lost to another one runs with its first reader.
            assert all(ready[0] in descendants(self.notebook, cell) for cell in needed)

    def _check(self, cell: str) -> None:
        state = self.notebook.cells[cell]
        assert state.stale
        assert not contested_names(self.notebook).intersection((*state.defs, *state.refs, *state.rereads))
        assert cell in self.ours
        assert cell not in self.frozen


#: An edit is a run of another source; a cut that is undone comes back as it was, or is executed under its id.
GESTURES = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(CELLS), st.sampled_from(SOURCES)),
    st.tuples(st.just("again"), st.sampled_from(CELLS), st.just("")),
    st.tuples(st.just("all"), st.just(""), st.just("")),
    st.tuples(st.just("cut"), st.sampled_from(CELLS), st.just("")),
    st.tuples(st.just("paste"), st.sampled_from(("", *CELLS)), st.just("")),
    st.tuples(st.just("undo"), st.just(""), st.just("")),
    st.tuples(st.just("interrupt"), st.sampled_from(CELLS), st.sampled_from(SOURCES)),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
    st.tuples(st.just("crash"), st.sampled_from(CELLS), st.just("")),
    st.tuples(st.just("freeze"), st.sampled_from(CELLS), st.just("")),
    st.tuples(st.just("reload"), st.just(""), st.just("")),
    st.tuples(st.just("other page"), st.sampled_from(CELLS), st.sampled_from(SOURCES)),
    st.tuples(st.just("other page leaves"), st.just(""), st.just("")),
    st.tuples(st.just("console"), st.just(""), st.sampled_from(SOURCES)),
)


@settings(
    max_examples=int(os.environ.get("CELLWIRE_EXAMPLES", 150)),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(GESTURES, max_size=12))
# A name that two cells defined and one has given up belongs to the other, which ran once for it.
@example(
    [("run", "a", "z = y * 2"), ("run", "c", SOURCES[11]), ("run", "b", SOURCES[11]), ("run", "b", "x = 1")]
)
def test_whatever_the_gestures_each_cell_runs_once_for_each_and_everything_comes_to_rest(gestures):
    page = Page()
    try:
        for kind, cell, source in gestures:
            play(page, kind, cell, source)
    finally:
        page.close()


def play(page: Page, kind: str, cell: str, source: str) -> None:
    known = page.notebook.cells.get(cell)
    left_alone = set(page.left_alone)
    page.ran.clear()
    match kind:
        case "run":
            page.execute(cell, source)
        case "again" if known is not None:
            page.execute(cell, known.source)
        case "all":
            for id in list(page.notebook.order):
                page.execute(id, page.notebook.cells[id].source)
            assert set(page.ran) >= set(page.notebook.order)
        case "cut" if known is not None:
            page.cut = cell, known.source
            page.delete(cell)
        case "paste" | "undo" if page.cut is not None:
            id, pasted = page.cut
            page.execute(cell or id, pasted)
        case "interrupt":
            page.execute(cell, source)
            page.settle(1)
            page.interrupt()
            stopped = len(page.ran)
            page.settle()
            assert len(page.ran) == stopped, "what was interrupted is not taken up again"
        case "restart" | "crash":
            page.crash(cell) if kind == "crash" else page.restart()
            begun = [cell] if kind == "crash" and known is not None else []
            page.settle()
            assert page.ran == begun, "the end of the runner runs nothing"
        case "freeze":
            page.frozen ^= {cell}
        case "reload":
            # Another page is there in its place; those of the old one are drawn nowhere.
            page.drawn = {id: "gone" if of == "first" else of for id, of in page.drawn.items()}
            assert not page.ours.intersection(id for id, of in page.drawn.items() if of == "gone")
        case "other page":
            page.execute(cell, source, "second")
        case "other page leaves":
            page.there.discard("second")
        case "console":
            page.execute_in_console(source)
            page.settle()
            assert page.ran == ["~1"], "a console makes nothing stale"
        case _:
            pass
    if kind != "freeze":
        page.settle()
    if kind not in ("all", "interrupt"):
        assert len(page.ran) == len(set(page.ran)), (kind, cell, page.ran)
    if kind in ("cut", "reload", "other page leaves", "freeze", "console"):
        assert not left_alone.intersection(page.ran), "what was interrupted stays so"
    ready, reasons = page.waiting()
    assert ready == [] or kind == "freeze"
    assert set(reasons) <= {id for id in page.notebook.order if page.notebook.cells[id].stale}


@pytest.fixture
def page():
    page = Page()
    yield page
    page.close()


def test_what_follows_runs_from_top_to_bottom_of_what_depends_on_each_other(page: Page):
    for cell, source in {"a": "x = 1", "b": "y = x", "c": "x + y"}.items():
        page.execute(cell, source)
    page.ran.clear()
    page.execute("a", "x = 2")
    page.settle()
    assert page.ran == ["a", "b", "c"]
    assert [item.data["text/plain"] for item in page.notebook.cells["c"].outputs] == ["4"]


def test_a_cell_of_a_page_that_is_gone_does_not_run_and_has_no_reason(page: Page):
    page.execute("a", "x = 1")
    page.execute("b", "x")
    page.drawn["b"] = "gone"
    page.execute("a", "x = 2")
    assert page.waiting() == ([], {})


def test_what_was_interrupted_runs_when_what_it_depends_on_is_executed_again(page: Page):
    page.execute("a", "x = 1")
    page.execute("b", "x")
    page.execute("a", "x = 2")
    page.following.interrupt()
    assert page.waiting() == ([], {"b": INTERRUPTED})
    page.execute("a", "x = 3")
    assert page.waiting() == (["b"], {})


def test_a_cell_that_an_interrupt_kept_from_beginning_does_not_run_by_itself(page: Page):
    page.drawn["a"] = "first"
    for event in (
        e.RunAccepted(1),
        e.GraphChanged([e.CellDeclared("a", "while True: pass", 1)]),
        e.RunPlanned(1, ["a"]),
        e.CellSkipped("a", 1, "cancelled", CellError("Cancelled", "interrupted before it ran")),
        e.CellsMarked(["a"]),
        e.RunFinished(1, "interrupted", reason="interrupted"),
    ):
        page._take(event)
    assert page.waiting() == ([], {"a": INTERRUPTED})
    page.execute("a", "1")
    page.settle()
    assert page.ran == ["a", "a"]


def test_descendants_are_found_through_other_cells(page: Page):
    for cell, source in {"a": "x = 1", "b": "y = x", "c": "y", "d": "1"}.items():
        page.execute(cell, source)
    assert descendants(page.notebook, "a") == ["b", "c"]
    assert contested_names(page.notebook) == set()
