"""The client against a real kernel and a real runner: what a frontend can rely on."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import msgspec
import pytest
from cellwire.protocol import (
    KernelClient,
    RequestError,
    connect,
    launch_kernel,
)
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import Notebook
from support.waiting import PATIENCE, caught_up

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


@pytest.fixture
async def kernel() -> AsyncIterator[KernelClient]:
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as client:
            yield client


def plain(client: KernelClient, cell: str) -> list[str]:
    """Return the items of a cell as text."""
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def encoded(notebook: Notebook) -> bytes:
    return msgspec.msgpack.encode(notebook)


async def test_dependents_of_a_cell_run_again_by_themselves(kernel: KernelClient):
    finished = await kernel.run({"a": "x = 1", "b": "x + 1"})
    assert (finished.status, finished.failed) == ("ok", [])
    assert plain(kernel, "b") == ["2"]
    await kernel.run({"a": "x = 41"})
    assert plain(kernel, "b") == ["42"]
    cell = kernel.notebook.cells["b"]
    assert (cell.status, cell.stale, cell.defs, cell.refs) == ("ok", False, [], ["x"])


async def test_a_cell_that_fails_is_named_and_does_not_raise_in_the_frontend(kernel: KernelClient):
    finished = await kernel.run({"a": "print('before')\n1/0", "b": "2"})
    assert (finished.status, finished.failed) == ("error", ["a"])
    cell = kernel.notebook.cells["a"]
    assert cell.error is not None
    assert cell.error.kind == "ZeroDivisionError"
    assert cell.console.text("stdout") == "before\n"
    assert plain(kernel, "b") == ["2"]


async def test_cells_may_be_given_as_a_list(kernel: KernelClient):
    await kernel.run([Cell("second", "y = x"), Cell("first", "x = 5")])
    assert kernel.notebook.order == ["second", "first"]
    assert kernel.notebook.cells["second"].status == "ok"


@pytest.mark.parametrize(
    ("cells", "error", "said"),
    [
        ("x = 1", TypeError, "cells must be {id: source} or a list of Cell, not str"),
        (5, TypeError, "cells must be {id: source} or a list of Cell, not int"),
        ([("a", "1")], TypeError, "is not a Cell"),
        ({"a": 5}, TypeError, "the source of the cell 'a' must be a str, not int"),
        ({5: "a"}, TypeError, "the cell id 5 must be a str, not int"),
        ({"": "1"}, ValueError, "a cell id must not be empty"),
        ({"a": "'\ud800'"}, ValueError, "the source of the cell 'a' has a lone surrogate"),
        ([Cell("a"), Cell("a")], ValueError, "the cell 'a' is given twice"),
    ],
)
async def test_cells_that_cannot_be_run_are_refused_before_they_are_sent(
    kernel: KernelClient, cells, error, said
):
    with pytest.raises(error) as caught:
        await kernel.run(cells)
    assert said in str(caught.value)


async def test_many_runs_at_once_each_return_at_their_own_end(kernel: KernelClient):
    ended: list[int] = []

    async def one(number: int) -> None:
        finished = await kernel.run({f"c{number}": f"{number} * 2"})
        assert plain(kernel, f"c{number}") == [str(number * 2)]
        ended.append(finished.run)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)
    assert sorted(ended) == list(range(1, 101))
    assert kernel.notebook.idle


async def test_wait_idle_waits_for_every_queued_run(kernel: KernelClient):
    for number in range(20):
        await kernel.run({f"c{number}": "1"}, wait=False)
    await kernel.wait_idle()
    assert [cell.status for cell in kernel.notebook.cells.values()] == ["ok"] * 20


async def test_a_queued_run_is_in_the_copy(kernel: KernelClient):
    await kernel.run({"a": "read = input()"}, wait=False)
    assert not kernel.notebook.idle
    await kernel.interrupt()
    await kernel.wait_idle()
    for number in range(50):
        queued = await kernel.run({"b": str(number)}, wait=False)
        assert kernel.seq >= queued.seq
        await kernel.wait_idle()


async def test_in_lazy_mode_dependents_are_stale_until_they_are_run(kernel: KernelClient):
    await kernel.run({"a": "x = 1", "b": "x"})
    await kernel.set_mode("lazy")
    assert kernel.notebook.mode == "lazy"
    await kernel.run({"a": "x = 2"})
    assert kernel.notebook.cells["b"].stale
    assert plain(kernel, "b") == ["1"]
    await kernel.run_stale()
    assert plain(kernel, "b") == ["2"]
    assert not kernel.notebook.cells["b"].stale
    with pytest.raises(ValueError, match="autorun"):
        await kernel.set_mode("eager")  # type: ignore[arg-type]


async def test_cells_may_be_declared_disabled_and_deleted(kernel: KernelClient):
    await kernel.sync({"a": "x = 1", "b": "x"})
    assert [cell.run for cell in kernel.notebook.cells.values()] == [0, 0]
    await kernel.configure("b", disabled=True)
    assert kernel.notebook.cells["b"].disabled
    await kernel.run({"a": "x = 1"})
    assert kernel.notebook.cells["b"].outputs == []
    await kernel.delete(["b"])
    assert kernel.notebook.order == ["a"]
    with pytest.raises(RequestError) as caught:
        await kernel.delete(["b"])
    assert caught.value.code == "unknown_cell"


async def test_names_are_completed_inspected_and_listed(kernel: KernelClient):
    await kernel.run({"a": "alphabet = 'abc'\ndef double(n):\n    'Twice n.'\n    return 2 * n"})
    completions = await kernel.complete("alphab")
    assert "alphabet" in [item.text for item in completions.items]
    assert "Twice n." in (await kernel.inspect("double")).data["text/plain"]
    variables = {variable.name: variable for variable in await kernel.variables()}
    assert list(variables) == ["alphabet", "double"]
    assert (variables["alphabet"].cell, variables["alphabet"].type) == ("a", "str")


async def test_replacing_the_runner_keeps_outputs_and_frontends(kernel: KernelClient):
    await kernel.run({"a": "x = 1\nx"})
    first = kernel.notebook.runner.pid
    await kernel.restart_runner()
    await kernel.run_stale()
    assert kernel.notebook.runner.generation == 2
    assert kernel.notebook.runner.pid != first
    assert plain(kernel, "a") == ["1"]


APPENDING = """
import cellwire as cw
for i in range(2000):
    cw.output.append(i)
    print(i)
