"""What a frontend does with a kernel: the methods of `KernelClient`, one for each request.

The client's copy of the notebook changes only while its user awaits something. A method that changes
the notebook returns when the change is in the copy, with everything that happened before it. Calls may
be made from any number of tasks of one event loop, and cancelled at any moment: what the kernel has
accepted goes on there, and nothing is left here.
"""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, Literal, TypeVar, cast, overload

from .. import messages as m
from ..connection import Connection
from ..errors import KernelDied, ProtocolError
from ..events import RunFinished
from ..messages import Cell, Completions, Inspection, KernelStatistics, Role, RunQueued, Variable
from ..notebook import Mode, Notebook
from .event_stream import EventStream
from .session import Session

#: Cells as methods take them: sources by id, in notebook order, or `Cell`s.
Cells = Mapping[str, str] | Iterable[Cell]

ReplyT = TypeVar("ReplyT", bound=m.Reply)


class KernelClient:
    """One frontend at one kernel; `launch_kernel` and `connect` make it.

    Every method raises KernelDied when the kernel has ended, ProtocolError when it does not speak this
    protocol, and RequestError when it refuses the request, which then has changed nothing.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def notebook(self) -> Notebook:
        """The copy of the notebook. Look it up anew after each await: a snapshot replaces it."""
        return self._session.replica.notebook

    @property
    def epoch(self) -> str:
        """The kernel process that `seq` counts the events of."""
        return self._session.replica.epoch

    @property
    def seq(self) -> int:
        """The number of the newest event applied."""
        return self._session.replica.seq

    @property
    def role(self) -> Role:
        """`control`, or `watch`: the kernel refuses everything that changes something."""
        welcome = self._session.welcome
        return "control" if welcome is None else welcome.role

    @property
    def connection(self) -> Connection:
        """How the kernel is reached."""
        return self._session.connection

    @property
    def connection_file(self) -> str:
        """The path to give to `connect` in another process."""
        return self._session.connection.file

    @overload
    async def run(self, cells: Cells, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    async def run(self, cells: Cells, *, wait: Literal[False]) -> RunQueued: ...
    @overload
    async def run(self, cells: Cells, *, wait: bool) -> RunFinished | RunQueued: ...
    async def run(self, cells: Cells, *, wait: bool = True) -> RunFinished | RunQueued:
        """Take the sources, run the cells and what follows from them, and return how the run ended.

        A cell that fails raises nothing here: see `status` and `failed` of what is returned, and the
        cells' `error`. Without `wait`, return as soon as the kernel has queued the run.

        Raises: TypeError or ValueError naming the cell that is not given as it must be.
        """
        submitted = _submitted(cells)
        return await self._run(lambda id: m.RunCells(id, submitted), wait)

    @overload
    async def run_stale(self, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    async def run_stale(self, *, wait: Literal[False]) -> RunQueued: ...
    @overload
    async def run_stale(self, *, wait: bool) -> RunFinished | RunQueued: ...
    async def run_stale(self, *, wait: bool = True) -> RunFinished | RunQueued:
        """Run every stale cell; otherwise as `run`."""
        return await self._run(m.RunStale, wait)

    async def sync(self, cells: Cells) -> RunFinished:
        """Take the sources and their order without running anything."""
        submitted = _submitted(cells)
        return await self._finished(lambda id: m.SyncCells(id, submitted))

    async def delete(self, ids: Iterable[str]) -> RunFinished:
        """Delete cells, with everything they have defined."""
        given = _ids(ids)
        return await self._finished(lambda id: m.DeleteCells(id, given))

    async def configure(self, ids: str | Iterable[str], *, disabled: bool) -> RunFinished:
        """Disable or enable one cell or several."""
        given = [ids] if isinstance(ids, str) else _ids(ids)
        return await self._finished(lambda id: m.ConfigureCells(id, given, disabled))

    async def set_mode(self, mode: Mode) -> RunFinished:
        """Choose whether what follows from a run is run by itself (`autorun`) or marked stale (`lazy`).

        Raises: ValueError if `mode` is neither.
        """
        if mode not in ("autorun", "lazy"):
            raise ValueError(f"the mode is {mode!r}; give 'autorun' or 'lazy'")
        return await self._finished(lambda id: m.SetMode(id, mode))

    async def interrupt(self) -> None:
        """Stop what runs and drop what is queued; their `run` calls return so."""
        await self._ask(m.Interrupt, m.Done)

    async def restart_runner(self) -> None:
        """Replace the process that runs cells, also one that hangs; outputs stay, cells become stale."""
        await self._ask(m.RestartRunner, m.Done)

    async def provide_input(self, id: str, text: str | None) -> None:
        """Answer the question `id` of `notebook.inputs`; None says that there is no more input.

        Raises: RequestError with code `unknown_input` if it has been answered already.
        """
        await self._ask(lambda request: m.ProvideInput(request, id, text or "", text is None), m.Done)

    async def complete(self, code: str, cursor: int | None = None, cell: str | None = None) -> Completions:
        """Return what could stand at `cursor` (the end of `code` if None), as if typed in `cell`."""
        place = len(code) if cursor is None else cursor
        return await self._ask(lambda id: m.Complete(id, code, place, cell or ""), Completions)

    async def inspect(self, code: str, cursor: int | None = None, cell: str | None = None) -> Inspection:
        """Return what the name at `cursor` (the end of `code` if None) is."""
        place = len(code) if cursor is None else cursor
        return await self._ask(lambda id: m.Inspect(id, code, place, cell or ""), Inspection)

    async def variables(self) -> list[Variable]:
        """Return the notebook's variables, sorted by name."""
        return (await self._ask(m.Variables, m.VariableList)).variables

    async def statistics(self) -> KernelStatistics:
        """Return the kernel's counters."""
        return await self._ask(m.Statistics, KernelStatistics)

    async def ping(self) -> float:
        """Return the seconds that the kernel took to answer."""
        start = perf_counter()
        await self._ask(m.Ping, m.Pong)
        return perf_counter() - start

    async def wait_idle(self) -> None:
        """Return when nothing is queued or in progress, whoever asked for it."""
        # A run accepted before this call may not be in the copy yet; the answer says how far to read.
        pong = await self._ask(m.Ping, m.Pong)
        replica = self._session.replica
        await self._session.until(lambda: replica.seq >= pong.seq and replica.notebook.idle)

    def events(self, buffer: int = 100_000) -> EventStream:
        """Return an async iterator over the events applied from here on.

        It keeps at most `buffer` events for a reader that is slower than they come, and then ends with
        EventsLost. It ends by itself when the kernel has shut down, and raises KernelDied when it died.
        """
        return self._session.stream(buffer)

    async def shutdown(self) -> None:
        """End the kernel, and return when it is gone."""
        await self._ask(m.Shutdown, m.Done)
        try:
            await self._session.until(lambda: False)
        except KernelDied:
            return

    async def _run(self, build: Callable[[str], m.Run], wait: bool) -> RunFinished | RunQueued:
        if wait:
            return await self._finished(build)
        return await self._ask(build, RunQueued)

    async def _finished(self, build: Callable[[str], m.Run]) -> RunFinished:
        queued = await self._ask(build, RunQueued, to_the_end=True)
        return await self._session.run_finished(queued.run, queued.seq)

    async def _ask(
        self, build: Callable[[str], m.Request], expected: type[ReplyT], *, to_the_end: bool = False
    ) -> ReplyT:
        reply = await self._session.ask(build, to_the_end=to_the_end)
        if not isinstance(reply, expected):
            raise ProtocolError(f"the kernel answers {type(reply).__name__} where {expected.__name__} is due")
        return reply


