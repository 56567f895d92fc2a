"""`apply(notebook, event)`: the one way a notebook changes, the same in the kernel and in every client.

Deterministic and total: it reads only its arguments, and an event that no longer applies (its cell is
gone, or its run is not the cell's current one) changes nothing. The id is all that it reads of an item,
so the kernel can keep items as bytes.
"""

from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from . import events as e
from .notebook import (
    CellState,
    CommState,
    Console,
    ConsoleChunk,
    Notebook,
    PendingInput,
    RunnerState,
    RunState,
    Stream,
)

#: Adjacent text of one stream between the same items is joined up to this many characters, so that writing
#: a character at a time costs neither an object for each nor a copy of all text before it.
CHUNK_CHARS: Final = 8192
_item_id = attrgetter("id")


def apply(notebook: Notebook, event: Any) -> None:
    """Change `notebook` as `event` says.

    Raises: KeyError if `event` is not an event.
    """
    _RULES[type(event)](notebook, event)


def append_text(console: Console, stream: Stream, text: str, before: int = 0) -> None:
    """Add `text` at the end of `stream`, joined with the last chunk if the result stays small."""
    if console.chunks:
        last = console.chunks[-1]
        if last.stream == stream and last.before == before and len(last.text) + len(text) <= CHUNK_CHARS:
            last.text += text
            return
    console.chunks.append(ConsoleChunk(stream, text, before))


def drop_text(console: Console, chars: int) -> None:
    """Remove `chars` characters from the front and count them."""
    console.dropped += chars
    gone = 0
    while gone < len(console.chunks) and chars >= len(console.chunks[gone].text):
        chars -= len(console.chunks[gone].text)
        gone += 1
    del console.chunks[:gone]
    if chars and console.chunks:
        console.chunks[0].text = console.chunks[0].text[chars:]
        # Small chunks are joined at once, as writing them again (a snapshot) would join them.
        console.chunks[:2] = _joined(console.chunks[:2])


def _joined(chunks: list[ConsoleChunk]) -> list[ConsoleChunk]:
    """Return the chunks that writing the texts of `chunks` one after the other would leave."""
    joined = Console()
    for chunk in chunks:
        append_text(joined, chunk.stream, chunk.text, chunk.before)
    return joined.chunks


def _current(notebook: Notebook, event: Any) -> CellState | None:
    """Return the cell of `event` if the event belongs to its current run."""
    cell = notebook.cells.get(event.cell)
    return cell if cell is not None and cell.run == event.run else None


def _console(notebook: Notebook, event: Any) -> Console | None:
    """Return the console that `event` changes: the cell's, or the notebook's if it names no cell."""
    if not event.cell:
        return notebook.console
    cell = _current(notebook, event)
    return None if cell is None else cell.console


def _reset(cell: CellState, run: int) -> None:
    """Make `run` the current run of `cell`, empty so far."""
    cell.run = run
    cell.outputs = []
    cell.console = Console()
    cell.error = None
    cell.started = 0.0
    cell.duration = 0.0


def _freshen(cell: CellState) -> None:
    """Take all that was said of staleness off `cell`."""
    cell.stale = False
    cell.stale_reason = ""
    cell.stale_because = []


def index_of(items: list[Any], item_id: int) -> int | None:
    """Return the index of an item; ids grow in order of creation and a replacement keeps its place."""
    index = bisect_left(items, item_id, key=_item_id)
    return index if index < len(items) and items[index].id == item_id else None


def _run_accepted(notebook: Notebook, event: e.RunAccepted) -> None:
    notebook.runs.append(RunState(event.run))


def _run_planned(notebook: Notebook, event: e.RunPlanned) -> None:
    for run in notebook.runs:
        if run.run == event.run:
            run.cells = list(event.cells)
            break
    else:
        notebook.runs.append(RunState(event.run, list(event.cells)))
    for cell_id in event.cells:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            cell.status = "queued"


