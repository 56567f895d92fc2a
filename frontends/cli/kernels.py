"""Kernels that keep running after a command has ended: naming, listing, finding and stopping them.

`run --keep` starts a kernel with a name and leaves it running. `ps` lists the running kernels of this user on
this machine, including those that other frontends started. `attach` and `stop` take a name, a process id, or
the path of a connection file, which may come from another machine.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from ...protocol.connection import Connection, read_connection_file
from ...protocol.errors import CellwireError
from ..notebook_files.load import NotebookFile

#: Seconds that a stopped kernel may take to disappear.
_GONE_SECONDS = 10.0


class _Listed(msgspec.Struct, frozen=True):
    """What `ps --json` prints of a kernel: no keys."""

    name: str
    pid: int
    notebook: str
    connection_file: str


def spell_out_keep(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which `--keep` without a name is `--keep=`.

    The next argument is the name unless it is an option or a notebook: `--keep nb.py`, `--keep sums nb.py`.
    """
    spelled = list(arguments)
    for place, argument in enumerate(spelled):
        if argument == "--":
            break
        following = spelled[place + 1 : place + 2]
        if argument == "--keep" and (
            not following or following[0].endswith((".py", ".ipynb")) or following[0][:1] == "-"
        ):
            spelled[place] = "--keep="
    return spelled


def add_kernel_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of a command that starts a kernel."""
    group.add_argument(
        "--keep", metavar="[NAME]", help="leave the kernel running under a name, by default the notebook's"
    )
    group.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="be reached on tcp, at an address of this machine such as 127.0.0.1 or 192.0.2.7:5555",
    )
    group.add_argument("--connection-file", default="", metavar="FILE", help="where to write the connection")


def kernel_options(options: argparse.Namespace, notebook: NotebookFile) -> dict[str, Any]:
    """Return the arguments of `launch_kernel` that these options ask for.

    Raises: CellwireError if the name of a kernel to be kept cannot be used.
    """
    path = notebook.path if os.path.exists(notebook.path) else ""
    started: dict[str, Any] = {"notebook": path, "connection_file": options.connection_file}
    if options.keep is not None:
        started |= {"detached": True, "name": _name_to_keep(options.keep or notebook.name)}
    if options.listen:
        started |= {"transport": "tcp", "address": options.listen}
    return started


def _name_to_keep(name: str) -> str:
    """Return the name of a kernel to be kept.

    Raises: CellwireError if a kernel with that name runs.
    """
    if _is_path(name):
        raise CellwireError(
            f"{name!r} would be the path of a connection file: give a name without / and .json"
        )
    for connection in _running():
        if connection.name == name:
            raise CellwireError(
                f"a kernel named {name!r} runs already (process {connection.pid}): end it with "
                f"`cellwire stop {shlex.quote(name)}`, or give this one another name: --keep NAME"
            )
    return name


def remark(name: str) -> str:
    """Return what a command prints when it leaves a kernel running."""
    quoted = shlex.quote(name)
    return (
        f"the kernel keeps running: `cellwire attach {quoted}` follows it, `cellwire stop {quoted}` ends it"
    )


def find(which: str) -> Connection:
    """Return how to reach the kernel that `which` names: by its name, process id or connection file.

    Raises: CellwireError if there is no such kernel, or several have the name.
    """
    if _is_path(which):
        return read_connection_file(which)
    running = _running()
    found = [one for one in running if which in (one.name, str(one.pid))]
    if len(found) == 1:
        return found[0]
    if found:
        pids = " or ".join(str(one.pid) for one in found)
        raise CellwireError(f"{len(found)} kernels are named {which!r}: give the process id, {pids}")
    if os.path.exists(which):
        return read_connection_file(which)
    names = ", ".join(one.name or str(one.pid) for one in running)
    raise CellwireError(
        f"no kernel named {which!r} runs here, and there is no such connection file; "
        + (f"these run: {names}" if names else "no kernel runs")
    )


def _running() -> list[Connection]:
    # This loads zmq, which `graph` does without.
    from ...kernel.running_kernels import running_kernels

    return running_kernels()


def _is_path(which: str) -> bool:
    return os.sep in which or which.endswith(".json")


def ps(options: argparse.Namespace) -> int:
    """List the running kernels."""
    listed = [_Listed(one.name, one.pid, one.notebook, one.file) for one in _running()]
    if options.json:
        sys.stdout.writelines(msgspec.json.encode(one).decode() + "\n" for one in listed)
        return 0
    rows = [
        ("NAME", "PID", "NOTEBOOK"),
        *((one.name or "-", str(one.pid), one.notebook or "-") for one in listed),
    ]
    wide, narrow = (max(len(row[column]) for row in rows) for column in (0, 1))
    sys.stdout.writelines(f"{name:<{wide}}  {pid:>{narrow}}  {notebook}\n" for name, pid, notebook in rows)
    return 0


def stop(options: argparse.Namespace) -> int:
    """Shut kernels down and return when they are gone."""
    import anyio

    for which in options.kernels:
        anyio.run(_stop, find(which), options.endpoint)
    return 0


async def _stop(connection: Connection, endpoint: str) -> None:
    import anyio

    from ...protocol.client.launch import connect

    async with connect(connection, endpoint=endpoint) as kernel:
        await kernel.shutdown()
    # The last thing a kernel does is to remove its files.
    with anyio.move_on_after(_GONE_SECONDS):
        while any(one.epoch == connection.epoch for one in _running()):
            await anyio.sleep(0.01)