def _submitted(cells: Any) -> list[Cell]:
    """Return `cells` as the wire has them, each id once and each source text."""
    if isinstance(cells, Mapping):
        listed = [Cell(id, source) for id, source in cast(Mapping[Any, Any], cells).items()]
    elif isinstance(cells, (str, bytes)) or not isinstance(cells, Iterable):
        raise TypeError(f"cells are a {type(cells).__name__}; give {{id: source}} or a list of Cell")
    else:
        listed = list(cast(Iterable[Any], cells))
    seen: set[str] = set()
    for cell in listed:
        if not isinstance(cell, Cell):
            raise TypeError(f"{cell!r} is no Cell; give {{id: source}} or a list of Cell(id, source)")
        _check_id(cell.id)
        if cell.id in seen:
            raise ValueError(f"the cell {cell.id!r} is given twice; give each id once")
        seen.add(cell.id)
        _check_text(cell.source, f"the source of the cell {cell.id!r}")
    return listed


def _ids(ids: Any) -> list[str]:
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"cell ids are given as {ids!r}; give a list of them")
    listed = list(cast(Iterable[Any], ids))
    for id in listed:
        _check_id(id)
    return listed


def _check_id(id: Any) -> None:
    _check_text(id, f"the cell id {id!r}")
    if not id:
        raise ValueError("a cell id is empty; text that belongs to no cell is named so")


def _check_text(text: Any, what: str) -> None:
    """Check that `text` can be sent. Raises: TypeError or ValueError that begin with `what`."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a {type(text).__name__}; give a str")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{what} has a lone surrogate at {error.start}, which is no text") from error
