"""A runner process as the operating system sees it: its descriptors, its guardian and how it ended.

Imports little, since starting the runner is the first thing that a kernel does. The runner leads a
session and process group of its own, which is killed as a whole. It inherits from the kernel that SIGINT
is ignored, until it installs its own handler, so an early interrupt is harmless. Both share a file without
a name that outlives the process: its first page says what is interrupted (see `interrupt_word`), and
after that the runner's `faulthandler` writes its trace.

The guardian is a shell in a session of its own that holds the reading end of a pipe whose only writing
end is the kernel's. If the pipe ends without the word `done`, the kernel was killed: the guardian kills the
group, and removes the files in the kernel's directory. It makes that its working directory when it learns of
it, and so removes nothing elsewhere, whatever happens to the path. A connection file elsewhere is removed if
it has the epoch of the kernel in it.
"""

import _socket
import mmap
import os
import sys
from collections.abc import Sequence
from functools import partial

from ..protocol.interrupt_word import interrupt_word
from .descriptors import restore_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # `signal` and `socket` make enumerations of their constants, which takes longer than all the rest here.
    import _signal as signal

#: The command of a runner, to which the descriptors of both links and of the shared file are appended. `-u`
#: also leaves C's own streams without a buffer, which could hold text past its cell and lose it in a crash.
COMMAND = (sys.executable, "-P", "-u", "-m", "cellwire.runner")

_GUARD = """
inode= file=
while read -r word path; do
    case $word in
        done) exit ;;
        epoch=*) epoch=${word#epoch=} file=$path ;;
        *) cd -- "$path" && inode=$word made=$path ;;
    esac
done
kill -9 "-$1"
[ "$file" ] && [ ! -h "$file" ] && grep -qsF "$epoch" "$file" && rm -f "$file"
[ "$inode" ] && [ "$(ls -di . | tr -dc 0-9)" = "$inode" ] || exit
rm -f socket .[0-9]* connection.json && rmdir -- "$made"
"""
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
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for make in (_sockets, _sockets, _pipe, _pipe):
                end, its_end = make()
                ours.append(end)
                theirs.append(its_end)
            ours.append(_unnamed_file())
            theirs.append(os.open(os.devnull, os.O_RDONLY))
            link, control, self.stdout, self.stderr, self._shared = ours
            linked, controlled, out, err, null = theirs
            inherited = (linked, controlled, self._shared)
            for fd in inherited:
                os.set_inheritable(fd, True)
            self.pid = _spawn([*command, *map(str, inherited)], {0: null, 1: out, 2: err})
            # Only the runner may hold its ends, or the kernel would not see that they are closed.
            while theirs:
                os.close(theirs.pop())
            os.set_inheritable(self._shared, False)
            restore_limit(self.pid)
            self._guardian, self._guarded = self._guard()
        except OSError:
            for fd in (*ours, *theirs):
                os.close(fd)
            raise
        from socket import socket

        self.link, self.control = socket(fileno=link), socket(fileno=control)
        self.link.setblocking(False)
        self.control.setblocking(False)
        self._killed = False
        self._page = mmap.mmap(self._shared, mmap.PAGESIZE)
        self._word = memoryview(self._page).cast("Q")
        # The run that was interrupted last, how often it was, and how many interrupts there were.
        self._interrupted = (0, 0)
        self._interrupts = 0

    def guard_files(self, directory: str, file: str, epoch: str) -> None:
        """Have the guardian remove the kernel's directory and its connection file if the kernel is killed.

        The file may be elsewhere; it is removed if it is still that of the kernel with this epoch.
        """
        for word, path in ((f"epoch={epoch}", file), (None, directory)):
            if "\n" not in path:
                try:
                    word = word or str(os.stat(path).st_ino)
                    os.write(self._guarded, os.fsencode(f"{word} {path}\n"))
                except OSError:
                    # The guardian was killed, or the directory is gone.
                    pass

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
        self.link.close()
        self.control.close()
        self._word.release()
        self._page.close()
        for fd in (self.stdout, self.stderr, self._shared):
            os.close(fd)
        return self._guardian

    def _guard(self) -> tuple[int, int]:
        """Start the guardian; return its pid and the writing end of its pipe. Without one the runner ends."""
        ends: list[int] = []
        try:
            ends += os.pipe()
            ends.append(os.open(os.devnull, os.O_WRONLY))
            reading, writing, null = ends
            guardian = _spawn(
                [_SHELL, "-c", _GUARD, "guardian", str(self.pid)], {0: reading, 1: null, 2: null}
            )
            ends.remove(writing)
        except OSError:
            self._kill_group()
            os.waitpid(self.pid, 0)
            raise
        finally:
            for fd in ends:
                os.close(fd)
        return guardian, writing

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # No process is left; macOS raises PermissionError if only zombies are.
            pass


def describe_exit(status: int, *, killed: bool = False) -> str:
    """Return a sentence about a wait status; `killed` says whether this kernel killed the process."""
    if not os.WIFSIGNALED(status):
        return f"the runner ended with exit status {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    from signal import Signals

    try:
        name = Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = ""
    if number == signal.SIGKILL and not killed:
        hint = ", sent by another process, or by the system because memory ran out"
    return f"the runner was killed by {name}{hint}"


def _sockets() -> tuple[int, int]:
    """Return the ends of a socket pair."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return one.detach(), other.detach()


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
    spawn = partial(
        os.posix_spawn, argv[0], argv, os.environ, file_actions=actions, setsigdef=_DEFAULT, setsigmask=()
    )
    try:
        return spawn(setsid=True)
    except NotImplementedError:
        # This system's posix_spawn cannot start a session; the group is what is needed.
        return spawn(setpgroup=0)
