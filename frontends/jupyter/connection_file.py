"""Jupyter's connection file, which a server writes for the kernel that it is about to start.

This is not cellwire's own connection file (`protocol/connection.py`): here the launcher chooses the
addresses, and the kernel binds them.
"""

import os
from typing import Literal, TypeAlias, get_args

import msgspec

from ...protocol.errors import ConnectionFileError

Channel: TypeAlias = Literal["hb", "control", "iopub", "stdin", "shell"]
#: All channels, the most urgent first.
CHANNELS: tuple[Channel, ...] = get_args(Channel)

_SCHEME = "hmac-"


class ConnectionFile(msgspec.Struct, frozen=True):
    """The addresses and the keys of one kernel."""

    hb_port: int
    control_port: int
    iopub_port: int
    stdin_port: int
    shell_port: int
    #: An address of this machine; with `ipc`, the beginning of a path.
    ip: str = "127.0.0.1"
    transport: Literal["tcp", "ipc"] = "tcp"
    #: The key that signs messages; empty if they are not signed.
    key: str = ""
    signature_scheme: str = "hmac-sha256"
    #: The kernel's CURVE key pair, which clients use as well; empty for no encryption.
    curve_publickey: str = ""
    curve_secretkey: str = ""

    @property
    def ports(self) -> dict[Channel, int]:
        """The ports; with `ipc`, the numbers at the end of the paths."""
        return {channel: getattr(self, f"{channel}_port") for channel in CHANNELS}

    @property
    def digest(self) -> str:
        """The name of the hash function of the signatures."""
        return self.signature_scheme.removeprefix(_SCHEME)

    @property
    def encrypted(self) -> bool:
        """Whether clients encrypt."""
        return bool(self.curve_publickey and self.curve_secretkey)

    def address(self, channel: Channel) -> str:
        """Return the address that ZeroMQ binds for a channel."""
        port = self.ports[channel]
        if self.transport == "ipc":
            return f"ipc://{self.ip}-{port}"
        return f"tcp://[{self.ip}]:{port}" if ":" in self.ip else f"tcp://{self.ip}:{port}"


def read_connection_file(path: str | os.PathLike[str]) -> ConnectionFile:
    """Return what `path` holds.

    Raises: ConnectionFileError if there is no such file, or it is not one of Jupyter's connection files.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as content:
            file = msgspec.json.decode(content.read(), type=ConnectionFile)
    except OSError as error:
        raise ConnectionFileError(
            f"cannot read {name}: {error.strerror}. A Jupyter server or client writes this file and then "
            "starts the kernel"
        ) from error
    except msgspec.DecodeError as error:
        raise ConnectionFileError(f"{name} is not a connection file of Jupyter: {error}") from error
    if not file.signature_scheme.startswith(_SCHEME):
        raise ConnectionFileError(
            f"{name} wants signatures by {file.signature_scheme!r}; cellwire knows hmac-sha256 and the like"
        )
    if bool(file.curve_publickey) != bool(file.curve_secretkey):
        raise ConnectionFileError(f"{name} has one key of a CURVE key pair without the other")
    channels: dict[int, Channel] = {}
    for channel, port in file.ports.items():
        # ZeroMQ binds some port for any number, which no client would find.
        if file.transport == "tcp" and not 0 < port < 1 << 16:
            raise ConnectionFileError(f"{name} gives {port} for {channel}_port, which is no port")
        if port in channels:
            raise ConnectionFileError(
                f"{name} gives {port} for both {channels[port]}_port and {channel}_port"
            )
        channels[port] = channel
    return file
