"""Handlers that cells set for signals: what they raise ends a cell that executes, and nothing else."""

from functools import partial

import anyio
import pytest
from cellwire.protocol import KernelClient
from support.waiting import PATIENCE, eventually, printed, running

pytestmark = pytest.mark.anyio

SETUP = """
import asyncio, os, signal, time
fired = 0
def raising(number, frame):
    global fired
    fired += 1
    raise {failure}("raised by the handler")
before = signal.signal(signal.SIGALRM, raising)
"""
FAILURES = ["TimeoutError", "SystemExit", "KeyboardInterrupt"]


async def fired(kernel: KernelClient) -> int:
    await kernel.run({"count": "fired"})
    return int(kernel.notebook.cells["count"].outputs[0].data["text/plain"])


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_handler_that_raises_while_nothing_runs_is_reported_and_ends_nothing(
    failure: str, kernel: KernelClient
):
    await kernel.run({"s": SETUP.format(failure=failure)})
    for number in range(1, 4):
        run = await kernel.run({"a": f"signal.setitimer(signal.ITIMER_REAL, 0.0001)  # {number}"})
        assert run.reason == ""
        await eventually(partial(reported, kernel, number))
    assert kernel.notebook.runner.generation == 1
    assert (await kernel.run({"b": "6 * 7"})).status == "ok"


async def reported(kernel: KernelClient, times: int) -> bool:
    """Whether it was reported this often, on whichever console."""
    await kernel.ping()
    consoles = [kernel.notebook.console, *(cell.console for cell in kernel.notebook.cells.values())]
    errors = [cell.error.message for cell in kernel.notebook.cells.values() if cell.error]
    text = "".join([*(console.text() for console in consoles), *errors])
    return text.count("raised by the handler") >= times


@pytest.mark.parametrize("failure", FAILURES)
async def test_handlers_that_raise_all_the_time_end_no_run_of_the_kernel(failure: str, kernel: KernelClient):
    await kernel.run({"s": SETUP.format(failure=failure)})
    await kernel.run({"a": "signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)"})
    with anyio.fail_after(PATIENCE):
        for number in range(30):
            cells = {f"c{index}": f"{number}" for index in range(10)}
            finished = await kernel.run({**cells, "d": f"await asyncio.sleep(0)  # {number}"})
            assert "cellwire itself" not in finished.reason
        while (await kernel.run({"e": "signal.setitimer(signal.ITIMER_REAL, 0)"})).status != "ok":
            pass
    assert kernel.notebook.runner.generation == 1
    assert await fired(kernel) > 10
    assert (await kernel.run({"f": "signal.signal(signal.SIGALRM, before)\n6 * 7"})).status == "ok"


@pytest.mark.parametrize("waiting", ["time.sleep(3600)", "while True: pass", "while True: print(end='')"])
async def test_a_timeout_that_a_cell_sets_for_itself_strikes_it(waiting: str, kernel: KernelClient):
    await kernel.run({"s": SETUP.format(failure="TimeoutError")})
    with anyio.fail_after(PATIENCE):
        assert (await kernel.run({"a": f"signal.setitimer(signal.ITIMER_REAL, 0.01)\n{waiting}"})).failed == [
            "a"
        ]
    error = kernel.notebook.cells["a"].error
    assert error is not None
    assert (error.kind, error.message) == ("TimeoutError", "raised by the handler")
    assert await fired(kernel) == 1


async def test_a_handler_is_seen_as_it_was_given(kernel: KernelClient):
    seen = "signal.getsignal(signal.SIGALRM) is raising"
    source = f"{seen}, signal.signal(signal.SIGALRM, before) is raising, before"
    await kernel.run({"s": SETUP.format(failure="TimeoutError"), "a": source})
    shown = kernel.notebook.cells["a"].outputs[0].data["text/plain"]
    assert shown == "(True, True, <Handlers.SIG_DFL: 0>)"
    own = "signal.signal(signal.SIGINT, signal.signal(signal.SIGINT, raising)) is raising"
    await kernel.run({"b": own})
    assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == "True"
    await kernel.run({"c": "print('go')\nwhile True: pass"}, wait=False)
    await printed(kernel, "go", "c")
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["c"].status == "interrupted"


async def test_a_handler_for_interrupts_is_called_in_their_place_for_one_run(kernel: KernelClient):
    source = "signal.signal(signal.SIGINT, raising)\nprint('go')\nwhile True: pass"
    await kernel.run({"s": SETUP.format(failure="ValueError"), "i": "0"})
    await kernel.run({"a": source}, wait=False)
    await printed(kernel, "go")
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["a"].status == "error"
    await kernel.run({"b": "while True: pass"}, wait=False)
    await running(kernel, "b")
    await kernel.interrupt()
    await kernel.wait_idle()
    assert kernel.notebook.cells["b"].status == "interrupted"
