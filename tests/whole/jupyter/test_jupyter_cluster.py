"""Cells with a tag `on:variable` of a Jupyter frontend run on a cluster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import dask_cluster
from support.jupyter import Jupyter, Ran, idle, started
from support.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with dask_cluster.cluster(security=None, n_workers=2) as client:
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


#: A cell that ends when another one has begun, and waits for a file that it names.
_MEETS = """
import os, time
open({mine!r}, "w").close()
while not os.path.exists({other!r}):
    time.sleep(0.01)
print({name!r})
{name} = {name!r}
"""


def all_of(kernel: Jupyter, *ids: str) -> dict[str, Ran]:
    """Return what came of requests, which may be answered in any order."""
    replies: dict[str, Any] = {}
    while len(replies) < len(ids):
        message = kernel.client.get_shell_msg(timeout=PATIENCE)
        replies[message["parent_header"]["msg_id"]] = message["content"]
    return {id: Ran(id, replies[id], kernel.until(id, idle)) for id in ids}


@pytest.fixture
def own(address: str) -> Iterator[Jupyter]:
    with started() as kernel:
        kernel.run(f"from distributed import Client\nclient = Client({address!r})", cell="client")
        yield kernel


def test_cells_on_a_cluster_run_side_by_side_and_each_shows_its_own(own: Jupyter, tmp_path: Path) -> None:
    mine, other = str(tmp_path / "a"), str(tmp_path / "b")
    sources = {
        "a": _MEETS.format(mine=mine, other=other, name="a"),
        "b": _MEETS.format(mine=other, other=mine, name="b"),
    }
    ids = [own.execute(source, cell, tags=["on:client"]) for cell, source in sources.items()]
    here = own.execute("a + b", "c")
    after = own.execute("'after'")
    shown = all_of(own, *ids, here, after)
    assert [shown[id].text() for id in ids] == ["a\n", "b\n"]
    assert [ran.reply["status"] for ran in shown.values()] == ["ok"] * 4
    assert [ran.reply["execution_count"] for ran in shown.values()] == [2, 3, 4, 5]
    assert (shown[here].result, shown[after].result) == ("'ab'", "'after'")


def test_an_interrupt_ends_all_cells_on_a_cluster_and_an_error_those_that_were_not_begun(
    own: Jupyter, tmp_path: Path
) -> None:
    begun = [str(tmp_path / name) for name in "ab"]
    source = "import time\nopen({!r}, 'w').close()\nwhile True: time.sleep(0.01)"
    ids = [own.execute(source.format(file), file[-1], tags=["on:client"]) for file in begun]
    wait_until(lambda: all(map(os.path.exists, begun)))
    own.send("control", "interrupt_request")
    assert {ran.reply["ename"] for ran in all_of(own, *ids).values()} == {"KeyboardInterrupt"}
    # The request that stands behind one of the same cell waits for that one.
    gate = str(tmp_path / "gate")
    first = own.execute(
        f"import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.01)\n1 / 0",
        "a",
        tags=["on:client"],
    )
    again = own.execute("'again'", "a")
    last = own.execute("'last'", "b")
    open(gate, "w").close()
    assert own.ran(first).reply["ename"] == "ZeroDivisionError"
    assert [own.reply(id)["status"] for id in (again, last)] == ["aborted", "aborted"]
    assert own.run("'fine'", "a").result == "'fine'"
