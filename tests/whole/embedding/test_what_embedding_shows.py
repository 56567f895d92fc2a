"""What an embedded notebook shows in the cell that embeds it: items and text, live, in order, and again."""

import anyio
import pytest
from cellwire.protocol.mime_types import ERROR_MIME, PROGRESS_MIME
from support.waiting import PATIENCE, until

from .conftest import Outer

pytestmark = pytest.mark.anyio


async def test_items_and_text_are_those_of_the_embedding_cell_in_order(outer: Outer) -> None:
    outer.write(
        one="print('one')\n1",
        two="import sys\nprint('two', file=sys.stderr)\ncw.output.append('appended')\nprint('more')\n2",
    )
    await outer.run(e=f"print('before')\ncw.embed({outer.path()})\nprint('after')")
    assert outer.shown() == "before\none\n[1]two\n['appended']more\n[2]after\n"
    assert list(outer.client.notebook.cells) == ["imports", "e"]


async def test_what_a_cell_shows_is_seen_while_it_runs(outer: Outer) -> None:
    outer.write(
        one="print('printed')\n1",
        bar="bar = cw.progress_bar(2, title='steps')\nbar.update()",
        two=f"import os\nwhile not os.path.exists({outer.path('go')}): time.sleep(0.01)\nbar.update()\n2",
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outer.embed)
        with anyio.fail_after(PATIENCE):
            await until(outer.client, lambda _: "e" in outer.client.notebook.cells and "[1" in outer.shown())
            await until(outer.client, lambda _: any(PROGRESS_MIME in i.data for i in outer["e"].outputs))
        assert "printed\n[1]" in outer.shown()
        assert outer["e"].status == "running"
        (outer.folder / "go").touch()
    progress = next(item for item in outer["e"].outputs if PROGRESS_MIME in item.data)
    assert progress.data[PROGRESS_MIME]["done"]
    assert outer.texts()[-1] == "2"


async def test_threads_and_children_show_in_the_embedding_cell_after_the_end_too(outer: Outer) -> None:
    outer.write(
        child="import subprocess\nsubprocess.run(['echo', 'child'])\nNone",
        go="go = threading.Event()",
        work="def work():\n    go.wait()\n    print('a')\n    cw.output.append('late')",
        start="threading.Thread(target=work).start()",
        end="'end'",
    )
    await outer.embed(other="part['go'].set()")
    await until(outer.client, lambda _: "['late']" in outer.shown())
    assert outer.shown() == "child\n['end']a\n['late']"


async def test_what_did_not_run_again_is_shown_again_with_what_threads_have_added(outer: Outer) -> None:
    outer.write(
        start="""
go = threading.Event()
again = threading.Event()
def work():
    go.wait()
    print('late')
    cw.output.append('late')
    again.wait()
    print('later')
    cw.output.append('later')
threading.Thread(target=work).start()
print('started')
'value'
""",
        count="runs.append(1)\nlen(runs)",
        runs="runs = []",
        end="print('end')\n'end'",
    )
    await outer.embed(other="part['go'].set()")
    await until(outer.client, lambda _: "late" in outer.texts()[-1])
    assert outer.shown() == "started\n['value'][1]end\n['end']late\n['late']"
    await outer.embed()
    # Cell by cell: the late ones stand with those of their cell.
    assert outer.shown() == "started\n['value']late\n['late'][1]end\n['end']"
    await outer.run(other="part['again'].set()")
    await until(outer.client, lambda _: "later" in outer.texts()[-1])
    assert outer.shown() == "started\n['value']late\n['late'][1]end\n['end']later\n['later']"


async def test_an_error_names_the_cell_and_the_line_of_the_file(outer: Outer) -> None:
    outer.write(
        good="1", bad="def fail():\n    return 1 / 0\nfail()", below="'not concerned'", wrong="x = = 1"
    )
    await outer.embed()
    assert outer["e"].status == "ok"
    path = str(outer.folder / "inner.py")
    raised, invalid = (item for item in outer["e"].outputs if ERROR_MIME in item.data)
    assert f"File \"{path}\", line 8, in cell 'bad'\n    fail()" in raised.data["text/plain"]
    assert f'File "{path}", line 7, in fail\n    return 1 / 0' in raised.data["text/plain"]
    error = raised.data[ERROR_MIME]
    assert (error["file"], error["cell"], error["line"]) == (path, "inner.py:bad", 7)
    assert f"File \"{path}\", line 12, in cell 'wrong'" in invalid.data["text/plain"]
    assert outer.texts()[::2] == ["1", "'not concerned'"]


async def test_stop_ends_the_inner_notebook_alone(outer: Outer) -> None:
    outer.write(gate="cw.stop(True, 'closed')\nx = 1", below="x", other="'other'")
    await outer.embed(after="'after'")
    assert (outer.texts(), outer["e"].status, outer.texts("after")) == (
        ["'closed'", "'other'"],
        "ok",
        ["'after'"],
    )


async def test_input_is_asked_for_by_the_embedding_cell(outer: Outer) -> None:
    outer.write(ask="name = input('name? ')\nname")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outer.embed)
        await until(outer.client, lambda notebook: notebook.inputs)
        [asked] = outer.client.notebook.inputs
        assert (asked.cell, asked.prompt) == ("e", "name? ")
        await outer.client.provide_input(asked.id, "Ada")
    assert outer.texts() == ["'Ada'"]


