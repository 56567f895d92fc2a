"""Events on their way out of this process, in one order, whoever emits them and whatever interrupts it.

One lock gives the order: what is decided, encoded and written under it is one step, so list order is
wire order. When `emit` or `emit_step` returns, the bytes are in the operating system and survive this
process. A thread that finds another one emitting leaves its event to it, and looks until it is sent.

Three things may happen between any two bytecodes, and none of them blocks, loses or repeats anything:

* `__del__`, a weakref callback or a signal handler emits while this very thread is emitting. It finds
  the lock owned by its own thread, leaves its event in `_deferred` and returns; the outer call sends it.
* A signal handler raises. All progress lives in the one `_Batch`, and each step of it is recorded
  inside one C call or by one store; whoever comes next continues where it stopped. That is why
  `extend(map(…))` stands below where a loop would be more obvious, and why the lock is only ever taken
  by `with`, which no handler can separate from its block.
* Another thread forks. The child gets fresh locks and a sink that leads nowhere.
"""

import errno
import os
import time
from _thread import RLock
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from typing import Any
from weakref import WeakSet

from .sinks import CallbackSink as CallbackSink
from .sinks import LinkSink as LinkSink
from .sinks import Sink

_take: Callable[[deque[Any]], Any] = deque[Any].popleft

#: A step that has raised this often is given up: it would hold up everything behind it for ever.
_ATTEMPTS = 100

#: What writing may raise; anything else comes from a signal handler.
_EXPECTED = (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET, errno.EBADF)

#: How long a thread looks after its event without taking the lock, which another thread holds. A thread
#: that waits for the lock takes it over at once and then waits for the interpreter, with the lock held:
#: from there on each event costs two switches between threads. Measured with four threads: 50,000
#: events a second with waiting, 130,000 with looking, and 150,000 from one thread.
_PAUSE = 0.0002
_POLLS = 20


class _Step:
    """Something to be decided when it is its turn."""

    __slots__ = ("attempts", "decide", "refusal", "sent")

    def __init__(self, decide: Callable[[], Any]) -> None:
        self.decide = decide
        self.attempts = 0
        self.refusal: Exception | None = None
        self.sent = False


def _as_step(event: Any) -> _Step:
    return event if type(event) is _Step else _Step(lambda: event)


class _Batch:
    """Steps and events on their way, and how far they have come: decided and encoded, joined, written."""

    __slots__ = ("counts", "encoded", "segments", "steps")

    def __init__(self) -> None:
        self.steps: list[Any] = []
        #: What the first so many steps have become.
        self.encoded: list[Any] = []
        #: What is to be written, once all are encoded.
        self.segments: Sequence[Any] | None = None
        #: How much of that has been written, by each call.
        self.counts: list[int] = []


