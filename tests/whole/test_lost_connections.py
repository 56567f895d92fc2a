"""A frontend outlives its connection: calls wait, and the copy goes on where it was."""

import signal
from pathlib import Path

import anyio
import pytest
from cellwire.protocol import KernelClient, attach, connect, launch_kernel
from cellwire.protocol.client import patience
from cellwire.protocol.errors import KernelDied
from support.relay import Relay
from support.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_connection_on_tcp_that_is_away_for_two_seconds_ends_nothing(tmp_path: Path):
    changes: list[bool] = []

    async def watch(client: KernelClient) -> None:
        while True:
            await client.wait_connected(not client.connected)
            changes.append(client.connected)

    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            way = Relay(kernel.connection, tmp_path)
            async with connect(way.file) as client, anyio.create_task_group() as tasks:
                assert client.connected
                tasks.start_soon(watch, client)
                await client.run({"a": "import time; x = 1"})
                way.close()
                await client.wait_connected(False)
                tasks.start_soon(client.run, {"b": "x + 1"})
                # What happens meanwhile, and for how long, is the premise of this test.
                await kernel.run({"c": "print('meanwhile')"})
                await anyio.sleep(2)
                assert not client.connected
                way.come_back()
                await client.wait_connected()
                await client.wait_idle()
                assert client.notebook.cells["c"].console.text() == "meanwhile\n"
                assert client.notebook.cells["b"].outputs[0].data["text/plain"] == "2"
                tasks.cancel_scope.cancel()
            way.close()
        assert changes == [False, True]


async def test_patience_on_tcp_ends_after_the_seconds_that_were_given(tmp_path: Path):
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            way = Relay(kernel.connection, tmp_path)
            async with connect(way.file, patience=0.3) as client:
                way.close()
                with pytest.raises(KernelDied, match="lost"):
                    await client.run({"a": "1"})
                assert not client.connected
                with pytest.raises(KernelDied):
                    await client.wait_connected()


async def test_on_ipc_a_client_waits_as_long_as_something_accepts_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(patience, "GRACE_SECONDS", 0.05)
    looked = anyio.Event()
    accepts = patience.accepts

    def look(path: str) -> bool:
        looked.set()
        return accepts(path)

    monkeypatch.setattr(patience, "accepts", look)
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            way = Relay(kernel.connection, tmp_path)
            client = await attach(way.file)
            # Connections are accepted, and lead nowhere.
            way.pause()
            await client.wait_connected(False)
            await looked.wait()
            way.go_on()
            assert (await client.run({"a": "1"})).status == "ok"
            way.close()
            with pytest.raises(KernelDied, match="lost"):
                await client.run({"b": "import time; time.sleep(1000)"})
            await client.aclose()


async def test_a_launched_kernel_on_tcp_that_is_killed_ends_its_client():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            with pytest.raises(KernelDied, match="SIGKILL"):
                await kernel.run({"a": f"import os; os.kill(os.getppid(), {int(signal.SIGKILL)})"})
            assert not kernel.connected
