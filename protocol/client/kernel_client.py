"""What a frontend does with a kernel: the methods of `KernelClient`, one for each request.

The client's copy of the notebook changes only while the caller awaits something. A method that changes
the notebook returns when the change is in the copy, with everything that happened before it. Any number
of tasks of one event loop may call methods at once, and each call can be cancelled at any moment: the
kernel carries on with what it has accepted, and nothing is left behind here.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload

from .. import messages as m
from ..connection import Connection
from ..errors import KernelDied, ProtocolError
from ..events import RunFinished
from ..messages import Cell, Completions, Inspection, KernelStatistics, Role, RunQueued, Variable
from ..notebook import CommAction, Mode, Notebook
from .event_stream import EventStream
from .session import Session

#: How cells are given: sources by id, in notebook order, or `Cell`s.
Cells: TypeAlias = Mapping[str, str] | Iterable[Cell]

ReplyT = TypeVar("ReplyT", bound=m.Reply)


class ClientState:
    """What a client knows without asking the kernel; the blocking client has it too."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def notebook(self) -> Notebook:
        """The copy of the notebook. Read the attribute again after each await: a snapshot replaces it."""
        return self._session.replica.notebook

    @property
    def epoch(self) -> str:
        """Names the kernel process whose events `seq` counts."""
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
    def connected(self) -> bool:
        """Whether there is a connection to the kernel; while there is none, the copy stands still."""
        return self._session.connected

    @property
    def connection(self) -> Connection:
        """How the kernel is reached."""
        return self._session.connection

    @property
    def connection_file(self) -> str:
        """The path to give to `connect` in another process."""
        return self._session.connection.file


