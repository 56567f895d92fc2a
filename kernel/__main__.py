"""Run a kernel: `python -P -m cellwire.kernel`, with `connection.Settings` as a line on standard input.

The runner takes longest to start, so it is started before anything slow is imported here.
"""

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # `signal` makes enumerations of its constants.
    import _signal as signal

#: Longest line of settings, in bytes.
_LARGEST = 1 << 20


def main(command: list[str] | None = None) -> int:
    """Serve until shut down and return the exit status; `command` replaces the command of the runner."""
    if sys.platform == "win32":
        sys.stderr.write("cellwire kernel: Windows is not supported; use WSL\n")
        return 2
    # For good, see `KernelProcess.run`; imports are a tenth faster without it.
    gc.disable()
    from .process import COMMAND, RunnerProcess

    line, newline, _ = _read_line(0).partition(b"\n")
    if not newline:
        from .diagnostics import report

        report("no settings: write a line of JSON to standard input, `{}` for the defaults")
        return 2

    def start() -> RunnerProcess:
        return RunnerProcess(command or COMMAND)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Servers ignore SIGCHLD or block the signals that they wait for, and their children inherit that.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    process = start()
    from ..protocol.lean_imports import import_msgspec

    import_msgspec()
    from .kernel_process import serve

    return serve(line, process, start)


def _read_line(fd: int) -> bytes:
    """Return what `fd` holds, at least up to the end of a line; less only if the line never ends."""
    line = b""
    while b"\n" not in line and len(line) < _LARGEST:
        data = os.read(fd, 65536)
        if not data:
            break
        line += data
    return line


if __name__ == "__main__":
    sys.exit(main())
