"""Starting a kernel process and ending it, whatever either side does wrong."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psutil
import pytest
import zmq
from cellwire.protocol.client import kernel_process
from cellwire.protocol.client.launch import connect, launch_kernel
from cellwire.protocol.connection import Connection, KeyPair
from cellwire.protocol.errors import AuthenticationError, ConnectionFileError, KernelDied
from cellwire.protocol.limits import Limits
from support.processes import gone, is_alive
from support.waiting import PATIENCE

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


@pytest.fixture
def impostor(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes an interpreter out of a shell script."""

    def make(script: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{script}\n")
        path.chmod(0o755)
        return path

    return make


async def fail_to_launch(python: Path, timeout: float = 5) -> KernelDied:
    with anyio.fail_after(PATIENCE), pytest.raises(KernelDied) as caught:
        async with launch_kernel(python, timeout=timeout):
            pytest.fail("the context was entered")
    assert not is_alive(int((python.parent / "pid").read_text()))
    return caught.value


# The start


async def test_a_launched_kernel_answers_and_is_gone_at_the_end():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            assert await kernel.ping() > 0
            pid, file = kernel.connection.pid, Path(kernel.connection_file)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert kernel.role == "control"
            assert kernel.epoch == kernel.connection.epoch
        assert not is_alive(pid)
        assert not file.exists()


async def test_a_kernel_on_tcp_is_launched_with_keys():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            await kernel.ping()
            assert kernel.connection.endpoint.startswith("tcp://127.0.0.1:")
            assert kernel.connection.client is not None


async def test_the_settings_reach_the_kernel(tmp_path: Path):
    file = tmp_path / "here.json"
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(
            cwd=tmp_path, connection_file=file, limits=Limits(window_bytes=123_456)
        ) as kernel:
            assert kernel.connection_file == str(file)
            assert (await kernel.statistics()).epoch == kernel.epoch
            assert kernel._session.replica.limits.window_bytes == 123_456
            assert psutil.Process(kernel.connection.pid).cwd() == str(tmp_path)


async def test_the_kernel_has_the_given_environment_without_any_key(tmp_path: Path):
    environment = {"PATH": os.environ["PATH"], "GIVEN": "yes"}
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(env=environment, transport="tcp") as kernel:
            process = psutil.Process(kernel.connection.pid)
            assert process.environ()["GIVEN"] == "yes"
            assert kernel.connection.client is not None
            shown = [*process.cmdline(), *process.environ().values()]
            assert not any(kernel.connection.client.secret in text for text in shown)


async def test_the_kernel_is_not_in_the_process_group_of_its_launcher():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            assert os.getpgid(kernel.connection.pid) != os.getpgid(0)


async def test_an_interpreter_without_cellwire_gets_a_hint_of_its_own(impostor):
    python = impostor("echo \"$0: No module named 'cellwire'\" >&2; exit 1")
    error = await fail_to_launch(python)
    assert "ended with status 1 before it was ready" in str(error)
    assert "No module named 'cellwire'" in str(error)
    assert "Install cellwire" in str(error)


async def test_settings_that_do_not_exist_are_named_in_one_line():
    with pytest.raises(KernelDied, match=r"^the kernel cannot read the settings: .* at `\$.redefine`$"):
        async with launch_kernel(redefine="always"):  # pyright: ignore[reportArgumentType]
            pytest.fail("the context was entered")


async def test_a_kernel_that_cannot_start_says_why_in_one_line(tmp_path: Path):
    missing = tmp_path / "nb.py" / "k.json"
    missing.parent.touch()
    with pytest.raises(KernelDied) as raised:
        async with launch_kernel(connection_file=missing):
            pytest.fail("the context was entered")
    assert str(raised.value) == f"the kernel cannot start: {missing.parent}: Not a directory"


@pytest.mark.parametrize("changes", [{"endpoint": "nowhere"}, {"server_key": "short"}])
async def test_what_is_no_address_or_key_is_an_error_with_the_name_of_the_file(tmp_path: Path, changes):
    keys = KeyPair("p" * 40, "s" * 40)
    wrong = Connection("tcp://127.0.0.1:1", "e", 1, "0", "/x", "k" * 40, keys, keys)
    file = tmp_path / "copy.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(wrong, **changes)))
    with pytest.raises(ConnectionFileError, match=r"cannot connect to .*copy\.json: invalid argument"):
        async with connect(file):
            pytest.fail("the context was entered")


async def test_the_error_for_an_interpreter_that_is_killed_has_the_signal(impostor):
    assert "killed by SIGKILL" in str(await fail_to_launch(impostor("kill -KILL $$")))


async def test_the_error_for_an_interpreter_that_writes_something_else_quotes_it(impostor):
    error = await fail_to_launch(impostor("echo welcome to my shell; exec sleep 60"))
    assert "welcome to my shell" in str(error)


async def test_an_interpreter_that_writes_nothing_runs_into_the_time_limit(impostor):
    error = await fail_to_launch(impostor("echo waiting >&2; exec sleep 60"), timeout=0.9)
    assert "not ready within 0.9 s" in str(error)
    assert "waiting" in str(error)


async def test_the_error_for_a_missing_interpreter_has_its_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nopython"):
        async with launch_kernel(tmp_path / "nopython"):
            pytest.fail("the context was entered")


async def test_a_launch_that_is_cancelled_leaves_no_process(impostor, tmp_path: Path):
    python, pid = impostor("exec sleep 60"), tmp_path / "pid"

    async def launch() -> None:
        async with launch_kernel(python):
            pytest.fail("the context was entered")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(launch)
            while not (pid.exists() and pid.read_text()):
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert not is_alive(int(pid.read_text()))


# The end


async def test_an_exception_of_the_body_is_not_changed_and_the_kernel_is_gone():
    cause = LookupError("cause")
    pid = 0

    async def body() -> None:
        nonlocal pid
        async with launch_kernel() as kernel:
            pid = kernel.connection.pid
            raise ValueError("mine") from cause

    with anyio.fail_after(PATIENCE), pytest.raises(ValueError, match="mine") as caught:
        await body()
    assert caught.value.__cause__ is cause
    assert pid
    assert not is_alive(pid)


async def test_a_body_that_is_cancelled_leaves_no_kernel():
    pid = 0
    with anyio.fail_after(PATIENCE):
        with anyio.CancelScope() as scope:
            async with launch_kernel() as kernel:
                pid = kernel.connection.pid
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
    assert pid
    assert not is_alive(pid)


async def test_shutting_down_returns_when_the_kernel_is_gone():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            await kernel.shutdown()
            assert not is_alive(kernel.connection.pid)
            with pytest.raises(KernelDied, match="shut down"):
                await kernel.ping()


async def test_every_waiter_gets_the_signal_of_a_killed_kernel():
    errors: list[str] = []

    async def wait(call: Callable[[], Any]) -> None:
        with pytest.raises(KernelDied) as caught:
            await call()
        errors.append(str(caught.value))

    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            events = kernel.events()
            os.kill(kernel.connection.pid, signal.SIGSTOP)
            async with anyio.create_task_group() as tasks:
                for call in (kernel.ping, kernel.variables, lambda: _drain(events)):
                    tasks.start_soon(wait, call)
                await anyio.wait_all_tasks_blocked()
                os.kill(kernel.connection.pid, signal.SIGKILL)
                while len(errors) < 3:
                    await anyio.lowlevel.checkpoint()
            assert all("killed by SIGKILL" in text for text in errors)


async def _drain(events: Any) -> None:
    async for _ in events:
        pass


async def test_a_kernel_that_does_not_end_when_asked_is_killed(impostor, monkeypatch):
    # The kernel is stopped: neither the request nor SIGTERM reaches it, and only SIGKILL is left.
    monkeypatch.setattr(kernel_process, "END_SECONDS", 0.1)
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(limits=Limits(drain_seconds=0.1)) as kernel:
            pid = kernel.connection.pid
            os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)


