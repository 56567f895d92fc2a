"""States of an embedded notebook: what runs again in it, and around it."""

import pytest
from support.waiting import until

from .conftest import Outer

pytestmark = pytest.mark.anyio

STATE = {"state": "get, set_ = cw.state(0)"}


async def test_a_setter_runs_inner_cells_again_in_their_place(outer: Outer) -> None:
    outer.write(first="'first'", **STATE, reader="print('read', get())\nget()", last="'last'")
    await outer.embed(count="outer = 1")
    run = outer["e"].run
    await outer.run(set="part['set_'](5)")
    assert outer.texts() == ["'first'", "5", "'last'"]
    assert outer["e"].console.text() == "read 0\nread 5\n"
    assert outer["e"].run == run
    await outer.embed()
    assert outer.shown() == "['first']read 5\n[5]['last']"


async def test_a_run_that_shows_less_or_more_leaves_and_takes_places(outer: Outer) -> None:
    outer.write(**STATE, many="for n in range(get()): cw.output.append(n)\nNone", last="'last'")
    await outer.embed()
    for number, shown in [
        (2, ["'last'", "0", "1"]),
        (1, ["'last'", "0"]),
        (0, ["'last'"]),
        (1, ["'last'", "0"]),
    ]:
        await outer.run(set=f"part['set_']({number})")
        assert outer.texts() == shown
    await outer.embed()
    assert outer.texts() == ["0", "'last'"]


async def test_the_embedding_cell_runs_again_when_what_was_taken_out_changes(outer: Outer) -> None:
    outer.write(**STATE, double="double = get() * 2", other="other = 'constant'")
    await outer.embed(taken="part['double']", untaken="part['other']")
    run = outer["e"].run
    await outer.run(set="part['set_'](21)")
    assert (outer.texts("taken"), outer.texts("untaken")) == (["42"], ["'constant'"])
    assert outer["e"].run < 0 < run
    # A definition that does not change runs nothing.
    await outer.run(taken="None")
    run = outer["e"].run
    await outer.run(set="part['set_'](22)")
    assert outer["e"].run == run


async def test_cells_around_that_read_a_state_of_the_notebook_follow_it(outer: Outer) -> None:
    outer.write(**STATE)
    await outer.embed(names="get, set_ = part['get'], part['set_']", reader="get()")
    await outer.run(set="set_(7)")
    assert outer.texts("reader") == ["7"]


async def test_a_thread_of_an_inner_cell_sets_a_state_at_any_time(outer: Outer) -> None:
    outer.write(
        **STATE,
        go="go = threading.Event()",
        thread="def work():\n    go.wait()\n    set_(1)\nthreading.Thread(target=work).start()",
        reader="get()",
        double="double = get() * 2",
    )
    await outer.embed(taken="part['double']", set="part['go'].set()")
    await until(outer.client, lambda _: outer.texts("taken") == ["2"])
    assert outer.texts() == ["1"]


async def test_an_inner_cell_that_sets_runs_readers_in_the_same_run(outer: Outer) -> None:
    outer.write(**STATE, reader="get()", setter="set_(3)")
    finished = await outer.embed(after="part['get']()")
    assert (outer.texts(), outer.texts("after"), finished.status) == (["3"], ["3"], "ok")


async def test_setting_in_the_embedding_cell_ends_when_nothing_changes(outer: Outer) -> None:
    outer.write(**STATE, double="double = get() * 2", reader="get()")
    await outer.run(e=f"part = cw.embed({outer.path()})\npart['set_'](4)\npart['double']")
    await outer.client.wait_idle()
    assert outer.texts() == ["4", "8"]


async def test_states_of_nested_notebooks_are_followed_from_the_innermost_out(outer: Outer) -> None:
    outer.write("deep", **STATE, double="double = get() * 2", reader="get()")
    outer.write(
        mid="deep = cw.embed('deep.py')", take="double = deep['double'] + 1", setter="set_ = deep['set_']"
    )
    await outer.embed(taken="part['double']")
    await outer.run(set="part['set_'](10)")
    assert (outer.texts("taken"), outer.texts()) == (["21"], ["10"])


async def test_in_lazy_mode_inner_cells_follow_and_the_embedding_cell_becomes_stale(outer: Outer) -> None:
    outer.write(**STATE, reader="get()", double="double = get() * 2")
    await outer.embed(taken="part['double']", set="pass")
    await outer.client.set_mode("lazy")
    try:
        await outer.run(set="part['set_'](1)")
        assert outer.texts() == ["1"]
        stale = [id for id, cell in outer.client.notebook.cells.items() if cell.stale]
        assert stale == ["e", "taken", "set"]
    finally:
        await outer.client.set_mode("autorun")
