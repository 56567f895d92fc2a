"""Be a kernel for Jupyter: `python -P -m cellwire.frontends.jupyter [--lazy] -f CONNECTION_FILE`.

Clients connect at once, so first of all the kernel listens. The runner takes longest to start, so it is
started before anything slow is imported here. Kernelspecs call `main` with `-c`, since `-m` takes 3 ms.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # `signal` makes enumerations of its constants.
    import _signal as signal


def main(arguments: list[str] | None = None) -> int:
    """Serve until shut down and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if "-f" not in given[:-1]:
        sys.stderr.write("usage: python -P -m cellwire.frontends.jupyter [--lazy] -f CONNECTION_FILE\n")
        return 2
    if sys.platform == "win32":
        sys.stderr.write("cellwire: Windows is not supported; use WSL\n")
        return 2
    # For good, see `KernelProcess.run`; imports are a tenth faster without it.
    gc.disable()
    from .listening import listen_early

    path = given[given.index("-f") + 1]
    listening = listen_early(path)
    from ...kernel.process import RunnerProcess

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    process = RunnerProcess()
    from ...protocol.lean_imports import import_msgspec

    import_msgspec()
    from ...kernel.diagnostics import report
    from ...protocol.errors import ConnectionFileError

    try:
        from .channels import listen
        from .connection_file import read_connection_file

        file = read_connection_file(path)
        channels = listen(file, listening)
        from .door import serve

        serve(file, channels, process, RunnerProcess, lazy="--lazy" in given)
    except (ConnectionFileError, OSError, ValueError) as error:
        report(f"cannot start: {error}")
        process.kill()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
