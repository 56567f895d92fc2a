"""A client lives from `start_kernel` to `aclose`, whichever tasks call them."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient, attach, launch_kernel, start_kernel
from cellwire.protocol.errors import KernelDied
from support.processes import gone, is_alive, wait_until_gone
from support.waiting import PATIENCE, eventually, running

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


async def in_a_task(function: Callable[[], Awaitable[Any]]) -> Any:
    """Call `function` in a task that ends with it."""
    results: list[Any] = []

    async def call() -> None:
        results.append(await function())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
    return results[0]


async def alone(kernel: KernelClient) -> bool:
    return len((await kernel.statistics()).sessions) == 1


async def test_a_client_outlives_the_task_that_started_it_and_any_task_closes_it():
    with anyio.fail_after(PATIENCE):
        kernel: KernelClient = await in_a_task(start_kernel)
        assert (await in_a_task(lambda: kernel.run({"a": "1 + 1"}))).status == "ok"
        assert kernel.notebook.cells["a"].outputs[0].data["text/plain"] == "2"
        await in_a_task(kernel.aclose)
        assert not is_alive(kernel.connection.pid)


async def test_a_client_is_closed_by_many_tasks_at_once_and_again():
    with anyio.fail_after(PATIENCE):
        kernel = await start_kernel()

        async def close() -> None:
            await kernel.aclose()
            assert not is_alive(kernel.connection.pid)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(close)
        await kernel.aclose()
        with pytest.raises(KernelDied, match="this client is closed"):
            await kernel.ping()


async def test_closing_a_client_interrupts_the_run_that_another_task_waits_for():
    async def call(kernel: KernelClient) -> None:
        assert (await kernel.run({"a": "import time; time.sleep(1000)"})).status == "interrupted"

    with anyio.fail_after(PATIENCE):
        kernel = await start_kernel()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, kernel)
            await running(kernel)
            await kernel.aclose()


async def test_closing_an_attached_client_leaves_the_kernel():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            other = await in_a_task(lambda: attach(kernel.connection_file))
            await in_a_task(other.aclose)
            with pytest.raises(KernelDied, match="this client is closed"):
                await other.ping()
            await eventually(lambda: alone(kernel))


async def test_a_close_that_is_cancelled_ends_the_kernel():
    with anyio.fail_after(PATIENCE):
        kernel = await start_kernel()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await kernel.aclose()
        assert not is_alive(kernel.connection.pid)


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path):
    python, pid = tmp_path / "python", tmp_path / "pid"
    python.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 60\n")
    python.chmod(0o755)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start_kernel, python)
            while not (pid.exists() and pid.read_text()):
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert not is_alive(int(pid.read_text()))


async def test_an_error_of_the_start_is_raised_as_it_is(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nopython"):
        await start_kernel(tmp_path / "nopython")


async def test_a_kernel_that_died_is_reported_to_calls_and_its_client_can_be_closed():
    with anyio.fail_after(PATIENCE):
        kernel = await start_kernel()
        with pytest.raises(KernelDied):
            await kernel.run({"a": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"})
        await kernel.aclose()


async def test_a_client_is_closed_in_its_own_loop(anyio_backend: str):
    async def close() -> str:
        with pytest.raises(RuntimeError, match="event loop") as caught:
            await kernel.aclose()
        return str(caught.value)

    with anyio.fail_after(PATIENCE):
        kernel = await start_kernel()
        assert await anyio.to_thread.run_sync(lambda: anyio.run(close, backend=anyio_backend))
        await kernel.aclose()


async def test_a_kernel_whose_client_nobody_closed_ends_with_the_loop(anyio_backend: str):
    program = """
        import sys, anyio
        from cellwire.protocol import start_kernel

        async def main():
            kernel = await start_kernel()
            await kernel.run({"a": "1"})
            print(kernel.connection.pid)

        anyio.run(main, backend=sys.argv[1])
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), anyio_backend]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    )
    await gone(int(done.stdout))
    assert done.stderr == ""


def test_a_fixture_opens_in_one_run_of_the_loop_and_closes_in_another(anyio_backend: str):
    """As fixtures of pytest-asyncio do: a generator whose steps are separate tasks of one loop."""
    if anyio_backend != "asyncio":
        # A loop of trio runs once; the test has nothing to compare there.
        return

    async def fixture() -> AsyncIterator[KernelClient]:
        kernel = await start_kernel()
        yield kernel
        await kernel.aclose()

    with asyncio.Runner() as runner:
        generator = fixture()

        async def step() -> KernelClient | None:
            return await anext(generator, None)

        kernel = runner.run(step())
        assert kernel is not None

        async def use() -> None:
            assert (await kernel.run({"a": "1 + 1"})).status == "ok"

        runner.run(use())
        assert runner.run(step()) is None
    wait_until_gone(kernel.connection.pid)
