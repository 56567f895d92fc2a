"""The runner process as the kernel starts it."""

import anyio
import pytest
from cellwire.kernel.kernel import _RUNNER_AWAKE
from cellwire.protocol import launch_kernel
from cellwire.protocol.events import OutputReplaced
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

#: Stops the clock of the runner's event loop and counts how often the loop selects before it sleeps.
LOOKS = """
import asyncio
import cellwire as cw
loop = asyncio.get_running_loop()
selector, select = loop._selector, loop._selector.select
item = cw.output.append("awake")
looks = 0
def look(timeout=None):
    global looks
    looks += 1
    if looks == 5:
        del loop.time
    if timeout != 0:
        selector.select = select
        item.replace(looks)
    return select(timeout)
loop.time, selector.select = lambda: 0.0, look
"""


async def test_after_a_run_the_runner_polls_for_the_next_one_for_a_moment_and_then_sleeps() -> None:
    async with launch_kernel() as kernel:
        events = kernel.events()
        assert (await kernel.run({"a": LOOKS})).status == "ok"
        with anyio.fail_after(PATIENCE):
            async for event in events:
                if isinstance(event, OutputReplaced):
                    break
        # On a single core, polling would only starve the other processes.
        looks = 6 if _RUNNER_AWAKE else 1
        assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == str(looks)
        assert (await kernel.run({"b": "looks"})).status == "ok"
