"""A kernel from its settings to its exit: assembled, signalled, shut down.

Shutting down has three steps, each limited in time. The kernel refuses runs and asks the runner to end,
and kills it if it does not. The last event of the log notifies frontends, and the kernel waits until
each that keeps up has acknowledged everything. Then it closes the socket and removes the files. SIGTERM,
the end of standard input (the launcher is gone) and a frontend's request have the same effect; a second
SIGTERM ends the kernel at once.
"""

import gc
import os
import signal
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from ..protocol.connection import Connection, Settings
from ..protocol.events import KernelClosing
from ..version import __version__
from .descriptors import raise_limit
from .diagnostics import report
from .endpoint import Endpoint
from .frontends import RETRY, Frontends
from .kernel import Kernel
from .loop import Loop
from .process import RunnerProcess
from .requests import Requests

#: Seconds that frontends have to drain without a launcher.
_ORPHANED_SECONDS = 0.5
#: Seconds that the kernel waits for the end of a runner that it killed.
_KILL_SECONDS = 1.0
#: Seconds without an acknowledgement after which the drain time is not extended.
_STALLED_SECONDS = 0.2
#: Longest interval between checks for stuck frontends, in seconds.
_LOOK = 1.0


class Door(Protocol):
    """Another way into the kernel than cellwire's own socket, served by the same loop."""

    def open(
        self, loop: Loop, kernel: Kernel, shut_down: Callable[[str], None], connection: Connection
    ) -> None:
        """Watch what has to be watched; called once, before the loop runs.

        `connection` says how the kernel is reached on its own socket.
        """
        ...

    def turn(self) -> float:
        """Do the work of one round and return the seconds that the next one may wait."""
        ...

    def close(self) -> None:
        """Close everything; called once, when the kernel has ended."""
        ...


