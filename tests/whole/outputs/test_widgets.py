"""Widgets in a real kernel: their comms, and the cells that follow them."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient, Limits, RequestError, connect, launch_kernel
from cellwire.protocol.events import CellStarted, CommSent
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

SLIDER = "import ipywidgets\nslider = ipywidgets.IntSlider(3, 0, 100)\nslider"


@pytest.fixture
async def other(kernel: KernelClient) -> AsyncIterator[KernelClient]:
    """A second frontend."""
    async with connect(kernel.connection_file) as client:
        yield client


def shown(client: KernelClient, cell: str) -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def model(client: KernelClient, cell: str) -> str:
    """Return the comm of the widget that a cell shows."""
    [view] = [
        item.data["application/vnd.jupyter.widget-view+json"]
        for item in client.notebook.cells[cell].outputs
        if "application/vnd.jupyter.widget-view+json" in item.data
    ]
    return view["model_id"]


async def move(client: KernelClient, comm: str, **state: Any) -> None:
    """Set traits of a widget, as its view does."""
    with anyio.fail_after(PATIENCE):
        await client.send_comm(comm, {"method": "update", "state": state, "buffer_paths": []})


async def test_a_widget_is_a_comm_that_every_frontend_knows(kernel: KernelClient, other: KernelClient):
    await kernel.run({"w": SLIDER})
    comm = model(kernel, "w")
    await until(other, lambda it: any(each.id == comm for each in it.comms))
    [known] = [each for each in other.notebook.comms if each.id == comm]
    assert (known.target, known.cell) == ("jupyter.widget", "w")
    async with connect(kernel.connection_file) as late:
        assert late.notebook.comms == kernel.notebook.comms
    await kernel.restart_runner()
    await until(kernel, lambda it: not it.comms)


async def test_cells_that_read_a_trait_follow_it_and_no_others(kernel: KernelClient):
    await kernel.run(
        {
            "w": SLIDER,
            "r": "slider.value * 2",
            "o": "def seen(change): print('seen', change.new)\nslider.observe(seen, 'value')",
            "s": "import cellwire as cw\ncw.output.append(slider)",
        }
    )
    before = {id: cell.run for id, cell in kernel.notebook.cells.items()}
    await move(kernel, model(kernel, "w"), value=21)
    await until(kernel, lambda it: it.idle and it.cells["r"].run < 0)
    assert shown(kernel, "r") == ["42"]
    assert {id: kernel.notebook.cells[id].run for id in ("w", "o", "s")} == {
        id: before[id] for id in ("w", "o", "s")
    }
    # What a handler prints belongs to the cell that made the widget.
    await until(kernel, lambda it: "seen 21" in it.cells["w"].console.text())


async def test_fifty_moves_while_a_reader_runs_run_it_once_more_for_the_last(
    kernel: KernelClient, tmp_path: Path
):
    go = tmp_path / "go"
    slow = f"import os, time\nwhile slider.value and not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    await kernel.run(
        {
            "w": SLIDER.replace("(3,", "(0,"),
            "state": "import cellwire as cw\nget, set_ = cw.state(0)",
            "sets": "set_(slider.value * 10)",
            "slow": f"{slow}slider.value",
            "reads": "get(), slider.value",
        }
    )
    comm = model(kernel, "w")
    events = kernel.events(buffer=1_000_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: move(kernel, comm, value=1))
        await until(kernel, lambda it: it.cells["slow"].status == "running")
        for value in range(2, 52):
            tasks.start_soon(lambda value=value: move(kernel, comm, value=value))
        await kernel.ping()
        go.touch()
    await kernel.wait_idle()
    assert [shown(kernel, cell) for cell in ("slow", "reads")] == [["51"], ["(510, 51)"]]
    started: list[str] = []
    with anyio.fail_after(PATIENCE):
        await kernel.run({"end": ""})
        while "end" not in started:
            received = await events.receive() or ()
            started += [event.cell for event in received if isinstance(event, CellStarted)]
    assert started.count("slow") == 2
    assert started.count("sets") == 2


async def test_a_cell_may_await_a_widget(kernel: KernelClient):
    await kernel.run({"w": SLIDER})
    waiting = (
        "import asyncio\n"
        "moved = asyncio.get_running_loop().create_future()\n"
        "slider.observe(lambda change: moved.done() or moved.set_result(change.new), 'value')\n"
        "print('waiting')\n"
        "await moved"
    )
    await kernel.run({"a": waiting}, wait=False)
    await until(kernel, lambda it: "a" in it.cells and "waiting" in it.cells["a"].console.text())
    await move(kernel, model(kernel, "w"), value=7)
    with anyio.fail_after(PATIENCE):
        await kernel.wait_idle()
    assert shown(kernel, "a") == ["7"]


async def test_an_endless_handler_can_be_interrupted_and_the_next_one_works(kernel: KernelClient):
    endless = "def handle(change):\n    print('handling')\n    while change.new == 1: pass\n"
    await kernel.run({"w": f"{SLIDER}\n{endless}slider.observe(handle, 'value')\nslider"})
    comm = model(kernel, "w")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: move(kernel, comm, value=1))
        await until(kernel, lambda it: "handling" in it.cells["w"].console.text())
        with anyio.fail_after(PATIENCE):
            await kernel.interrupt()
    await move(kernel, comm, value=2)
    assert (await kernel.run({"r": "slider.value"})).status == "ok"
    assert shown(kernel, "r") == ["2"]


async def test_a_handler_that_raises_says_so_in_its_cell(kernel: KernelClient):
    await kernel.run({"w": SLIDER + "\nslider.observe(lambda change: 1 / 0, 'value')\nslider"})
    await move(kernel, model(kernel, "w"), value=1)
    await until(kernel, lambda it: "ZeroDivisionError" in it.cells["w"].console.text("stderr"))


async def test_bytes_travel_both_ways(kernel: KernelClient):
    source = (
        "import comm\n"
        "def opened(channel, message):\n"
        "    @channel.on_msg\n"
        "    def answer(message):\n"
        "        sent = bytes(message['buffers'][0])\n"
        "        channel.send({'length': len(sent)}, buffers=[sent[::-1], memoryview(b'more')])\n"
        "comm.get_comm_manager().register_target('mirror', opened)"
    )
    await kernel.run({"a": source})
    events = kernel.events()
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("m1", action="open", target="mirror")
        await kernel.send_comm("m1", {}, buffers=[b"\x00abc"])
        sent: list[CommSent] = []
        while not sent or sent[-1].action != "msg":
            sent += [event for event in await events.receive() or () if isinstance(event, CommSent)]
    assert [(event.action, event.cell, event.target) for event in sent] == [
        ("open", "a", "mirror"),
        ("msg", "a", ""),
    ]
    assert (sent[-1].data, sent[-1].buffers) == ({"length": 4}, [b"cba\x00", b"more"])
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("m1", action="close")
    await until(kernel, lambda it: all(each.id != "m1" for each in it.comms))


async def test_a_comm_that_nothing_knows_is_closed(kernel: KernelClient):
    events = kernel.events()
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("unknown", {"a": 1})
        closed = [event for event in await events.receive() or () if isinstance(event, CommSent)]
    assert closed == [CommSent("unknown", "close")]


async def test_text_and_messages_of_a_comm_keep_their_order(kernel: KernelClient):
    source = (
        "import comm\n"
        "channel = comm.create_comm(target_name='t')\n"
        "print('before')\n"
        "channel.send({'n': 1})\n"
        "print('after')"
    )
    events = kernel.events()
    await kernel.run({"a": source})
    found: list[str] = []
    with anyio.fail_after(PATIENCE):
        while "RunFinished" not in found:
            found += [
                getattr(event, "text", "") or type(event).__name__ for event in await events.receive() or ()
            ]
    order = [each for each in found if each in ("before\n", "CommSent", "after\n")]
    assert order == ["CommSent", "before\n", "CommSent", "after\n"]


#: A target whose comms do as they are told, and what keeps the main thread until a file is there.
OBEYS = """
import asyncio, comm, os, time
def opened(channel, message):
    channel.on_msg(lambda message: exec(message['content']['data']['code'], globals()))
