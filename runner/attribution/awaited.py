"""Finds what interrupted code is waiting for: child processes, and workers of process pools.

An interrupt raises only in the code of a cell. A terminal also sends it to child processes, and so does the
runner to those that the cell is waiting for. These are found on the cell's stack: in the frames of the
library functions that wait, and in what these frames hold. Code that reads a child's pipe or calls
`os.waitpid` has no such frame; the expression that it evaluates names what it waits for. A suspended cell has
no stack; there the chain of coroutines, tasks and futures is followed. From a thread that is waited for, the
search goes on in its stack.
"""

import _io
import asyncio
import os
import stat
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, cast

#: Ends of the names of files whose functions wait for child processes; and of files whose frames hold pools,
#: tasks, futures or threads that code waits for.
_CHILDREN = ("/subprocess.py", "/attribution/subprocesses.py")
_HOLDERS = (
    "/multiprocessing/pool.py",
    "/concurrent/futures/_base.py",
    "/concurrent/futures/process.py",
    "/concurrent/futures/thread.py",
    "/threading.py",
    "/asyncio/base_events.py",
    "/asyncio/tasks.py",
    "/asyncio/taskgroups.py",
    "/asyncio/streams.py",
    "/anyio/_backends/_asyncio.py",
)
#: Functions of `os` that wait for children, and those that start one and return what its text is read from.
_WAITS = {"wait", "wait3", "wait4", "waitid", "waitpid"}
_STARTS = {"Popen", "popen"}
#: How many objects are visited at most, since a cell may wait for very many.
_MOST = 1000


