"""The text that cells of an embedded notebook print: kept for each cell, and passed on to the embedding cell.

Their context redirects both streams to an `InnerStream`, so the threads and tasks that they start write here
too, at any time. The text is passed on with the run and the redirections of the embedding cell, as if that
cell had written it. No lock is taken, since `__del__` may print in the middle of anything. One atomic
operation for each text decides whether a printing thread or the code that shows kept text passes it on.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ...protocol.notebook import Stream
from ..attribution.console import clear_console
from ..attribution.context import Embedding, Execution, current_execution
from ..attribution.redirection import ItemsTarget, Redirection, begin_new_item, redirections

#: How many texts of a cell are kept, however short: each takes a third of a kilobyte.
_MOST = 50_000


class _Text:
    """A text of a cell. It stands before the cell's items with ids of `before` and higher."""

    __slots__ = ("before", "shown", "stream", "text")

    def __init__(self, stream: Stream, text: str, before: int) -> None:
        self.stream: Stream = stream
        self.text = text
        self.before = before
        #: The runs of the embedding cell that it was passed on to.
        self.shown: dict[Execution | None, object] = {}


class InnerConsole:
    """What the cells of an embedded notebook have printed.

    `next_item` returns the id that the next item of a cell will get.
    """

    def __init__(self, embedding: Embedding, limit: int, next_item: Callable[[str], int]) -> None:
        self._embedding = embedding
        embedding.clear_text = self._clear
        self._limit = limit
        self._next_item = next_item
        self._texts: dict[str, deque[_Text]] = {}
        self._sizes: dict[str, int] = {}
        # The cells whose oldest text was dropped.
        self._cut: set[str] = set()
        #: The cells whose text is shown as it comes; the text of other cells is shown with their items.
        self.live: set[str] = set()
        #: The streams of the embedding cell, and where it has redirected them.
        self.streams: Mapping[Stream, Any] = {}
        self.around: dict[Stream, Redirection] = {}

    def redirect(self) -> None:
        """Redirect the streams of this context to this console."""
        redirections.set({stream: Redirection(InnerStream(self, stream), None) for stream in STREAMS})

    def begin(self, cell: str) -> None:
        """Forget what `cell` printed, since it begins again."""
        self._texts[cell] = deque()
        self._sizes[cell] = 0
        self._cut.discard(cell)
        self.live.add(cell)

    def forget(self, cell: str) -> None:
        """Forget `cell`, which is gone."""
        self.live.discard(cell)
        self._texts.pop(cell, None)
        self._sizes.pop(cell, None)
        self._cut.discard(cell)

    def texts(self, cell: str) -> list[_Text]:
        """Return what `cell` has printed, in order."""
        cut = [_Text("stdout", "[earlier text is not kept]\n", 0)] if cell in self._cut else []
        return [*cut, *self._texts.get(cell, ())]

    def write(self, stream: Stream, text: str) -> None:
        """Keep what the calling code writes, and pass it on."""
        execution = current_execution.get()
        if execution is None or execution.embedding is not self._embedding:
            self._pass_on(stream, text)  # the context has left the notebook, its redirection has not
            return
        texts = self._texts.get(execution.cell)
        if execution.retired or texts is None or not text:
            return
        entry = _Text(stream, text, self._next_item(execution.cell))
        texts.append(entry)
        self._sizes[execution.cell] = size = self._sizes.get(execution.cell, 0) + len(text)
        while (size > self._limit or len(texts) > _MOST) and len(texts) > 1:
            self._cut.add(execution.cell)
            size -= len(texts.popleft().text)
            self._sizes[execution.cell] = size
        if execution.cell in self.live:
            self.show(entry)

    def begin_new_item(self) -> None:
        """Begin a new item for text that the embedding cell has redirected into items."""
        if self.around:
            with self.outside():
                begin_new_item()

    def _clear(self, cell: str) -> None:
        """Remove what `cell` printed from the embedding cell: clear its console and print the rest again."""
        self._texts[cell] = deque()
        with self.outside():
            clear_console()
        for texts in list(self._texts.values()):
            for entry in list(texts):
                entry.shown = {}
                self.show(entry)

    def show(self, entry: _Text) -> None:
        """Pass on a text, unless the embedding cell has it already."""
        mine = object()
        execution = self._embedding.execution
        if entry.shown.setdefault(execution, mine) is mine:
            entry.shown = {execution: mine}  # those of earlier runs are not kept alive
            self._pass_on(entry.stream, entry.text)

    def _pass_on(self, stream: Stream, text: str) -> None:
        with self.outside():
            self.streams[stream].write(text)

    def outside(self) -> "_Outside":
        """Return a context manager: its block runs as code of the embedding cell."""
        return _Outside(self._embedding.execution, self.around)


class _Outside:
    """A block of code that belongs to `execution`. A class, for speed: each text needs one."""

    def __init__(self, execution: Execution | None, around: dict[Stream, Redirection]) -> None:
        self._execution = execution
        self._around = around

    def __enter__(self) -> None:
        self._tokens = current_execution.set(self._execution), redirections.set(self._around)

    def __exit__(self, *_: object) -> None:
        current_execution.reset(self._tokens[0])
        redirections.reset(self._tokens[1])


class InnerStream(ItemsTarget):
    """The target of one stream of an embedded notebook's cells."""

    def __init__(self, console: InnerConsole, stream: Stream) -> None:
        self._console = console
        self._stream: Stream = stream

    def write(self, text: str, /) -> int:
        self._console.write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        with self._console.outside():
            self._console.streams[self._stream].flush()

    def begin_new_item(self) -> None:
        self._console.begin_new_item()


STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
