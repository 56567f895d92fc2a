"""`progress_bar` and `spinner`: one output item that shows progress.

A widget is one item of the cell that makes it: appended at once, replaced as it changes, at most once per
interval, its last state always. Any number of threads may update it, and the count is exact. An item carries
`application/vnd.cellwire.progress+json` (the fields of `Progress`) beside `text/html` and `text/plain`.
Without a kernel, a widget is a line on standard error: redrawn on a terminal, and anywhere else written
once, when the widget ends.

No lock is held while a state is sent, as a `__del__` in the middle of an emission may update a widget
that another thread is sending. Instead one thread at a time sends, and sends again if another wanted to.
"""

import math
import operator
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from threading import RLock
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import msgspec

from ...protocol.mime_types import PROGRESS_MIME, Progress, progress_details
from ..attribution.context import current_execution
from ..attribution.redirection import begin_new_item
from ..output.encoding import safe_str
from ..output.output_list import ItemHandle
from ..output.reports import name_of_class
from .throttle import Throttle

_CELLS = 24
#: As `html.escape` does. Importing `html` could find an `html.py` beside the notebook instead.
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})

ValueT = TypeVar("ValueT")
_throttle = Throttle()


def progress_data(progress: Progress) -> dict[str, Any]:
    """Return the mime bundle of a widget's state."""
    details = progress_details(progress)
    share = None if progress.total is None else _share(progress)
    bar = "" if share is None else f"[{'#' * int(share * _CELLS):-<{_CELLS}}]"
    drawn = "" if progress.done and share is None else _html_bar(share)
    title = f"<strong>{progress.title.translate(_ESCAPED)}</strong> " if progress.title else ""
    shown = f"{title}{drawn} <span>{details.translate(_ESCAPED)}</span>"
    return {
        "text/plain": " ".join(filter(None, [progress.title, bar, details])) or "…",
        "text/html": f'<div class="cellwire-progress">{shown}</div>',
        PROGRESS_MIME: msgspec.to_builtins(progress),
    }


def _share(progress: Progress) -> float:
    if not progress.total:
        return 1.0
    return min(1.0, max(0.0, (progress.current or 0) / progress.total))


def _html_bar(share: float | None) -> str:
    return "<progress></progress>" if share is None else f'<progress max="1" value="{share:.4f}"></progress>'


class _Widget:
    """A context manager that shows progress while its block runs; usable from any thread."""

    #: By the throttle's clock.
    sent_at: float

    def __init__(self, title: str, subtitle: str, remove_on_exit: bool, throttle: Throttle) -> None:
        self._throttle = throttle
        self._remove_on_exit = remove_on_exit
        self._started = throttle.clock()
        self.sent_at = -math.inf
        # Guards the state below. Held briefly: no other lock is taken and nothing is sent under it.
        self._lock = RLock()
        self._title = ""
        self._subtitle = ""
        self._retitle(title, subtitle)
        self._over = False
        self._failed = False
        #: Whether a thread is sending, and whether it has to send again.
        self._sending = False
        self._wanted = False
        self._item: ItemHandle | _TerminalLine

    def show(self) -> Self:
        """Append the widget to the outputs of the calling cell; called once."""
        execution = current_execution.get()
        data = progress_data(self._progress())
        if execution is None:
            self._item = _TerminalLine(data)
        else:
            begin_new_item()
            self._item = execution.outputs.append(data)
        self.sent_at = self._throttle.clock()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            if self._over:
                return
            self._end(failed=kind is not None and not issubclass(kind, GeneratorExit), left=kind is not None)
        if self._remove_on_exit:
            self._item.remove()
        else:
            self._throttle.send_now(self)
        if isinstance(self._item, _TerminalLine):
            self._item.end()

    def clear(self) -> None:
        """Remove the widget from the outputs."""
        self._item.remove()

    def send(self) -> None:
        """Show the newest state; called by the throttle."""
        mine = False
        try:
            with self._lock:
                self._wanted = True
                if self._sending:
                    return
                mine = True
                self._sending = True
            while mine:
                with self._lock:
                    self._wanted = False
                    data = progress_data(self._progress())
                self._item.replace(data)
                with self._lock:
                    if not self._wanted:
                        self._sending = mine = False
        finally:
            if mine:
                self._sending = False

    def _retitle(self, title: str | None, subtitle: str | None) -> None:
        if title is not None:
            self._title = safe_str(title)
        if subtitle is not None:
            self._subtitle = safe_str(subtitle)

    def _end(self, *, failed: bool, left: bool) -> None:
        """Record the end; `left` if the block was left early."""
        self._over = True
        self._failed = failed

    def _progress(self) -> Progress:
        """Return the state to show. The lock is held, unless the widget is not shown yet."""
        raise NotImplementedError


class Spinner(_Widget):
    """Shows that something is in progress for an unknown time."""

    def update(self, title: str | None = None, subtitle: str | None = None) -> None:
        """Show another title or subtitle. After the end it does nothing."""
        with self._lock:
            if self._over:
                return
            self._retitle(title, subtitle)
        self._throttle.changed(self)

    def _progress(self) -> Progress:
        return Progress(
            self._title,
            self._subtitle,
            elapsed=self._throttle.clock() - self._started,
            done=self._over and not self._failed,
            failed=self._failed,
        )


