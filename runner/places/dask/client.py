"""The runner's side of a Dask place: submits cells, receives reports, fetches values, interrupts.

Reports arrive on the thread of the client's loop. A cell's task returns nothing. What the cell defines
becomes data of its worker that belongs to no task, so Dask never computes it again by itself.
"""

import logging
import os
import pickle
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from dask.sizeof import sizeof

from ....protocol.notebook import CellError
from ....version import __version__
from ...api.remote_states import sending
from ..place import (
    INLINE_BYTES,
    Began,
    CannotFetch,
    CannotSend,
    Ended,
    Flight,
    Input,
    Pickled,
    Place,
    Referred,
    Report,
    Summary,
    Task,
)
from . import internals, worker
from .boxes import Held, cannot_send

#: How many seconds after its task a cell's own report of its end may arrive.
_LATE = 5.0

# The scheduler may lack cellwire.
internals.register_by_value(internals)
_decode = msgspec.msgpack.Decoder(Report).decode
_encode = msgspec.msgpack.Encoder().encode
_AGAIN = "run the cell that makes the client again"

_MEMORY = "its nanny ended it, since it used too much memory"


class DaskPlace(Place):
    """The cluster that a `distributed.Client` is connected to."""

    def __init__(self, client: Any) -> None:
        super().__init__(os.urandom(4).hex())
        if not hasattr(client, "scheduler") or client.asynchronous:
            raise CannotSend(
                f"{type(client).__qualname__} is not a client of a cluster that cells can run on",
                "use distributed.Client(...) without `asynchronous=True`",
            )
        self._client = client
        self._topic = f"cellwire-{self.notebook}"
        self._checked = False
        self._count = 0
        self._flights: dict[tuple[str, int], Flight] = {}
        self._futures: dict[Flight, Any] = {}
        # The last run of each cell that has ended; its threads may still write.
        self._ended: dict[str, Flight] = {}
        # The values that cells defined, by key, as long as something needs them.
        self._values: WeakValueDictionary[str, Any] = WeakValueDictionary()
        # A closed client no longer knows it.
        self._address: str = getattr(client.scheduler, "address", "(closed)")
        # Why nannies ended their workers, by address.
        self._reasons: dict[str, str] = {}
        self.check()
        client.subscribe_topic(self._topic, self._receive)
        client.subscribe_topic("worker-restart-memory", self._note_memory)
        try:
            client.register_plugin(internals.Relay())
        except Exception as error:
            raise CannotSend(
                f"the scheduler {self._address} refuses cellwire's plugin: {type(error).__name__}: {error}",
                "without it a crash could run a cell several times: make the scheduler allow plugins",
            ) from error

    def check(self) -> None:
        if self._client.status != "running":
            raise CannotSend(f"there is no connection to {self._address} ({self._client.status})", _AGAIN)
        if self._checked:
            return
        try:
            found: dict[str, Any] = self._client.run(worker.describe, on_error="return")
        except Exception as error:
            raise CannotSend(f"the workers of {self._address} do not answer: {error}", _AGAIN) from error
        ours = __version__, sys.version_info[:2]
        for where, theirs in found.items():
            if isinstance(theirs, Exception):
                # Dask hands on the text of what it could not unpickle.
                if "ModuleNotFoundError" in repr(theirs) and "cellwire" in str(theirs):
                    raise CannotSend(
                        f"the worker {where} has no cellwire",
                        "pip install 'cellwire[dask]' where the workers are",
                    )
                raise CannotSend(f"the worker {where} failed: {type(theirs).__name__}: {theirs}")
            if tuple(theirs) != ours:
                told = [f"cellwire {v} on Python {p[0]}.{p[1]}" for v, p in (theirs, ours)]
                raise CannotSend(
                    f"the worker {where} has {told[0]}, and the notebook {told[1]}",
                    "use the same versions on the workers and here",
                )
        self._checked = bool(found)

    def slots(self) -> int:
        internals.renew_identity(self._client)
        return internals.threads_of(self._client)

    # Values

    def send(self, name: str, cell: str, value: object) -> tuple[Input, object]:
        log = logging.getLogger("distributed.protocol")
        disabled, log.disabled = log.disabled, True
        try:
            if sizeof(value) <= INLINE_BYTES:
                with sending():
                    data = internals.dumps(value)
                if len(data) <= INLINE_BYTES:
                    return Pickled(data), None
            with self._lock:
                self._count += 1
                key = f"cellwire-{self.notebook}-local-{name}-{self._count}"
            held = Held(value, name, cell, strict=True)
            return Referred(0), self._client.scatter({key: held}, hash=False)[key]
        except Exception as error:
            raise cannot_send(name, cell, value, error) from None
        finally:
            log.disabled = disabled

    def fetch(self, refs: Sequence[Any]) -> list[Any]:
        there = [ref for ref in refs if self.is_there(ref)]
        try:
            got: list[Any] = self._client.gather(there, errors="skip") if there else []
        except Exception as error:
            return [CannotFetch(f"{type(error).__name__}: {error}", _AGAIN) for _ in refs]
        # Values that failed are left out of the list.
        by_key: dict[Any, Any] = {}
        if len(got) == len(there):
            by_key = {ref.key: held for ref, held in zip(there, got, strict=True)}
        elif len(there) > 1:
            by_key = {ref.key: Held(self.fetch([ref])[0], "", "") for ref in there}
        found: list[Any] = []
        for ref in refs:
            held = by_key.get(ref.key)
            value = held.value if held is not None else CannotFetch("it is lost", "run its cell again")
            found.append(CannotFetch(value.message, value.hint) if isinstance(value, CannotSend) else value)
        return found

    def is_there(self, ref: Any) -> bool:
        return ref.status not in ("lost", "cancelled", "error")

    def reference(self, summary: Summary) -> object:
        future = self._values[summary.key] = internals.finish_future(self._client, summary.key)
        return future

    def unpickle(self, data: bytes) -> Any:
        return pickle.loads(data)

    # Cells

    def start(self, flight: Flight, task: Task, refs: list[Any]) -> None:
        self._flights[task.cell, task.run] = flight
        payload = _encode(worker.Payload(task, self._client.id, self._topic))
        future = self._client.submit(
            internals.execute,
            payload,
            *refs,
            key=f"{task.cell}-{self.notebook}.{task.run}",
            pure=False,
            retries=0,
            priority=-flight.number,
        )
        self._futures[flight] = future
        future.add_done_callback(partial(self._on_done, flight))

    def strike(self, flight: Flight) -> None:
        future = self._futures.get(flight)
        task = flight.task
        if flight.where:
            arguments = (self.notebook, task.cell, task.run)
            internals.tell(self._client, worker.interrupt_cell, *arguments, workers=[flight.where])
        elif future is not None:
            future.cancel()

    def kill(self, flight: Flight) -> None:
        if flight.where:
            internals.tell(self._client, worker.kill_worker, workers=[flight.where], nanny=True)

    def retire(self, cell: str, run: int, where: str) -> None:
        self._ended.pop(cell, None)
        if self._client.status == "running":
            internals.tell(self._client, worker.retire_cell, self.notebook, cell, run, workers=[where])

    def finish(self, flight: Flight, ended: Ended) -> None:
        self._flights.pop((flight.task.cell, flight.task.run), None)
        if ended.where:
            self._ended[flight.task.cell] = flight
        super().finish(flight, ended)
        future = self._futures.pop(flight, None)
        if future is not None:
            future.release()

    # Reports, on the thread of the client's loop

    def _receive(self, event: Any) -> None:
        reports: Any = event[1]
        if isinstance(reports, dict):
            self._note_lost(event[1])
            return
        for data in reports:
            report = _decode(bytes(data))
            flight = self._flights.get((report.cell, report.run))
            if flight is None:
                # A thread of a cell that has ended may still write.
                flight = self._ended.get(report.cell)
                if flight is not None and flight.task.run == report.run and not isinstance(report, Ended):
                    flight.report(report)
            elif isinstance(report, Ended):
                self.finish(flight, report)
            else:
                if isinstance(report, Began):
                    flight.where = report.where
                    if flight.interrupts:
                        self.strike(flight)
                flight.report(report)

    def _note_memory(self, event: Any) -> None:
        _, message = event
        self._reasons[message.get("worker")] = _MEMORY

    def _note_lost(self, message: dict[str, Any]) -> None:
        """Note that a worker is gone, and values with it."""
        where = message["where"]
        reason = self._reasons.pop(where, "")
        for flight in self.open_flights():
            if flight.where == where:
                self.finish(flight, self._ended_by_death(flight, reason))
        refs = {self._values[key] for key in message["lost"] if key in self._values}
        if refs:
            self.lost(refs, where, reason)

    def _ended_by_death(self, flight: Flight, reason: str = "") -> Ended:
        task, error = flight.task, worker.died(flight.where or "")
        if flight.interrupts:
            said = f"interrupted by ending the worker {flight.where} that ran it"
            error = CellError("Interrupted", said, hint="values that were only there are lost")
            return Ended(task.cell, task.run, "interrupted", error=error)
        if reason:
            hint = (
                "give the workers more memory, or work on less at a time" if reason == _MEMORY else error.hint
            )
            error = msgspec.structs.replace(error, message=f"{error.message}: {reason}", hint=hint)
        return Ended(task.cell, task.run, "error", error=error)

    def _on_done(self, flight: Flight, future: Any) -> None:
        """Note how the task of a cell ended, if the cell has not reported its end itself."""
        if flight.ended is not None:
            return
        task = flight.task
        if future.status == "finished":
            # Its reports travel another way, and may arrive later.
            self._client.loop.call_later(_LATE, self._give_up, flight)
        elif future.status == "error":
            error: Any = future.exception(timeout=_LATE)
            if type(error).__name__ == "KilledWorker":
                self.finish(flight, self._ended_by_death(flight))
            else:
                described = CellError(type(error).__name__, str(error))
                self.finish(flight, Ended(task.cell, task.run, "error", error=described))
        elif flight.interrupts:
            error = CellError("Interrupted", "interrupted before a worker confirmed that it had the cell")
            self.finish(flight, Ended(task.cell, task.run, "interrupted", error=error))
        else:
            self._give_up(flight)

    def _give_up(self, flight: Flight) -> None:
        what = f"the connection to {self._address} was lost while the cell ran there"
        error = CellError("ClusterLost", what, hint=_AGAIN)
        self.finish(flight, Ended(flight.task.cell, flight.task.run, "error", error=error))
