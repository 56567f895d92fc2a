"""Puts the events of a kernel into an order that a person can read.

A terminal shows text once and cannot take it back, while cells overlap, threads write after their cell
has ended, and items change. So a `Transcript` turns events into blocks, one for each run of a cell, and
passes them to a `Display` one after another: the front block shows its console lines as they come, and the
others wait for their turn. What a thread writes later goes into a late block of its cell, which ends as soon
as there is anything else to show.

Text and items keep the order in which they were written. An item can change until its cell has ended, so it
is shown together with the lines after it, or at the end of the block, and again at the end if it changed in
between. Lines do not wait for an unfinished progress item, which is shown when it is finished.

Nothing is lost, and the same events always give the same order. The transcript has its own copy of the
notebook, so that for each event it sees the state right after that event.
"""

from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from typing import Protocol, TypeAlias

from ...protocol import events as e
from ...protocol.mime_types import ERROR_MIME, progress_of
from ...protocol.notebook import CellError, ConsoleChunk, Item, Notebook, Status, Stream
from ...protocol.reducer import apply, index_of
from ..notebook_files.terminal_line import TerminalLine, as_shown
from .file_lines import FileLines

#: A complete line of a stream.
Line: TypeAlias = tuple[Stream, str]
#: How many items of a block are drawn while they can still change: more than a screen holds.
_LIVE = 200


class Block:
    """What is shown of one run of a cell, or what the run wrote after its end."""

    def __init__(self, cell: str, name: str, run: int, late: bool = False) -> None:
        self.cell = cell
        self.name = name
        self.run = run
        self.late = late
        #: Seconds since 1970; 0 if the cell has not started.
        self.started = 0.0
        #: Whether the display has shown the beginning of the block.
        self.begun = False
        #: Complete lines, and ids of items, that have not been shown, in the order of writing.
        self.parts: list[Line | int] = []
        #: Whether lines are among them.
        self.has_lines = False
        #: The unfinished line of each stream.
        self.partial: dict[Stream, TerminalLine] = {}
        #: Ids of the items that were written since the block began, and whether each is shown.
        self.items: dict[int, bool] = {}
        #: Ids of items that have changed since they were shown.
        self.changed: dict[int, None] = {}
        #: How the cell ended; None while it runs.
        self.outcome: Status | None = None
        self.duration = 0.0
        self.error: CellError | None = None

    def write(self, stream: Stream, text: str) -> None:
        """Add text; lines that it completes can be shown."""
        *lines, rest = text.split("\n")
        if lines and stream in self.partial:
            begun = self.partial.pop(stream)
            begun.write(lines[0])
            lines[0] = begun.text
        self._add_lines([(stream, as_shown(line)) for line in lines])
        if rest:
            self.partial.setdefault(stream, TerminalLine()).write(rest)

    def append(self, item: Item) -> None:
        """Add an item, which ends the lines before it."""
        error = item.data.get(ERROR_MIME)
        if error is None or "file" in error:  # blocks show errors of their own
            self.end_lines()
            self.items[item.id] = False
            self.parts.append(item.id)

    def replace(self, item: Item) -> None:
        """Note that an item has changed."""
        shown = self.items.get(item.id)
        if shown is None:
            self.append(item)
        elif shown:
            self.changed[item.id] = None

    def clear(self, stream: Stream) -> None:
        """Forget the text of `stream` that has not been shown."""
        self.parts = [part for part in self.parts if isinstance(part, int) or part[0] != stream]
        self.partial.pop(stream, None)

    def end_lines(self) -> None:
        """Treat unfinished lines as complete, since nothing will be added to them."""
        self._add_lines([(stream, line.text) for stream, line in self.partial.items()])
        self.partial = {}

    def _add_lines(self, lines: list[Line]) -> None:
        self.parts += lines
        self.has_lines = self.has_lines or bool(lines)


class Display(Protocol):
    """Where blocks are shown."""

    def begin(self, block: Block) -> None:
        """Show where `block` begins."""
        ...

    def write(self, parts: list[Line | Item]) -> None:
        """Show lines and items of the block that began last."""
        ...

    def end(self, block: Block) -> None:
        """Show the outcome and the error of `block`, which ends here."""
        ...

    def notice(self, text: str) -> None:
        """Show a line that belongs to no cell."""
        ...

    def refresh(self, waiting: list[tuple[Block, list[Item]]]) -> None:
        """Update the screen; `waiting` are the blocks that have not ended, each with its unshown items."""
        ...

    def suspend(self) -> None:
        """Leave the screen free until the next refresh."""
        ...

    def close(self) -> None:
        """Show what was held back, and leave the screen as other programs expect it."""
        ...