def _run_finished(notebook: Notebook, event: e.RunFinished) -> None:
    # Runs finish nearly in order, and waiting ones are dropped from the end, so the search is short however
    # many are queued.
    runs = notebook.runs
    if runs and runs[-1].run == event.run:
        index = len(runs) - 1
    else:
        index = next((i for i, run in enumerate(runs) if run.run == event.run), None)
    if index is None:
        return
    # A cell that is still queued never had its turn: it keeps its outputs and stops waiting, unless another
    # run has it too.
    cells = notebook.runs.pop(index).cells
    others = {cell for run in runs for cell in run.cells} if cells and runs else ()
    for cell_id in cells:
        cell = notebook.cells.get(cell_id)
        if cell is not None and cell.status == "queued" and cell_id not in others:
            cell.status = "cancelled"
            cell.stale = True


def _cell_started(notebook: Notebook, event: e.CellStarted) -> None:
    cell = notebook.cells.get(event.cell)
    if cell is not None:
        _reset(cell, event.run)
        cell.status = "running"
        _freshen(cell)
        cell.started = event.at


def _cell_finished(notebook: Notebook, event: e.CellFinished) -> None:
    cell = _current(notebook, event)
    if cell is not None:
        cell.status = event.status
        cell.duration = event.duration
        cell.error = event.error


def _cell_skipped(notebook: Notebook, event: e.CellSkipped) -> None:
    cell = notebook.cells.get(event.cell)
    if cell is not None:
        _reset(cell, event.run)
        cell.status = event.status
        cell.error = event.error


def _cells_marked(notebook: Notebook, event: e.CellsMarked) -> None:
    for cell_id in event.cells:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            cell.stale = event.stale
            cell.stale_reason = event.reason
            cell.stale_because = list(event.because)


def _cells_configured(notebook: Notebook, event: e.CellsConfigured) -> None:
    for cell_id in event.cells:
        cell = notebook.cells.get(cell_id)
        if cell is not None:
            cell.disabled = event.disabled


def _cells_deleted(notebook: Notebook, event: e.CellsDeleted) -> None:
    gone = set(event.cells)
    for cell_id in event.cells:
        notebook.cells.pop(cell_id, None)
    notebook.order = [cell_id for cell_id in notebook.order if cell_id not in gone]


def _graph_changed(notebook: Notebook, event: e.GraphChanged) -> None:
    for declared in event.cells:
        cell = notebook.cells.get(declared.id)
        if cell is None:
            cell = notebook.cells[declared.id] = CellState(declared.id)
            notebook.order.append(declared.id)
        cell.source = declared.source
        cell.revision = declared.revision
        cell.defs = list(declared.defs)
        cell.refs = list(declared.refs)
        cell.rereads = [*declared.rereads]
        cell.loose = declared.loose
        cell.on = declared.on
    if event.order is not None:
        # One order for both, so that the encoded forms of equal notebooks are equal.
        ids = dict.fromkeys([*event.order, *notebook.order])
        notebook.cells = {id: notebook.cells[id] for id in ids if id in notebook.cells}
        notebook.order = list(notebook.cells)


def _mode_changed(notebook: Notebook, event: e.ModeChanged) -> None:
    notebook.mode = event.mode


def _output_appended(notebook: Notebook, event: e.OutputAppended[Any]) -> None:
    cell = _current(notebook, event)
    if cell is not None:
        cell.outputs.append(event.item)


def _output_replaced(notebook: Notebook, event: e.OutputReplaced[Any]) -> None:
    cell = _current(notebook, event)
    if cell is not None:
        index = index_of(cell.outputs, event.item.id)
        if index is not None:
            cell.outputs[index] = event.item


def _output_removed(notebook: Notebook, event: e.OutputRemoved) -> None:
    cell = _current(notebook, event)
    if cell is not None:
        index = index_of(cell.outputs, event.item)
        if index is not None:
            del cell.outputs[index]


def _outputs_cleared(notebook: Notebook, event: e.OutputsCleared) -> None:
    cell = _current(notebook, event)
    if cell is not None:
        cell.outputs = []


