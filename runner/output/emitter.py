"""The one order in which events leave this process, whichever thread emits them and whatever interrupts it.

One lock gives the order: an event is made, encoded and written under it in one step, so list order is
wire order. When `emit` or `emit_step` returns, the bytes are in the operating system and survive this
process. A thread that finds another one emitting hands its event over and polls until it is sent.

Three things may happen between any two bytecodes, and none of them blocks, loses or repeats anything:

* `__del__`, a weakref callback or a signal handler emits while its own thread is emitting. It finds
  the lock owned by that thread, leaves its event in `_deferred` and returns; the outer call sends it.
* A signal handler raises. All progress lives in the one `_Batch`, and each part of it is recorded
  inside one C call or by one store; the next caller continues where it stopped. That is why
  `extend(map(…))` stands below where a loop would be more obvious, and why the lock is only ever taken
  by `with`, which no handler can separate from its block.
* Another thread forks. The child gets fresh locks and a sink that does not reach the kernel.
"""

import errno
import os
from _thread import RLock
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from time import sleep
from typing import Any, Protocol
from weakref import WeakSet

from .sinks import CallbackSink as CallbackSink
from .sinks import LinkSink as LinkSink
from .sinks import Sink

_take: Callable[[deque[Any]], Any] = deque[Any].popleft

#: A step that raised this often raises by itself, not because of a signal handler, and is dropped: it would
#: hold up everything behind it for ever.
_ATTEMPTS = 100

#: What writing may raise; anything else comes from a signal handler.
_EXPECTED = (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET, errno.EBADF)

#: How long, and how often, a thread polls for its event before it takes the lock that another thread
#: holds. A thread that waits for the lock gets it at once and then waits for the interpreter, with the lock
#: held: from there on each event costs two switches between threads. Measured with four threads: 50,000
#: events a second with waiting, 130,000 with polling, and 150,000 from one thread.
_PAUSE = 0.0002
_POLLS = 20


class Emission(Protocol):
    """What takes the events of a notebook: an `Emitter`, or what makes other events of them."""

    def emit(self, event: Any) -> None: ...
    def emit_step(self, step: Callable[[], Any]) -> None: ...
    def defer(self, event: Any) -> None: ...
    def defer_step(self, step: Callable[[], Any]) -> None: ...
    def flush(self) -> None: ...


class _Step:
    """Makes an event, or several, when its turn comes."""

    __slots__ = ("attempts", "make_event", "refusal", "sent")

    def __init__(self, make_event: Callable[[], Any]) -> None:
        self.make_event = make_event
        self.attempts = 0
        self.refusal: BaseException | None = None
        self.sent = False


def _as_step(event: Any) -> _Step:
    return event if type(event) is _Step else _Step(lambda: event)


class _Batch:
    """Steps and events that are being sent, and how far that got: encoded, joined, written."""

    __slots__ = ("counts", "encoded", "segments", "start", "steps")

    def __init__(self, start: int = 0) -> None:
        #: What `Emitter.written` was before it.
        self.start = start
        self.steps: list[Any] = []
        #: The encoded events of the first steps; one entry for each.
        self.encoded: list[Any] = []
        #: What is to be written, once all steps are encoded.
        self.segments: Sequence[Any] | None = None
        #: How much of that each call wrote.
        self.counts: list[int] = []


