"""What of an embedded notebook runs, when, and with which definitions."""

import json

import pytest
from support.waiting import PATIENCE

from .conftest import Outer

pytestmark = pytest.mark.anyio


async def test_definitions_that_are_given_replace_those_of_the_notebook(outer: Outer) -> None:
    outer.write(path="print('not run')\npath = 'default'", shown="path", length="n = len(path)")
    await outer.embed(", path='given'", n="part.defs['n'], part['n'], sorted(part.defs)")
    assert outer.shown() == "['given']"
    assert outer.texts("n") == ["(5, 5, ['cw', 'n', 'path', 'threading', 'time'])"]


async def test_a_cell_that_makes_another_version_of_what_is_given_runs(outer: Outer) -> None:
    outer.write(load="df = [0]", clean="df = df + [1]", shown="df")
    await outer.embed(", df=[7]")
    assert outer.texts() == ["[7, 1]"]


async def test_the_imports_of_a_cell_that_is_replaced_stay(outer: Outer) -> None:
    outer.write(setup="import math\nlimit = 1\nprint('not run')", shown="math.sqrt(limit)")
    await outer.embed(", limit=4")
    assert outer.shown() == "[2.0]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (", pth='x'", "inner.py does not define 'pth'; it defines cw, n, path, threading, time, verbose"),
        (
            ", path='x'",
            "'path' replaces cell 'settings' of inner.py, which also defines verbose: give it too",
        ),
    ],
)
async def test_definitions_that_do_not_fit_are_refused(outer: Outer, arguments: str, message: str) -> None:
    outer.write(settings="path, verbose = 'd', False", count="n = len(path) if verbose else 0")
    await outer.embed(arguments)
    error = outer["e"].error
    assert error is not None
    assert (error.kind, message in error.message) == ("TypeError", True), error.message
    assert outer.texts() == [outer["e"].outputs[0].data["text/plain"]]
    await outer.embed(", path='x', verbose=True", shown="part['n']")
    assert outer.texts("shown") == ["1"]


COUNTED = {
    "log": "runs = []",
    "data": "data = 'd'",
    "one": "runs.append('one')\nlen(data)",
    "two": "runs.append('two')\nresult = data * 2",
    "three": "runs.append('three')\nresult",
}


async def test_running_it_again_runs_what_has_changed_and_shows_the_rest(outer: Outer) -> None:
    outer.write(**COUNTED)
    await outer.embed(shown="part['runs'][:]")
    assert outer.texts("shown") == ["['one', 'two', 'three']"]
    await outer.embed()
    assert (outer.texts(), outer.texts("shown")) == (["1", "'dd'"], ["['one', 'two', 'three']"])
    outer.write(**{**COUNTED, "three": "runs.append('three again')\nresult.upper()", "four": "'four'"})
    await outer.embed()
    assert (outer.texts(), outer.texts("shown")) == (
        ["1", "'DD'", "'four'"],
        ["['one', 'two', 'three', 'three again']"],
    )
    outer.write(**{**COUNTED, "data": "data = 'new'"})
    await outer.embed()
    assert outer.texts() == ["3", "'newnew'"]


async def test_equal_definitions_run_nothing_again_and_others_what_reads_them(outer: Outer) -> None:
    outer.write(**COUNTED, columns="columns = []", four="runs.append('four')\ncolumns")
    await outer.embed(", columns=['a', 'b']", shown="part['runs'][:]")
    await outer.embed(", columns=['a', 'b']")
    assert outer.texts("shown") == ["['one', 'two', 'three', 'four']"]
    await outer.embed(", columns=['c']")
    assert outer.texts("shown") == ["['one', 'two', 'three', 'four', 'four']"]
    assert outer.texts()[-1] == "['c']"
    await outer.embed()
    assert outer.texts()[-1] == "[]"


async def test_lines_of_cells_that_have_moved_are_those_of_the_file(outer: Outer) -> None:
    outer.write(fails="1 / 0")
    await outer.embed()
    assert "line 4, in cell 'fails'" in outer.texts()[0]
    outer.write(more="'more'\n'lines'", fails="1 / 0")
    await outer.embed()
    assert "line 7, in cell 'fails'" in outer.texts()[1]


async def test_a_cell_that_has_failed_runs_again(outer: Outer) -> None:
    outer.write(read=f"text = open({outer.path('data')}).read()", shown="text")
    await outer.embed(failed="part.failed")
    assert outer.texts("failed") == ["['read']"]
    (outer.folder / "data").write_text("there")
    await outer.embed()
    assert (outer.texts(), outer.texts("failed")) == (["'there'"], ["[]"])


async def test_what_a_failed_cell_has_not_defined_is_named_with_the_cell(outer: Outer) -> None:
    outer.write(load="df = int('no')")
    await outer.embed(reader="part['df']")
    error = outer["reader"].error
    assert error is not None
    assert (
        "inner.py has not defined 'df': cell 'load' should define it, but it failed (ValueError)"
        in error.message
    )


