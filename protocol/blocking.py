"""The same client without `await`, for scripts, consoles and threads.

Each client has an event loop in a thread of its own, so it works where a loop runs already (a Jupyter
cell) and can be used from any number of threads at once. That thread changes the copy of the notebook:
the copy is complete up to the end of the last call, and may change while it is read if cells run.
An interrupted call (Ctrl-C) is abandoned; what it started in the kernel goes on. In the child of a fork a
call raises RuntimeError; a child that connects again has a client of its own.

Signatures and docstrings are those of the awaited form; `close` stands for `aclose`.
"""

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from .client import kernel_client as aio
from .client import launch
from .client.event_stream import EventStream
from .errors import FORKED
from .events import Event

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(
    method: Callable[Concatenate[aio.KernelClient, P], Awaitable[T]],
) -> "Callable[Concatenate[KernelClient, P], T]":
    """Return `method` as one that waits for the result."""

    @wraps(method)
    def wait(self: "KernelClient", *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(partial(method, self._client, *args, **kwargs))

    return wait


class KernelClient(aio.ClientState):
    """`client.KernelClient` with the same methods, which return when they are done."""

    def __init__(self, portal: BlockingPortal, client: aio.KernelClient, thread: ExitStack) -> None:
        super().__init__(client._session)
        self._portal = portal
        self._client = client
        #: What ends the thread of the event loop.
        self._thread = thread
        # Guards `_closed`: a thread that closes second waits for the first. No other lock is taken under it.
        self._closing = threading.Lock()
        self._closed = False
        self._process = os.getpid()

    run: Final = _waiting(aio.KernelClient.run)
    run_stale: Final = _waiting(aio.KernelClient.run_stale)
    sync: Final = _waiting(aio.KernelClient.sync)
    delete: Final = _waiting(aio.KernelClient.delete)
    configure: Final = _waiting(aio.KernelClient.configure)
    set_mode: Final = _waiting(aio.KernelClient.set_mode)
    interrupt: Final = _waiting(aio.KernelClient.interrupt)
    restart_runner: Final = _waiting(aio.KernelClient.restart_runner)
    provide_input: Final = _waiting(aio.KernelClient.provide_input)
    refuse_input: Final = _waiting(aio.KernelClient.refuse_input)
    send_comm: Final = _waiting(aio.KernelClient.send_comm)
    complete: Final = _waiting(aio.KernelClient.complete)
    inspect: Final = _waiting(aio.KernelClient.inspect)
    variables: Final = _waiting(aio.KernelClient.variables)
    statistics: Final = _waiting(aio.KernelClient.statistics)
    ping: Final = _waiting(aio.KernelClient.ping)
    wait_idle: Final = _waiting(aio.KernelClient.wait_idle)
    wait_connected: Final = _waiting(aio.KernelClient.wait_connected)
    shutdown: Final = _waiting(aio.KernelClient.shutdown)

    def events(self, buffer: int = 100_000) -> Iterator[Event]:
        """Return an iterator over the events applied from here on; otherwise as the awaited form."""
        return self._received(self._call(partial(self._make_stream, buffer)))

    def close(self) -> None:
        """Close this client as `aclose` of the awaited form does, and end its thread; from any thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                with self._thread:
                    self._call(self._client.aclose)

    async def _make_stream(self, buffer: int) -> EventStream:
        return self._client.events(buffer)

    def _received(self, stream: EventStream) -> Iterator[Event]:
        # All waiting events are taken at once: changing threads for each would cost more than the event.
        while events := self._call(stream.receive):
            yield from events

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        if os.getpid() != self._process:
            raise RuntimeError(FORKED)
        try:
            future = self._portal.start_task_soon(function)
        except RuntimeError:
            # The thread has ended.
            self._session.raise_if_ended()
            raise
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _in_a_thread(start: Callable[P, Awaitable[aio.KernelClient]]) -> Callable[P, KernelClient]:
    """Return `start` without `await`: its event loop runs in a thread until the client is closed."""

    @wraps(start)
    def begin(*args: P.args, **kwargs: P.kwargs) -> KernelClient:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(name="cellwire-client"))
            client = portal.call(partial(start, *args, **kwargs))
            return KernelClient(portal, client, stack.pop_all())

    return begin


def _until_left(
    context: Callable[P, object], start: Callable[P, KernelClient]
) -> Callable[P, AbstractContextManager[KernelClient]]:
    """Return `start` as a context that closes the client, with the docstring of the awaited `context`."""

    @wraps(context)
    @contextmanager
    def enter(*args: P.args, **kwargs: P.kwargs) -> Iterator[KernelClient]:
        kernel = start(*args, **kwargs)
        try:
            yield kernel
        finally:
            kernel.close()

    return enter


start_kernel: Final = _in_a_thread(launch.start_kernel)
attach: Final = _in_a_thread(launch.attach)
launch_kernel: Final = _until_left(launch.launch_kernel, start_kernel)
connect: Final = _until_left(launch.connect, attach)
