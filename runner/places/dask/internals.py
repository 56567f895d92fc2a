"""All uses of Dask's internals, in one place.

`Relay` is a plugin of the scheduler. It passes reports of workers on to their client without storing them. It
knows which cells have begun, so that none executes twice, and reports which values were lost with a worker.
The scheduler may not have cellwire installed, so `Relay` and `execute` travel by value and import none of it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import cloudpickle
from distributed import Future
from distributed.diagnostics.plugin import SchedulerPlugin


class Relay(SchedulerPlugin):
    """Passes reports on, and knows which cells have begun."""

    idempotent = True
    name = "cellwire-relay"

    async def start(self, scheduler: Any) -> None:
        """Add the messages of workers to those that the scheduler understands."""
        self.scheduler = scheduler
        # Where each cell began, by its key; the topics of each client, and the workers it has had.
        self.begun: dict[Any, str] = {}
        self.topics: dict[str, set[str]] = {}
        self.workers: dict[str, set[str]] = {}
        scheduler.stream_handlers["cellwire-report"] = self.report
        scheduler.handlers["cellwire_begin"] = self.begin

    def send(self, client: str, topic: str, event: Any) -> None:
        """Send an event to a client, as if it had been logged for it."""
        message = {"op": "event", "topic": topic, "event": (0.0, event)}
        self.scheduler.send_all({client: [message]}, {})

    def report(self, client: str = "", topic: str = "", reports: Any = None, worker: Any = None) -> None:
        """Pass on reports of a worker."""
        self.send(client, topic, reports)

    def begin(
        self, key: Any = None, where: str = "", client: str = "", topic: str = "", report: Any = None
    ) -> str:
        """Note that a worker begins a cell, and return why it must not: "released", or who began it."""
        self.topics.setdefault(client, set()).add(topic)
        self.workers.setdefault(client, set()).add(where)
        task = self.scheduler.tasks.get(key)
        if task is None:
            return "released"
        before = self.begun.setdefault(key, where)
        # It has begun, so Dask must not execute it again if its worker dies.
        task.suspicious = self.scheduler.allowed_failures
        if before != where:
            return before
        self.report(client, topic, [report])
        return ""

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Forget a cell with its task."""
        if finish == "forgotten":
            self.begun.pop(key, None)

    def log_event(self, topic: str, msg: Any) -> None:
        """Report which values were lost with a worker."""
        said: dict[str, Any] = {**msg} if topic == "all" and isinstance(msg, dict) else {}
        if said.get("action") == "remove-worker":
            lost = [key for key in said.get("lost-scattered-tasks", ()) if str(key).startswith("cellwire-")]
            for client, topics in self.topics.items():
                for each in topics:
                    self.send(client, each, {"lost": lost, "where": said.get("worker")})

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Forget a client, and have the workers forget it that have executed cells of it."""
        self.topics.pop(client, None)
        gone = {"op": "cellwire-client-gone", "client": client}
        self.scheduler.send_all({}, {where: [gone] for where in self.workers.pop(client, ())})


def execute(payload: bytes, *inputs: Any) -> None:
    """Execute a cell; this is the function of the Dask task."""
    from importlib import import_module

    worker: Any = import_module("cellwire.runner.places.dask.worker")
    worker.run_cell(payload, inputs)


# By value, since pickle would not find it there by name.
execute.__module__ = "__main__"


def send_report(worker: Any, client: str, topic: str, reports: list[bytes]) -> None:
    """Send reports from a worker's loop, in order."""
    worker.batched_send({"op": "cellwire-report", "client": client, "topic": topic, "reports": reports})


def on_client_gone(worker: Any, forget: Callable[[str], object]) -> None:
    """Have `forget` called, on the loop of a worker, with each client that has gone and had cells there."""

    def gone(client: str = "", **_: Any) -> None:
        forget(client)

    worker.stream_handlers["cellwire-client-gone"] = gone


def is_wanted(worker: Any, key: Any) -> bool:
    """Return whether a task of a worker is still wanted."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state not in ("cancelled", "released") and worker.status.name != "closed"


async def store(worker: Any, client: str, values: dict[str, Any], sizes: dict[str, int]) -> None:
    """Make `values` data of a worker that belongs to no task, so that Dask never computes it again."""
    worker.update_data(values)
    where = {key: [worker.contact_address] for key in values}
    await worker.scheduler.update_data(who_has=where, nbytes=sizes, client=client)


def on_loop(worker: Any, coroutine: Any) -> Any:
    """Run `coroutine` on the loop of a worker and return its result; called on another thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, worker.loop.asyncio_loop).result()


def finish_future(client: Any, key: str) -> Any:
    """Return a future for data that is there."""
    kind: Any = Future
    future = kind(key, client)
    state = client.futures.get(key)
    if state is not None:
        state.finish(type=None)
    return future


def threads_of(client: Any) -> int:
    """Return how many threads the workers have, by the client's last information."""
    identity: dict[str, Any] = client._scheduler_identity
    if "total_threads" in identity:
        return int(identity["total_threads"])
    # Older versions list all workers instead.
    return sum(int(worker["nthreads"]) for worker in identity.get("workers", {}).values())


def renew_identity(client: Any) -> None:
    """Make the client ask for that information again, without waiting."""
    client.loop.add_callback(client._update_scheduler_info)


def tell(client: Any, function: Any, *arguments: Any, workers: list[str], nanny: bool = False) -> None:
    """Have workers call a function, without waiting. Workers that are gone are ignored."""

    async def run() -> None:
        try:
            await client._run(function, *arguments, workers=workers, nanny=nanny, on_error="ignore")
        except Exception:
            pass

    client.loop.add_callback(run)


def register_by_value(module: Any) -> None:
    """Make the classes and functions of a module travel by value."""
    pickler: Any = cloudpickle
    pickler.register_pickle_by_value(module)


def dumps(value: object) -> bytes:
    """Return `value`, pickled for another process."""
    pickler: Any = cloudpickle
    return pickler.dumps(value)
