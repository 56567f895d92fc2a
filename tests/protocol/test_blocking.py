"""The same client without `await`: from plain code, from a running loop, from several threads."""

import asyncio
import inspect
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cellwire.protocol import blocking
from cellwire.protocol.client.kernel_client import KernelClient
from cellwire.protocol.errors import ConnectionFileError, KernelDied
from cellwire.protocol.events import KernelClosing
from support.processes import is_alive, wait_until_gone
from support.waiting import PATIENCE


def test_a_kernel_is_launched_and_attached_to_without_a_loop():
    with blocking.launch_kernel() as kernel, blocking.connect(kernel.connection_file) as other:
        assert kernel.ping() > 0
        assert other.epoch == kernel.epoch
        assert len(other.statistics().sessions) == 2
    with pytest.raises(ConnectionFileError), blocking.connect(kernel.connection_file):
        pytest.fail("the context was entered")


def test_it_works_where_a_loop_runs_already():
    async def cell() -> float:
        with blocking.launch_kernel() as kernel:
            return kernel.ping()

    assert asyncio.run(cell()) > 0


def test_several_threads_may_use_one_client_at_once():
    with blocking.launch_kernel() as kernel, ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: kernel.ping(), range(200)))) == 200


def test_events_are_a_plain_iterator_that_ends_with_the_kernel():
    with blocking.launch_kernel() as kernel:
        events = kernel.events()
        ender = threading.Thread(target=kernel.shutdown)
        ender.start()
        seen = list(events)
        ender.join(10)
        assert isinstance(seen[-1], KernelClosing)
        with pytest.raises(KernelDied, match="shut down"):
            kernel.ping()


def test_a_forked_child_is_told_to_connect_again_and_its_parent_goes_on():
    source = """
        import os
        from cellwire.protocol import blocking
        with blocking.launch_kernel() as kernel:
            if os.fork() == 0:
                try:
                    kernel.ping()
                except RuntimeError as error:
                    print(error, flush=True)
                with blocking.connect(kernel.connection_file) as other:
                    print(other.run({"a": "1"}).status, flush=True)
                os._exit(0)
            os.wait()
            print(kernel.run({"b": "2"}).status, *kernel.notebook.cells)
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    told, *rest = done.stdout.splitlines()
    assert "connect again" in told
    assert rest == ["ok", "ok a b"]


def test_a_client_that_one_thread_opened_is_closed_by_another():
    opened: list[blocking.KernelClient] = []
    for target in (lambda: opened.append(blocking.start_kernel()), lambda: opened[0].close()):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join(PATIENCE)
    assert not is_alive(opened[0].connection.pid)
    opened[0].close()
    with pytest.raises(KernelDied, match="closed"):
        opened[0].ping()


def test_closing_an_attached_client_leaves_its_kernel():
    with blocking.launch_kernel() as kernel:
        other = blocking.attach(kernel.connection_file)
        other.close()
        assert kernel.ping() > 0


def test_every_thread_that_closes_returns_when_the_kernel_is_gone():
    kernel = blocking.start_kernel()

    def close(_: int) -> bool:
        kernel.close()
        return is_alive(kernel.connection.pid)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(close, range(4))) == [False] * 4


def test_a_program_that_does_not_close_its_client_leaves_no_kernel():
    program = "from cellwire.protocol import blocking; print(blocking.start_kernel().connection.pid)"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    wait_until_gone(int(done.stdout))
    assert done.stderr == ""


def test_an_exception_of_the_body_is_not_changed():
    with pytest.raises(LookupError, match="mine"), blocking.launch_kernel():
        raise LookupError("mine")


def test_both_forms_have_the_same_names_and_parameters():
    for name, function in inspect.getmembers(KernelClient, callable):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(blocking.KernelClient, name.replace("aclose", "close")))
            assert list(ours.parameters.values()) == list(inspect.signature(function).parameters.values()), (
                name
            )
    for name, value in inspect.getmembers(KernelClient, lambda value: isinstance(value, property)):
        assert isinstance(getattr(blocking.KernelClient, name), type(value))


def test_a_type_checker_sees_results_instead_of_awaitables(tmp_path: Path):
    # The checker does not follow editable installs, so it finds the package beside the file.
    (tmp_path / "cellwire").symlink_to(Path(__file__).parents[2])
    program = """
        from typing import assert_type
        from cellwire.protocol.blocking import KernelClient, connect, launch_kernel
        from cellwire.protocol.events import RunFinished
        from cellwire.protocol.messages import Completions, RunQueued
        from cellwire.protocol.notebook import Notebook

        with launch_kernel(redefine="allow") as kernel, connect("file", watch=True) as other:
            assert_type(other, KernelClient)
            assert_type(kernel.run({"a": ""}), RunFinished)
            assert_type(kernel.run({"a": ""}, wait=False), RunQueued)
            assert_type(kernel.complete("x", cursor=1), Completions)
            assert_type(kernel.ping(), float)
            assert_type(kernel.notebook, Notebook)
            kernel.run(5)  # pyright: ignore[reportArgumentType]
            connect()  # pyright: ignore[reportCallIssue]
    """
    (tmp_path / "use.py").write_text(textwrap.dedent(program))
    (tmp_path / "pyrightconfig.json").write_text(
        '{"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": true, "include": ["use.py"]}'
    )
    checker = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    done = subprocess.run(checker, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_runs_state_and_answers_are_those_of_the_other_form():
    with blocking.launch_kernel() as kernel:
        assert kernel.run({"a": "x = 1", "b": "x + 1"}).status == "ok"
        assert kernel.notebook.cells["b"].outputs[0].data["text/plain"] == "2"
        assert [variable.name for variable in kernel.variables()] == ["x"]
