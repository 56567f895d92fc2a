"""marimo's own ZeroMQ kernel process, driven with marimo's own ends of the channels.

The kernel is `python -m marimo._ipc.launch_kernel`, started and greeted as marimo's `IPCKernelManager`
does, in edit mode with the default configuration. A result counts as decoded when marimo's own
deserializer has made a notification of it.
"""

# marimo is installed in an environment of its own, where this runs.
# pyright: reportMissingImports=false

import copy
import logging
import os
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any, Self

from frontend import Frontend
from marimo._ast.app_config import _AppConfig
from marimo._config.config import DEFAULT_CONFIG
from marimo._ipc.queue_manager import QueueManager
from marimo._ipc.types import KernelArgs
from marimo._messaging.cell_output import CellChannel
from marimo._messaging.notification import CellNotification, CompletedRunNotification
from marimo._messaging.serde import deserialize_kernel_message
from marimo._runtime.commands import AppMetadata, ExecuteCellsCommand, StopKernelCommand
from measuring import measure_with
from serving import serve


class MarimoFrontend(Frontend):
    """A marimo kernel."""

    imports = "import marimo as mo"
    append = "mo.output.append"
    thread = "mo.Thread"
    image = "mo.image"

    def __init__(self, queues: QueueManager, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self._queues = queues
        self._process = process
        self._items = 0
        self._characters = 0
        self._failure = ""
        self._pending = 0
        self._watched = ""

    @classmethod
    async def launch(cls) -> Self:
        queues, connection = QueueManager.create()
        process = subprocess.Popen(
            [sys.executable, "-m", "marimo._ipc.launch_kernel"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        arguments = KernelArgs(
            configs={},
            app_metadata=AppMetadata(query_params={}, cli_args={}, app_config=_AppConfig()),
            user_config=copy.deepcopy(DEFAULT_CONFIG),
            log_level=logging.WARNING,
            profile_path=None,
            connection_info=connection,
            parent_pid=os.getpid(),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin as stdin:
            stdin.write(arguments.encode_json())
        if process.stdout.readline() != b"KERNEL_READY\n":
            raise RuntimeError("the kernel did not start")
        # As in marimo, somebody keeps reading what the kernel's descriptor 1 says.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return cls(queues, process)

    async def begin(self, cells: dict[str, str]) -> None:
        self._pending += 1
        ids: list[Any] = list(cells)
        self._queues.control_queue.put(ExecuteCellsCommand(cell_ids=ids, codes=list(cells.values())))

    async def finish(self) -> None:
        while self._pending:
            message = self._queues.stream_queue.get(timeout=300)
            self.received += len(message)
            self._take(deserialize_kernel_message(message))

    def _take(self, notification: Any) -> None:
        if isinstance(notification, CompletedRunNotification):
            self._pending -= 1
        elif isinstance(notification, CellNotification):
            output = notification.output
            if output is not None:
                if output.channel == CellChannel.MARIMO_ERROR:
                    self._failure = str(output.data)
                elif output.data:
                    self._items += 1
                    if notification.cell_id == self._watched:
                        self.arrivals.append((time.perf_counter(), self._items - self._watched_from))
            console = notification.console
            for piece in console if isinstance(console, list) else [console] if console else []:
                self._characters += len(piece.data)

    def items(self) -> int:
        return self._items

    def characters(self) -> int:
        return self._characters

    def failure(self) -> str:
        return self._failure

    @property
    def pid(self) -> int:
        return self._process.pid

    async def watch(self, cell: str) -> None:
        self._watched = cell
        self._watched_from = self._items

    async def close(self) -> None:
        self._queues.control_queue.put(StopKernelCommand())
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._queues.close_queues()


if __name__ == "__main__":
    serve(partial(measure_with, MarimoFrontend), ["marimo", "pyzmq"])