class ProgressBar(_Widget, Generic[ValueT]):
    """Counts steps, of a total that may be unknown. Iterable if it was given an iterable."""

    def __init__(
        self,
        values: Iterable[ValueT] | AsyncIterable[ValueT] | None,
        total: float | None,
        *,
        title: str,
        subtitle: str,
        completion_title: str | None,
        completion_subtitle: str | None,
        show_rate: bool,
        show_eta: bool,
        remove_on_exit: bool,
        throttle: Throttle,
    ) -> None:
        super().__init__(title, subtitle, remove_on_exit, throttle)
        self._values = values
        self._total = total
        self._current: float = 0
        self._completion_title = None if completion_title is None else safe_str(completion_title)
        self._completion_subtitle = None if completion_subtitle is None else safe_str(completion_subtitle)
        self._show_rate = show_rate
        self._show_eta = show_eta
        self._complete = total == 0

    def update(self, increment: float = 1, title: str | None = None, subtitle: str | None = None) -> None:
        """Count `increment` more steps and show another title or subtitle. After the end it does nothing.

        Raises: TypeError if `increment` is no real number.
        """
        if type(increment) is not int:
            increment = _number(increment)
        with self._lock:
            if self._over:
                return
            self._current += increment
            self._retitle(title, subtitle)
            complete = self._total is not None and self._current >= self._total
            newly, self._complete = complete and not self._complete, complete
        if newly:
            self._throttle.send_now(self)
        else:
            self._throttle.changed(self)

    def __iter__(self) -> Iterator[ValueT]:
        if not _is_iterable(self._values):
            raise TypeError("this progress bar has no iterable: give it one, or use `with`")
        with self:
            for value in cast("Iterable[ValueT]", self._values):
                yield value
                self.update()

    async def __aiter__(self) -> AsyncIterator[ValueT]:
        if not isinstance(self._values, AsyncIterable):
            raise TypeError("this progress bar has no async iterable: use `for`, or `with`")
        with self:
            async for value in self._values:
                yield value
                self.update()

    def _end(self, *, failed: bool, left: bool) -> None:
        super()._end(failed=failed, left=left)
        self._complete = self._complete or not left

    def _progress(self) -> Progress:
        elapsed = self._throttle.clock() - self._started
        current = _on_the_wire(self._current)
        total = None if self._total is None else _on_the_wire(self._total)
        rate = current / elapsed if elapsed > 0 and current else None
        eta = None
        if rate and total is not None:
            eta = max(0.0, total - current) / rate
        done = self._complete and not self._failed
        return Progress(
            self._completion_title if done and self._completion_title is not None else self._title,
            self._completion_subtitle if done and self._completion_subtitle is not None else self._subtitle,
            current,
            total,
            rate if self._show_rate else None,
            eta if self._show_eta else None,
            elapsed,
            done,
            self._failed,
        )


def progress_bar(
    iterable_or_total: Iterable[ValueT] | AsyncIterable[ValueT] | float | None = None,
    *,
    title: str = "",
    subtitle: str = "",
    completion_title: str | None = None,
    completion_subtitle: str | None = None,
    total: float | None = None,
    show_rate: bool = True,
    show_eta: bool = True,
    remove_on_exit: bool = False,
) -> ProgressBar[ValueT]:
    """Return a progress bar: iterate over it, or use it as a context manager and call `update()`.

    `total` is for iterables whose length is unknown or is not the number of steps.

    Raises: TypeError if `iterable_or_total` is neither an iterable nor a number.
    """
    values: Any = None
    if total is not None:
        total = _number(total)
    if isinstance(iterable_or_total, (Iterable, AsyncIterable)):
        values = cast("Any", iterable_or_total)
        if total is None:
            total = _length(values)
    elif iterable_or_total is not None:
        try:
            total = _number(iterable_or_total)
        except (TypeError, ValueError):
            kind: type = type(iterable_or_total)
            if not _is_iterable(iterable_or_total):
                raise TypeError(
                    f"progress_bar needs an iterable or a number, not {name_of_class(kind)}"
                ) from None
            values = iterable_or_total
            total = _length(values) if total is None else total
    return ProgressBar(
        values,
        total,
        title=title,
        subtitle=subtitle,
        completion_title=completion_title,
        completion_subtitle=completion_subtitle,
        show_rate=show_rate,
        show_eta=show_eta,
        remove_on_exit=remove_on_exit,
        throttle=_throttle,
    ).show()


def _number(value: Any) -> float:
    """Return a real number of any class, numpy's for one, as an int or a float.

    Raises: TypeError if it is none.
    """
    if type(value) is int or type(value) is float:
        return value
    try:
        return int(operator.index(value))
    except TypeError:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError(f"a progress bar counts numbers, not {name_of_class(type(value))}") from None
    return float(value)


def _on_the_wire(number: float) -> float:
    """Return `number`, as a float if it is too large for an integer of the wire format."""
    if type(number) is not int or -(1 << 63) <= number < 1 << 63:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _is_iterable(value: object) -> bool:
    """Return whether `for` can iterate over `value`: by `__iter__`, or only by `__getitem__`."""
    return isinstance(value, Iterable) or hasattr(type(value), "__getitem__")


def _length(values: Any) -> int | None:
    if isinstance(values, range):
        # `len` refuses ranges beyond `sys.maxsize`.
        return max(0, -((values.start - values.stop) // values.step))
    try:
        return len(values)
    except Exception:
        return None  # it has none, or does not know it


def spinner(title: str = "", subtitle: str = "", remove_on_exit: bool = False) -> Spinner:
    """Return a spinner: a context manager with `update(title=None, subtitle=None)`."""
    return Spinner(title, subtitle, remove_on_exit, _throttle).show()


class _TerminalLine:
    """Shows a widget on standard error in a process without a kernel."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._terminal = sys.stderr.isatty()
        self._text = ""
        self.replace(data)

    def replace(self, data: dict[str, Any], _metadata: None = None) -> None:
        self._text = data["text/plain"]
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{self._text}")
            sys.stderr.flush()

    def remove(self) -> None:
        self._text = ""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")

    def end(self) -> None:
        if self._text:
            sys.stderr.write("\n" if self._terminal else f"{self._text}\n")
