"""Console text on its way into the log: which cell it belongs to, when it is logged, how much is kept.

Pure over the store. Text does not come through the link, so it can arrive before the event that it
depends on: text of a run is held until the `CellStarted` of its cell is in the log. Text of a run that
is not the current one of its cell changes nothing and is not logged. Logged text stands after the items
that its cell has by then. Each console, the notebook's included, has a cap; beyond it an event trims the
oldest text from every copy.
"""

from collections.abc import Sequence

from ..protocol import events as e
from ..protocol.limits import Limits
from ..protocol.notebook import CellState, Console, Item, Stream
from .run_queue import RunQueue
from .store import Store

#: Beyond the cap, one part in this many is trimmed at once, so that trimming is rare.
_SLACK = 16
#: The cap also bounds the number of chunks: one for this many characters, and one for each item. Short lines
#: to both streams in turn are a chunk each.
_CHARS_PER_CHUNK = 32
#: Most characters in one event.
_PIECE = 64 * 1024

_Run = tuple[str, int]


class ConsoleRouter:
    """Logs text that was read, holds it, or drops it."""

    def __init__(self, store: Store, queue: RunQueue, limits: Limits) -> None:
        self._store = store
        self._queue = queue
        self._cap = limits.console_chars
        self._chunks = max(16, self._cap // _CHARS_PER_CHUNK)
        self._held: dict[_Run, list[tuple[Stream, str | None]]] = {}
        self._held_chars = 0
        self._sizes: dict[str, tuple[int, int]] = {}

    def write(self, cell: str, run: int, stream: Stream, text: str) -> None:
        """Log text of a run, or hold it until its cell starts."""
        if not cell:
            self._log("", 0, self._store.notebook.console, stream, text)
        elif (state := self._current(cell, run)) is not None:
            self._log(cell, run, state.console, stream, text, state.outputs)
        else:
            self._hold(cell, run, stream, text)

    def clear(self, cell: str, run: int, stream: Stream) -> None:
        """Empty a stream of a run's console."""
        if not cell:
            return
        state = self._current(cell, run)
        if state is None:
            self._hold(cell, run, stream, None)
        elif any(chunk.stream == stream for chunk in state.console.chunks):
            self._store.add(e.ConsoleCleared(cell, run, stream))
            self._sizes[cell] = (run, sum(len(chunk.text) for chunk in state.console.chunks))

    def started(self, cell: str, run: int) -> None:
        """Log the text held for a run of a cell, whose `CellStarted` is in the log."""
        for stream, text in self._take(cell, run):
            if text is None:
                self.clear(cell, run, stream)
            else:
                self.write(cell, run, stream, text)

    def finished(self, run: int) -> None:
        """Forget the text held for a finished run: the cells it belongs to never started in it."""
        for cell, held_run in list(self._held):
            if held_run == run:
                self._take(cell, run)

    def forget(self) -> None:
        """Forget all held text: the runner ended."""
        self._held.clear()
        self._held_chars = 0

    def deleted(self, cells: list[str]) -> None:
        """Forget the sizes of deleted cells' consoles."""
        for cell in cells:
            self._sizes.pop(cell, None)

    def _current(self, cell: str, run: int) -> CellState | None:
        state = self._store.notebook.cells.get(cell)
        return state if state is not None and state.run == run else None

    def _hold(self, cell: str, run: int, stream: Stream, text: str | None) -> None:
        size = len(text or "") + 1
        if self._queue.is_over(run) or self._held_chars + size > self._cap:
            return
        self._held.setdefault((cell, run), []).append((stream, text))
        self._held_chars += size

    def _take(self, cell: str, run: int) -> list[tuple[Stream, str | None]]:
        held = self._held.pop((cell, run), [])
        self._held_chars -= sum(len(text or "") + 1 for _, text in held)
        return held

    def _log(
        self, cell: str, run: int, console: Console, stream: Stream, text: str, items: Sequence[Item] = ()
    ) -> None:
        """Log text that stands after `items` in its cell."""
        before = items[-1].id + 1 if items else 0
        if console.chunks:
            # Never less than before: the last items may have been removed.
            before = max(before, console.chunks[-1].before)
        known, size = self._sizes.get(cell, (run, 0))
        if known != run:
            size = 0
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            self._store.add(e.ConsoleWritten(cell, run, stream, piece, before))
            size += len(piece)
            excess = self._excess(console, size, self._chunks + len(items))
            if excess:
                self._store.add(e.ConsoleTrimmed(cell, run, excess))
                size -= excess
        self._sizes[cell] = (run, size)

    def _excess(self, console: Console, size: int, chunks: int) -> int:
        """Return how many characters to trim from a console of `size` characters, to have `chunks` chunks."""
        if size > self._cap:
            return min(size, size - self._cap + self._cap // _SLACK)
        if len(console.chunks) > chunks:
            surplus = len(console.chunks) - chunks + chunks // _SLACK
            return sum(len(chunk.text) for chunk in console.chunks[:surplus])
        return 0
