"""Redefinition, revisions and interrupts in a real kernel."""

import anyio
import pytest
from cellwire.protocol import launch_kernel
from cellwire.protocol.events import CellStarted
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_kernel_can_allow_redefinition():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(redefine="allow") as kernel:
            cells = {"a": "df = [3, 1]", "b": "df = sorted(df)", "c": "df"}
            assert (await kernel.run(cells)).status == "ok"
            assert kernel.notebook.cells["c"].outputs[-1].data["text/plain"] == "[1, 3]"
            await kernel.restart_runner()
            assert (await kernel.run(cells)).status == "ok"
            assert kernel.notebook.cells["c"].outputs[-1].data["text/plain"] == "[1, 3]"


async def test_revisions_continue_after_the_runner_was_replaced():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            await kernel.run({"a": "1"})
            await kernel.run({"a": "2"})
            await kernel.restart_runner()
            await kernel.run({"a": "3"})
            assert kernel.notebook.cells["a"].revision == 3


async def test_an_interrupt_before_the_run_starts_is_not_lost():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            await kernel.run({"a": "1"})
            for _ in range(50):
                await kernel.run({"loop": "while True: pass"}, wait=False)
                await kernel.interrupt()
                await kernel.wait_idle()
                assert kernel.notebook.cells["loop"].status in ("interrupted", "cancelled")


async def test_an_interrupt_that_cannot_be_raised_at_once_is_repeated():
    source = """
import time
class Slow:
    def __del__(self):
        time.sleep(0.002)
while True:
    Slow()
    time.sleep(0.001)
"""
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            for _ in range(10):
                events = kernel.events()
                await kernel.run({"a": source}, wait=False)
                while not isinstance(await anext(events), CellStarted):
                    pass
                await kernel.interrupt()
                await kernel.wait_idle()
                assert kernel.notebook.cells["a"].status == "interrupted"