class Awaited:
    """What code is waiting for: whether it is child processes, and the pids that are known."""

    def __init__(self) -> None:
        self.children = False
        #: Whether a child process is being started; its pid is not known before its program executes.
        self.starts = False
        self.pids: set[int] = set()
        #: Whether there is work of a pool of an unknown kind.
        self.pools = False
        self._seen: set[int] = set()

    def by_stack(self, frame: FrameType | None) -> None:
        """Add what the code with this innermost frame waits for."""
        if frame is not None:
            self._by_expression(frame)
        while frame is not None:
            self._by_frame(frame)
            frame = frame.f_back

    def by_task(self, task: "asyncio.Task[Any]") -> None:
        """Add what a task waits for."""
        part: Any = task.get_coro()
        while part is not None and self._is_new(part):
            for prefix in ("cr", "gi", "ag"):
                frame = getattr(part, f"{prefix}_frame", None)
                if frame is not None:
                    self._by_frame(frame)
                    # The runner takes the steps of the cell, so the chain continues in its coroutine.
                    driven = frame.f_locals.get("coroutine") if frame.f_code.co_name == "_drive" else None
                    awaits = "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await"
                    part = driven or getattr(part, awaits)
                    break
            else:
                break
        self._by_value(getattr(task, "_fut_waiter", None))

    def _is_new(self, value: object) -> bool:
        if id(value) in self._seen or len(self._seen) > _MOST:
            return False
        self._seen.add(id(value))
        return True

    def _by_frame(self, frame: FrameType) -> None:
        name = frame.f_code.co_filename
        if name.endswith(_CHILDREN):
            self.children = True
            held: Any = frame.f_locals.get("self")
            self._add(getattr(held, "pid", None))
            self.starts = self.starts or frame.f_code.co_name == "__init__"
        elif name.endswith(_HOLDERS):
            for value in frame.f_locals.values():
                self._by_value(value)

    def _by_expression(self, frame: FrameType) -> None:
        """Add the children that the innermost frame reads from, or waits for, in what it evaluates."""
        import dis

        instructions = list(dis.get_instructions(frame.f_code))
        here = next((each.positions for each in instructions if each.offset == frame.f_lasti), None)
        if here is None or None in here:
            return
        names = {
            each.argval
            for each in instructions
            if each.positions is not None
            and None not in each.positions
            and here[::2] <= each.positions[::2]
            and each.positions[1::2] <= here[1::2]
            # What follows is the body of a `for`.
            and each.offset < frame.f_lasti
            and isinstance(each.argval, str)
        }
        self.children = self.children or bool(names & _STARTS)
        for name in names:
            value: Any = frame.f_locals.get(name, frame.f_globals.get(name))
            self.children = self.children or (
                bool(names & _WAITS) if value is os else _is_child(value) or _is_pipe(value)
            )

    def _by_value(self, value: Any) -> None:
        """Add what `value` stands for, if it is something that code can wait for."""
        kind = cast("type[Any]", type(value))
        if kind in (list, set, tuple, dict):
            if self._is_new(value):
                self._by_values(value)
        elif issubclass(kind, asyncio.Task):
            if self._is_new(value):
                self.by_task(value)
        elif issubclass(kind, asyncio.Future):
            if self._is_new(value):
                self._by_future(value)
        elif issubclass(kind, threading.Thread):
            if self._is_new(value):
                self.by_stack(sys._current_frames().get(value.ident or 0))
        elif kind.__module__ == "multiprocessing.pool":
            pool: Any = getattr(value, "_pool", None)
            # The attribute of a pool is a list; that of a result is its pool.
            self._by_processes(pool if isinstance(pool, list) else getattr(pool, "_pool", ()))
        elif kind.__module__ == "concurrent.futures.process":
            processes: Any = getattr(value, "_processes", None) or getattr(value, "processes", None)
            self._by_processes(processes.values() if processes else ())
        elif kind.__module__ == "concurrent.futures._base":
            self._by_work(value)
        elif kind.__module__ == "asyncio.streams":
            protocol = getattr(getattr(value, "_transport", None), "_protocol", None)
            self._add(getattr(getattr(protocol, "proc", None), "_pid", None))
        elif kind.__module__ == "anyio._backends._asyncio" and kind.__name__ == "Process":
            self.children = True
            self._add(value.pid)
        elif kind.__name__ == "TaskGroup":
            self._by_values(getattr(value, "_tasks", ()))

    def _by_values(self, values: Iterable[Any]) -> None:
        for value in list(values)[:_MOST]:
            self._by_value(value)

    def _by_future(self, future: Any) -> None:
        self._by_values(getattr(future, "_children", ()))  # of `gather`
        # Futures that are copied into it: the work of a pool, or what `shield` protects.
        for callback, _ in future._callbacks or ():
            for cell in getattr(callback, "__closure__", None) or ():
                self._by_value(cell.cell_contents)

    def _by_work(self, future: Any) -> None:
        """Add the workers of the pool that a future of `concurrent.futures` comes from."""
        if not self._is_new(future):
            return
        found = False
        module: Any = sys.modules.get("concurrent.futures.process")
        for manager in list(getattr(module, "_threads_wakeups", ())):
            pending = list(getattr(manager, "pending_work_items", {}).values())
            if any(item.future is future for item in pending):
                found = True
                self._by_processes(manager.processes.values())
        # A worker thread has a frame that holds the work, and waits in frames inside that one.
        for innermost in sys._current_frames().values():
            frame: FrameType | None = innermost
            while frame is not None:
                work = frame.f_locals.get("self") if frame.f_code.co_name == "run" else None
                if getattr(work, "future", None) is future:
                    found = True
                    self.by_stack(innermost)
                frame = frame.f_back
        self.pools = self.pools or not found

    def _by_processes(self, processes: Any) -> None:
        for process in list(processes or ()):
            self._add(process.pid)

    def _add(self, pid: object) -> None:
        if type(pid) is int:
            self.pids.add(pid)


def _is_child(value: Any) -> bool:
    """Whether `value` is a child process, or holds one."""
    if type(value) is dict:
        return _is_child(list(cast("dict[Any, Any]", value).values()))
    if type(value) in (list, tuple, set):
        return any(map(_is_child, list(value)[:_MOST]))
    kinds = (getattr(sys.modules.get("subprocess"), "Popen", None), getattr(os, "_wrap_close", None))
    return issubclass(type(value), tuple(kind for kind in kinds if kind is not None))


def _is_pipe(value: Any) -> bool:
    """Whether `value` is a file that reads from a pipe."""
    # Not `io.IOBase`: Python 3.11 crashes if an abstract class is asked about the iterator of `co_positions`.
    if not issubclass(type(value), _io._IOBase):
        return False
    try:
        return value.readable() and stat.S_ISFIFO(os.fstat(value.fileno()).st_mode)
    except (OSError, ValueError):
        return False
