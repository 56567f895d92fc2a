"""The display for a terminal, with `rich`: final output scrolls up, what can still change stays below.

Complete lines, the items before them, the items of cells that have ended, and outcomes go into the terminal's
scroll-back. Below that, the running cells are drawn about ten times a second, each with its unfinished line
and its latest items; progress items are bars. Output that becomes final between two refreshes is printed in
one write, so that 100,000 lines of a cell cost the terminal's time and not ours.
"""

import time
from itertools import groupby
from textwrap import indent

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ...protocol.mime_types import Progress, progress_details, progress_of
from ...protocol.notebook import Item, Stream
from .images import Protocol, drawn
from .lines import details, item_text, summary
from .transcript import Block, Line

#: How many lines of an item are shown while it can still change.
LIVE_LINES = 6
_MARKS = {
    "ok": ("✓", "green"),
    "error": ("✗", "bold red"),
    "stopped": ("■", "yellow"),
    "interrupted": ("■", "yellow"),
    "cancelled": ("○", "yellow"),
}


class TerminalDisplay:
    """Draws blocks on a terminal."""

    def __init__(self, console: Console, images: Protocol | None = None, kept: str = "") -> None:
        self._console = console
        self._images: Protocol | None = images
        #: Where the images of the notebook are saved; empty for nowhere.
        self._kept = kept
        self._live: Live | None = None
        #: Final output that is not printed yet; a block stands for its headline, which has its outcome.
        self._settled: list[RenderableType | Block] = []
        #: Blocks whose headline was printed while they ran, so that their outcome gets its own line.
        self._announced: set[Block] = set()
        #: Kept between refreshes, so that it turns.
        self._spinner = Spinner("dots", style="cyan")

    def begin(self, block: Block) -> None:
        self._settled.append(block)

    def write(self, parts: list[Line | Item]) -> None:
        for stream, group in groupby(parts, key=_stream):
            if stream is None:
                for part in group:
                    if isinstance(part, Item):
                        image = drawn(part, self._images) if self._images else ""
                        settled = _Drawn(image) if image else _indented(_renderable(part, kept=self._kept))
                        self._settled.append(settled)
            else:
                lines = [part[1] for part in group if not isinstance(part, Item)]
                self._settled.append(_text("\n".join(lines), stream))

    def end(self, block: Block) -> None:
        if block.error is not None:
            failed = block.outcome == "error"
            text = details(block.error) if failed else summary(block.error)
            self._settled.append(
                Padding(Text.from_ansi(text, style="red" if failed else "dim"), (0, 0, 0, 2))
            )
        if block in self._announced:
            self._announced.discard(block)
            self._settled.append(Text.assemble("  ", _outcome(block)))

    def notice(self, text: str) -> None:
        self._settled.append(Text(text, style="yellow"))

    def refresh(self, waiting: list[tuple[Block, list[Item]]]) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        # In this order, the screen never shows an old state below newer printed text.
        self._live.update(Group(*(self._running(block, items) for block, items in waiting)))
        self._print_settled()
        self._live.refresh()

    def suspend(self) -> None:
        """Print what is final and remove the rest from the screen until the next refresh."""
        if self._live is not None:
            self._live.update(Group())
        self._print_settled()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self) -> None:
        self.suspend()

    def _print_settled(self) -> None:
        settled, self._settled = self._settled, []
        if settled and isinstance(settled[-1], Block) and settled[-1].outcome is None:
            # There is nothing under this headline yet, and perhaps there never will be.
            self._settled.append(settled.pop())
        with self._console:  # one write
            for part in settled:
                if isinstance(part, Block):
                    if part.outcome is None and not part.late:
                        self._announced.add(part)
                    self._console.print(_headline(part), soft_wrap=True)
                else:
                    self._console.print(part, soft_wrap=isinstance(part, Text))

    def _running(self, block: Block, items: list[Item]) -> RenderableType:
        """Draw a block that has not ended."""
        head = Table.grid(padding=(0, 1))
        elapsed = f"{time.time() - block.started:.1f} s" if block.started else ""
        head.add_row(self._spinner, Text(block.name, style="bold"), Text(elapsed, style="dim"))
        parts: list[RenderableType] = [] if block.late else [head]
        parts += [_text(line.text, stream) for stream, line in block.partial.items()]
        room = max(self._console.height - 4, 4)
        parts += [_indented(_renderable(item, LIVE_LINES)) for item in items[-room:]]
        return Group(*parts)


class _Drawn:
    """An image in the terminal's own protocol."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Without a style the text is written as it is.
        yield Segment(f"{self._text}\n")


def _stream(part: Line | Item) -> Stream | None:
    """Return the stream of a line; None for an item."""
    return None if isinstance(part, Item) else part[0]


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2), expand=False)


def _text(text: str, stream: Stream) -> Text:
    """Return console text, indented, in the colors that its escape sequences set."""
    return Text.from_ansi(indent(text, "  "), style="" if stream == "stdout" else "red", no_wrap=True)


def _headline(block: Block) -> Text:
    name = Text(block.name, style="bold")
    if block.outcome is None or block.outcome in ("idle", "running") or block.late:
        return Text.assemble(("▸ ", "cyan"), name, (" (later)" if block.late and block.cell else "", "dim"))
    mark, style = _MARKS[block.outcome]
    return Text.assemble((f"{mark} ", style), name, "  ", _outcome(block, mark=False))


def _outcome(block: Block, mark: bool = True) -> Text:
    sign, style = _MARKS.get(block.outcome or "", ("", ""))
    word = "" if block.outcome in ("ok", "idle", "running", None) else f"{block.outcome} "
    time = block.duration
    taken = "" if not time else f"{time * 1000:.0f} ms" if time < 1 else f"{time:.1f} s"
    return Text.assemble((f"{sign} " if mark and sign else "", style), (word, style), (taken, "dim"))


def _renderable(item: Item, lines: int | None = None, kept: str = "") -> RenderableType:
    """Return what to draw for an item; with `lines`, only that many last lines of its text."""
    progress = progress_of(item.data)
    if progress is not None:
        return _progress(progress)
    if lines is None and isinstance(markdown := item.data.get("text/markdown"), str):
        from rich.markdown import Markdown  # costs 0.1 s, and most notebooks have none

        return Markdown(markdown)
    text = item_text(item, kept)
    if lines is not None:
        text = "\n".join(text.split("\n")[-lines:])
    return Text.from_ansi(text)


def _progress(progress: Progress) -> RenderableType:
    """Draw a progress bar, or the texts of a spinner."""
    color = "red" if progress.failed else "green" if progress.done else "cyan"
    row: list[RenderableType] = [Text(progress.title, style="bold")]
    if progress.current is not None:
        total = None if progress.total is None else max(progress.total, 1e-9)
        row.append(
            ProgressBar(
                total=total,
                completed=progress.current,
                width=30,
                pulse=total is None and not progress.done,
                complete_style=color,
                finished_style=color,
            )
        )
    row.append(Text(progress_details(progress), style=color))
    grid = Table.grid(padding=(0, 1))
    grid.add_row(*row)
    return grid