class KernelProcess:
    """Everything in one kernel process."""

    def __init__(
        self,
        settings: Settings,
        process: RunnerProcess,
        start: Callable[[], RunnerProcess],
        door: Door | None = None,
    ) -> None:
        raise_limit()
        limits = settings.limits
        epoch = os.urandom(8).hex()
        self._settings = settings
        self._loop = Loop()
        self._drain_seconds = limits.drain_seconds
        self._drain_start = self._drain_progress = 0.0
        self._drained = 0
        self._terminations = 0
        self._draining = False
        self._start = start
        self._kernel = Kernel(self._loop, epoch, settings, self._start_runner)
        self._kernel.on_runner_ended = self._close_log
        self._kernel.runner.adopt(process)
        self._endpoint = Endpoint(settings, epoch, __version__)
        self._guard(process)
        self._frontends = Frontends(
            self._endpoint.socket,
            self._kernel.store,
            limits,
            authenticated=self._endpoint.authenticator is not None,
            on_frontend_count=self._kernel.on_frontend_count,
        )
        self._requests = Requests(self._kernel, self._frontends, limits, __version__, self.shut_down)
        self._look_seconds = min(_LOOK, limits.stuck_seconds / 4)
        self._looking = False
        self._watch_signals()
        self._watch_stdin()
        self._watch_launcher()
        self._loop.watch(self._endpoint.fd, _wake_up)
        if self._endpoint.authenticator is not None:
            self._loop.watch(self._endpoint.authenticator.fd, _wake_up)
        if self._endpoint.entrance is not None:
            self._endpoint.entrance.watch(self._loop, lambda: self._kernel.runner.open_pipes)
        self._door = door
        if door is not None:
            door.open(self._loop, self._kernel, self.shut_down, self._endpoint.connection)

    def run(self, announce: bool = True) -> None:
        """Serve until the kernel is shut down; with `announce` say first where frontends reach it."""
        if announce:
            _announce(msgspec.json.encode(self._endpoint.connection))
        # Events form no reference cycles, and a collection over a large state would delay pings.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._loop.run(self._turn)
        if self._door is not None:
            self._door.close()
        self._endpoint.close()
        self._kernel.runner.wait_for_guardians()
        self._loop.close()

    def shut_down(self, reason: str) -> None:
        """Start to shut the kernel down; does nothing if that has started."""
        if not self._kernel.closing:
            self._loop.later(self._settings.limits.exit_seconds + _KILL_SECONDS, self._close_log)
            self._kernel.close(reason)

    def _start_runner(self) -> RunnerProcess:
        process = self._start()
        self._guard(process)
        return process

    def _guard(self, process: RunnerProcess) -> None:
        endpoint = self._endpoint
        process.guard_files(endpoint.directory, endpoint.connection.file, endpoint.connection.epoch)

    def _turn(self) -> float:
        """Do the work of one round and return the seconds that the next one may wait."""
        more = False
        if self._endpoint.authenticator is not None:
            more = self._endpoint.authenticator.turn()
        more = self._kernel.runner.turn() or more
        wait = self._frontends.turn(self._requests.receive)
        if self._door is not None:
            wait = min(wait, self._door.turn())
        # Only once the events are sent, so that applying them does not delay them.
        self._kernel.store.apply_pending()
        self._kernel.runner.start_probing()
        if self._draining and self._frontends.caught_up():
            self._loop.stop()
        if more:
            return 0.0
        if self._frontends.waiting and not self._looking:
            self._looking = True
            self._loop.later(self._look_seconds, self._look)
        return min(wait, RETRY) if self._frontends.blocked else wait

    def _look(self) -> None:
        self._looking = False
        self._frontends.drop_stuck()

    # The end

    def _close_log(self) -> None:
        if self._draining:
            return
        self._kernel.store.add(KernelClosing(self._kernel.closing))
        self._draining = True
        self._drain_start = time.monotonic()
        self._drain()

    def _drain(self) -> None:
        """Stop when the drain time is over, or after twice that while frontends still make progress."""
        now = time.monotonic()
        drained = self._frontends.acknowledged()
        if drained > self._drained:
            self._drained, self._drain_progress = drained, now
        over = now - self._drain_start
        stalled = now - self._drain_progress > _STALLED_SECONDS
        if over >= 2 * self._drain_seconds or (stalled and over >= self._drain_seconds):
            self._loop.stop()
        else:
            # Do not wait for frontends that left.
            self._frontends.probe()
            self._loop.later(_STALLED_SECONDS / 4, self._drain)

    def _end_now(self) -> None:
        self._kernel.runner.kill()
        self._endpoint.remove_files()
        os._exit(128 + signal.SIGTERM)

    # Signals and standard input

    def _watch_signals(self) -> None:
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if self._settings.detached else self._terminate)
        self._loop.watch(self._woken, self._wake)
        # The runner may have ended before its SIGCHLD had a handler.
        self._loop.later(0.0, self._kernel.runner.reap)

    def _wake(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            pass
        self._kernel.runner.reap()
        if self._terminations:
            self.shut_down("it was terminated")

    def _terminate(self, number: int, frame: object) -> None:
        self._terminations += 1
        if self._terminations > 1:
            self._end_now()

    def _watch_stdin(self) -> None:
        try:
            self._loop.watch(0, self._read_stdin)
        except PermissionError:
            # A regular file, which cannot be watched and ends after the settings.
            self._loop.later(0.0, self._read_stdin)

    def _read_stdin(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self._loop.unwatch(0)
            self._orphaned()

    def _watch_launcher(self) -> None:
        """Notice the end of the launcher even if another process holds its end of standard input."""
        launcher = self._settings.launcher
        if launcher == os.getppid() and hasattr(os, "pidfd_open"):
            try:
                descriptor = os.pidfd_open(launcher)
            except OSError:
                # An old system, or a sandbox: only the end of standard input is noticed.
                return

            def ended() -> None:
                self._loop.unwatch(descriptor)
                self._orphaned()

            self._loop.watch(descriptor, ended)

    def _orphaned(self) -> None:
        if not self._settings.detached:
            self._drain_seconds = min(self._drain_seconds, _ORPHANED_SECONDS)
            self.shut_down("its launcher ended")


def serve(line: bytes, process: RunnerProcess, start: Callable[[], RunnerProcess]) -> int:
    """Run a kernel with the settings in `line` until it is shut down; return the exit status."""
    try:
        settings = msgspec.json.decode(line, type=Settings)
        kernel_process = KernelProcess(settings, process, start)
    except (msgspec.DecodeError, OSError) as error:
        if isinstance(error, msgspec.DecodeError):
            report(f"cannot read the settings: {error}")
        else:
            report(f"cannot start: {f'{error.filename}: {error.strerror}' if error.filename else error}")
        process.kill()
        return 2
    kernel_process.run()
    return 0


def _announce(line: bytes) -> None:
    """Write one line to standard output and redirect it, so that nothing else is written there."""
    try:
        os.write(1, line + b"\n")
    except OSError as error:
        report(f"cannot write the connection to standard output: {error.strerror}")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _wake_up() -> None:
    """Wake the loop, whose turn does the work."""


def _ignore(number: int, frame: object) -> None:
    """Handle a signal that only has to wake the loop."""
