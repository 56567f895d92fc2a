"""The worker's side of a Dask place: executes cells, reports, and keeps what they define as its own data."""

import sys
import threading
import types
from collections.abc import Mapping, Sequence
from functools import partial
from time import sleep, time
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from dask.sizeof import sizeof
from distributed import get_worker

from ....protocol.events import ConsoleWritten
from ....protocol.notebook import CellError
from ....version import __version__
from ...api.remote_states import sending
from ..place import Began, Ended, Summary, Task
from ..worker.cellhost import CellHost
from ..worker.process import install_worker
from . import internals
from .boxes import Held

#: How many bytes of reports may wait for the worker's loop before the cell has to wait.
_WAITING = 4_000_000
#: How many messages may wait for the connection before reports are held back and joined.
_MESSAGES = 32

_encode = msgspec.msgpack.Encoder().encode
_hosts: "WeakKeyDictionary[Any, CellHost]" = WeakKeyDictionary()
#: The notebooks of each client; a notebook has no other client here.
_notebooks: dict[str, set[str]] = {}
_lock = threading.Lock()


class Payload(msgspec.Struct):
    """What the Dask task is given besides its inputs."""

    task: Task
    client: str
    topic: str


_decode = msgspec.msgpack.Decoder(Payload).decode


class Reporter:
    """Sends the reports of one cell over the worker's own connection, text joined."""

    def __init__(self, worker: Any, client: str, topic: str) -> None:
        self._worker = worker
        self._client = client
        self._topic = topic
        # Guards the rest; only the encoder is called while it is held.
        self._lock = threading.Lock()
        self._waiting: list[bytes | list[ConsoleWritten]] = []
        self._size = 0
        self._flushing = False

    def __call__(self, report: Any) -> None:
        """Send a report; any thread may."""
        text = report if type(report) is ConsoleWritten else None
        data = b"" if text is not None else _encode(report)
        while self._size > _WAITING:
            sleep(0.01)  # the connection is behind
        with self._lock:
            last = self._waiting[-1] if self._waiting else b""
            if text is None:
                self._waiting.append(data)
            elif not isinstance(last, bytes) and last[0].stream == text.stream:
                last.append(text)
            else:
                self._waiting.append([text])
            self._size += len(data) if text is None else len(text.text)
            flushing, self._flushing = self._flushing, True
        if not flushing:
            self._worker.loop.add_callback(self._flush)

    def wait(self) -> None:
        """Return when all reports are on their way."""
        while self._flushing and self._worker.status.name in ("running", "paused", "closing_gracefully"):
            sleep(0.0005)

    def _flush(self) -> None:
        if len(self._worker.batched_stream.buffer) > _MESSAGES:
            self._worker.loop.call_later(0.003, self._flush)
            return
        with self._lock:
            waiting, self._waiting, self._size = self._waiting, [], 0
        reports = [each if isinstance(each, bytes) else _encode(_joined(each)) for each in waiting]
        internals.send_report(self._worker, self._client, self._topic, reports)
        with self._lock:
            if not self._waiting:
                self._flushing = False
                return
        self._worker.loop.add_callback(self._flush)


def _joined(texts: list[ConsoleWritten]) -> ConsoleWritten:
    return msgspec.structs.replace(texts[0], text="".join([each.text for each in texts]))


def run_cell(payload: bytes, inputs: Sequence[Any]) -> None:
    """Execute a cell and report how it ended; its definitions become data of this worker."""
    given = _decode(payload)
    task = given.task
    worker: Any = get_worker()
    key = worker.get_current_task()
    host = _host_of(worker)
    report = Reporter(worker, given.client, given.topic)
    with _lock:
        _notebooks.setdefault(given.client, set()).add(task.notebook)
    # Entered first, so that the cell can be interrupted as soon as it is known to have begun.
    running = host.enter(task, report)
    began = _encode(Began(task.cell, task.run, time(), host.where))
    refusal = internals.on_loop(
        worker,
        worker.scheduler.cellwire_begin(
            key=key, where=host.where, client=given.client, topic=given.topic, report=began
        ),
    )
    if refusal:
        host.leave(running)
        if refusal != "released":
            report(Ended(task.cell, task.run, "error", error=died(refusal), where=host.where))
            report.wait()
        return

    def keep(values: Mapping[str, Any], summaries: list[Summary]) -> list[Summary]:
        kept: list[Summary] = []
        held: dict[str, Any] = {}
        for each in summaries:
            value = values[each.name]
            if isinstance(value, types.ModuleType) and sys.modules.get(value.__name__) is value:
                kept.append(msgspec.structs.replace(each, module=value.__name__))
                continue
            name = f"cellwire-{task.notebook}-{task.cell}.{task.run}-{each.name}"
            kept.append(msgspec.structs.replace(each, key=name))
            held[name] = Held(value, each.name, task.cell)
        if held:
            sizes = {each.key: each.nbytes for each in kept if each.key}
            internals.on_loop(worker, internals.store(worker, given.client, held, sizes))
        return kept

    values = [each.value if isinstance(each, Held) else each for each in inputs]
    del inputs
    ended = host.run(running, values, keep, lambda: internals.is_wanted(worker, key))
    report(ended)
    report.wait()


def died(where: str) -> CellError:
    """Return the error of a cell whose worker is gone."""
    return CellError(
        "WorkerDied",
        f"the worker {where} that ran this cell has gone",
        hint="values that existed only there are lost; run the cell again",
    )


def describe(dask_worker: Any = None) -> tuple[str, tuple[int, int]]:
    """Return the versions of cellwire and Python here."""
    return __version__, sys.version_info[:2]


def interrupt_cell(notebook: str, cell: str, run: int, dask_worker: Any = None) -> None:
    """Interrupt a cell that this worker executes."""
    _host_of(dask_worker).interrupt(notebook, cell, run)


def retire_cell(notebook: str, cell: str, run: int, dask_worker: Any = None) -> None:
    """Drop anything a run of a cell still writes; on a thread, since callbacks of the cell may take long."""
    host = _host_of(dask_worker)
    threading.Thread(target=host.retire, args=(notebook, cell, run), daemon=True).start()


async def kill_worker(dask_worker: Any = None) -> None:
    """End the worker process of this nanny at once; it starts another one."""
    await dask_worker.kill(timeout=0.1, reason="cellwire-interrupt")


def _host_of(worker: Any) -> CellHost:
    with _lock:
        host = _hosts.get(worker)
        if host is None:
            install_worker()
            host = _hosts[worker] = CellHost(
                worker.contact_address,
                pickle=_pickle,
                sizeof=sizeof,
                module_hint="install it on the workers, or send it to them: client.upload_file(...)",
            )
            internals.on_client_gone(worker, partial(_forget, host))
        return host


def _forget(host: CellHost, client: str) -> None:
    """Retire the cells of a client that has gone; in a thread, since they may want something called."""
    with _lock:
        notebooks = _notebooks.pop(client, set())
    for notebook in notebooks:
        threading.Thread(target=host.retire_notebook, args=(notebook,), daemon=True).start()


def _pickle(value: object) -> bytes:
    with sending():
        return internals.dumps(value)
