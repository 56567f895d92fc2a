"""Notebooks inside notebooks inside cells, cells that await, and interrupts of all that."""

import anyio
import pytest
from support.waiting import PATIENCE, until

from .conftest import Outer

pytestmark = pytest.mark.anyio


async def test_parts_nest(outer: Outer) -> None:
    outer.write("deep", one="print('deep')\n'd1'", n="n = 1", two="'d2'")
    outer.write(
        before="'i1'", deep="deep = cw.embed('deep.py')", after="print('inner')\nm = deep['n'] + 1\nm"
    )
    await outer.embed(shown="part['deep']['n'], part['m'], part['deep'].output")
    assert outer.shown() == "['i1']deep\n['d1']['d2']inner\n[2]"
    await outer.embed()
    assert outer.shown() == "['i1']deep\n['d1']['d2']inner\n[2]"
    await outer.run(again="part['deep'].output")
    assert outer.texts("again") == ["'d1'", "'d2'"]


async def test_what_threads_add_in_the_depth_is_shown_at_the_top(outer: Outer) -> None:
    outer.write(
        "deep",
        go="go = threading.Event()",
        work="def work():\n    go.wait()\n    print('late')\n    cw.output.append('late')",
        start="threading.Thread(target=work).start()",
    )
    outer.write(deep="go = cw.embed('deep.py')['go']", last="'last'")
    await outer.embed(set="part['go'].set()")
    await until(outer.client, lambda _: len(outer.texts()) == 2)
    assert outer.shown() == "['last']late\n['late']"
    await outer.embed()
    assert outer.shown() == "late\n['late']['last']"


async def test_a_notebook_that_embeds_itself_is_an_error_that_names_the_circle(outer: Outer) -> None:
    outer.write("a", b="cw.embed('b.py')")
    outer.write("b", a="cw.embed('a.py')")
    await outer.run(e=f"cw.embed({outer.path('a.py')})")
    [shown] = outer.texts()
    assert "ValueError: a notebook cannot embed itself: a.py → b.py → a.py" in shown
    assert "b.py\", line 4, in cell 'a'" in shown


async def test_cells_that_await_run_in_a_cell_that_does_not(outer: Outer) -> None:
    outer.write(
        wait="import asyncio\nawait asyncio.sleep(0)\nx = 1",
        both="a, b = await asyncio.gather(asyncio.sleep(0, 2), asyncio.sleep(0, 3))\n(x, a, b)",
        sync="'sync'",
    )
    await outer.embed(x="part['x']")
    assert (sorted(outer.texts()), outer.texts("x")) == (["'sync'", "(1, 2, 3)"], ["1"])
    await outer.embed()
    assert outer.texts() == ["(1, 2, 3)", "'sync'"]


async def test_a_cell_that_awaits_the_notebook_overlaps_with_others(outer: Outer) -> None:
    outer.write(
        event="import asyncio\nevent = asyncio.Event()",
        wait="print('waits')\nawait set_event.wait()\n'over'",
        set_event="set_event = event",
    )
    await outer.run(
        event="import asyncio\nevent = asyncio.Event()",
        e=f"part = await cw.embed_async({outer.path()}, set_event=event)",
        other=f"part2 = await cw.embed_async({outer.path()}, set_event=event)",
        set="await asyncio.sleep(0)\nevent.set()",
    )
    assert (outer.shown(), outer.shown("other")) == ("waits\n['over']", "waits\n['over']")
    await outer.run(e=f"part = await cw.embed_async({outer.path()}, set_event=event)")
    assert outer.shown() == "waits\n['over']"


async def test_a_cell_that_awaits_is_told_to_await_a_notebook_that_does(outer: Outer) -> None:
    outer.write(wait="import asyncio\nawait asyncio.sleep(0)")
    await outer.run(e=f"import asyncio\nawait asyncio.sleep(0)\ncw.embed({outer.path()})")
    error = outer["e"].error
    assert error is not None
    assert "write `await cw.embed_async(...)`" in error.message
    outer.write(plain="'plain'")
    await outer.run(e=f"import asyncio\nawait asyncio.sleep(0)\ncw.embed({outer.path()})")
    assert outer.texts() == ["'plain'"]


async def test_a_task_that_an_inner_cell_leaves_goes_on(outer: Outer) -> None:
    outer.write(
        aio="import asyncio",
        task="async def work():\n    await asyncio.sleep(0)\n    print('t')\n    cw.output.append(1)",
        start="task = asyncio.create_task(work())",
    )
    await outer.embed()
    await until(outer.client, lambda _: outer.shown() == "t\n[1]")


LASTING = {
    "a loop": "while True: pass",
    "a sleep": "time.sleep(1000)",
    "an await": "import asyncio\nawait asyncio.sleep(1000)",
    "an await that computes": "import asyncio\nawait asyncio.sleep(0)\nwhile True: pass",
    "a child": "import subprocess\nsubprocess.run(['sleep', '1000'])",
    "a notebook": "cw.embed('deep.py')",
}


@pytest.mark.parametrize("call", ["cw.embed", "await cw.embed_async"])
@pytest.mark.parametrize("source", LASTING.values(), ids=LASTING.keys())
async def test_an_interrupt_ends_the_inner_cell_and_the_cell_around(
    outer: Outer, call: str, source: str
) -> None:
    outer.write("deep", last="print('begun')\nwhile True: pass")
    begun = "" if "deep" in source else "print('begun')\n"
    outer.write(first="'first'", last=f"{begun}{source}\ndone = True", below="done")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: outer.run(e=f"part = {call}({outer.path()})", other="'other'"))
        with anyio.fail_after(PATIENCE):
            await until(outer.client, lambda notebook: "e" in notebook.cells and "begun" in outer.shown())
            await outer.client.interrupt()
    assert (outer["e"].status, outer["e"].stale) == ("interrupted", True)
    assert outer.texts()[0] == "'first'"
    assert "True" not in outer.texts()
    # What was done is kept; the rest runs.
    outer.write(first="'first'", last="done = True\n'repaired'", below="done")
    await outer.run(e=f"part = {call}({outer.path()})")
    assert outer.texts() == ["'first'", "'repaired'", "True"]


async def test_an_interrupt_ends_inner_cells_that_a_state_runs(outer: Outer) -> None:
    outer.write(state="get, set_ = cw.state(0)", reader="if get(): print('begun')\nwhile get(): pass\n'read'")
    await outer.embed(set="pass")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: outer.run(set="part['set_'](1)"))
        with anyio.fail_after(PATIENCE):
            await until(outer.client, lambda notebook: "begun" in outer.shown())
            await outer.client.interrupt()
    await outer.client.ping()
    assert "KeyboardInterrupt" in outer.texts()[0]
