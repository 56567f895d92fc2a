"""A kernel as a Jupyter client drives it and looks at it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from .waiting import PATIENCE

Message = dict[str, Any]
#: Tests of Jupyter know no other wait.


class Ran(NamedTuple):
    """What came of a request to execute: the content of the reply, and what was published, in order."""

    id: str
    reply: Message
    messages: list[Message]

    def of(self, *kinds: str) -> list[Message]:
        """Return the contents of the messages of these kinds."""
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all messages but those of the state, repetitions left out."""
        kinds = [m["msg_type"] for m in self.messages if m["msg_type"] not in ("status", "execute_input")]
        return [kind for number, kind in enumerate(kinds) if not number or kinds[number - 1] != kind]

    def text(self, stream: str = "stdout") -> str:
        """Return the text of a stream."""
        return "".join(content["text"] for content in self.of("stream") if content["name"] == stream)

    @property
    def shown(self) -> list[str]:
        """All that stands in the cell, in order, as text."""
        shown: list[str] = []
        for message in self.messages:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"]["text/plain"])
            elif message["msg_type"] == "error":
                shown.append(content["ename"])
        return shown

    @property
    def result(self) -> str | None:
        """The value of the last expression."""
        results = self.of("execute_result")
        return results[-1]["data"]["text/plain"] if results else None


class Jupyter:
    """One client of one kernel."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client
        #: Everything that was published and that `ran` has not claimed.
        self.published: list[Message] = []

    def send(self, channel: str, kind: str, content: Message | None = None, **metadata: Any) -> str:
        """Send a message and return its id."""
        message = self.client.session.msg(kind, content or {}, metadata=metadata)
        getattr(self.client, f"{channel}_channel").send(message)
        return message["header"]["msg_id"]

    def execute(
        self,
        code: str,
        cell: str | None = None,
        deleted: list[str] | None = None,
        tags: Sequence[str] = (),
        **options: Any,
    ) -> str:
        """Send a request to execute, as of a cell of a notebook if `cell` is given."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
            **options,
        }
        metadata = {"cellId": cell, "deletedCells": deleted or [], "tags": [*tags]} if cell else {}
        return self.send("shell", "execute_request", content, **metadata)

    def run(self, code: str, cell: str | None = None, **options: Any) -> Ran:
        """Execute, and return what came of it."""
        return self.ran(self.execute(code, cell, **options))

    def ran(self, id: str) -> Ran:
        """Return what came of a request, once it is answered and idle."""
        reply = self.reply(id)
        return Ran(id, reply, self.until(id, idle))

    def reply(self, id: str, channel: str = "shell") -> Message:
        """Return the content of the reply to a request; replies to others are lost."""
        get = getattr(self.client, f"get_{channel}_msg")
        while (message := get(timeout=PATIENCE))["parent_header"].get("msg_id") != id:
            pass
        return message["content"]

    def ask(self, kind: str, content: Message | None = None, channel: str = "shell") -> Message:
        """Send a request and return the content of the reply."""
        return self.reply(self.send(channel, kind, content), channel)

    def until(self, id: str, condition: Callable[[Message], bool]) -> list[Message]:
        """Return all that is published for a request up to the first message with `condition`."""
        while not any(_parent(message) == id and condition(message) for message in self.published):
            self.published.append(self.client.get_iopub_msg(timeout=PATIENCE))
        found: list[Message] = []
        for message in list(self.published):
            if _parent(message) == id:
                self.published.remove(message)
                found.append(message)
                if condition(message):
                    break
        return found

    def news(self) -> list[Message]:
        """Return all that was published by now and is not claimed."""
        while self.client.iopub_channel.msg_ready():
            self.published.append(self.client.get_iopub_msg(timeout=PATIENCE))
        return self.published

    def input_request(self) -> Message:
        """Return what user code asks for."""
        return self.client.get_stdin_msg(timeout=PATIENCE)["content"]

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel()
        self.manager.context.destroy(linger=0)


def start(**options: Any) -> Jupyter:
    """Start a kernel and return a client of it."""
    manager = KernelManager(**{"kernel_name": "cellwire", **options})
    manager.start_kernel()
    return attach(manager)


def attach(manager: KernelManager) -> Jupyter:
    """Return one more client of a kernel."""
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    return Jupyter(manager, client)


@contextmanager
def started(**options: Any) -> Iterator[Jupyter]:
    """Start a kernel, and end it."""
    kernel = start(**options)
    try:
        yield kernel
    finally:
        kernel.close()


def _parent(message: Message) -> str | None:
    return message["parent_header"].get("msg_id")


def idle(message: Message) -> bool:
    """Whether a message ends what a request has brought about."""
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
