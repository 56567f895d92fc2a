"""`redirect_stdout/stderr` and `capture_stdout/stderr`: another target for the text of a context.

A redirection belongs to the context that entered it and to all that is started there: tasks, plain
threads, pool workers. It ends with its `with`; text that a thread prints later goes where it would without
it. The console's streams ask `redirection(stream)` at each write; in a process without them (no kernel)
the stream is wrapped while a redirection is open. Only text written through `sys.stdout` and `sys.stderr`
is redirected, not what child processes or C code write to the descriptors.

Redirected text is line-buffered, as on a terminal, and has reached the kernel when `print` returns. It
is added to one item until that has `_ITEM_CHARS`, so a line costs the same however many came before.
"""

import io
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TextIO

from ...protocol.notebook import Stream
from .context import current_execution

_ITEM_CHARS = 1024


class Target(Protocol):
    """Receives the text of a redirected stream."""

    def write(self, text: str, /) -> Any: ...
    def flush(self) -> None: ...


class ItemsTarget:
    """A target that may turn text into output items."""

    def begin_new_item(self) -> None:
        """Send text that is held back, and begin a new item for later text."""
        raise NotImplementedError


class Redirection:
    """One `with` block and the target of a stream's text until the block is left."""

    def __init__(self, target: Target, outer: "Redirection | None") -> None:
        self.target = target
        self.outer = outer
        self.over = False


#: The innermost redirection of each stream. Never changed in place, so threads share it by reference.
redirections: ContextVar[dict[Stream, Redirection]] = ContextVar("redirections", default={})  # noqa: B039


def redirection(stream: Stream) -> Target | None:
    """Return the target of text that this context writes to `stream`; None if it is not redirected."""
    found = redirections.get().get(stream)
    while found is not None and found.over:
        found = found.outer
    return None if found is None else found.target


def begin_new_item() -> None:
    """Send redirected text that is held back, and begin a new item for later text.

    Called before another item is added, so that text and items keep their order.
    """
    for stream in redirections.get():
        target = redirection(stream)
        if isinstance(target, ItemsTarget):
            target.begin_new_item()


@contextmanager
def capture_stdout() -> Iterator[io.StringIO]:
    """Collect text written to standard output, and yield a `StringIO` whose `getvalue()` returns it."""
    with _redirected("stdout", io.StringIO()) as text:
        yield text


@contextmanager
def capture_stderr() -> Iterator[io.StringIO]:
    """Collect text written to standard error, and yield a `StringIO` whose `getvalue()` returns it."""
    with _redirected("stderr", io.StringIO()) as text:
        yield text


@contextmanager
def redirect_stdout() -> Iterator[None]:
    """Show text written to standard output among the cell's outputs, in order."""
    with _into_outputs("stdout"):
        yield


@contextmanager
def redirect_stderr() -> Iterator[None]:
    """Show text written to standard error among the cell's outputs, in order."""
    with _into_outputs("stderr"):
        yield


@contextmanager
def _into_outputs(stream: Stream) -> Iterator[None]:
    execution = current_execution.get()
    if execution is None:
        yield  # there is no output area: text goes to the stream itself
        return
    target = _OutputsTarget(execution.outputs, stream)
    with _redirected(stream, target):
        try:
            yield
        finally:
            target.flush()


@contextmanager
def _redirected(stream: Stream, target: Any) -> Iterator[Any]:
    around = redirections.get()
    entered = Redirection(target, around.get(stream))
    with redirectable(stream):
        token = redirections.set({**around, stream: entered})
        try:
            yield target
        finally:
            entered.over = True
            redirections.reset(token)


class _OutputsTarget(ItemsTarget):
    """Turns text into output items, each growing by whole lines."""

    def __init__(self, outputs: Any, stream: Stream) -> None:
        self._outputs = outputs
        self._metadata = {"stream": stream}
        # Guards the rest, and orders what is sent. Reentrant, as a `__del__` may print under it.
        self._lock = threading.RLock()
        self._sending = False
        self._waiting = ""
        self._handle: Any = None
        self._text = ""

    def write(self, text: str) -> int:
        with self._lock:
            self._waiting += text
            if "\n" in text or "\r" in text:
                self.flush()
        return len(text)

    def flush(self) -> None:
        with self._lock:
            if self._sending:
                return  # the flush that this call interrupts goes on until nothing waits
            self._sending = True
            try:
                while self._waiting:
                    self._send()
            finally:
                self._sending = False

    def begin_new_item(self) -> None:
        with self._lock:
            self.flush()
            self._handle = None

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, ""
        if self._handle is None or len(self._text) >= _ITEM_CHARS:
            self._text = waiting
            self._handle = self._outputs.append({"text/plain": self._text}, self._metadata)
        else:
            self._text += waiting
            self._handle.replace({"text/plain": self._text}, self._metadata)


class _RedirectableStream:
    """Stands in for a standard stream of a process without a kernel while a redirection is open."""

    follows_redirection = True

    def __init__(self, stream: Stream, original: TextIO) -> None:
        self._stream: Stream = stream
        self.original = original
        self.users = 0

    def write(self, text: str) -> int:
        (redirection(self._stream) or self.original).write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        (redirection(self._stream) or self.original).flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


#: Guards the replacement of `sys.stdout` and `sys.stderr`. Nothing else happens under it.
_wrapping = threading.Lock()


@contextmanager
def redirectable(stream: Stream) -> Iterator[Any]:
    """Make the stream ask `redirection` in this block, and yield it; the console's do so by themselves."""
    with _wrapping:
        current: Any = getattr(sys, stream)
        if not getattr(current, "follows_redirection", False):
            current = _RedirectableStream(stream, current)
            setattr(sys, stream, current)
        if isinstance(current, _RedirectableStream):
            current.users += 1
    try:
        yield current
    finally:
        if isinstance(current, _RedirectableStream):
            with _wrapping:
                current.users -= 1
                if not current.users and getattr(sys, stream) is current:
                    setattr(sys, stream, current.original)
