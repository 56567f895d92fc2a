"""The cells of an ordinary notebook, run by nbclient in a kernel, and what two kernels show of them.

`ordinary.ipy` has them, each below a line with its title. From `LIBRARIES` on they need large libraries.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient

from .waiting import TIME_LIMIT

_FILE = Path(__file__).with_name("ordinary.ipy")
#: The title of the first cell that needs a large library.
LIBRARIES = "pandas"
KERNELS = ("cellwire", "python3")
#: Cells that ipykernel shows in another way, and why.
DIFFERENT = {
    "both streams": "ipykernel sends each stream by itself; here text is in the order of writing",
    "function": "addresses",
    "syntax": "ipykernel names a temporary file in the message",
    "warning": "ipykernel names a temporary file",
    "shell": "a command of ipykernel writes to a terminal, which ends its lines with \\r\\n",
    "shell with a value": "as above",
    "input": "the error that says that nbclient answers no input has another name",
    "time": "times",
    "progress": "names of widgets",
    "widget": "names of widgets",
    "exit of the interpreter": "ipykernel warns, in words for a terminal",
}


class Cell(NamedTuple):
    """What a cell has become: its number and its outputs."""

    title: str
    count: int | None
    outputs: list[dict[str, Any]]


def cells(*, libraries: bool) -> dict[str, str]:
    """Return the sources by title: those without large libraries, or all."""
    parts = re.split(r"^# %% (.*)\n", _FILE.read_text(), flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], (source.rstrip("\n") for source in parts[1::2]), strict=True))
    assert len(found) == len(parts) // 2
    if libraries:
        return found
    titles = list(found)
    return {title: found[title] for title in titles[: titles.index(LIBRARIES)]}


async def run(kernel: str, sources: dict[str, str], folder: Path) -> list[Cell]:
    """Run cells as `jupyter execute --allow-errors` does, in `folder`."""
    folder.mkdir(exist_ok=True)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources.values()])
    await NotebookClient(
        book,
        kernel_name=kernel,
        timeout=TIME_LIMIT,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
    ).async_execute()
    return [
        Cell(title, cell.execution_count, _joined(cell.outputs))
        for title, cell in zip(sources, book.cells, strict=True)
    ]


async def differences(sources: dict[str, str], folder: Path) -> dict[str, str]:
    """Run cells in both kernels; return the titles of those that differ, with what they show."""
    return _different(*await asyncio.gather(*(run(each, sources, folder / each) for each in KERNELS)))


def _different(here: list[Cell], there: list[Cell]) -> dict[str, str]:
    return {
        mine.title: f"here  {mine}\nthere {its}" for mine, its in zip(here, there, strict=True) if mine != its
    }


def _joined(outputs: list[Any]) -> list[dict[str, Any]]:
    """Return outputs with the text of a stream in one piece, and no tracebacks, whose frames differ."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        fields = {name: value for name, value in output.items() if name != "traceback"}
        last = joined[-1] if joined else {}
        if fields["output_type"] == "stream" and last.get("name") == fields["name"]:
            last["text"] += fields["text"]
        else:
            joined.append(fields)
    return joined
