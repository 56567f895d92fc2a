"""Edits of a notebook that hypothesis draws: what machines that compare an engine with a model share."""

import asyncio
from typing import Any

from cellwire.protocol.events import RunFinished
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import Notebook, Redefine
from cellwire.protocol.reducer import apply
from cellwire.runner.engine import Engine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

CELLS = ["k", "l", "m", "n", "o", "p"]
cell_ids = st.sampled_from(CELLS)


class EditedNotebook(RuleBasedStateMachine):
    """An engine with a replica of its notebook, and the edits that need no sources."""

    def open_engine(self, redefine: Redefine, limits: Limits | None = None) -> None:
        self.events: list[Any] = []
        self.replica = Notebook()
        self.engine = Engine(self._receive, limits=limits or Limits(), redefine=redefine)
        #: How many cells begin before an interrupt comes; below 0 none comes.
        self.patience = -1
        self.engine.hooks.pre_execution.append(self._interrupt_in_time)
        self.loop = asyncio.Runner()

    def _receive(self, event: Any) -> None:
        self.events.append(event)
        apply(self.replica, event)

    def _interrupt_in_time(self, _: Any) -> None:
        self.patience -= 1
        if self.patience == -1:
            self.engine.interrupt()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def _do(self, action: Any) -> RunFinished:
        """Carry out a request and return its end."""
        self.events.clear()
        finished = self.loop.run(action)
        assert "cellwire itself" not in finished.reason, finished.reason
        return finished

    @rule(cell=cell_ids)
    def run_as_it_is(self, cell: str) -> None:
        if cell in self.replica.cells:
            self._do(self.engine.run([cell]))

    @rule(cells=st.lists(cell_ids, min_size=1, max_size=3, unique=True))
    def delete(self, cells: list[str]) -> None:
        self._do(self.engine.delete(cells))

    @rule(cell=cell_ids, disabled=st.booleans())
    def configure(self, cell: str, disabled: bool) -> None:
        self._do(self.engine.configure([cell], disabled=disabled))

    @rule(mode=st.sampled_from(["autorun", "lazy"]))
    def set_mode(self, mode: Any) -> None:
        self._do(self.engine.set_mode(mode))
