"""Runs whose cells have not all ended, and the cells among these that have had their turn."""

import asyncio
from collections.abc import Collection

from ...protocol.events import RunFinished
from ..attribution.context import Execution


class OpenRun:
    """A run with cells that have not ended."""

    __slots__ = ("cells", "failed", "finished", "left", "reason", "run", "then")

    def __init__(self, run: int, cells: list[str], left: Collection[str]) -> None:
        self.run: int = run
        #: All cells of its plan, in order.
        self.cells: list[str] = cells
        #: Those that have not ended.
        self.left: set[str] = set(left)
        #: Those that failed before any had its turn.
        self.failed: list[str] = []
        #: Why cells of it were interrupted though the run was not; empty if none was.
        self.reason: str = ""
        #: The run that ends after this one, which it has caused by setting a state.
        self.then: OpenRun | None = None
        #: Set by what waits for its end.
        self.finished: asyncio.Future[RunFinished] | None = None


class Flight:
    """A cell that has had its turn and not ended: it awaits, runs elsewhere, or waits for values."""

    __slots__ = ("cell", "ended", "execution", "landed", "run", "submitted", "task")

    def __init__(self, cell: str, run: OpenRun) -> None:
        self.cell: str = cell
        self.run: OpenRun = run
        #: None as long as it waits for values.
        self.execution: Execution | None = None
        #: What stands for it on the loop; None while it is sent there.
        self.task: asyncio.Task[None] | None = None
        #: Whether a place has it.
        self.submitted: bool = False
        #: Whether it is known how it ended; and whether nothing of it is left to do.
        self.ended: bool = False
        self.landed: bool = False
