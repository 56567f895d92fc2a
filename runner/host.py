"""The process around the engine: the link, the signals and the life of the runner.

The main thread runs an asyncio loop: it reads the link and executes runs, and background tasks of cells
live there between runs. A second thread reads the control link, so that a probe, an answer to `input()` or
the kernel's death gets through while the main thread is busy with user code. A third, started when it is
first needed, answers requests about names (completion may take seconds).

Everything that is sent goes through one `Emitter`. When either link ends the kernel is gone, and this
process group ends too.
"""

import asyncio
import faulthandler
import mmap
import os
import signal
import socket
import sys
import threading

# Not that of `signal`, which returns an enumeration's member: see `_SIGINT`.
from _signal import (  # pyright: ignore[reportMissingImports]
    getsignal,  # pyright: ignore[reportUnknownVariableType]
    pthread_sigmask,  # pyright: ignore[reportUnknownVariableType]
)
from _signal import signal as set_handler  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
from asyncio import Task, all_tasks, wait  # as they are before user code can replace them
from asyncio.tasks import _unregister_task  # pyright: ignore[reportPrivateUsage]
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import partial
from sys import getrecursionlimit, setrecursionlimit
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import msgspec

from ..protocol import link
from ..protocol.errors import ProtocolError
from ..protocol.events import RunnerStarted
from ..protocol.messages import Complete, Done, Inspect, Introspection, SendComm, Variable, Variables
from .api.output import enter_kernel
from .attribution.console import install_console
from .attribution.debugger import install_debugger
from .attribution.input import Inputs, install_input
from .attribution.subprocesses import install_subprocesses
from .attribution.task_errors import report_in_task_context
from .attribution.threads import install_threads
from .engine import Engine
from .execution.hooks import local, protected
from .execution.signals import install_signals
from .integrations.class_sources import install_class_sources
from .integrations.comms import Comms
from .integrations.event_loops import install_event_loops
from .integrations.extensions import call, load_extensions
from .integrations.figures import install_figures
from .integrations.ipython_display import install_displays
from .integrations.marimo import install_marimo
from .integrations.progress_of_libraries import install_progress
from .integrations.widgets import install_widgets
from .introspection.introspector import LOOK_INTERVAL, Introspector
from .output.emitter import Emitter, LinkSink
from .output.reports import report

#: Bytes of one read from a link.
_CHUNK = 64 * 1024
#: Levels of calls, more than the kernel has: Python limits with them how deeply nested a message may be.
_DEPTH = 2000
#: A plain int: enum lookup would dominate.
_SIGINT = int(signal.SIGINT)
#: Lets a thread run that waits for this processor, see `kernel/loop.py`.
_give_way = getattr(os, "sched_yield", int)
#: The extension for cells that are written for IPython, known here by name alone.
_IPYTHON = "cellwire.runner.ipython.bridge:install"

#: Returns the answer to a request about names, given the names, the notebook and what describes a value.
Answer = Callable[..., Any]


