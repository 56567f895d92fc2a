"""A frontend as docs/protocol.md describes one to authors: nothing of cellwire's own is in it."""

from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import zmq

from .waiting import PATIENCE


class Frontend:
    """A DEALER that sends the requests of the document and keeps everything it receives."""

    def __init__(self, context: Any, endpoint: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.rcvtimeo = PATIENCE * 1000
        self._socket.connect(endpoint)
        self._ids = count()
        self.replies: dict[str, Any] = {}
        self.events: list[Any] = []
        self.snapshots: list[Any] = []
        #: The frames of every message.
        self.messages: list[list[bytes]] = []

    def send(self, request: Any) -> None:
        self._socket.send(msgspec.msgpack.encode(request))

    def poll(self, seconds: float) -> bool:
        """Return whether a message arrives within `seconds`."""
        return bool(self._socket.poll(seconds * 1000))

    def until(self, condition: Callable[[], Any]) -> Any:
        """Receive until `condition` is true, and return its value."""
        while not (found := condition()):
            self.messages.append(self._socket.recv_multipart())
            head, *rest = map(msgspec.msgpack.decode, self.messages[-1])
            if head["type"] == "Snapshot":
                self.snapshots.append(head)
            elif head["type"] == "Batch":
                self.events += [*head.get("events", []), *rest]
            else:
                self.replies[head["id"]] = head
        return found

    def request(self, request: Any) -> Any:
        """Send a request and return its reply."""
        self.send(request)
        return self.until(lambda: self.replies.get(request["id"]))

    def run(self, request: Any) -> None:
        """Send a request that causes a run, and return when the run has finished."""
        run = self.request(request)["run"]
        self.until(lambda: any(e["type"] == "RunFinished" and e["run"] == run for e in self.events))

    def run_cells(self, **cells: str) -> None:
        listed = [{"id": id, "source": source} for id, source in cells.items()]
        self.run({"type": "RunCells", "id": f"own-{next(self._ids)}", "cells": listed})

    def event(self, kind: str, after: int = 0) -> Any:
        """Return the first event of a kind, leaving out the first `after` events."""
        return self.until(lambda: next((e for e in self.events[after:] if e["type"] == kind), None))
