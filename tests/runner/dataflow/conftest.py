"""Graphs made of sources."""

from collections.abc import Callable

import pytest
from cellwire.protocol.notebook import Redefine
from cellwire.runner.analysis.analysis import analyze
from cellwire.runner.dataflow.graph import Graph


@pytest.fixture
def graph_of() -> Callable[..., Graph]:
    """Return a function that makes a graph of cells, given as id=source in notebook order."""

    def make(redefine: Redefine = "error", **sources: str) -> Graph:
        graph = Graph(redefine)
        for cell, source in sources.items():
            graph.set_cell(cell, analyze(source))
        return graph

    return make