def _console_written(notebook: Notebook, event: e.ConsoleWritten) -> None:
    console = _console(notebook, event)
    if console is not None:
        append_text(console, event.stream, event.text, event.before)


def _console_trimmed(notebook: Notebook, event: e.ConsoleTrimmed) -> None:
    console = _console(notebook, event)
    if console is not None:
        drop_text(console, event.chars)


def _console_cleared(notebook: Notebook, event: e.ConsoleCleared) -> None:
    console = _console(notebook, event)
    if console is not None:
        console.chunks = _joined([chunk for chunk in console.chunks if chunk.stream != event.stream])


def _comm_sent(notebook: Notebook, event: e.CommSent) -> None:
    if event.action == "open":
        notebook.comms.append(CommState(event.comm, event.target, event.cell))
    elif event.action == "close":
        notebook.comms = [comm for comm in notebook.comms if comm.id != event.comm]


def _input_requested(notebook: Notebook, event: e.InputRequested) -> None:
    notebook.inputs.append(PendingInput(event.id, event.cell, event.prompt, event.password))


def _input_closed(notebook: Notebook, event: e.InputClosed) -> None:
    notebook.inputs = [pending for pending in notebook.inputs if pending.id != event.id]


def _runner_started(notebook: Notebook, event: e.RunnerStarted) -> None:
    notebook.runner = RunnerState("ready", event.generation, event.pid)


def _runner_changed(notebook: Notebook, event: e.RunnerChanged) -> None:
    notebook.runner.condition = event.condition


def _runner_died(notebook: Notebook, event: e.RunnerDied) -> None:
    notebook.runner.condition = "dead"
    notebook.runner.reason = event.reason
    notebook.inputs = []
    notebook.comms = []


def _nothing(notebook: Notebook, event: e.KernelClosing) -> None:
    """Leave the state as it is; the client reacts to the event itself."""


def _cell_restored(notebook: Notebook, event: e.CellRestored) -> None:
    cell = event.cell
    cell.outputs = []
    cell.console = Console(dropped=event.console_dropped)
    notebook.cells[cell.id] = cell
    notebook.order.append(cell.id)


def _notebook_restored(notebook: Notebook, event: e.NotebookRestored) -> None:
    notebook.mode = event.mode
    notebook.runs = [RunState(run.run, list(run.cells)) for run in event.runs]
    for request in event.inputs:
        _input_requested(notebook, request)
    notebook.runner = RunnerState(event.condition, event.generation, event.pid, event.reason)
    notebook.console.dropped = event.console_dropped
    notebook.comms = list(event.comms)


_RULES: dict[type, Callable[[Notebook, Any], None]] = {
    e.RunAccepted: _run_accepted,
    e.RunPlanned: _run_planned,
    e.RunFinished: _run_finished,
    e.CellStarted: _cell_started,
    e.CellFinished: _cell_finished,
    e.CellSkipped: _cell_skipped,
    e.CellsMarked: _cells_marked,
    e.CellsConfigured: _cells_configured,
    e.CellsDeleted: _cells_deleted,
    e.GraphChanged: _graph_changed,
    e.ModeChanged: _mode_changed,
    e.OutputAppended: _output_appended,
    e.OutputReplaced: _output_replaced,
    e.OutputRemoved: _output_removed,
    e.OutputsCleared: _outputs_cleared,
    e.ConsoleWritten: _console_written,
    e.ConsoleTrimmed: _console_trimmed,
    e.ConsoleCleared: _console_cleared,
    e.CommSent: _comm_sent,
    e.InputRequested: _input_requested,
    e.InputClosed: _input_closed,
    e.RunnerStarted: _runner_started,
    e.RunnerChanged: _runner_changed,
    e.RunnerDied: _runner_died,
    e.KernelClosing: _nothing,
    e.CellRestored: _cell_restored,
    e.NotebookRestored: _notebook_restored,
}
