"""What a peer must be able to do to be measured: one kernel and the frontend that drives it.

Each driver implements `Frontend` with the library that the peer itself offers to frontends, so that
the way from request to decoded result is the peer's own. The workloads in `measuring.py` are written
once, against this class.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self


class Unsupported(Exception):
    """Raised when a peer has nothing that corresponds to what is asked."""


class Frontend(ABC):
    """A kernel under measurement, seen from its frontend."""

    #: Statements that a cell needs before it can append and show.
    imports: str = ""
    #: A callable that adds a text to the output of the cell, and the class of threads that may.
    append: str
    thread: str = "threading.Thread"
    #: A callable from the bytes of a PNG to a value that a cell shows as an image.
    image: str
    #: Whether several cells may define a name.
    redefine = False
    #: Arguments of Python that run the notebook `{in}` and save it as `{out}`, by the name of the command.
    saving: ClassVar[dict[str, list[str]]] = {}
    #: Those that run the notebook `{in}` and follow its file.
    watching: ClassVar[list[str]] = []

    def __init__(self) -> None:
        #: Bytes that came from the kernel.
        self.received = 0
        #: How many output items had arrived when: `(seconds, items)`.
        self.arrivals: list[tuple[float, int]] = []

    @classmethod
    @abstractmethod
    async def launch(cls) -> Self:
        """Return a frontend of a new kernel that takes requests."""

    @abstractmethod
    async def begin(self, cells: dict[str, str]) -> None:
        """Ask for the cells to be run."""

    @abstractmethod
    async def finish(self) -> None:
        """Wait until all that was begun has ended and its last message is decoded."""

    async def run(self, cells: dict[str, str]) -> None:
        """Run the cells to their end."""
        await self.begin(cells)
        await self.finish()

    @abstractmethod
    def items(self) -> int:
        """Return how many output items have arrived."""

    @abstractmethod
    def characters(self) -> int:
        """Return how many characters of console text have arrived, kept or not."""

    @abstractmethod
    def failure(self) -> str:
        """Return what a cell failed with; empty if none has."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The kernel's process; those that it started count as well."""

    @abstractmethod
    async def close(self) -> None:
        """End the kernel."""

    @abstractmethod
    async def watch(self, cell: str) -> None:
        """Record in `arrivals` the items of `cell` as they come, until `finish` returns."""

    async def ping(self) -> None:
        """Send a control request, one that needs no user code, and take its answer."""
        raise Unsupported

    async def open_comm(self, target: str) -> None:
        """Open a comm with a target that a cell has registered."""
        raise Unsupported

    async def echo(self, number: int) -> None:
        """Send a message over the comm, and wait until it came back and the kernel has done with it."""
        raise Unsupported

    async def attach(self, count: int) -> None:
        """Attach frontends in processes of their own, which follow everything."""
        raise Unsupported

    async def settle(self, cell: str, items: int) -> None:
        """Wait until every attached frontend has `items` items of `cell`."""
        raise Unsupported

    async def join(self) -> int:
        """Attach a frontend, wait until it has everything, and return the bytes that it received."""
        raise Unsupported
