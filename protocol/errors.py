"""Exceptions that cellwire raises in a frontend.

CellwireError
├── ProtocolError        a peer broke the protocol
├── ConnectionFileError  a connection file is missing, unreadable or something else
├── AuthenticationError  the kernel refused the key
├── KernelDied           the kernel process ended
├── EventsLost           a reader of events was too slow for its buffer
├── RequestError         the kernel refused a request; carries `code` and `hint`
└── NotebookFileError    a notebook file cannot be read
"""

from typing import Final

#: What is said of a client in the child of a fork, where ZeroMQ's threads and those of clients are gone.
FORKED: Final = "a client works in the process that made it; connect again in a forked child"


class CellwireError(Exception):
    """Raised when cellwire itself cannot do what was asked; base class of all others."""


class ProtocolError(CellwireError):
    """Raised when a peer sent something that the protocol does not allow."""


class ConnectionFileError(CellwireError):
    """Raised when a connection file is missing, unreadable or not a connection file."""


class AuthenticationError(CellwireError):
    """Raised when the kernel refuses the key, or is not the kernel of the connection file."""


class KernelDied(CellwireError):
    """Raised when the kernel process has ended or can no longer be reached."""


class EventsLost(CellwireError):
    """Raised when a reader of `events()` is too slow for its buffer; the replica is not affected."""


class RequestError(CellwireError):
    """Raised when the kernel refuses a request, which then changed nothing."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({code}){': ' + hint if hint else ''}")
        #: One of `messages.ErrorCode`.
        self.code: str = code
        self.message: str = message
        #: What to do instead; may be empty.
        self.hint: str = hint


class NotebookFileError(CellwireError):
    """Raised when a notebook file is missing, unreadable or does not parse."""