async def test_a_detached_kernel_outlives_its_launcher_and_can_be_attached_to(tmp_path: Path):
    file = tmp_path / "connection.json"
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(detached=True, connection_file=file) as kernel:
            pid = kernel.connection.pid
        async with connect(file) as again:
            assert again.connection.pid == pid
            await again.ping()
            await again.shutdown()
        await gone(pid)


# Attaching


async def test_a_second_frontend_sees_the_same_notebook():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel, connect(kernel.connection_file) as other:
            assert other.epoch == kernel.epoch
            assert other.role == "control"
            sessions = (await other.statistics()).sessions
            assert len(sessions) == 2
        with pytest.raises(ConnectionFileError):
            async with connect(kernel.connection_file):
                pytest.fail("the context was entered")


async def test_watching_without_keys_is_refused():
    with anyio.fail_after(PATIENCE):
        async with launch_kernel() as kernel:
            with pytest.raises(ValueError, match="tcp"):
                async with connect(kernel.connection_file, watch=True):
                    pytest.fail("the context was entered")


async def test_a_key_that_the_kernel_does_not_know_is_refused_at_once(tmp_path: Path):
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            public, secret = zmq.curve_keypair()
            stranger = KeyPair(public.decode(), secret.decode())
            forged = tmp_path / "forged.json"
            forged.write_bytes(
                msgspec.json.encode(msgspec.structs.replace(kernel.connection, client=stranger))
            )
            with pytest.raises(AuthenticationError, match="refuses the key"):
                async with connect(forged):
                    pytest.fail("the context was entered")
            await kernel.ping()


async def test_a_file_without_the_needed_key_is_refused(tmp_path: Path):
    with anyio.fail_after(PATIENCE):
        async with launch_kernel(transport="tcp") as kernel:
            bare = tmp_path / "bare.json"
            bare.write_bytes(msgspec.json.encode(msgspec.structs.replace(kernel.connection, client=None)))
            with pytest.raises(AuthenticationError, match="watch=True"):
                async with connect(bare):
                    pytest.fail("the context was entered")
            async with connect(bare, watch=True) as watcher:
                await watcher.ping()


def test_a_forked_child_that_leaves_the_context_ends_and_its_parent_goes_on(anyio_backend: str):
    source = f"""
        import os, anyio
        from cellwire.protocol import connect, launch_kernel

        async def fork(kernel, leave):
            child = os.fork()
            if child == 0:
                try:
                    await kernel.ping()
                except RuntimeError as error:
                    print(error, flush=True)
                leave()
            else:
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            return child

        def fail():
            raise LookupError("in the child")

        async def main():
            async with launch_kernel() as kernel:
                async with connect(kernel.connection_file) as other:
                    await fork(other, fail)
                    if await fork(other, lambda: None):
                        print((await other.run({{"a": "1"}})).status, flush=True)
                await fork(kernel, fail)
                print((await kernel.run({{"b": "1"}})).status, flush=True)

        anyio.run(main, backend={anyio_backend!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    told = "a client works in the process that made it; connect again in a forked child"
    assert done.stdout.splitlines() == [told, "1", told, "0", "ok", told, "1", "ok"]
    assert done.stderr.count("LookupError: in the child") == 2
    assert done.returncode == 0