async def test_redirected_text_of_the_embedding_cell_takes_that_of_the_notebook(outer: Outer) -> None:
    outer.write(one="print('one')", two="with cw.redirect_stdout():\n    print('two')\n'value'")
    await outer.run(e=f"with cw.capture_stdout() as text:\n    cw.embed({outer.path()})\ntext.getvalue()")
    assert outer.shown() == "[two\n]['value']['one\\n']"


async def test_figures_are_shown_once_and_again(outer: Outer) -> None:
    outer.write(
        draw="import matplotlib.pyplot as plt\nplt.plot([1, 2])", other="plt.figure()\nplt.plot([1])\nNone"
    )
    await outer.embed()
    shown = [sorted(item.data) for item in outer["e"].outputs]
    assert ["image/png" in kinds for kinds in shown].count(True) == 2
    await outer.embed()
    assert [sorted(item.data) for item in outer["e"].outputs] == shown


async def test_the_output_of_a_part_is_shown_in_another_cell_and_follows(outer: Outer) -> None:
    outer.write(
        go="go = threading.Event()",
        work="def work():\n    go.wait()\n    cw.output.append('late')",
        start="threading.Thread(target=work).start()\n'started'",
    )
    await outer.embed(shown="part.output", named="part")
    assert outer.texts("shown") == ["'started'"]
    assert outer.texts("named") == ["<part of inner.py: cw, go, threading, time, work>"]
    assert outer["shown"].console.text() == ""
    await outer.run(other="part['go'].set()")
    await until(outer.client, lambda _: len(outer.texts("shown")) == 2 == len(outer.texts()))
    assert outer.texts("shown") == outer.texts() == ["'started'", "'late'"]


async def test_a_part_is_no_value_of_the_cell_that_embeds_it(outer: Outer) -> None:
    outer.write(one="1")
    await outer.run(e=f"cw.embed({outer.path()})")
    assert outer.texts() == ["1"]


async def test_what_replaces_the_items_of_a_cell_takes_their_place(outer: Outer) -> None:
    outer.write(
        first="cw.output.append('a')\ncw.output.append('b')\ngo = threading.Event()",
        replace="def work():\n    go.wait()\n    cw.output.replace('c')\n    cw.output.append('d')",
        start="cw.output.append('x')\nthreading.Thread(target=work).start()",
        last="'last'",
    )
    await outer.embed(other="part['go'].set()")
    await until(outer.client, lambda _: "'d'" in outer.texts())
    assert outer.texts() == ["'a'", "'b'", "'c'", "'last'", "'d'"]
    await outer.embed()
    assert outer.texts() == ["'a'", "'b'", "'c'", "'d'", "'last'"]


async def test_text_that_is_redirected_around_stands_between_the_items(outer: Outer) -> None:
    outer.write(one="print('one')\n1", two="print('two')\ncw.output.append(2)\nprint('more')\n3")
    cell = f"with cw.redirect_stdout():\n    print('own')\n    cw.embed({outer.path()})\n    print('own')"
    await outer.run(e=cell)
    shown = ["own\none\n", "1", "two\n", "2", "more\n", "3", "own\n"]
    assert outer.texts() == shown
    await outer.run(e=f"{cell}\nNone")
    assert outer.texts() == shown


async def test_clearing_the_console_removes_the_text_of_the_inner_cell(outer: Outer) -> None:
    outer.write(
        one="print('one')",
        two="for n in range(3):\n    cw.output.clear_console()\n    print('step', n)",
        three="print('three')",
    )
    await outer.embed()
    assert outer.shown() == "one\nstep 2\nthree\n"
    await outer.embed()
    assert outer.shown() == "one\nstep 2\nthree\n"


async def test_a_fork_and_detached_threads_are_as_in_any_cell(outer: Outer) -> None:
    outer.write(
        fork="import os\npid = os.fork()\nif pid == 0:\n    print('child')\nelse:\n    os.waitpid(pid, 0)",
        after="print('parent', pid > 0)\nNone",
        thread="thread = threading.Thread(target=print, args=['away'])",
        start="with cw.detached():\n    thread.start()\nthread.join()",
    )
    await outer.embed()
    assert outer["e"].console.text() == "child\nparent True\n"
    assert outer.client.notebook.console.text() == "away\n"


async def test_cells_know_where_they_are(outer: Outer) -> None:
    outer.write(where="cw.cell_id(), cw.running_in_kernel()")
    await outer.embed()
    assert outer.texts() == ["('inner.py:where', True)"]


async def test_threads_that_go_on_while_it_is_embedded_again_lose_and_repeat_nothing(outer: Outer) -> None:
    outer.write(
        work="""
ended = threading.Semaphore(0)
def work(name):
    for n in range(300):
        print(f'{name}{n}')
        cw.output.append(f'{name}{n}')
    ended.release()
""",
        first="for name in 'ab': threading.Thread(target=work, args=name).start()",
        second="threading.Thread(target=work, args='c').start()",
        last="'last'",
    )
    await outer.embed()
    for n in range(10):
        await outer.run(e=f"part = cw.embed({outer.path()})  # {n}")
    await outer.run(wait="for _ in range(3): part['ended'].acquire()")
    await outer.client.delete(["wait"])
    for _ in range(2):
        state = outer["e"]
        assert outer.texts().count("'last'") == 1
        for name in "abc":
            expected = [f"{name}{n}" for n in range(300)]
            items = [text.strip("'") for text in outer.texts()]
            assert [text for text in items if text[:1] == name] == expected
            assert [line for line in state.console.text().split() if line[:1] == name] == expected
        await outer.embed()
