"""ipykernel, driven with jupyter_client: the shell, iopub and control channels of one session.

`cellwire_driver.py` drives cellwire's kernel for Jupyter with the same class.

A cell is an execute request and has ended when the kernel has said on iopub that it is idle and has
replied on the shell channel. Messages are received and deserialized with jupyter_client's `Session`
(signature, JSON), frame by frame so that bytes can be counted. The channels are jupyter's default, tcp.
"""

# ipykernel is installed in an environment of its own, where this runs.
# pyright: reportMissingImports=false

import select
import subprocess
import sys
import time
import uuid
from functools import partial
from typing import Any, ClassVar, Self

from frontend import Frontend
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from measuring import measure_with
from serving import serve

#: Requests that are sent before the first is finished, at most.
AHEAD = 100

IMAGE = "(lambda png: __import__('IPython.display').display.Image(data=png, format='png'))"


class IPythonFrontend(Frontend):
    """An ipykernel kernel."""

    #: The name of its kernelspec.
    kernel_name = "python3"
    append = "display"
    image = IMAGE
    saving: ClassVar = {
        "papermill": ["-m", "papermill", "--no-progress-bar", "--log-level", "ERROR", "{in}", "{out}"],
        "execute": ["-m", "jupyter", "execute", "--output={out}", "{in}"],
    }

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        super().__init__()
        self._manager = manager
        self._client = client
        self._shell = client.shell_channel.socket
        self._iopub = client.iopub_channel.socket
        self._control = client.control_channel.socket
        self._busy: set[str] = set()
        self._unanswered: set[str] = set()
        self._items = 0
        self._characters = 0
        self._failure = ""
        self._watched_from = 0
        self._watching = False
        self._followers: list[subprocess.Popen[bytes]] = []
        self._comm = ""
        self._echoed: Any = None

    @classmethod
    async def launch(cls) -> Self:
        manager = KernelManager(kernel_name=cls.kernel_name)
        manager.start_kernel()
        client = manager.blocking_client()
        client.start_channels()
        self = cls(manager, client)
        client.kernel_info()
        self._receive(self._shell)
        # The kernel welcomes a subscriber: from here on nothing on iopub is missed.
        while self._receive(self._iopub)["msg_type"] != "iopub_welcome":
            pass
        return self

    def _receive(self, socket: Any) -> dict[str, Any]:
        if not socket.poll(300_000):
            raise TimeoutError("the kernel says nothing")
        frames = socket.recv_multipart()
        self.received += sum(map(len, frames))
        _, frames = self._client.session.feed_identities(frames)
        return self._client.session.deserialize(frames)

    async def begin(self, cells: dict[str, str]) -> None:
        for source in cells.values():
            request = self._client.execute(source)
            self._busy.add(request)
            self._unanswered.add(request)
            # What is not read in time is dropped: each socket holds a thousand messages.
            while self._iopub.poll(0) or len(self._busy) >= AHEAD:
                self._take_output()
            while self._shell.poll(0):
                self._take_answer()

    async def finish(self) -> None:
        while self._busy:
            self._take_output()
        while self._unanswered:
            self._take_answer()

    def _take_answer(self) -> None:
        self._unanswered.discard(self._receive(self._shell)["parent_header"]["msg_id"])

    def _take_output(self) -> None:
        message = self._receive(self._iopub)
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            if content["execution_state"] == "idle":
                self._busy.discard(message["parent_header"]["msg_id"])
        elif kind in ("execute_result", "display_data"):
            self._items += 1
            if self._watching:
                self.arrivals.append((time.perf_counter(), self._items - self._watched_from))
        elif kind == "stream":
            self._characters += len(content["text"])
        elif kind == "comm_msg":
            self._echoed = content["data"]
        elif kind == "error":
            self._failure = f"{content['ename']}: {content['evalue']}"

    async def ping(self) -> None:
        session = self._client.session
        request = session.msg("kernel_info_request")
        session.send(self._control, request)
        while self._receive(self._control)["parent_header"]["msg_id"] != request["header"]["msg_id"]:
            pass

    async def open_comm(self, target: str) -> None:
        self._comm = uuid.uuid4().hex
        self._send_on_comm("comm_open", target_name=target, data={})

    async def echo(self, number: int) -> None:
        self._send_on_comm("comm_msg", data={"number": number})
        if self._echoed != {"number": number}:
            raise RuntimeError(f"message {number} did not come back")

    def _send_on_comm(self, kind: str, **content: Any) -> None:
        session = self._client.session
        message = session.msg(kind, {"comm_id": self._comm, **content})
        session.send(self._shell, message)
        self._busy.add(message["header"]["msg_id"])
        while self._busy:
            self._take_output()

    def items(self) -> int:
        return self._items

    def characters(self) -> int:
        return self._characters

    def failure(self) -> str:
        return self._failure

    @property
    def pid(self) -> int:
        provisioner: Any = self._manager.provisioner
        return provisioner.pid

    async def watch(self, cell: str) -> None:
        self._watching = True
        self._watched_from = self._items

    async def attach(self, count: int) -> None:
        command = [sys.executable, __file__, self._manager.connection_file]
        for _ in range(count):
            follower = subprocess.Popen(command, stdout=subprocess.PIPE)
            self._followers.append(follower)
            # Only the first subscriber is welcomed: the others are there when something reaches them.
            while not select.select([follower.stdout], [], [], 0.05)[0]:
                await self.run({"a": "1 + 1"})

    async def close(self) -> None:
        for follower in self._followers:
            with follower:
                follower.kill()
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def follow(connection_file: str) -> None:
    """Be one more frontend: say so when the first message is there, and decode everything."""
    client = BlockingKernelClient(connection_file=connection_file)
    client.load_connection_file()
    client.start_channels(shell=False, stdin=False, hb=False, control=False)
    client.get_iopub_msg()
    print("attached", flush=True)
    while True:
        client.get_iopub_msg()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        follow(sys.argv[1])
    else:
        serve(partial(measure_with, IPythonFrontend), ["ipykernel", "jupyter_client", "pyzmq"])
