"""What well-known libraries show in a cell, through a real kernel into a frontend's copy."""

from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"
LIBRARIES = (
    "IPython",
    "PIL",
    "altair",
    "jedi",
    "matplotlib",
    "numpy",
    "pandas",
    "plotly",
    "polars",
    "rich",
    "sympy",
    "zmq",
)


def bundles(client: KernelClient, cell: str = "a") -> list[dict[str, Any]]:
    return [item.data for item in client.notebook.cells[cell].outputs]


VALUES = [
    (
        "matplotlib",
        "from matplotlib.figure import Figure\nf = Figure()\nf.subplots().plot([1, 2])\nf",
        ["image/png"],
    ),
    ("matplotlib", "import matplotlib.pyplot as plt\nplt.plot([1, 2])", ["image/png"]),
    ("pandas", "import pandas\npandas.DataFrame({'a': [1, 2]})", ["text/html"]),
    ("polars", "import polars\npolars.DataFrame({'a': [1, 2]})", ["text/html"]),
    (
        "plotly",
        "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2]))",
        ["application/vnd.plotly.v1+json", "text/html"],
    ),
    (
        "altair",
        "import altair\naltair.Chart(altair.Data(values=[{'x': 1}])).mark_bar().encode(x='x:Q')",
        ["text/html"],
    ),
    ("PIL", "from PIL import Image\nImage.new('RGB', (3, 2))", ["image/png"]),
    ("sympy", "import sympy\nsympy.Symbol('x') ** 2 / 2", ["text/latex"]),
    ("rich", "from rich.table import Table\nt = Table('Name')\nt.add_row('[bold]Ada')\nt", ["text/html"]),
    ("IPython", "from IPython.display import HTML\nHTML('<b>bold</b>')", ["text/html"]),
    ("IPython", "from IPython.display import Markdown\nMarkdown('*text*')", ["text/markdown"]),
    ("numpy", "import numpy\nnumpy.arange(3)", []),
]
CONTENTS = {
    "image/png": lambda content: content.startswith(PNG),
    "text/html": lambda content: "<" in content,
    "text/latex": lambda content: content == r"$\displaystyle \frac{x^{2}}{2}$",
    "text/markdown": lambda content: content == "*text*",
    "application/vnd.plotly.v1+json": lambda content: content["data"][0]["type"] == "scatter",
}


@pytest.mark.parametrize(
    ("source", "mimes"), [value[1:] for value in VALUES], ids=[library for library, *_ in VALUES]
)
async def test_a_value_is_shown_in_all_its_forms(source, mimes, kernel: KernelClient):
    finished = await kernel.run({"a": source})
    cell = kernel.notebook.cells["a"]
    assert finished.status == "ok", cell.error
    (data,) = bundles(kernel)
    assert sorted(data) == sorted(["text/plain", *mimes])
    assert all(CONTENTS[mime](data[mime]) for mime in mimes)
    assert cell.console.text() == ""
    # A notebook of a hundred such cells can still be sent.
    assert sum(map(len, data.values())) < 100_000


async def test_figures_are_shown_where_they_are_left_and_none_stays_open(kernel: KernelClient):
    cells = {
        "a": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.figure()\nplt.plot([3])\n7",
        "b": "plt.get_fignums()",
        "c": "plt.plot([1])\nplt.show()\n'after'",
    }
    for _ in range(2):
        await kernel.run(cells)
        assert [list(data) for data in bundles(kernel)] == [
            ["text/plain"],
            *[["text/plain", "image/png"]] * 2,
        ]
        assert bundles(kernel, "b") == [{"text/plain": "[]"}]
        assert [sorted(data) for data in bundles(kernel, "c")] == [
            ["image/png", "text/plain"],
            ["text/plain"],
        ]
    assert "agg" in (await shown(kernel, "import matplotlib\nmatplotlib.get_backend().lower()"))


async def shown(client: KernelClient, source: str) -> str:
    await client.run({"look": source})
    return bundles(client, "look")[-1]["text/plain"]


async def test_ipythons_display_appends_updates_and_clears_from_any_thread(kernel: KernelClient):
    source = """
import threading
from IPython.display import HTML, clear_output, display, update_display
display("gone")
clear_output()
place = display("first", display_id="place")
display(HTML("<i>second</i>"), metadata={"text/html": {"isolated": True}})
def work():
    place.update("changed")
    display("third")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert (await kernel.run({"a": source})).status == "ok"
    assert [data["text/plain"] for data in bundles(kernel)] == [
        "'changed'",
        "<IPython.core.display.HTML object>",
        "'third'",
    ]
    (_, html, _) = kernel.notebook.cells["a"].outputs
    assert html.data["text/html"] == "<i>second</i>"
    assert html.metadata == {"text/html": {"isolated": True}}


async def test_what_rich_prints_is_the_consoles_text(kernel: KernelClient):
    await kernel.run({"a": "import rich\nrich.print('[bold]bold[/bold] text')"})
    assert kernel.notebook.cells["a"].console.text("stdout") == "bold text\n"


EVERYTHING = """
import asyncio, sys, threading
import cellwire as cw
print("text")
cw.output.append({"a": 1})
with cw.progress_bar(3) as bar:
    bar.update(3)
with cw.capture_stdout(), cw.redirect_stderr():
    print("captured")
    sys.stderr.write("redirected\\n")
thread = cw.Thread(target=print)
thread.start()
thread.join()
await asyncio.sleep(0)
class Value:
    def _repr_html_(self): return ""
Value()
"""


async def test_no_library_is_imported_that_the_user_has_not_imported(own_kernel: KernelClient):
    names = f"sorted({set(LIBRARIES)!r} & set(__import__('sys').modules))"
    assert await shown(own_kernel, names) == "[]"
    assert (await own_kernel.run({"a": EVERYTHING, "b": "1 / 0"})).failed == ["b"]
    with anyio.fail_after(PATIENCE):
        await own_kernel.variables()
    assert await shown(own_kernel, names) == "[]"
