"""Over a tunnel that joins small writes a run takes as many ways as its cells make necessary, and no wait."""

from pathlib import Path

import anyio
import pytest
from cellwire.protocol import connect, launch_kernel
from support.relay import Tunnel
from support.waiting import PATIENCE

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


@pytest.mark.parametrize(
    "source",
    [
        "{} + 1",
        "import time; time.sleep(0.005); {}",
        "import time\nfor i in range(5): print({}); time.sleep(0.003)",
    ],
    ids=["at once", "later", "in several steps"],
)
async def test_no_message_waits_for_a_confirmation_that_only_a_timer_would_send(tmp_path: Path, source: str):
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            way = Tunnel(kernel.connection, tmp_path)
            async with connect(way.file) as client:
                way.joins = True
                for number in range(20):
                    assert (await client.run({"a": source.format(number)})).status == "ok"
                    await client.ping()
                queued = await client.run({"a": source.format(100)}, wait=False)
                await client.wait_idle()
                assert client.notebook.cells["a"].run == queued.run
            way.close()