class Emitter:
    """Emits to `sink`, from any number of threads."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._deferred: deque[Any] = deque()
        self._batch: _Batch | None = None
        #: Used again and again for what is sent alone.
        self._single = _Batch()
        # Guards `_batch`, the left end of `_deferred` and every call of the sink. It is taken last of
        # all locks; user code runs under it only as `__del__` or signal handler.
        self._lock: Any = RLock()
        _emitters.add(self)

    def emit(self, event: Any) -> None:
        """Send `event` after everything that has been emitted before."""
        if self._lock._is_owned():
            self._deferred.append(event)
            return
        try:
            if self._batch is not None:
                self._send_along(_as_step(event))
                return
            with self._lock:
                if self._batch is None and not self._deferred:
                    self._send_alone(event)
                else:
                    self._deferred.append(event)
                    self._drain()
            if self._deferred:
                self.flush()
        except BaseException:
            # Raised by a signal handler. What was left here by calls that have returned must not wait for
            # the next emission.
            with self._lock:
                self._drain()
            self.flush()
            raise

    def emit_step(self, step: Callable[[], Any]) -> None:
        """Call `step` when it is its turn and send the event or the list of events it returns.

        It may be called again if a signal handler raises in the middle of it: it must decide from state
        that only steps change, and change it idempotently. It refuses by *returning* an exception,
        which is raised here. In a call from `__del__` or a signal handler in the middle of an emission
        the step comes later, and its refusal is dropped.
        """
        entry = _Step(step)
        self.emit(entry)
        if entry.refusal is not None:
            raise entry.refusal

    def defer(self, event: Any) -> None:
        """Send `event` together with what comes next; `flush` makes it come."""
        self._deferred.append(event)

    def defer_step(self, step: Callable[[], Any]) -> None:
        """Have `step`, as in `emit_step`, decide in its turn what is sent together with what comes next."""
        self._deferred.append(_Step(step))

    def flush(self) -> None:
        """Send what nobody is about to send, such as what `__del__` left after the last look at the queue."""
        while self._deferred:
            with self._lock:
                self._drain()

    def _send_alone(self, event: Any) -> None:
        """Send the only thing there is: as `_drain` does it, at half the cost. The lock is held."""
        batch = self._single
        batch.steps.clear()
        batch.encoded.clear()
        batch.segments = None
        batch.counts.clear()
        if type(event) is _Step:
            batch.steps.append(event)
            self._batch = batch
            segment = self._decided(event)
            batch.segments = (segment,)
        else:
            # Nothing has happened until the bytes are there.
            segment = self._sink.encode(event)
            batch.segments = (segment,)
            self._batch = batch
        try:
            batch.counts.extend(self._sink.writing(segment, 0))
        except OSError as error:
            if error.errno not in _EXPECTED:
                raise
        if sum(batch.counts) < len(segment):
            self._write(batch)
        self._batch = None
        # It may be large, or hold a descriptor open.
        batch.steps.clear()
        batch.segments = None

    def _send_along(self, step: _Step) -> None:
        """Have `step` sent by the thread that is emitting at this moment."""
        self._deferred.append(step)
        for _ in range(_POLLS):
            time.sleep(_PAUSE)
            if step.sent or self._batch is None:
                break
        if not step.sent:
            with self._lock:
                self._drain()
        self.flush()

    def _drain(self) -> None:
        """Send everything that is there. The lock is held."""
        while True:
            batch = self._batch
            if batch is None:
                if not self._deferred:
                    return
                batch = self._batch = _Batch()
            if batch.segments is None:
                batch.steps.extend(map(_take, repeat(self._deferred, len(self._deferred))))
                encode = self._sink.encode
                for step in islice(batch.steps, len(batch.encoded), None):
                    batch.encoded.append(self._decided(step) if type(step) is _Step else encode(step))
                batch.segments = self._sink.join(batch.encoded)
            self._write(batch)
            for step in batch.steps:
                if type(step) is _Step:
                    step.sent = True
            self._batch = None

    def _decided(self, step: _Step) -> Any:
        """Return what `step` has decided, in the form that is written."""
        step.attempts += 1
        decision = step.decide() if step.attempts <= _ATTEMPTS else None
        if decision is None:
            return self._sink.encode()
        if isinstance(decision, Exception):
            step.refusal = decision
            return self._sink.encode()
        return self._sink.encode(*decision) if type(decision) is list else self._sink.encode(decision)

    def _write(self, batch: _Batch) -> None:
        sink, segments, counts = self._sink, batch.segments or (), batch.counts
        while True:
            start = sum(counts)
            for segment in segments:
                if start < len(segment):
                    break
                start -= len(segment)
            else:
                return
            try:
                counts.extend(sink.writing(segment, start))
            except BlockingIOError:
                sink.wait()
            except OSError as error:
                # The kernel is gone, and this process is about to follow: nobody is left to tell.
                if error.errno not in _EXPECTED:
                    raise
                counts.append(sum(map(len, segments)))

    def _forget(self) -> None:
        """Start afresh in the child of a fork: what is in here is the parent's to send."""
        self._lock = RLock()
        self._deferred = deque()
        self._batch = None
        self._single = _Batch()
        self._sink = self._sink.in_child()


_emitters: "WeakSet[Emitter]" = WeakSet()


def _forget_all() -> None:
    for emitter in list(_emitters):
        emitter._forget()


os.register_at_fork(after_in_child=_forget_all)
