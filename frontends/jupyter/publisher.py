"""Sends messages to Jupyter's clients in order: joins text, and holds back what a server would drop.

Text that soon follows other text of the same stream is joined to it, since short lines come by the thousand.
A Jupyter server drops whatever exceeds 1,000 messages or 1 MB of text a second, on an average of up to three
seconds since the kernel was last idle. Behind a server, messages beyond these limits wait here instead, and
so do all later ones, since the order must not change. Of text that cannot be sent in time the oldest part is
dropped, as in a full console, and a line says so.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .connection_file import Channel
from .wire import Message, Wire, now

#: Sends a message; returns False if the client that it is for is known not to be connected.
Send = Callable[[Channel, list[bytes]], bool]
Later = Callable[[float, Callable[[], None]], object]

#: Seconds after which the kernel publishes even if no client has subscribed.
_SILENT = 1.0
#: For how many seconds text is joined with earlier text, and how many characters a message has at most.
_JOIN = 0.02
_LARGEST = 256 * 1024
#: What a server lets pass in a window of seconds, less a reserve for messages that only the server counts.
_WINDOW = 3.0
_MESSAGES = 2_500
_TEXT_BYTES = 2_500_000
#: Messages that a server does not count.
_FREE = frozenset({"status", "comm_open", "execute_input"})
#: How many characters of text may wait.
_WAITING = 8 * 1024 * 1024

_Stream = tuple[bytes, str]


class _Held:
    """A message that waits. If it is text, later text of the same stream is joined to it."""

    def __init__(self, kind: str, frames: list[bytes], stream: _Stream | None = None, text: str = "") -> None:
        self.kind, self.frames = kind, frames
        self.stream, self.text = stream, text
        self.dropped = 0


class Publisher:
    """Writes and sends messages; all that a binding sends goes through here."""

    def __init__(
        self,
        wire: Wire,
        send: Send,
        later: Later,
        *,
        paced: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire, self._send, self._later = wire, send, later
        #: Whether a server stands between the kernel and its clients.
        self._paced = paced
        self._clock = clock
        # What was published before a client subscribed; None once one has. Clients connect to each channel
        # separately, and may send a request on one before they can receive on another.
        self._early: list[list[bytes]] | None = []
        later(_SILENT, self._listened)
        # Text that has not been sent, and where it belongs.
        self._stream: _Stream = (b"", "")
        self._text: list[str] = []
        self._chars = 0
        self._text_sent = -_JOIN
        self._timer = False
        # What was sent within the window, and what waits for room in it.
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_bytes = 0
        self._held: deque[_Held] = deque()
        self._held_chars = 0
        self._releasing = False

    def publish(
        self,
        kind: str,
        content: Any,
        parent: bytes,
        metadata: Mapping[str, Any] | None = None,
        buffers: Iterable[bytes] = (),
    ) -> None:
        """Publish a message on iopub, after all text written before."""
        self.flush()
        self._emit(_Held(kind, self._wire.write(kind, content, parent, metadata, buffers)))

    def status(self, state: str, parent: bytes) -> None:
        """Publish the execution state."""
        self.publish("status", {"execution_state": state}, parent)

    def write(self, name: str, text: str, parent: bytes) -> None:
        """Publish text of a stream, possibly joined with the text that follows."""
        if (parent, name) != self._stream:
            self.flush()
            self._stream = (parent, name)
        self._text.append(text)
        self._chars += len(text)
        if self._chars >= _LARGEST or self._clock() - self._text_sent >= _JOIN:
            self.flush()
        elif not self._timer:
            self._timer = True
            self._later(_JOIN, self._joined)

    def flush(self) -> None:
        """Publish text that is waiting to be joined with more."""
        if self._text:
            parent, name = self._stream
            text, self._text, self._chars = "".join(self._text), [], 0
            self._text_sent = self._clock()
            self._emit(_Held("stream", [], (parent, name), text))

    def reply(self, channel: Channel, message: Message, kind: str, content: Any, started: str = "") -> None:
        """Answer a request on its channel, after earlier output.

        `started` says when it was begun; most are answered at once.
        """
        self.flush()
        metadata = {"started": started or now()}
        frames = self._wire.write(kind, content, message.header_bytes, metadata)
        self._send(channel, [*message.identities, *frames])

    def request(self, identities: list[bytes], content: Any, parent: bytes) -> str:
        """Ask a client for a line of text and return the id of the message; empty if it was not sent."""
        self.flush()
        sent = self._send("stdin", [*identities, *self._wire.write("input_request", content, parent)])
        return self._wire.last_written if sent else ""

    def welcome(self, topic: bytes) -> None:
        """Greet a new subscriber."""
        content = {"subscription": topic.decode("utf-8", "replace")}
        self._send("iopub", [topic, *self._wire.write("iopub_welcome", content)])
        self._listened()

    def finish(self) -> None:
        """Send everything without waiting, since the kernel is ending."""
        self.flush()
        self._listened()
        while self._held:
            self._transmit(self._held.popleft())

    def _listened(self) -> None:
        early, self._early = self._early or [], None
        for frames in early:
            self._send("iopub", frames)

    def _joined(self) -> None:
        self._timer = False
        self.flush()

    # A server's limits

    def _emit(self, message: _Held) -> None:
        if self._held or not self._has_room(message):
            self._hold(message)
        else:
            self._transmit(message)

    def _transmit(self, message: _Held) -> None:
        frames = message.frames
        if message.stream is not None:
            parent, name = message.stream
            text = message.text
            if message.dropped:
                text = f"[{message.dropped:,} characters came too fast to be shown]\n{text}"
            frames = self._wire.write("stream", {"name": name, "text": text}, parent)
        if self._early is None:
            self._send("iopub", [message.kind.encode(), *frames])
        else:
            self._early.append([message.kind.encode(), *frames])
        if self._paced:
            self._count(message, frames)

    def _count(self, message: _Held, frames: list[bytes]) -> None:
        if message.kind not in _FREE:
            size = sum(map(len, frames)) if message.stream else 0
            self._sent.append((self._clock(), size))
            self._sent_bytes += size
        elif message.kind == "status" and b'"idle"' in frames[-1]:
            # An idle kernel makes the server count from zero.
            self._sent.clear()
            self._sent_bytes = 0

    def _has_room(self, message: _Held) -> bool:
        if not self._paced or message.kind in _FREE:
            return True
        past = self._clock() - _WINDOW
        while self._sent and self._sent[0][0] <= past:
            self._sent_bytes -= self._sent.popleft()[1]
        return len(self._sent) < _MESSAGES and (
            not message.stream or not self._sent_bytes or self._sent_bytes + len(message.text) < _TEXT_BYTES
        )

    def _hold(self, message: _Held) -> None:
        self._held_chars += len(message.text)
        last = self._held[-1] if self._held else message
        joins = last is not message and message.stream is not None and last.stream == message.stream
        if joins and len(last.text) < _LARGEST:
            last.text += message.text
        else:
            self._held.append(message)
        while self._held_chars > _WAITING:
            self._drop_oldest_text()
        if not self._releasing:
            self._releasing = True
            self._later(_WINDOW / 10, self._release)

    def _drop_oldest_text(self) -> None:
        texts = (number for number, held in enumerate(self._held) if held.text)
        number = next(texts)
        oldest, following = self._held[number], next(texts, number)
        self._held_chars -= len(oldest.text)
        self._held[following].dropped += len(oldest.text) + oldest.dropped
        if following == number:
            oldest.text = ""
        else:
            del self._held[number]

    def _release(self) -> None:
        self._releasing = False
        while self._held and self._has_room(self._held[0]):
            message = self._held.popleft()
            self._held_chars -= len(message.text)
            self._transmit(message)
        if self._held:
            self._releasing = True
            self._later(_WINDOW / 10, self._release)
