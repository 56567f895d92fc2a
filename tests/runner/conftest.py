"""Fixtures for the parts of the runner that act on the cell they are called in."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cellwire.protocol.events import CellDeclared, CellStarted, GraphChanged
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import Item, Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.attribution.context import Execution, current_execution
from cellwire.runner.output.emitter import CallbackSink, Emitter
from cellwire.runner.output.output_list import OutputList


class RunningCell:
    """One run of one cell, and what a frontend holds of it."""

    def __init__(self, name: str, notebook: Notebook, events: list[Any]) -> None:
        def receive(event: Any) -> None:
            events.append(event)
            apply(notebook, event)

        receive(GraphChanged([CellDeclared(name)]))
        receive(CellStarted(name, 1))
        self.name = name
        self.notebook = notebook
        self.events = events
        self.execution = Execution(name, 1, OutputList(Emitter(CallbackSink(receive)), name, 1, Limits()))

    @property
    def outputs(self) -> list[Item]:
        return self.notebook.cells[self.name].outputs

    @property
    def texts(self) -> list[str]:
        return [item.data["text/plain"] for item in self.outputs]

    def __enter__(self) -> "RunningCell":
        self._token = current_execution.set(self.execution)
        return self

    def __exit__(self, *_: object) -> None:
        current_execution.reset(self._token)


@pytest.fixture
def make_cell() -> Callable[[str], RunningCell]:
    """Return a function that makes a running cell; `with` it, code belongs to it."""
    notebook, events = Notebook(), list[Any]()
    return lambda name: RunningCell(name, notebook, events)


@pytest.fixture
def cell(make_cell: Callable[[str], RunningCell]) -> Iterator[RunningCell]:
    """Return the cell that the test's code belongs to."""
    with make_cell("a") as running:
        yield running
