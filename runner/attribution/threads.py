"""Threads belong to the cell that started them, work in pools to the cell that submitted it.

`install_threads()`, called once by the host, replaces the functions by which Python starts threads,
below `threading.Thread`: subclasses, timers and users of `_thread` are all covered, and no class
changes. A new thread begins with the `current_execution` and the `redirections` of its starter. Pools
outlive cells and share their workers, so there the submitted function carries both: a worker belongs
to the run it last worked for, callbacks of that work included. Pools are patched when the user
imports them. Tasks, `asyncio.to_thread` and anyio's threads copy the context by themselves.

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
from .context import Execution, current_execution, detached_context, execution_for_children
from .redirection import Redirection, redirections

#: The run and the redirections that a thread or a piece of work carries.
_Context = tuple[Execution | None, dict[Stream, Redirection]]


class Thread(threading.Thread):
    """A thread that can check whether its cell still needs it."""

    _execution: Execution | None = None

    def start(self) -> None:
        self._execution = execution_for_children()
        super().start()

    @property
    def should_exit(self) -> bool:
        """Whether the run that started this thread is over: run again, deleted, interrupted or failed."""
        return self._execution is not None and self._execution.over


def current_thread() -> Thread:
    """Return the `Thread` that is executing.

    Raises: RuntimeError if the executing thread is of another kind.
    """
    thread = threading.current_thread()
    if not isinstance(thread, Thread):
        raise RuntimeError(
            f"{thread.name} is not a cw.Thread. Start the function with cw.Thread(target=...).start()"
        )
    return thread


@contextmanager
def detached() -> Generator[None]:
    """Threads and processes that start in this block belong to no cell."""
    token = detached_context.set(True)
    try:
        yield
    finally:
        detached_context.reset(token)


def install_threads() -> None:
    """Make threads and work in pools carry the run that starts or submits them."""
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        original = getattr(_thread, name, None)
        if original is not None:
            starting = _starting_joinable if name == "start_joinable_thread" else _starting
            replacement = wraps(original)(partial(starting, original))
            setattr(_thread, name, replacement)
            if hasattr(threading, f"_{name}"):
                setattr(threading, f"_{name}", replacement)
    after_import("concurrent.futures.thread", _patch_executor)
    after_import("multiprocessing.pool", _patch_pool)


def _starting(start: Callable[..., int], function: Any, args: Any, *kwargs: Any) -> int:
    if not callable(function) or not isinstance(args, tuple):
        return start(function, args, *kwargs)
    return start(_run_in, (_capture(), function, *args), *kwargs)


def _starting_joinable(start: Callable[..., Any], function: Any, *args: Any, **options: Any) -> Any:
    captured = _capture()
    # From Python 3.14 on `Thread.run` has a context of its own.
    context = getattr(getattr(function, "__self__", None), "_context", None)
    if context is not None:
        context.run(_enter, captured)
    return start(partial(_run_in, captured, function), *args, **options)


def _capture() -> _Context:
    """Return the context for code that is started here."""
    execution = execution_for_children()
    return execution, {} if detached_context.get() else redirections.get()


def _enter(context: _Context) -> None:
    current_execution.set(context[0])
    redirections.set(context[1])


def _run_in(context: _Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `function` in `context`, in which the thread stays afterwards."""
    _enter(context)
    return function(*args, **kwargs)


def _wrap(function: Any) -> Any:
    """Return `function` so that it runs in this context."""
    return None if function is None else partial(_run_in, _capture(), function)


def _patch_executor(module: Any) -> None:
    executor: Any = module.ThreadPoolExecutor
    original = executor.submit

    @wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        # Its workers are other interpreters, to which a run cannot be passed.
        if any(kind.__name__ == "InterpreterPoolExecutor" for kind in type(self).__mro__):
            return original(self, fn, *args, **kwargs)
        return original(self, _run_in, _capture(), fn, *args, **kwargs)

    executor.submit = submit


def _patch_pool(module: Any) -> None:
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
            self, _wrap(func), args, kwds or {}, _wrap(callback), _wrap(error_callback)
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
            self, _wrap(func), iterable, mapper, chunksize, _wrap(callback), _wrap(error_callback)
        )

    @wraps(original.imap)
    def imap(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original.imap(self, _wrap(func), *args, **kwargs)

    @wraps(original.imap_unordered)
    def imap_unordered(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original.imap_unordered(self, _wrap(func), *args, **kwargs)

    for method in (apply_async, _map_async, imap, imap_unordered):
        setattr(pool, method.__name__, method)
