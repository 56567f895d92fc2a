"""Cells that await overlap with what does not depend on them. Order is drawn with events, never with time."""

from cellwire.protocol import events as e


def gates(*names):
    """Return a cell with an asyncio.Event of each name, and a log."""
    events = "\n".join(f"{name} = asyncio.Event()" for name in names)
    return f"import asyncio\nlog = []\n{events}"


def test_cells_that_await_overlap(book):
    # Each opens the other's gate before it waits for its own: one after the other, neither would end.
    book.run(
        {
            "s": gates("g", "h"),
            "a": "h.set()\nawait g.wait()\n1",
            "b": "g.set()\nawait h.wait()\n2",
        }
    )
    assert (book.texts("a"), book.texts("b")) == (["1"], ["2"])


def test_ten_cells_wait_together(book):
    cells = {"s": "import asyncio\nbarrier = asyncio.Barrier(10)"}
    cells |= {f"c{n}": f"await barrier.wait()\nx{n} = {n}" for n in range(10)}
    cells["sum"] = " + ".join(f"x{n}" for n in range(10))
    assert book.run(cells).status == "ok"
    assert book.texts("sum") == ["45"]


def test_a_cell_that_does_not_await_runs_beside_one_that_does(book):
    book.run({"s": gates("g"), "a": "await g.wait()\nx = 1", "b": "g.set()", "c": "x"})
    assert book.ran == ["s", "a", "b", "c"]
    assert book.texts("c") == ["1"]


def test_a_dependent_waits_for_exactly_what_it_reads(book):
    book.run(
        {
            "s": gates("g", "h"),
            "a": "await g.wait()\nx = log.append('a')",
            "b": "y = 1\nawait h.wait()\nlog.append('b')",
            "xa": "x, log.append('after a'), h.set()",
            "yb": "y, log.append('after b')",
            "go": "g.set()",
        }
    )
    assert book.globals["log"] == ["a", "after a", "b", "after b"]


def test_a_cell_that_deletes_a_name_waits_for_those_that_still_read_it(book):
    book.run({"s": gates("g") + "\nx = 5", "a": "await g.wait()\nx", "d": "del x", "go": "g.set()"})
    assert book.texts("a") == ["5"]
    assert book.ran[-1] == "d"


def test_a_redefinition_waits_for_those_that_still_read_the_old_one(make_book):
    book = make_book(redefine="allow")
    book.run({"s": gates("g"), "p": "df = 1", "a": "await g.wait()\ndf", "q": "df = 2", "go": "g.set()"})
    assert book.texts("a") == ["1"]


def test_an_error_cancels_descendants_and_nobody_else(book):
    finished = book.run(
        {
            "s": gates("g", "h"),
            "a": "await asyncio.sleep(0)\nx = 1 / 0",
            "b": "await g.wait()\n7",
            "xa": "x\ng.set()",
            "ax": "x\nawait h.wait()",
            "go": "await asyncio.sleep(0)\ng.set()",
        }
    )
    assert finished.failed == ["a"]
    assert book.statuses == {
        "s": "ok",
        "a": "error",
        "b": "ok",
        "xa": "cancelled",
        "ax": "cancelled",
        "go": "ok",
    }


def test_top_level_await_gives_the_value_of_the_last_expression(book):
    book.run({"a": "import asyncio\nasync def f(): return 6\nawait f()", "b": "await asyncio.sleep(0, 7)"})
    assert (book.texts("a"), book.texts("b")) == (["6"], ["7"])


def test_system_exit_after_an_await_is_the_cells_error(book):
    book.run({"a": "import asyncio\nawait asyncio.sleep(0)\nraise SystemExit(2)", "b": "1"})
    assert book.statuses == {"a": "error", "b": "ok"}


def test_stop_after_an_await(book):
    source = "import asyncio\nfrom cellwire import stop\nawait asyncio.sleep(0)\nstop(True, 4)\nx = 1"
    book.run({"a": source, "b": "x"})
    assert book.statuses == {"a": "stopped", "b": "cancelled"}
    assert book.texts("a") == ["4"]


def test_each_task_of_a_cell_carries_its_execution(book):
    source = (
        "import asyncio\nfrom cellwire.runner.attribution.context import current_execution\n"
        "async def who(): return current_execution.get().cell\n"
    )
    book.run(
        {
            "s": source,
            "a": "await asyncio.sleep(0)\nawait asyncio.gather(who(), asyncio.create_task(who()))",
            "b": "await asyncio.sleep(0)\nawait who()",
        }
    )
    assert (book.texts("a"), book.texts("b")) == (["['a', 'a']"], ["'b'"])


def test_a_background_task_keeps_running_between_runs_and_writes_to_its_cell(book):
    book.run(
        {
            "s": gates("g", "done"),
            "a": "from cellwire.runner.api.output import output\n"
            "async def later():\n    await g.wait()\n    output.append('late')\n    done.set()\n"
            "task = asyncio.create_task(later())\nawait asyncio.sleep(0)",
        }
    )
    book.run({"b": "g.set()"})
    book.do(book.globals["done"].wait())
    assert book.texts("a") == ["'late'"]


def test_task_groups_and_timeouts_of_asyncio_and_anyio_work_in_a_cell(book):
    group = (
        "async with asyncio.TaskGroup() as group:\n    t = group.create_task(asyncio.sleep(0, 3))\nt.result()"
    )
    scope = "with anyio.move_on_after(0) as scope:\n    await anyio.sleep(10)\nscope.cancelled_caught"
    timeout = (
        "try:\n    async with asyncio.timeout(0):\n        await asyncio.sleep(10)\n"
        "except TimeoutError:\n    late = True\nlate"
    )
    book.run({"i": "import asyncio, anyio", "a": group, "b": scope, "c": timeout})
    assert (book.texts("a"), book.texts("b"), book.texts("c")) == (["3"], ["True"], ["True"])


def test_a_cancelled_caller_ends_the_run_in_order(book):
    async def cancelled():
        import asyncio

        task = asyncio.create_task(book.engine.run({"s": gates("g"), "a": "await g.wait()\nx = 1", "b": "x"}))
        while not book.emitted(e.CellStarted, cell="a"):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True

    assert book.do(cancelled())
    assert book.statuses == {"s": "ok", "a": "interrupted", "b": "cancelled"}
    assert book.emitted(e.RunFinished, run=1, status="interrupted")
    assert book.replica.runs == []
    book.run({"a": "x = 2"})
    assert book.statuses == {"s": "ok", "a": "ok", "b": "ok"}