async def test_the_lists_of_the_cells_are_mime_bundles(outer: Outer) -> None:
    outer.write(one="cw.output.append(1)\ncw.md('*2*')", none="pass")
    await outer.embed(outputs="part.outputs")
    [shown] = outer.texts("outputs")
    assert eval(shown) == {
        "imports": [],
        "one": [{"text/plain": "1"}, {"text/markdown": "*2*", "text/plain": "*2*"}],
        "none": [],
    }


async def test_the_formats_of_files(outer: Outer) -> None:
    cells = [
        {"cell_type": "code", "id": "first", "source": "x = 1", "metadata": {}, "outputs": []},
        {"cell_type": "code", "id": "fails", "source": "x\n1 / 0", "metadata": {}, "outputs": []},
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (outer.folder / "book.ipynb").write_text(json.dumps(notebook))
    (outer.folder / "app.py").write_text(
        "import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef load():\n    x = 2\n    return (x,)\n\n\n"
        "@app.cell\ndef fails(x):\n    y = x\n    y / 0\n    return\n"
    )
    await outer.run(
        a=f"book = cw.embed({outer.path('book.ipynb')}, x=5)\nbook['x'], book.failed",
        b=f"app = cw.embed({outer.path('app.py')})\napp['y'], app.failed",
    )
    raised, shown = outer.texts("a")
    assert shown == "(5, ['fails'])"
    assert "File \"<cell book.ipynb:fails>\", line 2, in cell 'fails'\n    1 / 0" in raised
    raised, shown = outer.texts("b")
    assert shown == "(2, ['fails'])"
    assert f"File \"{outer.folder / 'app.py'}\", line 15, in cell 'fails'\n    y / 0\n    ~~^~~" in raised


async def test_one_cell_embeds_several_notebooks_each_with_definitions_of_its_own(outer: Outer) -> None:
    outer.write(n="n = 0", runs="runs = []", shown="runs.append(n)\nn")
    embed = f"parts = [cw.embed({outer.path()}, n=n) for n in range(3)]\nNone"
    await outer.run(e=embed, r="[p['runs'] for p in parts]")
    assert (outer.texts(), outer.texts("r")) == (["0", "1", "2"], ["[[0], [1], [2]]"])
    await outer.run(e=embed.replace("range(3)", "range(2)"))
    assert (outer.texts(), outer.texts("r")) == (["0", "1"], ["[[0], [1]]"])


@pytest.mark.parametrize("edit", ["'no part'", ""])
async def test_a_part_that_is_embedded_no_more_ends(outer: Outer, edit: str) -> None:
    outer.write(
        work="""
ended = threading.Event()
def work():
    while not cw.current_thread().should_exit:
        time.sleep(0.001)
    ended.set()
""",
        start="cw.Thread(target=work).start()",
    )
    await outer.embed()
    await outer.run(e=f"keep.append(cw.embed({outer.path()})['ended'])", keep="keep = []")
    await (outer.run(e=edit) if edit else outer.client.delete(["e"]))
    await outer.run(waits=f"keep[0].wait({PATIENCE})")
    assert outer.texts("waits") == ["True"]


async def test_a_cell_that_is_interrupted_before_it_embeds_keeps_its_part(outer: Outer) -> None:
    outer.write(runs="runs = []", one="runs.append(1)\nlen(runs)")
    await outer.run(ok="ok = True", e=f"if not ok: raise ValueError\npart = cw.embed({outer.path()})")
    await outer.run(ok="ok = False")
    await outer.run(ok="ok = True", r="part['runs']")
    assert (outer.texts(), outer.texts("r")) == (["1"], ["[1]"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cw.embed('missing.py')", "missing.py: No such file"),
        ("cw.embed('/dev/null')", "/dev/null: not a notebook file"),
    ],
)
async def test_a_file_that_is_no_notebook_is_an_error(outer: Outer, source: str, message: str) -> None:
    await outer.run(e=source)
    error = outer["e"].error
    assert error is not None
    assert (error.kind, message in error.message) == ("NotebookFileError", True), error.message
    # Only the cell's own line, and no exception that led to it.
    assert error.traceback.count("File ") == 1
    assert error.traceback.endswith(f"\nNotebookFileError: {error.message}\n")


async def test_a_thread_cannot_embed(outer: Outer) -> None:
    outer.write(one="1")
    await outer.run(
        e="""
def work():
    try:
        cw.embed("inner.py")
    except RuntimeError as error:
        cw.output.append(str(error))
t = threading.Thread(target=work)
t.start()
t.join()
"""
    )
    assert "in the code of the cell, not in a thread" in outer.texts()[0]


async def test_hooks_of_the_notebook_around_are_for_inner_cells_too(outer: Outer) -> None:
    outer.write(one="1")
    await outer.run(
        hook="""
from cellwire.runner.engine import current_engine
current_engine.get().hooks.post_execution.append(lambda execution: print("after", execution.cell))
None
"""
    )
    await outer.embed()
    assert outer.shown() == "after inner.py:imports\n[1]after inner.py:one\nafter e\n"
    await outer.run(hook="current_engine.get().hooks.post_execution.pop()\nNone")
