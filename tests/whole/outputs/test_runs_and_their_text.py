"""What happens to output when its run is over, when it is redirected, and without a kernel."""

import subprocess
import sys
from pathlib import Path

import pytest
from cellwire.protocol import KernelClient
from cellwire.protocol import events as e
from cellwire.protocol.notebook import Stream

pytestmark = pytest.mark.anyio


def plain(client: KernelClient, cell: str = "a") -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


def out(client: KernelClient, cell: str = "a", stream: Stream = "stdout") -> str:
    return client.notebook.cells[cell].console.text(stream)


async def test_output_of_a_superseded_run_is_discarded(kernel: KernelClient):
    """Threads and children of the old run write while the new one runs."""
    cells = {
        "s": "import subprocess, threading\nimport cellwire as cw\nold, seen = [], []",
        "a": """
def late(go, handle):
    go.wait()
    print("late")
    cw.output.append("late")
    handle.replace("late")
    handle.remove()
    seen.append(cw.current_thread().should_exit)
for go, thread, child in old:
    go.set()
    thread.join()
    child.communicate(b"\\n")
    print("new")
print("own")
handle = cw.output.append("own")
go = threading.Event()
thread = cw.Thread(target=late, args=(go, handle))
thread.start()
old[:] = [(go, thread, subprocess.Popen(["sh", "-c", "read _; echo late"], stdin=subprocess.PIPE))]
""",
    }
    await kernel.run(cells)
    assert (out(kernel), plain(kernel)) == ("own\n", ["'own'"])
    await kernel.run({"a": cells["a"]})
    assert (out(kernel), plain(kernel)) == ("new\nown\n", ["'own'"])
    # Threads and children of the second run write after its cell was deleted.
    await kernel.delete(["a"])
    await kernel.run(
        {
            "look": "for go, thread, child in old:\n    go.set()\n    thread.join()\n"
            "    child.communicate(b'\\n')\nseen"
        }
    )
    assert plain(kernel, "look") == ["[True, True]"]
    assert (out(kernel, "look"), kernel.notebook.console.text()) == ("", "")


async def test_a_warning_is_shown_in_every_run_and_in_every_cell(kernel: KernelClient):
    cells = {"s": "import warnings", "a": "warnings.warn('careful')", "b": "warnings.warn('careful')"}
    for _ in range(2):
        await kernel.run(cells)
        assert "UserWarning: careful" in out(kernel, "a", "stderr")
        assert "UserWarning: careful" in out(kernel, "b", "stderr")


async def test_a_destructor_called_when_its_cell_runs_again_prints_to_the_notebook(kernel: KernelClient):
    source = "class Loud:\n    def __del__(self):\n        print('freed')\nloud = Loud()"
    await kernel.run({"a": source})
    events = kernel.events()
    await kernel.run({"a": "loud = None"})
    written = [event for event in await events.receive() if isinstance(event, e.ConsoleWritten)]
    assert [(event.cell, event.text) for event in written] == [("", "freed\n")]


async def test_clearing_leaves_no_trace_of_what_was_there(kernel: KernelClient):
    source = """
import subprocess
import cellwire as cw
print("gone")
subprocess.run(["echo", "gone"])
cw.output.append("gone")
cw.output.clear_console()
cw.output.clear()
print("kept")
cw.output.replace("one")
cw.output.replace_at_index("two", 1)
cw.output.replace_at_index("first", 0)
"""
    assert (await kernel.run({"a": source})).status == "ok"
    assert (out(kernel), plain(kernel)) == ("kept\n", ["'first'", "'two'"])


async def test_children_inherit_a_redirected_descriptor(kernel: KernelClient):
    source = """
import os, subprocess, sys, tempfile
file = tempfile.TemporaryFile()
saved = os.dup(1)
os.dup2(file.fileno(), 1)
print("python")
os.system("echo system")
subprocess.run("echo child; echo error >&2", shell=True)
subprocess.run(["echo", "given"], stdout=sys.stdout)
if os.fork() == 0:
    os.write(1, b"forked\\n")
    os._exit(0)
os.wait()
os.dup2(saved, 1)
subprocess.run(["echo", "back"])
file.seek(0)
file.read()
"""
    await kernel.run({"a": source})
    assert plain(kernel) == [repr(b"system\nchild\ngiven\nforked\n")]
    assert (out(kernel), out(kernel, stream="stderr")) == ("python\nback\n", "error\n")


PLAIN = """
import asyncio, threading
import cellwire as cw
handle = cw.output.append("item")
handle.replace("again")
handle.remove()
cw.output.replace("replaced")
cw.output.replace(None)
cw.output.replace_at_index("at", 5)
cw.output.clear()
cw.output.clear_console()
thread = cw.Thread(target=lambda: print("thread", cw.current_thread().should_exit))
thread.start()
thread.join()
with cw.detached():
    pass
get, set_ = cw.state(1)
set_(lambda old: old + 1)
print("state", get())
for _ in cw.progress_bar([1, 2], title="bar", show_rate=False, show_eta=False):
    pass
with cw.spinner("spinner"):
    pass
with cw.capture_stdout() as text, cw.redirect_stderr():
    print("captured")
print("text", repr(text.getvalue()))
print(cw.md("*md*"), cw.html("<b>html</b>"), cw.mime({"text/plain": "mime"}))
print("kernel", cw.cell_id(), cw.running_in_kernel())
cw.stop(True, "stopped")
print("never")
"""


def test_every_call_works_in_a_plain_script(tmp_path: Path):
    script = tmp_path / "notebook.py"
    script.write_text(PLAIN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            *("'item'", "'again'", "'replaced'", "'at'", "thread False", "state 2"),
            *(r"text 'captured\n'", "*md* <b>html</b> mime", "kernel None False", "stopped"),
        ],
    ), done.stderr
    assert done.stderr.splitlines() == ["bar [########################] 2/2", "spinner done"]
