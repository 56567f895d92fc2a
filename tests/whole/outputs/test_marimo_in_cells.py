"""marimo's own functions in cells of a real kernel, and in a marimo file that `cellwire run` runs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol.mime_types import PROGRESS_MIME
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

MARIMO = {"mo": "import marimo as mo"}


def texts(client: KernelClient, cell: str) -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def errors(client: KernelClient, cell: str) -> str:
    return client.notebook.cells[cell].console.text("stderr")


def printed(client: KernelClient, cell: str) -> str:
    return client.notebook.cells[cell].console.text("stdout")


async def test_stop_ends_its_cell_without_an_error_and_shows_its_output(kernel: KernelClient):
    gate = "try:\n    mo.stop(True, mo.md('*press*'))\nexcept Exception:\n    pass\nx = 1"
    await kernel.run({**MARIMO, "gate": gate, "below": "x", "open": "mo.stop(False)\n2"})
    cells = kernel.notebook.cells
    assert (cells["gate"].status, cells["below"].status, cells["open"].status) == (
        "stopped",
        "cancelled",
        "ok",
    )
    assert texts(kernel, "gate") == ["*press*"]
    raised = "try:\n    mo.stop(True)\nexcept mo.MarimoStopError as stop:\n    print(stop.output)\nx = 1"
    assert (await kernel.run({"gate": raised})).status == "ok"
    assert printed(kernel, "gate") == "None\n"


async def test_output_acts_on_the_items_of_its_cell(kernel: KernelClient):
    source = (
        "mo.output.append(1)\nmo.output.append(None)\nmo.output.append(2)\n"
        "mo.output.replace_at_index(3, idx=0)\nmo.output.replace_at_index(4, 2)"
    )
    cells = {
        **MARIMO,
        "a": source,
        "b": "mo.output.append(1)\nmo.output.replace(2)",
        "c": "print('text')\nmo.output.append(1)\nmo.output.clear()\nmo.output.clear_console()",
        "t": "t = mo.Thread(target=lambda: mo.output.append(mo.current_thread().should_exit))\n"
        "t.start()\nt.join()",
    }
    await kernel.run(cells)
    assert [texts(kernel, cell) for cell in "abct"] == [["3", "2", "4"], ["2"], [], ["False"]]
    assert printed(kernel, "c") == ""


async def test_a_thread_exits_when_its_cell_runs_again(kernel: KernelClient):
    work = "import time\ndef work():\n    while not mo.current_thread().should_exit: time.sleep(0.001)"
    start = "threads.append(mo.Thread(target=work))\nthreads[-1].start()\nthreads[-1].should_exit"
    await kernel.run({**MARIMO, "keep": "threads = []", "work": work, "start": start})
    assert texts(kernel, "start") == ["False"]
    await kernel.run({"start": "", "end": f"threads[0].join({PATIENCE})\nthreads[0].is_alive()"})
    assert texts(kernel, "end") == ["False"]


async def test_redirected_text_is_among_the_outputs_and_captured_text_is_nowhere(kernel: KernelClient):
    source = (
        "import sys\nwith mo.redirect_stdout():\n    print('one')\nwith mo.redirect_stderr():\n"
        "    sys.stderr.write('two\\n')\nwith mo.capture_stdout() as out, mo.capture_stderr() as err:\n"
        "    print('three')\n    sys.stderr.write('four')\nout.getvalue(), err.getvalue()"
    )
    await kernel.run({**MARIMO, "a": source})
    assert texts(kernel, "a") == ["one\n", "two\n", "('three\\n', 'four')"]
    assert (printed(kernel, "a"), errors(kernel, "a")) == ("", "")


async def test_status_is_shown_as_progress(kernel: KernelClient):
    source = (
        "for _ in mo.status.progress_bar(range(0, 30, 10), total=30, title='load', completion_title='done',\n"
        "                                completion_subtitle='all'): pass\n"
        "with mo.status.progress_bar(total=2) as bar: bar.update(2)\n"
        "with mo.status.progress_bar(total=2, remove_on_exit=True) as gone: pass\n"
        "with mo.status.progress_bar(total=2) as cleared: cleared.clear()\n"
        "for _ in mo.status.progress_bar([1], disabled=True): pass\n"
        "with mo.status.spinner('removed'): pass\n"
        "with mo.status.spinner('kept', remove_on_exit=False) as kept: kept.update(subtitle='still')\n"
        "mo.status.spinner('value')"
    )
    await kernel.run({**MARIMO, "a": source})
    shown = [item.data[PROGRESS_MIME] for item in kernel.notebook.cells["a"].outputs]
    fields = ("title", "subtitle", "current", "total", "done")
    assert [tuple(each[field] for field in fields) for each in shown] == [
        ("done", "all", 3, 3, True),
        ("", "", 2, 2, True),
        ("kept", "still", None, None, True),
        ("value", "", None, None, False),
    ]


async def test_cells_follow_a_state_also_if_it_is_set_to_an_equal_value(kernel: KernelClient):
    await kernel.run(
        {
            **MARIMO,
            "state": "get, put = mo.state(1)\nloops, again = mo.state(0, allow_self_loops=True)",
            "read": "get()",
            "write": "put(lambda old: old + 1)\nget()",
            "loop": "if loops() < 3: again(loops() + 1)\nloops()",
        }
    )
    assert [texts(kernel, cell) for cell in ("read", "write", "loop")] == [["2"], ["2"], ["3"]]
    before = kernel.notebook.cells["read"].run
    await kernel.run({"write": "put(2)"})
    assert kernel.notebook.cells["read"].run != before
    assert kernel.notebook.cells["read"].run < 0


async def test_caches_remember_what_functions_return(kernel: KernelClient, tmp_path: Path):
    def cells(factor: int) -> dict[str, str]:
        return {
            **MARIMO,
            "factor": f"import os\nos.chdir({str(tmp_path)!r})\nfactor = {factor}",
            "a": "@mo.cache\ndef times(x):\n    print('called')\n    return x * 2\ntimes(1), times(1)",
            "b": "@mo.persistent_cache\ndef kept(x):\n    print('called')\n    return x * factor\nkept(2)",
            "c": "with mo.cache('block') as cached:\n    y = 5\ny",
        }

    await kernel.run(cells(2))
    assert [texts(kernel, cell) for cell in "abc"] == [["(2, 2)"], ["4"], ["5"]]
    for cell in "ab":
        assert (printed(kernel, cell), errors(kernel, cell)) == ("called\n", "")
    assert "run each time" in errors(kernel, "c")
    await kernel.run({"b": cells(2)["b"]})
    assert (texts(kernel, "b"), printed(kernel, "b")) == (["4"], "")
    await kernel.run(cells(3))
    assert (texts(kernel, "b"), printed(kernel, "b")) == (["6"], "called\n")


async def test_values_of_marimo_are_shown_by_their_own_methods(kernel: KernelClient):
    values = {
        "md": "mo.md('*a*')",
        "html": "mo.Html('<b>b</b>')",
        "row": "mo.hstack([mo.md('c'), mo.ui.slider(0, 9, value=4)])",
        "callout": "mo.callout(mo.md('d'))",
        "accordion": "mo.accordion({'head': mo.md('e')})",
        "tabs": "mo.ui.tabs({'one': mo.md('f')})",
        "mime": "class A:\n    def _mime_(self): return 'image/png', 'data:image/png;base64,aGVsbG8='\nA()",
        "display": "class B:\n    def _display_(self): return mo.md('g')\nB()",
        "plain": "mo.plain([1])",
        "secret": "mo.ui.text(kind='password', value='hidden')",
        "secrets": "mo.ui.array([mo.ui.text(kind='password', value='hidden')])",
    }
    await kernel.run({**MARIMO, **values})
    shown: dict[str, dict[str, Any]] = {cell: kernel.notebook.cells[cell].outputs[0].data for cell in values}
    assert shown["md"]["text/markdown"] == "*a*"
    assert shown["html"]["text/html"] == "<b>b</b>"
    assert "</marimo-slider>" in shown["row"]["text/html"]
    for cell, content in (("row", ">4</marimo-slider>"), ("callout", "d</span>"), ("accordion", "e</span>")):
        assert content in shown[cell]["text/html"]
    assert "f</span>" in shown["tabs"]["text/html"]
    assert "text/markdown" not in shown["tabs"]
    assert shown["mime"]["image/png"] == b"hello"
    assert shown["display"]["text/markdown"] == "g"
    assert shown["plain"]["text/plain"] == "[1]"
    assert "hidden" not in str([shown["secret"], shown["secrets"]])


ELEMENTS = """\
slider = mo.ui.slider(0, 10, value=3, on_change=lambda value: print('moved to', value))
drop = mo.ui.dropdown({'one': 1, 'two': 2}, value='one')
both = mo.ui.dictionary({'a': mo.ui.text('x'), 'b': mo.ui.array([mo.ui.checkbox()])})
form = mo.ui.text().form()
slider"""


async def test_cells_that_read_an_element_follow_it(kernel: KernelClient):
    readers = {
        "r": "slider.value, drop.value, drop.selected_key",
        "parts": "both.value, both['a'].value",
        "form": "(form.value,)",
        "shows": "mo.hstack([slider])",
    }
    await kernel.run({**MARIMO, "elements": ELEMENTS, **readers})
    assert texts(kernel, "elements") == ["slider(value=3)"]
    assert [texts(kernel, cell) for cell in ("r", "parts", "form")] == [
        ["(3, 1, 'one')"],
        ["({'a': 'x', 'b': [False]}, 'x')"],
        ["(None,)"],
    ]
    before = kernel.notebook.cells["shows"].run
    moves = "slider._update(7)\ndrop._update(['two'])\nboth['b'][0]._update(True)\nform._update('sent')"
    await kernel.run({"moves": moves})
    assert [texts(kernel, cell) for cell in ("r", "parts", "form")] == [
        ["(7, 2, 'two')"],
        ["({'a': 'x', 'b': [True]}, 'x')"],
        ["('sent',)"],
    ]
    assert kernel.notebook.cells["shows"].run == before
    assert printed(kernel, "moves") == "moved to 7\n"


async def test_a_widget_in_an_element_is_followed_and_shown_as_a_widget(kernel: KernelClient):
    widget = "import ipywidgets\nslider = mo.ui.anywidget(ipywidgets.IntSlider(4))\nslider"
    await kernel.run({**MARIMO, "rows": "mo.vstack([{'a': 1}])", "w": widget, "r": "slider.value['value']"})
    [item] = kernel.notebook.cells["w"].outputs
    comm = item.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    # marimo, which has formatted a value by now, has not taken over the comms.
    assert comm in [each.id for each in kernel.notebook.comms]
    await kernel.send_comm(comm, {"method": "update", "state": {"value": 9}, "buffer_paths": []})
    await until(kernel, lambda it: it.idle and texts(kernel, "r") == ["9"])


async def test_the_first_cell_with_an_element_says_that_nothing_can_move_it(own_kernel: KernelClient):
    first, second = "mo.ui.slider(0, 1)\nmo.ui.text()", "mo.ui.checkbox()"
    await own_kernel.run({**MARIMO, "first": first, "second": second})
    assert errors(own_kernel, "first").count("\n") == 1
    assert "only marimo's own frontend can show and move them" in errors(own_kernel, "first")
    assert errors(own_kernel, "second") == ""
    await own_kernel.run({"first": first, "second": second})
    assert errors(own_kernel, "first").count("\n") == 1
    assert errors(own_kernel, "second") == ""


async def test_what_marimo_asks_of_its_runtime_has_an_answer(kernel: KernelClient):
    source = (
        "import os\nos.environ.pop('PYTEST_CURRENT_TEST', None)\n"
        "mo.app_meta().mode, mo.cli_args().to_dict(), mo.query_params().to_dict(), mo.running_in_notebook()"
    )
    await kernel.run({**MARIMO, "a": source, "toast": "mo.status.toast('hello')"})
    assert texts(kernel, "a") == ["('script', {}, {}, False)"]
    assert "toast shows nothing" in errors(kernel, "toast")


FILE = """\
import marimo
app = marimo.App()
@app.cell
def imports():
    import marimo as mo
    return (mo,)
@app.cell
def state(mo):
    get, put = mo.state(0)
    return get, put
@app.cell
def read(get):
    print('state is', get())
@app.cell
def write(mo, put):
    put(5)
    mo.output.append(mo.md('**written**'))
@app.cell
def gate(mo):
    mo.stop(True, mo.md('press'))
    x = 1
    return (x,)
@app.cell
def below(x):
    x
if __name__ == '__main__':
    app.run()
"""


def test_a_marimo_file_runs_with_its_states_outputs_and_gates(tmp_path: Path):
    (tmp_path / "nb.py").write_text(FILE)
    command = [sys.executable, "-m", "cellwire", "run", "nb.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    for shown in ("[read]\nstate is 5\n", "[write]\n**written**\n", "[gate]\npress\nstopped\n"):
        assert shown in done.stdout
    assert "not run because cell 'gate' stopped" in done.stdout