class Transcript:
    """Turns events into blocks, and shows them on a display one after another."""

    def __init__(
        self, display: Display, titles: Mapping[str, str] | None = None, file_lines: FileLines | None = None
    ) -> None:
        self._display = display
        self._titles = titles or {}
        self._file_lines = file_lines or FileLines()
        self._notebook = Notebook()
        #: Blocks that have not ended, oldest first.
        self._blocks: deque[Block] = deque()

    def start_from(self, notebook: Notebook) -> None:
        """Show what is in `notebook`, the state before the events to come."""
        self._notebook = deepcopy(notebook)
        for id in self._notebook.order:
            cell = self._notebook.cells[id]
            if not cell.run:
                continue
            block = self._open(id, cell.run)
            block.started, block.duration, block.error = cell.started, cell.duration, cell.error
            for part in cell.in_order():
                if isinstance(part, ConsoleChunk):
                    block.write(part.stream, part.text)
                else:
                    block.append(part)
            if cell.status != "running":
                block.outcome = cell.status
        self._settle()

    def name(self, cell: str) -> str:
        """Return the name by which people know the cell."""
        return self._titles.get(cell, cell)

    def rename(self, titles: Mapping[str, str]) -> None:
        """Use these titles as names of cells from here on."""
        self._titles = titles

    def notice(self, text: str) -> None:
        """Show a line that belongs to no cell."""
        self._display.notice(text)

    def add(self, event: e.Event) -> None:
        """Apply one event and show what can be shown after it."""
        if isinstance(event, e.CellStarted | e.CellSkipped | e.CellsDeleted):
            # These events remove items, so late ones are shown first.
            self._settle(all_late=True)
        if isinstance(event, e.NotebookRestored):
            # Events were missed: build the state again, and show it.
            self._end_all()
            self._notebook = Notebook()
            self._display.notice("events were missed; what follows is the state after them")
        apply(self._notebook, event)
        match event:
            case e.CellStarted():
                self._retire(event.cell)
                self._open(event.cell, event.run).started = event.at
            case e.CellFinished() | e.CellSkipped():
                self._finish(event)
            case e.ConsoleWritten() if self._current(event.cell, event.run):
                self._block(event.cell, event.run).write(event.stream, event.text)
            case e.ConsoleCleared() if self._current(event.cell, event.run):
                self._block(event.cell, event.run).clear(event.stream)
            case e.OutputAppended() if self._current(event.cell, event.run):
                self._block(event.cell, event.run).append(event.item)
            case e.OutputReplaced() if self._current(event.cell, event.run):
                self._block(event.cell, event.run).replace(event.item)
            case e.CellsDeleted():
                for cell in event.cells:
                    self._retire(cell)
            case e.RunFinished():
                self._settle(all_late=True)
            case e.RunnerDied():
                self._display.notice(f"the runner died: {event.reason}")
            case _:
                return
        self._settle()

    def refresh(self) -> None:
        """Update the display, including unfinished lines and changing items."""
        self._display.refresh([(block, self._live_items(block)) for block in self._blocks])

    def suspend(self) -> None:
        """Leave the screen free until the next refresh."""
        self._display.suspend()

    def close(self) -> None:
        """Show everything that is left, including that of cells that have not finished."""
        self._end_all()
        self._display.close()

    def _end_all(self) -> None:
        for block in self._blocks:
            block.outcome = block.outcome or "running"
        self._settle()

    def _current(self, cell: str, run: int) -> bool:
        return not cell or (cell in self._notebook.cells and self._notebook.cells[cell].run == run)

    def _open(self, cell: str, run: int, late: bool = False) -> Block:
        self._blocks.append(Block(cell, self.name(cell) if cell else "notebook", run, late))
        return self._blocks[-1]

    def _block(self, cell: str, run: int) -> Block:
        """Return the block that is open for this run, or begin a late one."""
        for block in self._blocks:
            if block.cell == cell and block.outcome is None:
                return block
        return self._open(cell, run, late=True)

    def _finish(self, event: e.CellFinished | e.CellSkipped) -> None:
        if isinstance(event, e.CellSkipped):
            self._retire(event.cell)
            if event.status == "idle":
                # The cell has lost its error without running.
                return
        elif not self._current(event.cell, event.run):
            return
        block = self._block(event.cell, event.run)
        block.late = False
        block.outcome = event.status
        block.error = event.error and self._file_lines.in_file(event.cell, event.error)
        block.duration = event.duration if isinstance(event, e.CellFinished) else 0.0

    def _retire(self, cell: str) -> None:
        """End the open block of an earlier run of the cell, whose items are gone."""
        for block in self._blocks:
            if block.cell == cell and block.outcome is None:
                block.late = True
                block.end_lines()
                block.outcome = "idle"

    def _item(self, block: Block, id: int) -> Item | None:
        """Return an item of `block` in its present state; None if it is gone."""
        cell = self._notebook.cells.get(block.cell)
        if cell is None or cell.run != block.run:
            return None
        index = index_of(cell.outputs, id)
        return None if index is None else cell.outputs[index]

    def _live_items(self, block: Block) -> list[Item]:
        """Return the last items of `block` that have not been shown."""
        items = [self._item(block, part) for part in block.parts[-_LIVE:] if isinstance(part, int)]
        return [item for item in items if item is not None]

    def _take(self, block: Block, over: bool) -> list[Line | Item]:
        """Remove and return what can be shown of `block`: everything if it is `over`."""
        if not over and not block.has_lines:
            return []
        end = len(block.parts)
        while not over and end and isinstance(block.parts[end - 1], int):
            end -= 1
        taken: list[Line | Item] = []
        kept: list[Line | int] = []
        for part in [*block.parts[:end], *(block.changed if over else ())]:
            if not isinstance(part, int):
                taken.append(part)
            elif (item := self._item(block, part)) is not None:
                if over or _is_final(item):
                    block.items[part] = True
                    taken.append(item)
                else:
                    kept.append(part)
        block.parts = kept + block.parts[end:]
        block.has_lines = False
        return taken

    def _settle(self, all_late: bool = False) -> None:
        """Show what can be shown of the front block, and end blocks up to the first that is still open."""
        while self._blocks:
            block = self._blocks[0]
            over = block.outcome is not None or (block.late and (all_late or len(self._blocks) > 1))
            if over:
                block.end_lines()
            parts = self._take(block, over)
            if not block.begun and (not block.late or parts):
                block.begun = True
                self._display.begin(block)
            if parts:
                self._display.write(parts)
            if not over:
                return
            self._blocks.popleft()
            if block.begun:
                self._display.end(block)


def _is_final(item: Item) -> bool:
    """Return whether `item` is anything but an unfinished progress item."""
    progress = progress_of(item.data)
    return progress is None or progress.done or progress.failed
