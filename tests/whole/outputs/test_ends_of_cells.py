"""What a cell leaves behind is shown in it, and takes nothing away from later cells."""

import anyio
import pytest
from cellwire.protocol import KernelClient
from support.waiting import PATIENCE, printed, until

pytestmark = pytest.mark.anyio

WRAPS = [
    "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "sys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer)",
    "sys.stdout = open(1, 'w', encoding='utf-8', closefd=False)",
]


@pytest.mark.parametrize("wrap", WRAPS)
async def test_a_stream_of_the_users_is_flushed_when_its_cell_ends(
    wrap: str, own_kernel: KernelClient
) -> None:
    await own_kernel.run({"s": "import sys, io, codecs", "a": f"{wrap}\nprint('in a é')"})
    await printed(own_kernel, "in a é\n", "a")
    await own_kernel.run({"b": "print('in b')"})
    await printed(own_kernel, "in b\n", "b")
    assert own_kernel.notebook.cells["a"].console.text() == "in a é\n"


@pytest.mark.parametrize("broken", ["None", "io.StringIO()", "open('/dev/full', 'w')"])
async def test_values_and_errors_are_shown_although_standard_error_is_broken(
    broken: str, own_kernel: KernelClient
) -> None:
    fails = "class R:\n    def __repr__(self): raise ValueError('in repr')"
    await own_kernel.run({"s": f"import sys, io\n_to = {broken}\nif _to: _to.close()\nsys.stderr = _to"})
    await own_kernel.run({"r": fails, "a": "R()", "b": "1 / 0"})
    cells = own_kernel.notebook.cells
    assert cells["a"].outputs[0].data["text/plain"] == "<R object; its repr raised ValueError>"
    assert "ZeroDivisionError" in cells["b"].outputs[0].data["text/plain"]
    # The report goes where it can be read.
    await printed(own_kernel, "ValueError: in repr", "a")


async def test_exit_ends_its_cell_and_leaves_standard_input_open(own_kernel: KernelClient) -> None:
    await own_kernel.run({"a": "exit()"})
    error = own_kernel.notebook.cells["a"].error
    assert error is not None
    assert error.kind == "SystemExit"
    await own_kernel.run(
        {"b": "import sys\nfor line in sys.stdin:\n    print('got', line)\n    break"}, wait=False
    )
    await until(own_kernel, lambda it: it.inputs)
    await own_kernel.provide_input(own_kernel.notebook.inputs[0].id, "yes")
    await printed(own_kernel, "got yes\n", "b")
    await own_kernel.run({"c": "print(sys.stdin.readlines())"}, wait=False)
    answered: list[str] = []
    for answer in ("one", "two", None):
        await until(own_kernel, lambda it: [asked for asked in it.inputs if asked.id not in answered])
        answered.append(own_kernel.notebook.inputs[-1].id)
        await own_kernel.provide_input(answered[-1], answer)
    await printed(own_kernel, "['one\\n', 'two\\n']\n", "c")


KEPT = """
import asyncio
async def bug(): raise ValueError("oh")
kept = asyncio.create_task(bug())
"""


async def test_the_late_error_of_a_task_is_the_notebooks_once_its_cell_has_run_again(
    own_kernel: KernelClient,
) -> None:
    await own_kernel.run({"a": KEPT})
    await own_kernel.run({"b": "1"})
    await own_kernel.run({"a": "kept = None"})
    await own_kernel.run({"gc": "import gc\ngc.collect();"})
    await until(own_kernel, lambda it: "ValueError: oh" in it.console.text())


async def test_the_error_of_a_gather_that_is_dropped_is_its_cells(own_kernel: KernelClient) -> None:
    source = """
import asyncio, gc
async def bug(): raise ValueError("oh")
asyncio.gather(bug());
"""
    await own_kernel.run({"a": source})
    await own_kernel.run({"b": "await asyncio.sleep(0)", "c": "b = 1\ngc.collect();"})
    await printed(own_kernel, "ValueError: oh", "a")


