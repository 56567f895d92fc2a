"""What the Jupyter extension of VS Code sends beside cells: code of its own, which leaves no trace.

It starts a kernel with a few lines, asks for variables after each cell, and completes in a thread. None of it
has a `cellId` or is stored in history; cells have the URI of the editor's cell.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.jupyter import Jupyter, Ran, started
from support.page import Page, opened

URI = "vscode-notebook-cell:/home/ada/book.ipynb#W{}sZmlsZQ%3D%3D".format
FIRST, SECOND = URI(0), URI(1)

VERSION_OF_WIDGETS = """try:
    import ipywidgets as _EDITOR_ipywidgets
    print("a1b2:IPyWidgets:" + _EDITOR_ipywidgets.__version__)
    del _EDITOR_ipywidgets
except:
    pass
"""
START = """import os, sys
sys.path.append(os.getcwd())
__vsc_ipynb_file__ = "/home/ada/book.ipynb"
%config Completer.use_jedi = False
try:
    import matplotlib
    %matplotlib inline
    matplotlib.rcParams['figure.figsize'] = (7, 4)
except:
    print('no matplotlib')
"""
VARIABLES = """def _EDITOR_variables(names):
    import json as _EDITOR_json, builtins as _EDITOR_builtins
    def described(name):
        value = globals()[name]
        return {"name": name, "type": _EDITOR_builtins.type(value).__name__, "value": repr(value)[:50]}
    try:
        return _EDITOR_builtins.print(_EDITOR_json.dumps([described(name) for name in names]))
    finally:
        del _EDITOR_json
        del _EDITOR_builtins

_EDITOR_names = %who_ls
_EDITOR_variables(_EDITOR_names)

try:
    del _EDITOR_variables
except:
    pass
try:
    del _EDITOR_names
except:
    pass
"""
IN_THREAD = """def __in_background__():
    from IPython.display import display
    from threading import Thread
    output = display({{"application/vnd.own.0": ""}}, raw=True, display_id=True)
    def implementation():
        {}
    def main():
        output.update({{"application/vnd.own.0.result": implementation()}}, raw=True)
    Thread(target=main, daemon=True).start()

__in_background__()
del __in_background__
"""


@pytest.fixture
def page() -> Iterator[Page]:
    with started() as jupyter, opened(jupyter) as page:
        yield page


def silently(kernel: Jupyter, code: str) -> Ran:
    """Run code as the extension does for itself."""
    return kernel.run(code, store_history=False, stop_on_error=False)


def in_thread(kernel: Jupyter, code: str) -> Any:
    """Return what a thread gives back, by an update of the display that its cell has made."""
    ran = silently(kernel, IN_THREAD.format(code))
    [display] = ran.of("display_data")
    found = [m["content"] for m in ran.messages if m["msg_type"] == "update_display_data"]
    if not found:
        [*_, last] = kernel.until(ran.id, lambda message: message["msg_type"] == "update_display_data")
        found = [last["content"]]
    assert found[0]["transient"] == display["transient"]
    return found[0]["data"]["application/vnd.own.0.result"]


def test_the_code_that_it_starts_a_kernel_with_runs_and_shows_nothing(page: Page) -> None:
    kernel = page.jupyter
    assert silently(kernel, VERSION_OF_WIDGETS).text().startswith("a1b2:IPyWidgets:8.")
    assert silently(kernel, START).shown == []
    assert kernel.ask("comm_info_request", {"target_name": "jupyter.widget"})["comms"] == {}
    assert page.run(FIRST, "__vsc_ipynb_file__") == [FIRST]
    assert page.shows(FIRST) == ["'/home/ada/book.ipynb'"]
    assert kernel.run("1").reply["execution_count"] == 2


def test_its_list_of_variables_changes_nothing(page: Page) -> None:
    page.run(FIRST, "x = 1", stop_on_error=False)
    page.run(SECOND, "y = x + 1\ny", stop_on_error=False)
    before = {
        id: (cell.run, cell.defs, cell.refs, cell.stale) for id, cell in page.native.notebook.cells.items()
    }
    ran = silently(page.jupyter, VARIABLES)
    listed = {variable["name"]: variable["value"] for variable in json.loads(ran.text())}
    assert {"x": "1", "y": "2"}.items() <= listed.items()
    assert ran.reply["execution_count"] == 2
    assert page.rest() == []
    cells = page.native.notebook.cells
    assert {id: (cells[id].run, cells[id].defs, cells[id].refs, cells[id].stale) for id in before} == before
    assert not any(cell.defs or cell.refs for id, cell in cells.items() if id not in before)
    assert page.jupyter.run("[name for name in globals() if 'EDITOR' in name]").result == "[]"
    assert "y" in page.native.complete("y", 1).items[0].text


def test_cells_follow_while_it_asks_for_variables_after_each(page: Page) -> None:
    page.run(FIRST, "x = 1", stop_on_error=False)
    page.run(SECOND, "x + 1", stop_on_error=False)
    page.jupyter.reply(page.send(FIRST, "x = 10", stop_on_error=False))
    silently(page.jupyter, VARIABLES)
    assert page.rest() == [FIRST, SECOND]
    assert page.shows(SECOND) == ["11"]


def test_it_completes_in_a_thread_and_hears_of_it_after_the_reply(page: Page) -> None:
    page.run(FIRST, "spam_one = 1\ndef spam_two(n):\n    'Two.'", stop_on_error=False)
    reply = in_thread(page.jupyter, "return get_ipython().kernel.do_complete('spam_', 5)")
    assert sorted(reply["matches"]) == ["spam_one", "spam_two"]
    assert (reply["cursor_start"], reply["cursor_end"], reply["status"]) == (0, 5, "ok")
    reply = in_thread(page.jupyter, "return get_ipython().kernel.do_inspect('spam_two', 4, 0)")
    assert "Docstring: Two." in reply["data"]["text/plain"]
    assert page.rest() == []


def test_it_debugs_with_what_the_kernel_says_of_its_files(page: Page) -> None:
    content = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
    info = page.jupyter.ask("debug_request", content, channel="control")["body"]
    assert info["hashMethod"] == "Murmur2"
    assert not info["isStarted"]
    assert page.jupyter.ask("kernel_info_request")["supported_features"] == ["debugger"]
