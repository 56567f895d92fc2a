"""How a kernel is reached: the settings it is started with and the connection file that it writes.

The launcher writes `Settings` as one line of JSON to the kernel's standard input and reads
`Connection` as one line of JSON from its standard output. The connection file has the same content;
it is created with mode 0600 after the kernel has bound its socket, so there is no port to race for
and no moment at which others can read it. Keys are z85 text and never in a command line or environment.
"""

import os
from typing import Literal

import msgspec

from .errors import ConnectionFileError
from .limits import Limits
from .notebook import Dialect, Mode, Redefine


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a kernel is started with."""

    #: `ipc`: a socket in a directory of mode 0700, same user only. `tcp`: `address`, with CURVE.
    transport: Literal["ipc", "tcp"] = "ipc"
    #: Where to write the connection file; empty for a file in the kernel's own directory.
    connection_file: str = ""
    #: Outlive the launcher: the kernel goes on when standard input closes.
    detached: bool = False
    limits: Limits = Limits()
    #: Whether several cells may define a name: see `launch_kernel`.
    redefine: Redefine = "error"
    #: The launcher's process id if it is the kernel's parent; 0 if not known. The kernel then notices the
    #: launcher's end even if another child of the launcher keeps the pipe to standard input open.
    launcher: int = 0
    #: What `sys.argv` is in the notebook, whose `__file__` is the first of it; empty for neither.
    argv: list[str] = []
    #: What cells are written in: see `launch_kernel`.
    dialect: Dialect = "python"
    #: Whether dependents run by themselves from the start.
    mode: Mode = "autorun"
    #: Functions, as `module:function`, that each runner calls with its host before the first cell.
    extensions: list[str] = []
    #: What people call the kernel, and the file of its notebook: for lists of kernels, may be empty.
    name: str = ""
    notebook: str = ""
    #: Where tcp listens: an address of this machine that frontends can reach, with `:port` for a fixed port.
    address: str = "127.0.0.1"


class KeyPair(msgspec.Struct, frozen=True):
    """A CURVE key pair, z85 text."""

    public: str
    secret: str


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a frontend needs to attach to a kernel."""

    endpoint: str
    epoch: str
    pid: int
    version: str
    #: The path of the connection file, which has this content.
    file: str
    #: CURVE: the kernel's public key and the client's pair; absent on ipc.
    server_key: str = ""
    client: KeyPair | None = None
    #: A pair that may watch and change nothing; absent on ipc.
    watcher: KeyPair | None = None
    #: As in the settings.
    name: str = ""
    notebook: str = ""


def read_connection_file(path: str | os.PathLike[str]) -> Connection:
    """Return the connection that `path` describes.

    Raises: ConnectionFileError if there is no such file, or it is not a connection file.
    """
    try:
        with open(path, "rb") as file:
            connection = msgspec.json.decode(file.read(), type=Connection)
    except OSError as error:
        raise ConnectionFileError(
            f"cannot read the connection file {os.fspath(path)}: {error.strerror}. Is the kernel running?"
        ) from error
    except msgspec.DecodeError as error:
        raise ConnectionFileError(
            f"{os.fspath(path)} is not a connection file of a cellwire kernel: {error}"
        ) from error
    # It may be a copy, of another machine's.
    return msgspec.structs.replace(connection, file=os.path.abspath(path))
