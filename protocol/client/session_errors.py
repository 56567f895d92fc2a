"""The errors that end a session, or that keep it from beginning."""

from ..connection import Connection
from ..errors import AuthenticationError, CellwireError, ConnectionFileError, KernelDied, ProtocolError
from ..messages import PROTOCOL, Error, Welcome


def closed() -> KernelDied:
    """Return the error of calls after the client was closed."""
    return KernelDied("this client is closed")


def shut_down(reason: str) -> str:
    """Return why calls end when the kernel has shut down in order."""
    return f"the kernel has shut down{': ' * bool(reason)}{reason}"


def lost(connection: Connection) -> str:
    """Return why calls end when the connection stays lost."""
    return (
        f"the connection to the kernel (process {connection.pid}) is lost: the process has ended, or no "
        f"longer accepts connections at {connection.endpoint}"
    )


def wrong_key(connection: Connection) -> AuthenticationError:
    """Return the error for a kernel that never accepted a connection."""
    return AuthenticationError(
        f"the kernel at {connection.endpoint} refuses the key, or is not the kernel that the connection file "
        f"{connection.file} names. Use the file of a running kernel"
    )


def unusable(connection: Connection, reason: str) -> ConnectionFileError:
    """Return the error for an address or a key that is none."""
    return ConnectionFileError(
        f"cannot connect to {connection.endpoint!r} with the keys of {connection.file}: {reason.lower()}. "
        "An endpoint is like tcp://127.0.0.1:5555; copy the connection file of a running kernel as it is"
    )


def refusal(error: Error) -> CellwireError:
    """Return the error for a kernel that does not greet this client."""
    if error.code == "closing":
        return KernelDied(f"the kernel is shutting down: {error.message}")
    return ProtocolError(f"the kernel refuses the session: {error.message} ({error.code}). {error.hint}")


def check_welcome(welcome: Welcome, connection: Connection) -> None:
    """Return if this client can work with the kernel that sent `welcome`.

    Raises: ProtocolError if it speaks another protocol; KernelDied if it is not the kernel of `connection`.
    """
    if welcome.protocol != PROTOCOL:
        where = "here" if welcome.protocol > PROTOCOL else "where the kernel runs"
        speaks = f"the kernel (cellwire {welcome.version}) speaks protocol {welcome.protocol}"
        raise ProtocolError(f"{speaks} and this client {PROTOCOL}. Install a newer cellwire {where}")
    if welcome.epoch != connection.epoch:
        raise KernelDied(
            f"the kernel of {connection.file or connection.endpoint} has ended, and another one answers at "
            "its address. Connect with that kernel's own connection file"
        )
