"""A notebook driven through the engine alone, in this process."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from cellwire.protocol import events as e
from cellwire.protocol.notebook import CellState, Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.engine import Engine
from support.thread_place import CLIENT, Workers, thread_places
from support.waiting import PATIENCE

T = TypeVar("T")


class Book:
    """An engine, the events that it has emitted, and a frontend's replica made of them."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Any] = []
        self.replica = Notebook()
        self.engine = Engine(self._receive, **options)
        self._runner = asyncio.Runner()

    def _receive(self, event: Any) -> None:
        self.events.append(event)
        apply(self.replica, event)

    def do(self, action: Coroutine[Any, Any, T]) -> T:
        """Carry out `action` on this book's event loop, with a time limit; forget older events."""

        async def within_limit() -> T:
            async with asyncio.timeout(PATIENCE):
                return await action

        self.events.clear()
        return self._runner.run(within_limit())

    def run(self, cells: Any = None) -> e.RunFinished:
        return self.do(self.engine.run(cells))

    def run_stale(self) -> e.RunFinished:
        return self.do(self.engine.run_stale())

    def sync(self, cells: Any) -> e.RunFinished:
        return self.do(self.engine.sync(cells))

    def delete(self, *cells: str) -> e.RunFinished:
        return self.do(self.engine.delete(cells))

    def disable(self, *cells: str) -> e.RunFinished:
        return self.do(self.engine.configure(cells, disabled=True))

    def enable(self, *cells: str) -> e.RunFinished:
        return self.do(self.engine.configure(cells, disabled=False))

    def mode(self, mode: Any) -> e.RunFinished:
        return self.do(self.engine.set_mode(mode))

    def close(self) -> None:
        self._runner.close()
        assert msgspec.msgpack.encode(self.replica) == msgspec.msgpack.encode(self.engine.notebook)

    # What is seen of it

    def __getitem__(self, cell: str) -> CellState:
        return self.replica.cells[cell]

    @property
    def globals(self) -> dict[str, Any]:
        return self.engine.globals

    @property
    def ran(self) -> list[str]:
        """The cells that the last action has run, in order of their start."""
        return [event.cell for event in self.events if type(event) is e.CellStarted]

    @property
    def stale(self) -> list[str]:
        return [id for id, cell in self.replica.cells.items() if cell.stale]

    @property
    def statuses(self) -> dict[str, str]:
        return {id: cell.status for id, cell in self.replica.cells.items()}

    def texts(self, cell: str) -> list[str]:
        return [item.data["text/plain"] for item in self[cell].outputs]

    def emitted(self, kind: type[T], **fields: Any) -> list[T]:
        """Return the last action's events of `kind` whose `fields` are as given."""
        return [
            event
            for event in self.events
            if type(event) is kind and all(getattr(event, name) == value for name, value in fields.items())
        ]


@pytest.fixture
def make_book() -> Iterator[Callable[..., Book]]:
    """Return a function that opens a notebook; at the end each must equal its replica."""
    books: list[Book] = []

    def make(**options: Any) -> Book:
        books.append(Book(**options))
        return books[-1]

    yield make
    for book in books:
        book.close()


@pytest.fixture
def workers() -> Iterator[Callable[[], Workers]]:
    """Return a function that returns the workers of the notebook."""
    with thread_places() as newest:
        yield newest


@pytest.fixture
def threads_book(make_book: Callable[..., Book], workers: object) -> Book:
    """Return a notebook with a client of a place whose workers are threads."""
    book = make_book(redefine="allow")
    book.run([CLIENT])
    return book


@pytest.fixture
def book(make_book: Callable[..., Book]) -> Book:
    """Return an empty notebook in autorun mode."""
    return make_book()
