"""The thread that answers requests about names, and what happens if a value of the user's holds it up.

A thread answers requests one after another, and ends when there are none. It calls the `repr` of values,
which may not return. So the thread that receives requests calls `check` while `busy`: a thread that has been
in the same place for too many checks is abandoned, and another one takes its place. If it was in the `repr`
of a value, the request is answered again without that value; otherwise it is answered with an error.

Checks are counted, not seconds: while C code holds the interpreter, neither a check nor the thread can run.
"""

from _thread import allocate_lock, start_new_thread  # below what a cell may replace in `threading`
from collections import deque
from collections.abc import Callable
from typing import Any

from ...protocol.messages import Error, Introspection

#: Seconds between two checks, for the caller of `check`.
LOOK_INTERVAL = 0.25
#: After how many checks that find it at the same value, or in the same request, a thread is abandoned.
_LOOKS_AT_VALUE = 4
_LOOKS = 60

#: What is shown of a value that was not finished in time.
TOO_SLOW = "<its repr takes too long>"

#: The name of a class, whatever its metaclass says.
_name_of_class: Callable[[type], str] = vars(type)["__name__"].__get__

#: Answers a request, calling its second argument for the text of a value.
Answer = Callable[[Introspection, Callable[[object], str]], Any]


class _Worker:
    """One thread: the request that it answers, the value that it asks, and how often it was seen there."""

    def __init__(self) -> None:
        self.request: Introspection | None = None
        self.value: object = None
        self.asks = False
        #: Grows with each request and each value.
        self.place = 0
        self.seen: tuple[int, int] = (0, 0)


class Introspector:
    """Answers requests with `answer`, and sends what that returns with `emit`; any thread may `ask`."""

    def __init__(self, answer: Answer, emit: Callable[[Any], None]) -> None:
        self._answer = answer
        self._emit = emit
        # Guards the rest. Nothing is called under it.
        self._lock = allocate_lock()
        self._requests: deque[Introspection] = deque()
        self._worker: _Worker | None = None
        #: Values that threads which were given up still ask, by identity.
        self._slow: dict[int, object] = {}

    @property
    def busy(self) -> bool:
        """Whether there is something to `check`."""
        return self._worker is not None

    def ask(self, request: Introspection) -> None:
        """Answer `request`, after those that were asked before."""
        with self._lock:
            self._requests.append(request)
            failure = self._start_worker() if self._worker is None else ""
        if failure:
            self._emit(_refusal(request, failure))

    def check(self) -> None:
        """Give the thread up if it has been in one place for too long."""
        refused: list[tuple[Introspection, str]] = []
        with self._lock:
            worker = self._worker
            if worker is None or worker.request is None:
                return
            place, looks = worker.seen
            worker.seen = (worker.place, looks + 1 if place == worker.place else 1)
            if worker.seen[1] < (_LOOKS_AT_VALUE if worker.asks else _LOOKS):
                return
            if worker.asks:
                self._slow[id(worker.value)] = worker.value
                self._requests.appendleft(worker.request)
            else:
                refused.append((worker.request, "it takes too long"))
            self._worker = None
            waiting = list(self._requests)
            if waiting and (failure := self._start_worker()):
                refused += [(request, failure) for request in waiting]
        for request, why in refused:
            self._emit(_refusal(request, why))

    def _start_worker(self) -> str:
        """Start a thread; if there can be none, drop the requests and return why. The lock is held."""
        worker = _Worker()
        try:
            start_new_thread(self._work, (worker,))
        except RuntimeError as error:
            self._requests.clear()
            return str(error)
        self._worker = worker
        return ""

    def _work(self, worker: _Worker) -> None:
        while True:
            with self._lock:
                if self._worker is not worker:
                    return  # given up, and answered
                if not self._requests:
                    self._worker = None
                    return
                worker.request = request = self._requests.popleft()
                worker.place += 1
            try:
                reply = self._answer(request, lambda value: self._text(worker, value))
            except BaseException as error:
                reply = _refusal(request, _name_of_class(type(error)))
            with self._lock:
                if self._worker is not worker:
                    return
                worker.request = None
            self._send(request, reply)

    def _send(self, request: Introspection, reply: Any) -> None:
        try:
            self._emit(reply)
        except BaseException as error:
            # The thread has to live for the next request.
            self._emit(_refusal(request, _name_of_class(type(error))))

    def _text(self, worker: _Worker, value: object) -> str:
        """Return the text of `value`, unless another thread is still at it."""
        from .short_text import short_text

        if id(value) in self._slow:
            return TOO_SLOW
        worker.value, worker.asks = value, True
        worker.place += 1
        try:
            return short_text(value)
        finally:
            worker.value, worker.asks = None, False
            if self._worker is not worker:
                self._slow.pop(id(value), None)


def _refusal(request: Introspection, why: str) -> Error:
    return Error(request.id, "internal", f"the request could not be answered: {why}")
