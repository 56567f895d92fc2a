"""Child processes write to the cell that started them, however long they live.

A child that would inherit this process's standard output or error gets a pipe of its own instead, unless
user code pointed that descriptor elsewhere. The reading end travels to the kernel over the link; only the
child has the writing end, so the pipe ends when the child and its children do. Markers in this process's
own pipe place the child's text: after all that was written before it started, and before all that is
written after it was waited for.

`install_subprocesses(...) -> Children`, called once by the host, does this for `subprocess.Popen` (and so for
asyncio's processes and for `os.system`, which becomes a call of it), `os.fork`, `os.posix_spawn` and
multiprocessing. A child that C code starts inherits this process's pipe, whose text belongs to the cell
that runs; so does one for which the kernel has no descriptor left. A process that serves several cells, such
as a worker of a process pool, writes to the cell that started it. The child of a fork does nothing of this:
its descriptors 1 and 2 are its pipes, and its own children inherit them.

An interrupt of a cell that waits for a child is sent to all that this run of the cell has started, as a
terminal does, and otherwise to the workers that it waits for, whichever cell has started them. What it does
not wait for lives on.
"""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial, wraps
from itertools import count
from operator import methodcaller
from types import FrameType
from typing import Any, Self

from ...protocol.link import PipeOpened
from ...protocol.notebook import Stream
from ..output.emitter import Emitter
from ..output.reports import report
from ..output.sinks import EventWithDescriptor
from .after_import import after_import
from .awaited import Awaited
from .console import Console
from .context import Execution, execution_for_children
from .streams import DESCRIPTORS

_NO_ROOM = (
    "cellwire: too many child processes have pipes of their own; what further ones write goes to the cell "
    "that runs meanwhile\n"
)
_STREAMS: dict[int, Stream] = {number: stream for stream, number in DESCRIPTORS.items()}


