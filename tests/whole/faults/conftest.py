"""Real kernels, and frontends, connections and processes that fail on purpose."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from cellwire.protocol import KernelClient, launch_kernel
from support.bare_frontend import BareFrontend
from support.relay import Relay


@pytest.fixture
async def kernel() -> AsyncIterator[KernelClient]:
    """A kernel on ipc with the default limits, and its launcher's frontend."""
    async with launch_kernel() as client:
        yield client


@pytest.fixture
def start_process() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Return a function that starts a Python program; it is killed when the test is over."""
    with ExitStack() as stack:

        def start(source: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", source, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **options,
            )
            stack.callback(end, process)
            return process

        def end(process: "subprocess.Popen[str]") -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        yield start


@pytest.fixture
def bare() -> Iterator[Callable[..., BareFrontend]]:
    """Return a function that connects a `BareFrontend`."""
    with ExitStack() as stack:

        def open(*arguments: Any, **options: Any) -> BareFrontend:
            opened = BareFrontend(*arguments, **options)
            stack.callback(opened.close)
            return opened

        yield open


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Callable[[KernelClient], Relay]]:
    """Return a function that opens a `Relay` to a client's kernel."""
    with ExitStack() as stack:

        def open(client: KernelClient) -> Relay:
            opened = Relay(client.connection, tmp_path)
            stack.callback(opened.close)
            return opened

        yield open


# Frontends in processes of their own, which can be stopped

_FOLLOWER = """
import hashlib, sys
import anyio, msgspec
from cellwire.protocol import connect

async def main():
    async with connect(sys.argv[1], timeout=60) as client:
        print("attached", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            events = client.events()
            while client.seq < int(line):
                await anext(events)
            print(client.seq, hashlib.sha256(msgspec.msgpack.encode(client.notebook)).hexdigest(), flush=True)

anyio.run(main)
"""


class Follower:
    """A frontend in its own process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        assert process.stdout.readline() == "attached\n"

    def stop(self) -> None:
        """Stop the process, with ZeroMQ's threads."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue the process."""
        os.kill(self.process.pid, signal.SIGCONT)

    async def digest(self, seq: int) -> tuple[int, str]:
        """Return the number and the digest of its copy once that has reached event `seq`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seq}\n")
        self.process.stdin.flush()
        answer = await anyio.to_thread.run_sync(self.process.stdout.readline, abandon_on_cancel=True)
        number, digest = answer.split()
        return int(number), digest


@pytest.fixture
def follow(start_process: Callable[..., Any]) -> Callable[[KernelClient], Follower]:
    """Return a function that starts a frontend of a client's kernel in a process of its own."""
    return lambda client: Follower(start_process(_FOLLOWER, client.connection_file))