comm.get_comm_manager().register_target('obeys', opened)
"""
HOLD = "print('holds', flush=True)\nwhile not os.path.exists({go!r}): time.sleep(0.001)\n"


async def test_a_message_for_a_comm_whose_opening_waits_is_handled_in_the_context_of_its_cell(
    kernel: KernelClient, other: KernelClient, tmp_path: Path
):
    go = tmp_path / "go"
    await kernel.run({"a": OBEYS})
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(kernel.run, {"b": HOLD.format(go=str(go))})
            await until(other, lambda it: "b" in it.cells and "holds" in it.cells["b"].console.text())
            group.start_soon(partial(kernel.send_comm, "o1", action="open", target="obeys"))
            group.start_soon(kernel.send_comm, "o1", {"code": "print('obeyed')"})
            # Answered by the kernel after it has passed on both.
            await anyio.wait_all_tasks_blocked()
            await kernel.ping()
            go.touch()
    await until(kernel, lambda it: "obeyed" in it.cells["a"].console.text())


async def test_a_message_is_answered_whose_task_user_code_cancels(
    kernel: KernelClient, other: KernelClient, tmp_path: Path
):
    go = tmp_path / "go"
    # The message is read in one round of the loop, and its task begins in the next.
    cancels = (
        "for _ in range(3):\n    await asyncio.sleep(0)\n"
        "    for task in asyncio.all_tasks() - {asyncio.current_task()}: task.cancel()\n"
    )
    await kernel.run({"a": OBEYS})
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("o1", action="open", target="obeys")
        async with anyio.create_task_group() as group:
            group.start_soon(kernel.run, {"b": HOLD.format(go=str(go)) + cancels})
            await until(other, lambda it: "b" in it.cells and "holds" in it.cells["b"].console.text())
            group.start_soon(kernel.send_comm, "o1", {"code": "handled = True"})
            await anyio.wait_all_tasks_blocked()
            await kernel.ping()
            go.touch()
        assert (await kernel.run({"c": "'handled' in globals()"})).status == "ok"
    assert shown(kernel, "c") == ["False"]


async def test_a_comm_of_user_code_that_is_no_comm_loses_no_other_message(kernel: KernelClient):
    source = """
