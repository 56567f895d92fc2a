"""A place whose workers are threads of this process, for tests of what places have in common.

`client = Workers(2)` in a cell stands for it. Values cross as they would between processes: pickled.
"""

import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import cloudpickle
from cellwire.protocol.messages import Cell
from cellwire.protocol.notebook import CellError
from cellwire.runner.api.remote_states import sending
from cellwire.runner.attribution import console
from cellwire.runner.attribution.streams import ConsoleStream
from cellwire.runner.places import find
from cellwire.runner.places.place import (
    INLINE_BYTES,
    Began,
    CannotFetch,
    CannotSend,
    Ended,
    Flight,
    Pickled,
    Place,
    Referred,
    Summary,
    Task,
)
from cellwire.runner.places.worker.cellhost import CellHost
from cellwire.runner.places.worker.process import install_streams

CLIENT = Cell("client", "from support.thread_place import Workers, signals\nclient = Workers(2)")


class Workers:
    """Stands for the place; a test may let go of cells one by one, and see what the place was asked."""

    made: "list[Workers]" = []

    def __init__(self, threads: int = 2) -> None:
        self.threads = threads
        self.connected = True
        #: What the place was asked, in order.
        self.sent: list[str] = []
        self.fetched: list[str] = []
        self.retired: list[str] = []
        self.values: dict[str, object] = {}
        self.place: ThreadPlace | None = None
        self.executed: list[str] = []
        Workers.made.append(self)

    def lose(self, *names: str) -> None:
        """Lose the values of these names, as if their worker had died."""
        lost = [key for key in self.values if key.rpartition("-")[2] in names]
        for key in lost:
            del self.values[key]
        assert self.place is not None
        self.place.lost(set(lost), "worker-0", "it was told to go")

    def kill(self, cell: str) -> None:
        """End the worker that executes `cell`."""
        assert self.place is not None
        for flight in self.place.open_flights():
            if flight.task.cell == cell:
                self.place.die(flight)


class ThreadPlace(Place):
    """The runner's end and the workers' end in one."""

    def __init__(self, workers: Workers) -> None:
        super().__init__("book")
        self.workers = workers
        workers.place = self
        if not isinstance(sys.stdout, ConsoleStream):
            # Not before: pytest replaces the streams when a test begins.
            install_streams()
        self._numbers = count()
        self.host = CellHost("worker-0", pickle=dumps, sizeof=sys.getsizeof, module_hint="install it there")

    def check(self) -> None:
        if not self.workers.connected:
            raise CannotSend(
                "there is no connection to the workers", "run the cell that makes the client again"
            )

    def slots(self) -> int:
        return self.workers.threads

    def start(self, flight: Flight, task: Task, refs: list[Any]) -> None:
        running = self.host.enter(task, flight.report)
        self.workers.executed.append(task.cell)

        def execute() -> None:
            inputs = [self.workers.values.get(ref, CannotFetch(f"{ref} is lost")) for ref in refs]
            flight.where = "worker-0"
            flight.report(Began(task.cell, task.run, time.time(), "worker-0"))
            ended = self.host.run(running, inputs, keep, lambda: flight.ended is None)
            self.finish(flight, ended)

        def keep(values: Any, summaries: list[Summary]) -> list[Summary]:
            kept: list[Summary] = []
            for summary in summaries:
                value = values[summary.name]
                if isinstance(value, type(sys)):
                    kept.append(Summary(summary.name, summary.type, summary.text, module=value.__name__))
                    continue
                key = f"{task.cell}.{task.run}-{next(self._numbers)}-{summary.name}"
                self.workers.values[key] = value
                kept.append(Summary(summary.name, summary.type, summary.text, summary.nbytes, key))
            return kept

        threading.Thread(target=execute, daemon=True).start()

    def strike(self, flight: Flight) -> None:
        self.host.interrupt(self.notebook, flight.task.cell, flight.task.run)

    def kill(self, flight: Flight) -> None:
        error = CellError("Interrupted", "interrupted by ending the worker that ran it")
        self.finish(flight, Ended(flight.task.cell, flight.task.run, "interrupted", error=error))

    def die(self, flight: Flight) -> None:
        error = CellError("WorkerDied", "the worker worker-0 that ran this cell has died")
        self.finish(flight, Ended(flight.task.cell, flight.task.run, "error", error=error, where="worker-0"))

    def send(self, name: str, cell: str, value: object) -> Any:
        self.workers.sent.append(name)
        try:
            data = dumps(value)
        except Exception as error:
            kind = type(value)
            raise CannotSend(
                f"`{name}` of cell {cell!r} cannot be sent: {kind.__qualname__} ({error})",
                f"make `{name}` in the cell that uses it",
            ) from None
        if len(data) <= INLINE_BYTES:
            return Pickled(data), None
        key = f"here-{next(self._numbers)}-{name}"
        self.workers.values[key] = pickle.loads(data)
        return Referred(0), key

    def fetch(self, refs: Any) -> list[Any]:
        found: list[Any] = []
        for ref in refs:
            self.workers.fetched.append(ref.rpartition("-")[2])
            if ref not in self.workers.values:
                found.append(CannotFetch(f"{ref} is lost", "run its cell again"))
                continue
            try:
                found.append(pickle.loads(dumps(self.workers.values[ref])))
            except Exception as error:
                found.append(CannotFetch(f"it does not pickle ({error})", "use it where it is"))
        return found

    def is_there(self, ref: Any) -> bool:
        return ref in self.workers.values

    def reference(self, summary: Summary) -> object:
        return summary.key

    def retire(self, cell: str, run: int, where: str) -> None:
        self.workers.retired.append(cell)
        self.host.retire(self.notebook, cell, run)

    def unpickle(self, data: bytes) -> Any:
        return pickle.loads(data)


def dumps(value: object) -> bytes:
    with sending():
        return cloudpickle.dumps(value)


@contextmanager
def thread_places() -> Iterator[Callable[[], Workers]]:
    """Let `Workers` stand for places; yields a function that returns the newest."""
    before = sys.stdout, sys.stderr, console._console
    find.makers["support"] = ThreadPlace
    Workers.made.clear()
    signals.clear()
    try:
        yield lambda: Workers.made[-1]
    finally:
        if isinstance(sys.stdout, ConsoleStream):
            sys.stdout, sys.stderr = before[:2]
        console._console = before[2]
        del find.makers["support"]
        # Cells that a failed test has left go on until then.
        signals.end()
        Workers.made.clear()


class Signals:
    """Events by name, for cells that have to meet: `signals["a"].set()`."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        #: What cells have to say.
        self.seen: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __getitem__(self, name: str) -> threading.Event:
        with self._lock:
            return self._events.setdefault(name, threading.Event())

    def __reduce__(self) -> str:
        return "signals"

    def clear(self) -> None:
        with self._lock:
            self._events.clear()
            self._over = threading.Event()

    def end(self) -> None:
        """Let all that wait for a signal, or look for `over`, go on."""
        self._over.set()
        for event in [*self._events.values()]:
            event.set()

    @property
    def over(self) -> bool:
        """Whether the test is over."""
        return self._over.is_set()


signals = Signals()