class Host:
    """Executes the kernel's instructions in this process."""

    def __init__(self, connection: socket.socket, control: socket.socket, interrupts: Sequence[int]) -> None:
        self._connection = connection
        self._control = control
        self._decode = msgspec.msgpack.Decoder(link.Instruction).decode
        self._frames = link.FrameReader()
        # Bytes are received into one buffer: a new one for each read would cost more than reading.
        self._buffer = memoryview(bytearray(_CHUNK))
        #: Frames that arrived together with the first.
        self._early_frames: list[bytes] = []
        configure = self._receive_configure()
        self._generation = configure.generation
        self._awake_seconds = configure.awake_seconds
        self._awake_until = 0.0
        # Its own, so that user code which stops the loop's clock does not keep it awake for ever.
        self._clock = monotonic
        #: The way out for everything that is sent.
        self.emitter: Emitter = Emitter(LinkSink(connection))
        #: What runs the cells; extensions change its hooks and its language.
        self.engine: Engine = Engine(
            self.emitter,
            limits=configure.limits,
            keep_outputs=False,
            redefine=configure.redefine,
            register_main=True,
            file=configure.argv[0] if configure.argv else "",
        )
        self.engine.interrupts.word = interrupts
        #: Answers a request about names; an extension may put a function around it.
        self.answer: Answer = _answer
        # Bound once, so that `is` finds it.
        self._handler = self._handle_sigint
        self._install(configure)
        self.engine.restore(
            configure.cells,
            disabled=configure.disabled,
            mode=configure.mode,
            last_own_run=configure.last_own_run,
        )
        self._loop = asyncio.new_event_loop()
        # The clock as it is before user code can stop it.
        self._loop.time = monotonic
        self._loop.set_exception_handler(report_in_task_context)
        self._exiting = False
        self._runs: deque[link.Execute] = deque()
        #: Done when a run arrives; None unless the main thread waits for one.
        self._run_arrived: asyncio.Future[None] | None = None
        self._introspector = Introspector(self._answer, self.emitter.emit)

    def serve(self) -> None:
        """Work until the kernel says `Exit`."""
        asyncio.set_event_loop(self._loop)
        set_handler(_SIGINT, self._handler)
        os.register_at_fork(after_in_child=self._leave)
        sys.unraisablehook = self._unraisable
        self.emitter.emit(RunnerStarted(self._generation, os.getpid()))
        self.engine.explain_stale()
        self._add_runs(self._early_frames)
        self._loop.add_reader(self._connection.fileno(), self._receive)
        threading.Thread(target=self._read_control, name="cellwire control", daemon=True).start()
        self._task = self._start_runs()
        while not self._task.done():
            try:
                self._loop.run_until_complete(self._task)
            except BaseException as error:
                # SystemExit or KeyboardInterrupt of a task or a callback that a cell left behind ends
                # run_until_complete, and must end nothing else.
                if not self._task.done() or not isinstance(error, asyncio.CancelledError):
                    report("", error)
            if self._task.done() and not self._exiting:
                self._task = self._start_runs()
        self._finish_tasks()

    def _finish_tasks(self) -> None:
        """Let the tasks that cells have left end their `finally` blocks, as `asyncio.run` does."""
        while tasks := [*all_tasks(self._loop), *self.engine.tasks]:
            try:
                self._loop.run_until_complete(wait(tasks))
            except BaseException as error:
                report("", error)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def _start_runs(self) -> asyncio.Task[None]:
        """Return the task that executes runs; user code does not find it among the tasks of the loop."""
        # Whatever task factory a cell has set.
        task = Task(self._execute_runs(), loop=self._loop)
        _unregister_task(task)
        return task

    def _install(self, configure: link.Configure) -> None:
        """Patch this process so that everything in it belongs to the cell that started it."""
        enter_kernel()
        console = install_console(configure.nonce, self.emitter)
        install_threads()
        self._children = install_subprocesses(self.emitter, console, configure.child_pipes)
        self._inputs: Inputs = install_input(self.emitter.emit)
        install_debugger()
        if configure.dialect == "python":
            install_displays()
            install_figures()
        install_event_loops()
        install_class_sources()
        install_progress()
        install_marimo()
        install_widgets(self.engine.changed)
        self._comms = Comms(self.emitter.emit)
        install_signals(self.engine.interrupts, self._handler)
        # An interrupt between the markers of the two streams would leave one of them to the last cell.
        self.engine.hooks.pre_execution.append(local(protected(partial(console.enter))))
        self.engine.hooks.post_execution.insert(0, self._children.exit_forked)
        self.engine.interrupts.before_striking = self._children.interrupt
        if configure.dialect == "ipython":
            call(_IPYTHON, self)
        load_extensions(self.engine.hooks)
        # The interpreter started without the working directory on its path, so that no module of the user
        # could replace one of ours; user code does find its own.
        sys.path.insert(0, "")
        sys.argv = configure.argv or [""]
        for extension in configure.extensions:
            call(extension, self)

    async def _execute_runs(self) -> None:
        while True:
            while not self._runs:
                self._run_arrived = self._loop.create_future()
                await self._run_arrived
            execute = self._runs.popleft()
            if await self.engine.start(execute.run, execute.request) is None:
                self.emitter.emit(link.TurnGiven(execute.run))
            # What a cell sets is for that run, if interrupts or this package could not work with it. With the
            # default handler an interrupt would end the process.
            pthread_sigmask(signal.SIG_UNBLOCK, (_SIGINT,))
            if getsignal(_SIGINT) is not self._handler:
                set_handler(_SIGINT, self._handler)
            self._stay_awake()

    def _stay_awake(self) -> None:
        """Keep the loop running without sleep for a moment from now, or until the next run is there."""
        if not self._awake_until:
            self._loop.call_soon(self._go_on_awake)
        self._awake_until = self._clock() + self._awake_seconds

    def _go_on_awake(self) -> None:
        if not self._runs and self._clock() < self._awake_until:
            _give_way()
            self._loop.call_soon(self._go_on_awake)
        else:
            self._awake_until = 0.0

    def _handle_sigint(self, _number: int, frame: FrameType | None) -> None:
        self.engine.interrupts.receive(frame)

    def _leave(self) -> None:
        """In the child of a fork, take SIGINT as any program does, and end once its code returns to the loop.

        The loop and the links are the parent's.
        """
        if getsignal(_SIGINT) is self._handler:
            set_handler(_SIGINT, signal.default_int_handler)
        loop: Any = self._loop
        loop._ready.appendleft(asyncio.Handle(os._exit, (0,), loop))

    def _unraisable(self, failure: "sys.UnraisableHookArgs") -> None:
        """Handle an exception that cannot be raised where it occurred."""
        try:
            if failure.exc_type is KeyboardInterrupt and self.engine.interrupts.count:
                self.engine.interrupts.lost()
            else:
                sys.__unraisablehook__(failure)
        except KeyboardInterrupt:
            self.engine.interrupts.lost()

    # The link

    def _receive_configure(self) -> link.Configure:
        """Wait for the first instruction and return it."""
        while not self._early_frames:
            size = self._connection.recv_into(self._buffer)
            if not size:
                raise SystemExit("the kernel ended before it sent Configure")
            self._early_frames += self._frames.feed(self._buffer[:size])
        configure = self._decode(self._early_frames.pop(0))
        if not isinstance(configure, link.Configure):
            raise SystemExit(f"expected Configure as the first instruction, got {type(configure).__name__}")
        return configure

    def _receive(self) -> None:
        """Read what the link holds."""
        try:
            if size := self._connection.recv_into(self._buffer, 0, socket.MSG_DONTWAIT):
                self._add_runs(self._frames.feed(self._buffer[:size]))
                return
        except BlockingIOError:
            return  # readiness was reported, but there is nothing to read
        except (OSError, ProtocolError) as error:
            report("", error)
        _end()

    def _add_runs(self, frames: Iterable[bytes]) -> None:
        """Queue the runs in `frames`, and start to deal with their messages of comms."""
        for frame in frames:
            try:
                instruction = self._decode(frame)
            except RecursionError:
                instruction = self._decode_deeply(frame)
            if isinstance(instruction, SendComm):
                self._deliver(instruction)
            elif isinstance(instruction, link.Execute):
                self._runs.append(instruction)
            else:
                raise ProtocolError("the kernel configures a runner only once")
        if self._runs and self._run_arrived is not None:
            self._run_arrived.set_result(None)
            self._run_arrived = None

    def _decode_deeply(self, frame: bytes) -> link.Instruction:
        """Decode what the kernel could decode, though a cell has lowered the limit of nesting."""
        limit = getrecursionlimit()
        setrecursionlimit(_DEPTH)
        try:
            return self._decode(frame)
        finally:
            setrecursionlimit(limit)

    def _read_control(self) -> None:
        """Handle what comes over the control link; in a thread of its own."""
        decode = msgspec.msgpack.Decoder(link.Control).decode
        frames = link.FrameReader()
        try:
            while True:
                self._control.settimeout(LOOK_INTERVAL if self._introspector.busy else None)
                try:
                    data = self._control.recv(_CHUNK)
                except TimeoutError:
                    self._introspector.check()
                    continue
                if not data:
                    break
                for frame in frames.feed(data):
                    try:
                        self._handle_control(decode(frame))
                    except BaseException as error:
                        report("", error)
        except BaseException as error:
            report("", error)
        _end()

    def _handle_control(self, control: link.Control) -> None:
        match control:
            case link.Answer(input=name, text=text):
                self._inputs.answer(name, text)
            case link.NoFrontend(input=name):
                self._inputs.refuse(name)
            case link.PipesClosed(number=number):
                self._children.closed(number)
            case link.Probe(number=number):
                self.emitter.emit(link.Alive(number))
            case link.Interrupted():
                self.engine.interrupts.make_sure(lambda: getsignal(_SIGINT) is self._handler)
            case link.Exit():
                self._loop.call_soon_threadsafe(self._stop)
            case Complete() | Inspect() | Variables() as request:
                self._introspector.ask(request)

    def _deliver(self, message: SendComm) -> None:
        """Start a task that lets user code deal with `message`, and answer it when the task ends.

        User code may cancel the task before it begins.
        """
        task = Task(self._comms.deal_with(message), loop=self._loop, context=Context())
        done = partial(self.emitter.emit, Done(message.id))
        task.add_done_callback(lambda _: self.engine.once_planned(done))
        self._stay_awake()

    def _answer(self, request: Introspection, describe: Callable[[object], str]) -> Any:
        """Return the answer to a request about names; in the introspector's thread."""
        remote = self.engine.elsewhere.copy().items()
        elsewhere = {name: Variable(name, at.cell, at.type, at.summary) for name, at in remote}
        return self.answer(request, self.engine.globals.copy(), self.engine.notebook, describe, elsewhere)

    def _stop(self) -> None:
        self._exiting = True
        for task in (self._task, *all_tasks(self._loop)):
            task.cancel()


def _answer(request: Introspection, *context: Any) -> Any:
    # It is not needed for the first run.
    from .introspection.answers import answer

    return answer(request, *context)


def _end() -> NoReturn:
    """End this process and all that it started: without a link there is no kernel."""
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("SIGKILL did not end this process")


_host: Host | None = None


def serve(link_fd: int, control_fd: int, shared_fd: int) -> None:
    """Serve as a runner on these inherited descriptors."""
    faulthandler.enable(file=shared_fd, all_threads=True)
    interrupts = memoryview(mmap.mmap(shared_fd, mmap.PAGESIZE)).cast("Q")
    for fd in (link_fd, control_fd, shared_fd):
        os.set_inheritable(fd, False)
    control = socket.socket(fileno=control_fd)
    os.register_at_fork(after_in_child=control.close)
    # The links stay open until the process ends, since the kernel kills a runner without them.
    global _host
    _host = Host(socket.socket(fileno=link_fd), control, interrupts)
    _host.serve()
