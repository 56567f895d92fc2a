"""Input requests of user code, answered by one of two frontends."""

from collections.abc import AsyncIterator

import anyio
import pytest
from cellwire.protocol import KernelClient, RequestError, connect
from cellwire.protocol.events import ConsoleWritten, Event, InputClosed, InputRequested
from cellwire.protocol.notebook import PendingInput
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(kernel: KernelClient) -> AsyncIterator[KernelClient]:
    """A second frontend."""
    async with connect(kernel.connection_file) as client:
        yield client


async def input_request(client: KernelClient, number: int = 1) -> PendingInput:
    """Return the newest input request when there are `number` of them."""
    await until(client, lambda it: len(it.inputs) == number)
    return client.notebook.inputs[-1]


def plain(client: KernelClient, cell: str = "a") -> list[str]:
    return [item.data["text/plain"] for item in client.notebook.cells[cell].outputs]


IN_THREAD = """
import threading
found = []
thread = threading.Thread(target=lambda: found.append({asking}))
thread.start()
thread.join()
found[0]
"""
ASKING = {
    "input('name? ')": ("name? ", False, "'Ada'"),
    "__import__('getpass').getpass('secret? ')": ("secret? ", True, "'Ada'"),
    "__import__('sys').stdin.readline()": ("", False, r"'Ada\n'"),
    "next(__import__('sys').stdin)": ("", False, r"'Ada\n'"),
}


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("asking", ASKING)
async def test_any_frontend_may_answer_and_only_one_does(
    asking, where, kernel: KernelClient, other: KernelClient
):
    prompt, password, value = ASKING[asking]
    source = asking if where == "main" else IN_THREAD.format(asking=asking)
    await kernel.run({"a": source}, wait=False)
    asked = await input_request(kernel)
    assert (asked.cell, asked.prompt, asked.password) == ("a", prompt, password)
    assert await input_request(other) == asked
    # Signal 1: both have seen the request.
    await other.provide_input(asked.id, "Ada")
    with pytest.raises(RequestError) as caught:
        await kernel.provide_input(asked.id, "too late")
    assert caught.value.code == "unknown_input"
    await kernel.wait_idle()
    assert plain(kernel) == [value]
    await until(other, lambda it: not it.inputs)
    assert kernel.notebook.inputs == []


async def test_answers_to_two_threads_of_different_cells_do_not_mix(
    kernel: KernelClient, other: KernelClient
):
    cells = {
        "a": "import threading\n"
        "asking, found = threading.Event(), []\n"
        "def ask():\n"
        "    asking.set()\n"
        "    found.append(input('from the thread '))\n"
        "thread = threading.Thread(target=ask)\n"
        "thread.start()",
        "b": "mine = input('from b ')\nthread.join()\nmine, found",
    }
    await kernel.run(cells, wait=False)
    await input_request(kernel, 2)
    by_cell = {asked.cell: asked for asked in kernel.notebook.inputs}
    assert {cell: asked.prompt for cell, asked in by_cell.items()} == {
        "a": "from the thread ",
        "b": "from b ",
    }
    await input_request(other, 2)
    await other.provide_input(by_cell["b"].id, "B")
    await kernel.provide_input(by_cell["a"].id, "A")
    await kernel.wait_idle()
    assert plain(kernel, "b") == ["('B', ['A'])"]


@pytest.mark.parametrize("where", ["main", "thread"])
async def test_answers_drive_the_debugger(where, kernel: KernelClient, other: KernelClient):
    function = "def debugged():\n    secret = 42\n    breakpoint()\n    return secret\n"
    source = function + ("debugged()" if where == "main" else IN_THREAD.format(asking="debugged()"))
    await kernel.run({"a": source}, wait=False)
    answered: list[PendingInput] = []
    for client, command in ((kernel, "p secret + 1"), (other, "secret = 43"), (kernel, "c")):
        # This copy may still hold the request that the other frontend answered.
        await until(client, lambda it: it.inputs and it.inputs[-1] not in answered)
        answered.append(client.notebook.inputs[-1])
        await client.provide_input(answered[-1].id, command)
    await kernel.wait_idle()
    assert "\n43\n" in f"\n{kernel.notebook.cells['a'].console.text('stdout')}".replace("(Pdb) ", "")
    assert plain(kernel) == ["43"]