async def test_the_debugger_opens_on_the_last_error(own_kernel: KernelClient) -> None:
    await own_kernel.run({"a": "def f(n):\n    secret = n * 2\n    return 1 / 0\nf(21)"})
    await own_kernel.run({"b": "import pdb\npdb.pm()"}, wait=False)
    for line in ("p secret", "q"):
        await until(own_kernel, lambda it: it.inputs)
        asked = own_kernel.notebook.inputs[0].id
        await own_kernel.provide_input(asked, line)
        await until(own_kernel, lambda it, asked=asked: asked not in [each.id for each in it.inputs])
    with anyio.fail_after(PATIENCE):
        await own_kernel.wait_idle()
    assert own_kernel.notebook.cells["b"].console.text().splitlines()[-1] == "42"


@pytest.mark.parametrize("how", ["A()", "cw.output.append(A());", "display(A());"])
@pytest.mark.parametrize("other", ["__repr__", "_repr_html_"])
async def test_a_value_that_shows_itself_does_so_wherever_it_is_shown(
    how: str, other: str, kernel: KernelClient
) -> None:
    await kernel.run(
        {
            "s": "import cellwire as cw\nfrom IPython.display import HTML, display",
            "c": "class A:\n    def _ipython_display_(self): display(HTML('<b>own</b>'))\n"
            f"    def {other}(self): return 'other'",
            "a": how,
        }
    )
    assert [item.data.get("text/html") for item in kernel.notebook.cells["a"].outputs] == ["<b>own</b>"]


async def test_a_value_that_refuses_to_show_itself_is_shown(kernel: KernelClient) -> None:
    source = """
class A:
    def _ipython_display_(self): raise NotImplementedError
    def __repr__(self): return "its repr"
A()
"""
    await kernel.run({"a": source})
    assert [item.data for item in kernel.notebook.cells["a"].outputs] == [{"text/plain": "its repr"}]


async def test_what_ipython_clears_is_the_text_too(kernel: KernelClient) -> None:
    source = """
from IPython.display import clear_output, display
print("x"); display(1)
clear_output(wait=True)
print("y")
"""
    await kernel.run({"a": source})
    await until(kernel, lambda it: it.cells["a"].console.text() == "y\n")
    assert kernel.notebook.cells["a"].outputs == []


async def test_a_syntax_warning_is_shown_once_with_cell_and_line_when_its_cell_runs(
    kernel: KernelClient,
) -> None:
    source = "_x = 1\nassert (_x, 'always true')\n_x is 1"
    await kernel.sync({"a": source})
    await kernel.run({"b": "0"})
    assert kernel.notebook.console.text() == kernel.notebook.cells["b"].console.text() == ""
    await kernel.run({"a": source})
    await printed(kernel, "<cell a>:3: SyntaxWarning", "a")
    text = kernel.notebook.cells["a"].console.text("stderr")
    assert text.count("<cell a>:2: ") == text.count("<cell a>:3: ") == 1
    assert "_x is 1" in text
    # It is shown with each run, as its output goes with the next one.
    await kernel.run({"a": source})
    await printed(kernel, "<cell a>:3: SyntaxWarning", "a")


async def test_warnings_that_are_errors_leave_the_cell_as_it_is(own_kernel: KernelClient) -> None:
    await own_kernel.run({"w": "import warnings\nwarnings.simplefilter('error')"})
    await own_kernel.run({"a": "_x = 1\n_x is 1"})
    assert own_kernel.notebook.cells["a"].outputs[0].data["text/plain"] == "True"
    await printed(own_kernel, "SyntaxError", "a")


CLASSES = """
class Thing:
    size = 1

class Other:
    class Inner:
        def grow(self):
            return 2
"""


async def test_the_sources_of_classes_are_found(kernel: KernelClient) -> None:
    await kernel.run(
        {
            "c": CLASSES,
            "a": "import inspect\nprint(inspect.getsource(Thing))",
            "b": "print(inspect.getsource(Other.Inner))",
            "d": "class Late(int): pass",
            "e": "print(inspect.getsourcelines(Late)[1], inspect.getfile(Late))",
        }
    )
    for cell, text in {
        "a": "class Thing:\n    size = 1\n\n",
        "b": "    class Inner:\n        def grow(self):\n            return 2\n\n",
        "e": "1 <cell d>\n",
    }.items():
        assert kernel.notebook.cells[cell].error is None
        await printed(kernel, text, cell)
