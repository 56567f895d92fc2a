"""A runner process as the operating system sees it: its descriptors, its guardian and how it ended.

Imports little, since starting the runner is the first thing that a kernel does. The runner leads a
session and process group of its own, which is killed as a whole. It inherits from the kernel that SIGINT
is ignored, until it installs its own handler, so an early interrupt is harmless. Both share a file without
a name that outlives the process: its first page says what is interrupted (see `link.interrupt_word`), and
after that the runner's `faulthandler` writes its trace.

The guardian is a shell in a session of its own that holds the reading end of a pipe whose only writing
end is the kernel's. If the pipe ends without a word, the kernel was killed, and the guardian kills the
group.
"""

import mmap
import os
import signal
import socket
import sys
from collections.abc import Sequence

from ..protocol.link import interrupt_word
from .descriptors import restore_limit

#: The command of a runner, to which the descriptors of both links and of the shared file are appended. `-u`
#: also leaves C's own streams without a buffer, which could hold text past its cell and lose it in a crash.
COMMAND = (sys.executable, "-P", "-u", "-m", "cellwire.runner")

_GUARD = 'read -r word; [ "$word" = done ] || kill -9 "-$1"'
_SHELL = "/bin/sh"
#: Pipe capacity where it can be set; bytes of a trace that are read.
_PIPE = 256 * 1024
_TRACE = 64 * 1024
_F_SETPIPE_SZ = 1031
#: Signals that this process may ignore; the runner starts with their default action.
_DEFAULT = [signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM]


class RunnerProcess:
    """A process that was started and not waited for."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.link, linked = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control, controlled = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stdout, out = _pipe()
        self.stderr, err = _pipe()
        self._shared = _unnamed_file()
        self._page = mmap.mmap(self._shared, mmap.PAGESIZE)
        self._word = memoryview(self._page).cast("Q")
        # The run that was interrupted last, how often it was, and how many interrupts there were.
        self._interrupted = (0, 0)
        self._interrupts = 0
        null = os.open(os.devnull, os.O_RDONLY)
        inherited = (linked.fileno(), controlled.fileno(), self._shared)
        try:
            for fd in inherited:
                os.set_inheritable(fd, True)
            self.pid = _spawn([*command, *map(str, inherited)], {0: null, 1: out, 2: err})
            restore_limit(self.pid)
        except OSError:
            self._close()
            raise
        finally:
            linked.close()
            controlled.close()
            for fd in (null, out, err):
                os.close(fd)
        os.set_inheritable(self._shared, False)
        self.link.setblocking(False)
        self.control.setblocking(False)
        self._killed = False
        self._guardian, self._guarded = _guard(self.pid)

    def interrupt(self, run: int) -> None:
        """Say that `run` is interrupted and send SIGINT to the runner, and to it alone."""
        before, times = self._interrupted
        self._interrupted = (run, times + 1 if run == before else 1)
        self._interrupts += 1
        self._word[0] = interrupt_word(*self._interrupted, self._interrupts)
        try:
            os.kill(self.pid, signal.SIGINT)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """Kill the runner and everything in its process group."""
        self._killed = True
        self._kill_group()

    def poll(self) -> int | None:
        """Return the wait status if the process has ended, and kill its group; `None` if it has not."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._kill_group()
        return status

    def reason(self, status: int) -> str:
        """Return how the process ended, given its wait status, and the trace that it left."""
        return describe_exit(status, killed=self._killed) + self.trace()

    def trace(self) -> str:
        """Return what the runner's faulthandler wrote, after an empty line; empty if it wrote nothing."""
        text = os.pread(self._shared, _TRACE, mmap.PAGESIZE).decode("utf-8", "replace").rstrip()
        return f"\n\n{text}" if text else ""

    def close(self) -> int:
        """Close all descriptors and dismiss the guardian; return its pid, to be waited for."""
        try:
            os.write(self._guarded, b"done\n")
        except BrokenPipeError:
            # The guardian was killed.
            pass
        os.close(self._guarded)
        self._close()
        return self._guardian

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # No process is left; macOS raises PermissionError if only zombies are.
            pass

    def _close(self) -> None:
        self.link.close()
        self.control.close()
        self._word.release()
        self._page.close()
        for fd in (self.stdout, self.stderr, self._shared):
            os.close(fd)


def describe_exit(status: int, *, killed: bool = False) -> str:
    """Return a sentence about a wait status; `killed` says whether this kernel killed the process."""
    if not os.WIFSIGNALED(status):
        return f"the runner ended with exit status {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = ""
    if number == signal.SIGKILL and not killed:
        hint = ", from another process or from the system because memory ran out"
    return f"the runner was killed by {name}{hint}"


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe: reading never blocks, and it is large where the system allows."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(writing, _F_SETPIPE_SZ, _PIPE)
        except OSError:
            pass
    return reading, writing


def _unnamed_file() -> int:
    """Return a file of one empty page, after which the next byte is written."""
    if sys.platform == "linux":
        fd = os.memfd_create("cellwire-runner")
    else:
        import tempfile

        fd, path = tempfile.mkstemp(prefix="cellwire-runner-")
        os.unlink(path)
    os.ftruncate(fd, mmap.PAGESIZE)
    os.lseek(fd, 0, os.SEEK_END)
    return fd


def _spawn(argv: list[str], standard: dict[int, int]) -> int:
    """Start the program at the path `argv[0]` in a session of its own, with these standard descriptors."""
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in standard.items()]
    try:
        return os.posix_spawn(
            argv[0], argv, os.environ, file_actions=actions, setsid=True, setsigdef=_DEFAULT
        )
    except NotImplementedError:
        # This system's posix_spawn cannot start a session; the group is what is needed.
        return os.posix_spawn(
            argv[0], argv, os.environ, file_actions=actions, setpgroup=0, setsigdef=_DEFAULT
        )


def _guard(group: int) -> tuple[int, int]:
    """Start the guardian of a process group; return its pid and the writing end of its pipe."""
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        pid = _spawn([_SHELL, "-c", _GUARD, "guardian", str(group)], {0: reading, 1: null, 2: null})
    finally:
        os.close(reading)
        os.close(null)
    return pid, writing