class ChildPipes:
    """The writing ends of one child's pipes; this process's copies are closed when the block is left."""

    def __init__(self, execution: Execution | None) -> None:
        self.execution: Execution | None = execution
        #: By stream: the number of the pipe in markers, and its writing end.
        self.numbers: dict[Stream, int] = {}
        self.ends: dict[Stream, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self.ends:
            os.close(self.ends.popitem()[1])

    def become_standard(self) -> None:
        """Make the pipes this process's descriptors 1 and 2."""
        for stream, end in self.ends.items():
            os.dup2(end, DESCRIPTORS[stream])


class Children:
    """The children of this process whose text the kernel reads from pipes of their own."""

    def __init__(self, emitter: Emitter, console: Console, most: int) -> None:
        self._emitter = emitter
        self._console = console
        self._most = most
        self._opened = self._closed = 0
        # The run that was told last that there is no room.
        self._told: Execution | None = None
        self._numbers = count(1)
        self._running: dict[int, ChildPipes] = {}
        #: Where descriptors 1 and 2 lead unless user code points them elsewhere.
        self._own = {stream: _identity(number) for stream, number in DESCRIPTORS.items()}
        #: False in the child of a fork.
        self.active: bool = True

    def open(self, *streams: Stream) -> ChildPipes:
        """Return the pipes of a child that starts next; none for a descriptor that it should inherit."""
        execution = execution_for_children()
        if execution is not None:
            execution = execution.visible
        pipes = ChildPipes(execution)
        if not self.active or not self._has_room(len(streams), execution):
            return pipes
        for stream in streams:
            if _identity(DESCRIPTORS[stream]) != self._own[stream]:
                continue
            number = next(self._numbers)
            reading, pipes.ends[stream] = os.pipe()
            self._opened += 1
            cell, run = ("", 0) if execution is None else (execution.cell, execution.run)
            self._emitter.emit(EventWithDescriptor(PipeOpened(cell, run, stream, number), reading))
            self._console.mark(stream, "pipe_opened", execution, number)
            pipes.numbers[stream] = number
        return pipes

    def closed(self, number: int) -> None:
        """Note that the kernel closed this many pipes; called by the thread that reads the control link."""
        self._closed += number

    def _has_room(self, number: int, execution: Execution | None) -> bool:
        """Whether the kernel can take this many more pipes; notify the run if not."""
        if self._opened - self._closed + number <= self._most:
            return True
        if number and (execution is None or execution is not self._told):
            self._told = execution
            self._console.streams["stderr"].write(_NO_ROOM)
        return False

    def started(self, pid: int, pipes: ChildPipes) -> None:
        """Remember that the child `pid` has these pipes, or none."""
        self._running[pid] = pipes

    def ended(self, pid: int) -> None:
        """Place all that the child wrote before what is written here from now on."""
        pipes = self._running.pop(pid, None)
        if pipes is not None:
            for stream, number in pipes.numbers.items():
                self._console.mark(stream, "pipe_drained", pipes.execution, number)

    def interrupt(self, execution: object, waits: "FrameType | asyncio.Task[Any] | None") -> None:
        """Send SIGINT to the processes that `execution` waits for, in this frame or as this task."""
        awaited = Awaited()
        try:
            if isinstance(waits, asyncio.Task):
                awaited.by_task(waits)
            else:
                awaited.by_stack(waits)
        except Exception as error:
            report("cellwire: what the cell waits for is not interrupted\n", error)
        workers: set[int | None] = set()
        if awaited.pools:
            processes = getattr(sys.modules.get("multiprocessing.process"), "_children", ())
            workers = {process.pid for process in list(processes)}
        pids = awaited.pids
        for pid, pipes in list(self._running.items()):
            if pipes.execution is execution and (awaited.children or pid in workers):
                pids.add(pid)
        if awaited.starts:
            pids |= _children(os.getpid()) - self._running.keys()
        for pid in pids:
            _interrupt(pid)

    def forget(self) -> None:
        """Leave the pipes to the parent; called in the child of a fork."""
        self.active = False
        self._running.clear()

    def exit_forked(self, execution: Execution) -> None:
        """End this process if it is the child of a fork, as if the cell had been a script.

        The runner around the cell is the parent's.
        """
        if self.active:
            return
        error, status = execution.error, 0
        if isinstance(error, SystemExit) and not isinstance(error.code, str):
            status = error.code or 0
        elif error is not None:
            traceback.print_exception(error)
            status = 1
        os._exit(status)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what tells the file behind `descriptor` from others; None if it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _interrupt(pid: int) -> None:
    """Send SIGINT to a child and to its children, if they are in the group of this process."""
    try:
        # A process that has left the group gets no signal from a terminal; nor is it certain to be a child.
        if os.getpgid(pid) != os.getpgrp():
            return
        for child in _children(pid):
            _interrupt(child)
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        pass


def _children(pid: int) -> set[int]:
    """Return the children that the main thread of a process has started, if the system tells."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return set(map(int, file.read().split()))
    except OSError:
        return set()


def install_subprocesses(emitter: Emitter, console: Console, most: int) -> Children:
    """Give every child that starts from now on pipes of its own; `emitter` sends them to the kernel.

    The kernel has room for `most` pipes. Call `exit_forked` first when the code of a cell has ended.
    """
    children = Children(emitter, console, most)
    os.register_at_fork(after_in_child=children.forget)
    _install_os(children)
    after_import("subprocess", partial(_install_popen, children))
    for launcher in ("popen_spawn_posix", "popen_forkserver"):
        after_import(f"multiprocessing.{launcher}", partial(_install_launcher, children))
    after_import("multiprocessing.process", partial(_install_process, children))
    return children


def _install_os(children: Children) -> None:
    fork, system = os.fork, os.system

    @wraps(fork)
    def forking() -> int:
        with children.open("stdout", "stderr") as pipes:
            pid = fork()
            if pid == 0:
                pipes.become_standard()
            else:
                children.started(pid, pipes)
            return pid

    @wraps(system)
    def calling_system(command: Any) -> int:
        if not children.active:
            return system(command)
        import subprocess

        # An interrupt ends the command; C's function would ignore it.
        code = subprocess.call(os.fsencode(command), shell=True, close_fds=False)
        return code << 8 if code >= 0 else -code

    _replace(forking)
    _replace(calling_system)
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            _replace(_spawning(children, getattr(os, name)))
    for name in ("wait", "wait3", "wait4", "waitpid"):
        _replace(_waiting(children, getattr(os, name)))


def _replace(function: Callable[..., Any]) -> None:
    """Replace the function that `function` wraps, also in the module where pickle looks for it."""
    for module in (os, sys.modules[function.__module__]):
        setattr(module, function.__name__, function)


def _spawning(children: Children, original: Callable[..., int]) -> Callable[..., int]:
    @wraps(original)
    def spawn(path: Any, argv: Any, env: Any, /, *, file_actions: Any = (), **options: Any) -> int:
        with children.open("stdout", "stderr") as pipes:
            # The caller's actions come last, so they win.
            ours = [(os.POSIX_SPAWN_DUP2, end, DESCRIPTORS[stream]) for stream, end in pipes.ends.items()]
            pid = original(path, argv, env, file_actions=[*ours, *(file_actions or ())], **options)
            children.started(pid, pipes)
            return pid

    return spawn


def _waiting(children: Children, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wait(*args: Any) -> Any:
        result = original(*args)
        children.ended(result[0])
        return result

    return wait


def _install_popen(children: Children, module: Any) -> None:
    popen: Any = module.Popen
    initialize, wait, poll = popen.__init__, popen.wait, popen.poll

    @wraps(initialize)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        # Both may also be positional: they follow `args, bufsize, executable, stdin`.
        given: dict[Stream, Any] = {
            "stdout": kwargs.pop("stdout", None),
            "stderr": kwargs.pop("stderr", None),
        }
        given.update(zip(DESCRIPTORS, args[4:6], strict=False))
        wanted: dict[Stream, Stream | None] = {s: _inherited(s, value) for s, value in given.items()}
        with children.open(*filter(None, set(wanted.values()))) as pipes:
            for stream, target in wanted.items():
                given[stream] = pipes.ends.get(target, given[stream]) if target else given[stream]
            if len(args) > 4:
                rest = (given["stdout"], given["stderr"], *args[6:])
                initialize(self, *args[:4], *rest, **kwargs)
            else:
                initialize(self, *args, **given, **kwargs)
            children.started(self.pid, pipes)

    def ended(self: Any) -> None:
        if self.returncode is not None:
            children.ended(self.pid)

    @wraps(wait)
    def waiting(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = wait(self, *args, **kwargs)
        ended(self)
        return result

    @wraps(poll)
    def polling(self: Any) -> Any:
        result = poll(self)
        ended(self)
        return result

    popen.__init__, popen.wait, popen.poll = __init__, waiting, polling


def _inherited(stream: Stream, given: Any) -> Stream | None:
    """Return the stream of this process that a child inherits if its `stream` is `given` to Popen."""
    if given is None:
        return stream
    return _STREAMS.get(given if isinstance(given, int) else given.fileno())


# `os.fork` serves multiprocessing by fork. The other children receive their `Process` as a pickle; two
# objects in it make the pipes their standard ones when they are unpickled, with the standard library
# alone. (Text that a child prints before that belongs to the cell that runs.)


class _Standard:
    """Unpickled in the child as a call of `os.dup2(end, number)`."""

    def __init__(self, end: int, number: int) -> None:
        self._end = end
        self._number = number

    def __reduce__(self) -> Any:
        return os.dup2, (_Passed(self._end), self._number)


class _Passed:
    """Unpickled in the child as the number that the descriptor `end` has there."""

    def __init__(self, end: int) -> None:
        self._end = end

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return methodcaller("detach"), (DupFd(self._end),)


def _install_launcher(children: Children, module: Any) -> None:
    original = module.Popen._launch

    @wraps(original)
    def _launch(self: Any, process_obj: Any) -> None:
        with children.open("stdout", "stderr") as pipes:
            ends = [_Standard(end, DESCRIPTORS[stream]) for stream, end in pipes.ends.items()]
            process_obj._cellwire_ends = ends
            try:
                original(self, process_obj)
            finally:
                del process_obj._cellwire_ends
            children.started(self.pid, pipes)

    module.Popen._launch = _launch


def _install_process(children: Children, module: Any) -> None:
    original = module.BaseProcess.join

    @wraps(original)
    def join(self: Any, timeout: float | None = None) -> None:
        original(self, timeout)
        # `os.waitpid` never reports a child of the fork server: it is not this process's own.
        if self.exitcode is not None:
            children.ended(self.pid)

    module.BaseProcess.join = join