class Odd:
    @property
    def context(self):
        raise ValueError("odd")
comm.get_comm_manager().comms["odd"] = Odd()
"""
    await kernel.run({"a": OBEYS})
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("o1", action="open", target="obeys")
        assert (await kernel.run({"b": source})).status == "ok"
        await kernel.send_comm("odd", {})
        await kernel.send_comm("o1", {"code": "print('obeyed')"})
        assert (await kernel.run({"c": "1"})).status == "ok"
    await until(kernel, lambda it: "obeyed" in it.cells["a"].console.text())


async def test_messages_that_wait_for_a_cell_do_not_keep_completions_from_the_runner(tmp_path: Path):
    go = tmp_path / "go"
    limits = Limits(request_bytes=1024 * 1024)
    async with launch_kernel(limits=limits) as kernel, connect(kernel.connection_file) as other:
        with anyio.fail_after(PATIENCE):
            await kernel.run({"a": OBEYS})
            await kernel.send_comm("o1", action="open", target="obeys")
            async with anyio.create_task_group() as group:
                group.start_soon(kernel.run, {"b": HOLD.format(go=str(go))})
                await until(other, lambda it: "b" in it.cells and "holds" in it.cells["b"].console.text())
                for _ in range(2):
                    group.start_soon(kernel.send_comm, "o1", {"code": "#" * 1_000_000})
                await anyio.wait_all_tasks_blocked()
                await kernel.ping()
                with pytest.raises(RequestError, match="too many requests wait"):
                    await kernel.send_comm("o1", {"code": "print('refused')"})
                assert (await kernel.complete("pri")).items
                go.touch()


async def test_a_message_is_nested_as_deeply_as_elsewhere_where_a_cell_has_lowered_the_limit(
    kernel: KernelClient,
):
    nested: Any = []
    for _ in range(300):
        nested = [nested]
    await kernel.run({"a": OBEYS})
    with anyio.fail_after(PATIENCE):
        await kernel.send_comm("o1", action="open", target="obeys")
        assert (await kernel.run({"b": "import sys\nsys.setrecursionlimit(80)"})).status == "ok"
        await kernel.send_comm("o1", {"code": "print('obeyed')", "nested": nested})
        assert (await kernel.run({"c": "sys.getrecursionlimit() < 300"})).status == "ok"
    assert shown(kernel, "c") == ["True"]
    await until(kernel, lambda it: "obeyed" in it.cells["a"].console.text())