class Emitter:
    """Emits events to `sink`, from any number of threads."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        #: How much (of a descriptor: how many bytes) was written, up to the end of the last event.
        self.written: int = 0
        self._deferred: deque[Any] = deque()
        self._batch: _Batch | None = None
        #: Reused for each event that is sent alone.
        self._single = _Batch()
        # Guards `_batch`, the left end of `_deferred` and every call of the sink. It is the last lock
        # taken; user code runs under it only as `__del__` or signal handler.
        self._lock: Any = RLock()
        _emitters.add(self)

    def emit(self, event: Any) -> None:
        """Send `event` after everything that was emitted before."""
        if self._lock._is_owned():
            self._deferred.append(event)
            return
        try:
            if self._batch is not None:
                self._leave_to_sender(_as_step(event))
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
            # Raised by a signal handler. Events of calls that have returned must not wait for the next
            # emission.
            with self._lock:
                self._drain()
            self.flush()
            raise

    def emit_step(self, step: Callable[[], Any]) -> None:
        """Call `step` when its turn comes and send the event or the list of events that it returns.

        It is called again if a signal handler raises in the middle of it, so it must read only state
        that steps alone change, and change it idempotently. It refuses by *returning* an exception,
        which is raised here; what it raises each time that it is called is raised here too, and in no
        other thread. If `__del__` or a signal handler calls this in the middle of an emission, the step
        comes later, and its refusal is dropped.
        """
        entry = _Step(step)
        self.emit(entry)
        if entry.refusal is not None:
            raise entry.refusal

    def defer(self, event: Any) -> None:
        """Send `event` with the next emission, or with the next `flush`."""
        self._deferred.append(event)

    def defer_step(self, step: Callable[[], Any]) -> None:
        """Call `step`, as `emit_step` does, at the next emission or the next `flush`."""
        self._deferred.append(_Step(step))

    def flush(self) -> None:
        """Send what is deferred, such as what `__del__` left after the last look at the queue."""
        while self._deferred:
            with self._lock:
                self._drain()

    def _send_alone(self, event: Any) -> None:
        """Send the only event or step there is: what `_drain` does, at half the cost. The lock is held."""
        batch = self._single
        batch.steps.clear()
        batch.encoded.clear()
        batch.segments = None
        batch.counts.clear()
        batch.start = self.written
        if type(event) is _Step:
            batch.steps.append(event)
            self._batch = batch
            segment = self._encode_step(event)
            batch.segments = (segment,)
        else:
            # An event that is not encoded yet counts as not emitted.
            segment = self._sink.encode(event)
            batch.segments = (segment,)
            self._batch = batch
        try:
            batch.counts.extend(self._sink.write_iterator(segment, 0))
        except OSError as error:
            if error.errno not in _EXPECTED:
                raise
        if sum(batch.counts) < len(segment):
            self._write(batch)
        # From the batch, as a signal handler that raises here has this done a second time.
        self.written = batch.start + len(segment)
        self._batch = None
        # The segment may be large, or hold a descriptor open.
        batch.steps.clear()
        batch.segments = None

    def _leave_to_sender(self, step: _Step) -> None:
        """Hand `step` to the thread that is emitting at this moment, and return when it is sent."""
        self._deferred.append(step)
        for _ in range(_POLLS):
            sleep(_PAUSE)
            if step.sent or self._batch is None:
                break
        if not step.sent:
            with self._lock:
                self._drain()
        self.flush()

    def _drain(self) -> None:
        """Send everything that is deferred or half sent. The lock is held."""
        while True:
            batch = self._batch
            if batch is None:
                if not self._deferred:
                    return
                batch = self._batch = _Batch(self.written)
            if batch.segments is None:
                batch.steps.extend(map(_take, repeat(self._deferred, len(self._deferred))))
                encode = self._sink.encode
                for step in islice(batch.steps, len(batch.encoded), None):
                    try:
                        entry = self._encode_step(step) if type(step) is _Step else encode(step)
                    except BaseException:
                        # Only a step is dropped if it raises again and again.
                        batch.steps[len(batch.encoded)] = _as_step(step)
                        raise
                    batch.encoded.append(entry)
                batch.segments = self._sink.join(batch.encoded)
            self._write(batch)
            self.written = batch.start + sum(map(len, batch.segments))
            for step in batch.steps:
                if type(step) is _Step:
                    step.sent = True
            self._batch = None

    def _encode_step(self, step: _Step) -> Any:
        """Call `step` and return its events in the form that is written: none if it always raises.

        Raises: what a signal handler has raised in the middle of it.
        """
        failure: BaseException | None = None
        while True:
            try:
                made = step.make_event()
                if made is None:
                    encoded = self._sink.encode()
                elif isinstance(made, Exception):
                    step.refusal = made
                    encoded = self._sink.encode()
                else:
                    encoded = self._sink.encode(*made) if type(made) is list else self._sink.encode(made)
            except BaseException as error:
                step.attempts += 1
                if step.attempts < _ATTEMPTS:
                    failure = error
                    continue
                step.refusal = error
                return self._sink.encode()
            if failure is None:
                return encoded
            try:
                raise failure
            finally:
                failure = None  # its traceback refers to this frame

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
                counts.extend(sink.write_iterator(segment, start))
            except BlockingIOError:
                sink.wait()
            except OSError as error:
                # The kernel is gone, and this process is about to end too: drop what is left.
                if error.errno not in _EXPECTED:
                    raise
                counts.append(sum(map(len, segments)))

    def _reset(self) -> None:
        """Start afresh in the child of a fork: the parent sends what is in here."""
        self._lock = RLock()
        self._deferred = deque()
        self._batch = None
        self._single = _Batch()
        self._sink = self._sink.after_fork()


_emitters: "WeakSet[Emitter]" = WeakSet()


def _reset_all() -> None:
    for emitter in list(_emitters):
        emitter._reset()


os.register_at_fork(after_in_child=_reset_all)