"""


@asynccontextmanager
async def relay(port: int, to_client: list[int], to_kernel: list[int]) -> AsyncIterator[int]:
    """Give a port that leads to `port`; each connection over it takes the next amounts of bytes and is cut.

    What is left of the amounts is changed in place; where there are none any more, nothing is cut.
    """

    async def copy(source: anyio.abc.SocketStream, target: anyio.abc.SocketStream, amount: int) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while amount:
                part = await source.receive(min(amount, 65_536))
                await target.send(part)
                amount -= len(part)
        await source.aclose()
        await target.aclose()

    async def serve(front: anyio.abc.SocketStream) -> None:
        async with (
            await anyio.connect_tcp("127.0.0.1", port) as back,
            front,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(copy, back, front, to_client.pop(0) if to_client else sys.maxsize)
            tasks.start_soon(copy, front, back, to_kernel.pop(0) if to_kernel else sys.maxsize)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("to_client", "to_kernel"),
    [
        # In the middle of outputs, also just before and after the greeting.
        ([30_000, 150_001, 60_002, 1_000, 400, 150_003], []),
        # In the middle of requests, and between a request and its answer.
        ([], [2_000, 1_500, 1_100, 1_000, 900, 600, 300]),
    ],
    ids=["to the client", "to the kernel"],
)
async def test_a_connection_that_is_cut_repeatedly_loses_and_repeats_nothing(
    tmp_path: Path, to_client: list[int], to_kernel: list[int]
):
    to_client, to_kernel = to_client.copy(), to_kernel.copy()
    with anyio.fail_after(PATIENCE):
        async with (
            launch_kernel(transport="tcp") as kernel,
            relay(int(kernel.connection.endpoint.rpartition(":")[2]), to_client, to_kernel) as port,
        ):
            file = tmp_path / "relayed.json"
            relayed = msgspec.structs.replace(kernel.connection, endpoint=f"tcp://127.0.0.1:{port}")
            file.write_bytes(msgspec.json.encode(relayed))
            async with connect(file) as cut:
                runs = 0
                while to_client or to_kernel:
                    runs += 1
                    finished = await cut.run({"a": f"{APPENDING}# {runs}"})
                    assert (finished.run, finished.status) == (runs, "ok")
                    assert len(cut.notebook.cells["a"].outputs) == 2000
                await caught_up(kernel, cut.seq)
                assert encoded(cut.notebook) == encoded(kernel.notebook)
                assert kernel.notebook.cells["a"].run == runs
