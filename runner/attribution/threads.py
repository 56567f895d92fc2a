"""Threads and pool workers belong to the cell that started them or gave them the work.

`install_threads()`, called once by the runner's host, replaces the functions by which Python starts
threads, below `threading.Thread`: subclasses, timers and `_thread` users are all served, and no class
changes. The new thread begins with the `current_execution` and the `redirections` of its starter. Pools
outlive cells and share their workers, so there it is the submitted function that carries both: a worker
belongs to whoever's work it did last, callbacks of that work included. Pools are replaced when the
user imports them. Tasks, `asyncio.to_thread` and anyio's threads copy the context by themselves.

In a process without a kernel nothing is replaced and `Thread` never has to exit.
"""

import _thread
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from ...protocol.notebook import Stream
from .after_import import after_import
from .context import Execution, current_execution, detaching, starting_execution
from .redirection import Redirection, redirections

#: The run and the redirections that a thread or a piece of work belongs to.
_Origin = tuple[Execution | None, dict[Stream, Redirection]]


class Thread(threading.Thread):
    """A thread that can ask whether the cell still wants its work."""

    _execution: Execution | None = None

    def start(self) -> None:
        self._execution = starting_execution()
        super().start()

    @property
    def should_exit(self) -> bool:
        """Whether the run that started this thread is over: run again, deleted, interrupted, failed."""
        return self._execution is not None and self._execution.over


def current_thread() -> Thread:
    """Return the `Thread` that is executing.

    Raises: RuntimeError if another kind of thread is.
    """
    thread = threading.current_thread()
    if not isinstance(thread, Thread):
        raise RuntimeError(
            f"{thread.name} is not a cw.Thread. Start the function with cw.Thread(target=...).start()"
        )
    return thread


@contextmanager
def detached() -> Generator[None]:
    """Let threads and processes that are started in the block belong to no cell."""
    token = detaching.set(True)
    try:
        yield
    finally:
        detaching.reset(token)


def install_threads() -> None:
    """Have threads and work in pools belong to whoever starts or submits them."""
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        original = getattr(_thread, name, None)
        if original is not None:
            starting = _starting_joinable if name == "start_joinable_thread" else _starting
            replacement = wraps(original)(partial(starting, original))
            setattr(_thread, name, replacement)
            if hasattr(threading, f"_{name}"):
                setattr(threading, f"_{name}", replacement)
    after_import("concurrent.futures.thread", _install_executor)
    after_import("multiprocessing.pool", _install_pool)


def _starting(start: Callable[..., int], function: Any, args: Any, *kwargs: Any) -> int:
    if not callable(function) or not isinstance(args, tuple):
        return start(function, args, *kwargs)
    return start(_work, (_origin(), function, *args), *kwargs)


def _starting_joinable(start: Callable[..., Any], function: Any, *args: Any, **options: Any) -> Any:
    origin = _origin()
    # From Python 3.14 on `Thread.run` has a context of its own.
    context = getattr(getattr(function, "__self__", None), "_context", None)
    if context is not None:
        context.run(_adopt, origin)
    return start(partial(_work, origin, function), *args, **options)


def _origin() -> _Origin:
    """Return what code that is started here belongs to."""
    execution = starting_execution()
    return execution, {} if detaching.get() else redirections.get()


def _adopt(origin: _Origin) -> None:
    current_execution.set(origin[0])
    redirections.set(origin[1])


def _work(origin: _Origin, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `function` on behalf of `origin`, and leave the thread to it."""
    _adopt(origin)
    return function(*args, **kwargs)


def _carried(function: Any) -> Any:
    """Return `function` as work of the run that is executing here."""
    return None if function is None else partial(_work, _origin(), function)


def _install_executor(module: Any) -> None:
    executor: Any = module.ThreadPoolExecutor
    original = executor.submit

    @wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        # Its workers are interpreters of their own, to which nothing can be carried.
        if any(kind.__name__ == "InterpreterPoolExecutor" for kind in type(self).__mro__):
            return original(self, fn, *args, **kwargs)
        return original(self, _work, _origin(), fn, *args, **kwargs)

    executor.submit = submit


def _install_pool(module: Any) -> None:
    pool: Any = module.ThreadPool
    original: Any = module.Pool

    @wraps(original.apply_async)
    def apply_async(
        self: Any,
        func: Any,
        args: Any = (),
        kwds: Any = None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        return original.apply_async(
            self, _carried(func), args, kwds or {}, _carried(callback), _carried(error_callback)
        )

    @wraps(original._map_async)
    def _map_async(
        self: Any,
        func: Any,
        iterable: Any,
        mapper: Any,
        chunksize: Any = None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        return original._map_async(
            self, _carried(func), iterable, mapper, chunksize, _carried(callback), _carried(error_callback)
        )

    @wraps(original.imap)
    def imap(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original.imap(self, _carried(func), *args, **kwargs)

    @wraps(original.imap_unordered)
    def imap_unordered(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original.imap_unordered(self, _carried(func), *args, **kwargs)

    for method in (apply_async, _map_async, imap, imap_unordered):
        setattr(pool, method.__name__, method)
