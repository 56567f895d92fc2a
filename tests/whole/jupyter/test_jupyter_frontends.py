"""The frontends of Jupyter that need no browser, with a real kernel: what they run, and what they show."""

import os
import sys
from pathlib import Path
from typing import Any

import jupyter_kernel_test
import nbformat
import pexpect
import pytest
from support.waiting import PATIENCE


def _environment() -> Any:
    return {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}


def notebook(*sources: str, tags: dict[int, list[str]] | None = None) -> Any:
    """Return a notebook with these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for number, names in (tags or {}).items():
        cells[number].metadata["tags"] = names
    spec = {"name": "cellwire", "display_name": "cellwire", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def shown(cell: Any) -> list[str]:
    """Return what stands below a cell, in order."""
    texts: list[str] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type == "error":
            texts.append(output.ename)
        else:
            texts.append(output.data["text/plain"])
    return texts


class TestKernel(jupyter_kernel_test.KernelTests):
    """The tests that Jupyter has for every kernel."""

    kernel_name = "cellwire"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n    return x*2\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n    x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError"
    code_execute_result = [
        {"code": "6*7", "result": "42"},
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    ]
    code_display_data = [
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


def test_nbclient_executes_a_notebook_as_an_ordinary_kernel_does() -> None:
    from nbclient import NotebookClient

    book = notebook(
        "x = 1\nprint('text')\nx",
        "from IPython.display import display, update_display\nhandle = display(x, display_id=True)",
        "x += 1\nhandle.update('changed')",
        "import threading\nthread = threading.Thread(target=print, args=('thread',))\n"
        "thread.start()\nthread.join()",
        "import subprocess\nsubprocess.run(['echo', 'child']);",
        "await __import__('asyncio').sleep(0)\nx",
    )
    NotebookClient(book, kernel_name="cellwire", timeout=60).execute()
    assert [shown(cell) for cell in book.cells] == [
        ["text\n", "1"],
        ["'changed'"],
        [],
        ["thread\n"],
        ["child\n"],
        ["2"],
    ]
    assert [cell.execution_count for cell in book.cells] == [1, 2, 3, 4, 5, 6]


def test_nbclient_raises_the_error_of_a_cell() -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = notebook("print('before')", "1 / 0", "print('after')")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(book, kernel_name="cellwire", timeout=60).execute()
    assert [shown(cell) for cell in book.cells] == [["before\n"], ["ZeroDivisionError"], []]
    book = notebook("1 / 0", "print('after')")
    NotebookClient(book, kernel_name="cellwire", timeout=60, allow_errors=True).execute()
    assert shown(book.cells[1]) == ["after\n"]


def test_nbclient_interrupts_a_cell_that_takes_too_long() -> None:
    from nbclient import NotebookClient

    book = notebook("print('begun')\nwhile True: pass", "'next'")
    client = NotebookClient(
        book, kernel_name="cellwire", timeout=2, interrupt_on_timeout=True, allow_errors=True
    )
    client.execute()
    assert [shown(cell) for cell in book.cells] == [["begun\n", "KeyboardInterrupt"], ["'next'"]]


def test_papermill_sets_parameters_and_shows_what_it_has_run(tmp_path: Path) -> None:
    import papermill

    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(
        notebook("price = 1", "print('price', price)\n3 * price", tags={0: ["parameters"]}), source
    )
    papermill.execute_notebook(source, target, parameters={"price": 7}, progress_bar=False)
    executed = nbformat.read(target, as_version=4)
    assert shown(executed.cells[-1]) == ["price 7\n", "21"]
    assert executed.metadata.papermill.exception is None


def test_nbconvert_executes_and_converts(tmp_path: Path) -> None:
    source = tmp_path / "book.ipynb"
    nbformat.write(notebook("print('said')\n40 + 2"), source)
    command = f"-m nbconvert --execute --to markdown --stdout {source}"
    text, status = pexpect.run(
        f"{sys.executable} {command}",
        withexitstatus=True,
        timeout=PATIENCE * 2,
        env=_environment(),
        encoding="utf-8",
    )
    assert status == 0, text
    assert "said" in text
    assert "42" in text


def test_jupyter_console_asks_runs_interrupts_and_leaves() -> None:
    console = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter_console", "--kernel", "cellwire", "--simple-prompt", "--no-confirm-exit"],
        timeout=PATIENCE * 2,
        env=_environment(),
        encoding="utf-8",
    )
    try:
        console.expect("cellwire attach")
        console.expect(r"In \[1\]:")
        console.sendline("6 * 7")
        console.expect(r"Out\[1\]: 42")
        console.expect(r"In \[2\]:")
        console.sendline("name = input('name? ')")
        console.expect("name\\? ")
        console.sendline("Ada")
        console.expect(r"In \[3\]:")
        console.sendline("print('hello', name)")
        console.expect("hello Ada")
        console.expect(r"In \[4\]:")
        console.sendline("import time; print('now', 'asleep'); time.sleep(1000)")
        console.expect("now asleep")
        console.sendintr()
        console.expect("KeyboardInterrupt")
        console.expect(r"In \[\d\]:")
        console.sendline("exit")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)