async def test_a_frontend_that_cannot_ask_refuses_and_the_code_raises(
    kernel: KernelClient, other: KernelClient
):
    await kernel.run({"a": "input('? ')"}, wait=False)
    asked = await input_request(other)
    await other.refuse_input(asked.id)
    with anyio.fail_after(PATIENCE):
        await kernel.wait_idle()
    error = kernel.notebook.cells["a"].error
    assert error is not None
    assert (error.kind, error.message) == (
        "InputUnavailable",
        "input() needs an attached frontend that can ask for it",
    )
    with pytest.raises(RequestError):
        await kernel.refuse_input(asked.id)


async def test_an_inspection_in_detail_has_the_source(kernel: KernelClient):
    await kernel.run({"a": "def double(x):\n    return 2 * x"})
    assert "return 2 * x" not in (await kernel.inspect("double")).data["text/plain"]
    assert "return 2 * x" in (await kernel.inspect("double", detail=1)).data["text/plain"]


async def test_names_that_a_deleted_cell_keeps_are_there(kernel: KernelClient):
    await kernel.run({"a": "x = 1", "b": "x"})
    await kernel.delete(["a"], keep=True)
    assert kernel.notebook.cells["b"].stale
    await kernel.run({"b": "x + 1"})
    assert plain(kernel, "b") == ["2"]


async def test_an_interrupt_withdraws_the_input_request(kernel: KernelClient, other: KernelClient):
    await kernel.run({"a": "input('? ')"}, wait=False)
    asked = await input_request(other)
    with anyio.fail_after(PATIENCE):
        await kernel.interrupt()
        await kernel.wait_idle()
    assert kernel.notebook.cells["a"].status == "interrupted"
    assert kernel.notebook.inputs == []
    with pytest.raises(RequestError):
        await other.provide_input(asked.id, "too late")
    assert (await kernel.run({"b": "1"})).status == "ok"


async def test_a_child_process_finds_its_standard_input_empty(kernel: KernelClient):
    source = "import subprocess\nsubprocess.run(['cat'], capture_output=True, timeout=30).stdout"
    await kernel.run({"a": source})
    assert plain(kernel) == ["b''"]


CHILD = """
import os, sys
print("from the child", flush=True)
os.write(int(sys.argv[1]), b".")
sys.stdin.read()
"""
BEFORE_A_PROMPT = f"""
import os, subprocess, sys
reading, writing = os.pipe()
command = [sys.executable, "-c", {CHILD!r}, str(writing)]
child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writing])
os.read(reading, 1)
print("printed")
answer = input("? ")
child.communicate()
"""


async def test_a_prompt_comes_after_what_was_written_before_it_also_by_a_child(kernel: KernelClient):
    events = kernel.events()
    await kernel.run({"a": BEFORE_A_PROMPT}, wait=False)
    asked = await input_request(kernel)
    seen: list[Event] = []
    while InputRequested not in map(type, seen):
        seen += await events.receive()
    before = seen[: [type(event) for event in seen].index(InputRequested)]
    text = "".join(event.text for event in before if isinstance(event, ConsoleWritten))
    assert sorted(text.splitlines()) == ["from the child", "printed"]
    await kernel.provide_input(asked.id, "yes")
    await kernel.wait_idle()


async def test_an_input_is_closed_once(kernel: KernelClient):
    events = kernel.events()
    await kernel.run({"a": "input()"}, wait=False)
    asked = await input_request(kernel)
    await kernel.provide_input(asked.id, "yes")
    await kernel.run({"a": "print('end')"})
    seen: list[Event] = []
    while ConsoleWritten not in map(type, seen):
        seen += await events.receive()
    assert seen.count(InputClosed(asked.id)) == 1