class KernelClient(ClientState):
    """One frontend at one kernel, made by `start_kernel` and `attach`, or `launch_kernel` and `connect`.

    Every method raises KernelDied when the kernel has ended, ProtocolError when it does not speak this
    protocol, and RequestError when it refuses the request, which then changed nothing.
    """

    def __init__(self, session: Session, close: Callable[[], Awaitable[None]]) -> None:
        super().__init__(session)
        self._close = close

    @overload
    async def run(self, cells: Cells, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    async def run(self, cells: Cells, *, wait: Literal[False]) -> RunQueued: ...
    @overload
    async def run(self, cells: Cells, *, wait: bool) -> RunFinished | RunQueued: ...
    async def run(self, cells: Cells, *, wait: bool = True) -> RunFinished | RunQueued:
        """Submit cells, run them and the cells that depend on them, and return how the run ended.

        A failing cell raises nothing here: look at `status` and `failed` of the result and at `error` of
        the cells. With `wait=False`, return as soon as the copy has the queued run: until the run has ended
        the notebook is not idle.

        Raises: TypeError or ValueError naming the cell that is not given correctly.
        """
        submitted = _as_cells(cells)
        return await self._run(lambda id: m.RunCells(id, submitted), wait)

    @overload
    async def run_stale(self, *, wait: Literal[True] = True) -> RunFinished: ...
    @overload
    async def run_stale(self, *, wait: Literal[False]) -> RunQueued: ...
    @overload
    async def run_stale(self, *, wait: bool) -> RunFinished | RunQueued: ...
    async def run_stale(self, *, wait: bool = True) -> RunFinished | RunQueued:
        """Run every stale cell; otherwise like `run`."""
        return await self._run(m.RunStale, wait)

    async def sync(self, cells: Cells) -> RunFinished:
        """Submit cells and their order without running anything; cells that are left out stay."""
        submitted = _as_cells(cells)
        return await self._run_to_the_end(lambda id: m.SyncCells(id, submitted))

    async def delete(self, ids: Iterable[str], *, keep: bool = False) -> RunFinished:
        """Delete cells and the names that they define.

        With `keep` the names stay and belong to no cell; cells that read them become stale and do not run.
        """
        given = _ids(ids)
        return await self._run_to_the_end(lambda id: m.DeleteCells(id, given, keep))

    async def configure(self, ids: str | Iterable[str], *, disabled: bool) -> RunFinished:
        """Disable or enable one cell or several."""
        given = [ids] if isinstance(ids, str) else _ids(ids)
        return await self._run_to_the_end(lambda id: m.ConfigureCells(id, given, disabled))

    async def set_mode(self, mode: Mode) -> RunFinished:
        """Choose whether dependent cells run by themselves (`autorun`) or become stale (`lazy`).

        Raises: ValueError if `mode` is neither.
        """
        if mode not in ("autorun", "lazy"):
            raise ValueError(f"mode must be 'autorun' or 'lazy', not {mode!r}")
        return await self._run_to_the_end(lambda id: m.SetMode(id, mode))

    async def interrupt(self) -> None:
        """Stop the running cells and drop queued runs; waiting `run` calls return with that status."""
        await self._request(m.Interrupt, m.Done)

    async def restart_runner(self) -> None:
        """Replace the process that runs cells, even one that hangs; outputs stay, cells become stale."""
        await self._request(m.RestartRunner, m.Done)

    async def provide_input(self, id: str, text: str | None) -> None:
        """Give `text` to the code that waits for the input `id`, one of `notebook.inputs`.

        None says that there is no more input: the code gets `EOFError`.

        Raises: RequestError with code `unknown_input` if nothing waits for it any more.
        """
        await self._request(lambda request: m.ProvideInput(request, id, text or "", text is None), m.Done)

    async def refuse_input(self, id: str) -> None:
        """Have the code that waits for the input `id`, one of `notebook.inputs`, raise: there is none.

        Raises: RequestError with code `unknown_input` if nothing waits for it any more.
        """
        await self._request(lambda request: m.RefuseInput(request, id), m.Done)

    async def send_comm(
        self,
        comm: str,
        data: Mapping[str, Any] | None = None,
        *,
        action: CommAction = "msg",
        target: str = "",
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Send `data` over a comm of `notebook.comms`, open one for `target`, or close it.

        Returns when user code has dealt with it. What user code sends comes as `CommSent` events.
        """
        content = dict(data or {}), dict(metadata or {}), list(buffers)
        await self._request(lambda id: m.SendComm(id, comm, action, target, *content), m.Done)

    async def complete(self, code: str, cursor: int | None = None, cell: str | None = None) -> Completions:
        """Return completions at `cursor` (the end of `code` if None), as if typed in `cell`."""
        place = len(code) if cursor is None else cursor
        return await self._request(lambda id: m.Complete(id, code, place, cell or ""), Completions)

    async def inspect(
        self, code: str, cursor: int | None = None, cell: str | None = None, *, detail: int = 0
    ) -> Inspection:
        """Return a description of the name at `cursor` (the end of `code` if None).

        From `detail` 1 it has the source of what the name stands for, where there is one.
        """
        place = len(code) if cursor is None else cursor
        return await self._request(lambda id: m.Inspect(id, code, place, cell or "", detail), Inspection)

    async def variables(self) -> list[Variable]:
        """Return the notebook's variables, sorted by name."""
        return (await self._request(m.Variables, m.VariableList)).variables

    async def statistics(self) -> KernelStatistics:
        """Return the kernel's counters."""
        return await self._request(m.Statistics, KernelStatistics)

    async def ping(self) -> float:
        """Return the seconds that the kernel took to answer."""
        start = perf_counter()
        await self._request(m.Ping, m.Pong)
        return perf_counter() - start

    async def wait_idle(self) -> None:
        """Return when no run of any frontend is queued or in progress."""
        # A run accepted before this call may not be in the copy yet; the reply says how far to read.
        pong = await self._request(m.Ping, m.Pong)
        replica = self._session.replica
        await self._session.until(lambda: replica.seq >= pong.seq and replica.notebook.idle)

    def events(self, buffer: int = 100_000) -> EventStream:
        """Return an async iterator over the events applied from here on.

        It keeps at most `buffer` events for a slow reader, and then ends with EventsLost. It ends when
        the kernel shuts down, and raises KernelDied when the kernel dies.
        """
        return self._session.stream(buffer)

    async def shutdown(self) -> None:
        """End the kernel and return when it is gone."""
        await self._request(m.Shutdown, m.Done)
        try:
            await self._session.until(lambda: False)
        except KernelDied:
            return

    async def wait_connected(self, connected: bool = True) -> None:
        """Return when there is a connection to the kernel, or with `False`, when there is none.

        Calls need not wait for this: a request is sent when the connection is back.
        """
        await self._session.until(lambda: self.connected is connected)

    async def aclose(self) -> None:
        """Close this client, and end the kernel if it was launched with it and not `detached`.

        Any task of the event loop may call this, and more than once. Other calls then raise KernelDied.
        """
        await self._close()

    async def _run(self, build: Callable[[str], m.Run], wait: bool) -> RunFinished | RunQueued:
        if wait:
            return await self._run_to_the_end(build)
        queued = await self._request(build, RunQueued)
        replica = self._session.replica
        await self._session.until(lambda: replica.seq >= queued.seq)
        return queued

    async def _run_to_the_end(self, build: Callable[[str], m.Run]) -> RunFinished:
        queued = await self._request(build, RunQueued, until_finished=True)
        return await self._session.run_finished(queued.run, queued.seq)

    async def _request(
        self, build: Callable[[str], m.Request], expected: type[ReplyT], *, until_finished: bool = False
    ) -> ReplyT:
        reply = await self._session.request(build, until_finished=until_finished)
        if not isinstance(reply, expected):
            raise ProtocolError(f"expected {expected.__name__} from the kernel, got {type(reply).__name__}")
        return reply


def _as_cells(cells: Any) -> list[Cell]:
    """Return `cells` as a list for the wire, after checking every id and source."""
    if isinstance(cells, Mapping):
        listed = [Cell(id, source) for id, source in cast(Mapping[Any, Any], cells).items()]
    elif isinstance(cells, (str, bytes)) or not isinstance(cells, Iterable):
        raise TypeError(f"cells must be {{id: source}} or a list of Cell, not {type(cells).__name__}")
    else:
        listed = list(cast(Iterable[Any], cells))
    seen: set[str] = set()
    for cell in listed:
        if not isinstance(cell, Cell):
            raise TypeError(f"cells must be {{id: source}} or a list of Cell, and {cell!r} is not a Cell")
        _check_id(cell.id)
        if cell.id in seen:
            raise ValueError(f"the cell {cell.id!r} is given twice")
        seen.add(cell.id)
        _check_text(cell.source, f"the source of the cell {cell.id!r}")
    return listed


def _ids(ids: Any) -> list[str]:
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"cell ids must be a list of str, not {ids!r}")
    listed = list(cast(Iterable[Any], ids))
    for id in listed:
        _check_id(id)
    return listed


def _check_id(id: Any) -> None:
    _check_text(id, f"the cell id {id!r}")
    if not id:
        raise ValueError("a cell id must not be empty")


def _check_text(text: Any, what: str) -> None:
    """Check that `text` can be sent.

    Raises: TypeError or ValueError, whose message begins with `what`.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{what} has a lone surrogate at {error.start}; it cannot be sent") from error
