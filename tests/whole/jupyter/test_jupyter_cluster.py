"""Cells with a tag `on:variable` of a Jupyter frontend run on a cluster."""

from collections.abc import Iterator

import pytest
from support import dask_cluster
from support.jupyter import Jupyter


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with dask_cluster.cluster(security=None, n_workers=1) as client:
        yield client.scheduler.address


def test_a_cell_runs_where_its_tag_says_and_follows_there(kernel: Jupyter, address: str) -> None:
    kernel.run(f"from distributed import Client\nclient = Client({address!r})\nimport os", cell="client")
    here = kernel.run("os.getpid()", cell="here").result
    kernel.run("base = 1", cell="base")
    there = kernel.run("there = os.getpid()\nprint('on a worker')\nbase, there", cell="a", tags=["on:client"])
    assert there.reply["status"] == "ok"
    assert there.result not in (None, f"(1, {here})")
    assert "on a worker" in str(there.messages)
    assert kernel.run("there == os.getpid()", cell="b").result == "False"
    # It says nothing of a place, so it runs here.
    assert kernel.run("os.getpid()", cell="a").result == here
