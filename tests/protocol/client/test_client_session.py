"""The client's side of a session, against a kernel that a test writes line by line."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
import zmq
from anyio import wait_all_tasks_blocked
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.client.kernel_client import KernelClient
from cellwire.protocol.client.launch import connect
from cellwire.protocol.connection import Connection, KeyPair
from cellwire.protocol.errors import (
    AuthenticationError,
    EventsLost,
    KernelDied,
    ProtocolError,
    RequestError,
)
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import CellState
from support.waiting import PATIENCE

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]

Answer = Callable[["ScriptedKernel", Any], None]


class ScriptedKernel:
    """A ROUTER that answers `Hello` and `Ping` itself and leaves the rest to the function `answer`."""

    def __init__(self, endpoint: str, answer: Answer, keys: KeyPair | None = None) -> None:
        self.endpoint = endpoint
        self.answer = answer
        self.epoch = "epoch-1"
        self.seq = 0
        self.limits = Limits()
        self.protocol = m.PROTOCOL
        #: Everything received, in order.
        self.requests: list[Any] = []
        self.client = b""
        self.greets = True
        self._keys = keys
        self._arrived = anyio.Event()
        self._context: Any = zmq.Context()
        self.open()

    def open(self) -> None:
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        if self._keys is not None:
            self._socket.curve_server = True
            self._socket.curve_secretkey = self._keys.secret.encode()
            self._socket.curve_publickey = self._keys.public.encode()
        self._socket.bind(self.endpoint)
        self.endpoint = self._socket.last_endpoint.decode()

    def close(self) -> None:
        self._socket.close()

    def destroy(self) -> None:
        self._context.destroy(0)

    async def serve(self) -> None:
        decoder = msgspec.msgpack.Decoder(m.Request)
        while True:
            if not self._socket.closed and self._socket.get(zmq.EVENTS) & zmq.POLLIN:
                self.client, frame = self._socket.recv_multipart()
                self._handle(decoder.decode(frame))
            else:
                # A look every millisecond is fast enough for a scripted kernel.
                await anyio.sleep(0.001)

    def _handle(self, request: Any) -> None:
        self.requests.append(request)
        self._arrived.set()
        self._arrived = anyio.Event()
        if isinstance(request, m.Hello) and self.greets:
            self.send(
                m.Welcome(request.id, self.epoch, self.seq, "control", self.protocol, "9.9", self.limits)
            )
            if request.epoch != self.epoch:
                self.snapshot(e.NotebookRestored(condition="ready"))
        elif isinstance(request, m.Ping):
            self.send(m.Pong(request.id, self.seq))
        else:
            self.answer(self, request)

    def send(self, message: Any, *further: Any) -> None:
        frames = [message if isinstance(message, bytes) else msgspec.msgpack.encode(message)]
        frames += [msgspec.msgpack.encode(event) for event in further]
        self._socket.send_multipart([self.client, *frames])

    def snapshot(self, *events: Any) -> None:
        self.send(m.Snapshot(self.epoch, self.seq, True, True, list(events)))

    def batch(self, *events: Any) -> None:
        self.send(m.Batch(self.seq + 1, list(events)))
        self.seq += len(events)

    async def received(self, kind: type, count: int = 1) -> list[Any]:
        """Wait until `count` requests of a kind have arrived, and return them."""
        while len(found := [request for request in self.requests if isinstance(request, kind)]) < count:
            await self._arrived.wait()
        return found


@pytest.fixture
def scripted(tmp_path: Any) -> Iterator[Callable[..., Any]]:
    """Return a context manager: a scripted kernel and a client attached to it, for at most five seconds."""
    kernels: list[ScriptedKernel] = []

    @asynccontextmanager
    async def start(
        answer: Answer = lambda kernel, request: None, prepare: Callable[[ScriptedKernel], Any] = id
    ) -> AsyncIterator[tuple[ScriptedKernel, KernelClient]]:
        kernel = ScriptedKernel(f"ipc://{tmp_path}/socket", answer)
        kernels.append(kernel)
        prepare(kernel)
        file = tmp_path / "connection.json"
        file.write_bytes(msgspec.json.encode(Connection(kernel.endpoint, kernel.epoch, 1, "9.9", str(file))))
        raised: Exception | None = None
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kernel.serve)
                try:
                    async with connect(file) as client:
                        yield kernel, client
                except Exception as error:
                    raised = error
                tasks.cancel_scope.cancel()
        # Raised outside the group, which would wrap it.
        if raised is not None:
            raise raised

    yield start
    for kernel in kernels:
        kernel.destroy()


def run_all(kernel: ScriptedKernel, request: Any) -> None:
    """Carry out every run immediately: each cell prints its source."""
    if not isinstance(request, m.RunCells):
        return
    run = 1 + sum(isinstance(one, m.RunCells) for one in kernel.requests[:-1])
    kernel.send(m.RunQueued(request.id, run, kernel.seq + 1))
    kernel.batch(
        e.RunAccepted(run),
        e.GraphChanged([e.CellDeclared(cell.id, cell.source) for cell in request.cells]),
        *(e.CellStarted(cell.id, run) for cell in request.cells),
        *(e.ConsoleWritten(cell.id, run, "stdout", cell.source) for cell in request.cells),
        *(e.CellFinished(cell.id, run) for cell in request.cells),
        e.RunFinished(run),
    )


async def test_a_run_returns_when_its_end_and_all_before_it_are_in_the_copy(scripted):
    async with scripted(run_all) as (_, client):
        finished = await client.run({"a": "x = 1", "b": "x + 1"})
        assert finished == e.RunFinished(1)
        assert client.notebook.order == ["a", "b"]
        assert client.notebook.cells["b"].console.text() == "x + 1"
        assert client.notebook.cells["b"].status == "ok"
        assert client.notebook.idle


async def test_a_caller_waiting_for_the_end_of_a_run_is_not_woken_by_the_reply(scripted):
    def accept(kernel: ScriptedKernel, request: Any) -> None:
        kernel.send(m.RunQueued(request.id, 7, 1))
        kernel.batch(e.RunAccepted(7))

    async with scripted(accept) as (kernel, client):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run, {"a": ""})
            await kernel.received(m.RunCells)
            await client.ping()
            (pending,) = client._session._pending.values()
            assert pending.reply == m.RunQueued(pending.reply.id, 7, 1)
            assert not pending.answered.is_set()
            tasks.cancel_scope.cancel()
        assert not client._session._runs
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run, {"a": ""})
            await kernel.received(m.RunCells, 2)
            kernel.batch(e.RunFinished(7))


async def test_a_reply_may_arrive_after_the_end_of_its_run(scripted):
    def finish_first(kernel: ScriptedKernel, request: Any) -> None:
        kernel.batch(e.RunAccepted(1), e.RunFinished(1))
        kernel.send(m.RunQueued(request.id, 1, 1))

    async with scripted(finish_first) as (_, client):
        assert await client.run({"a": ""}) == e.RunFinished(1)


async def test_without_waiting_a_run_returns_its_number_once_it_is_in_the_copy(scripted):
    def accept(kernel: ScriptedKernel, request: Any) -> None:
        kernel.send(m.RunQueued(request.id, 7, kernel.seq + 1))
        kernel.batch(e.RunAccepted(7))

    async with scripted(accept) as (_, client):
        queued = await client.run({"a": ""}, wait=False)
        assert queued.run == 7
        assert [run.run for run in client.notebook.runs] == [7]


async def test_many_runs_may_be_awaited_at_once(scripted):
    async with scripted(run_all) as (_, client):
        ends: list[int] = []

        async def one(number: int) -> None:
            ends.append((await client.run({f"cell {number}": ""})).run)

        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(one, number)
        assert sorted(ends) == list(range(1, 301))
        assert len(client.notebook.cells) == 300


async def test_the_copy_is_complete_when_the_context_is_entered(scripted):
    def with_history(kernel: ScriptedKernel) -> None:
        kernel.seq = 40
        kernel.greets = False

        def greet(kernel: ScriptedKernel, request: Any) -> None:
            if isinstance(request, m.Hello):
                kernel.send(m.Welcome(request.id, kernel.epoch, 42))
                kernel.send(m.Snapshot(kernel.epoch, 40, True, False, [e.NotebookRestored()]))
                kernel.send(m.Snapshot(kernel.epoch, 40, False, True), e.CellRestored(_cell("a")))
                kernel.batch(e.ConsoleWritten("a", 1, "stdout", "late"), e.ModeChanged("lazy"))

        kernel.answer = greet

    async with scripted(prepare=with_history) as (_, client):
        assert client.seq == 42
        assert client.notebook.cells["a"].console.text() == "late"
        assert client.notebook.mode == "lazy"


def _cell(id: str) -> CellState:
    return CellState(id, run=1, status="ok")


async def test_a_refused_request_raises_with_code_and_hint(scripted):
    def refuse(kernel: ScriptedKernel, request: Any) -> None:
        kernel.send(m.Error(request.id, "unknown_cell", "there is no cell 'z'", "give one that exists"))

    async with scripted(refuse) as (_, client):
        with pytest.raises(RequestError, match=r"no cell .z..*give one") as caught:
            await client.delete(["z"])
        assert caught.value.code == "unknown_cell"


async def test_a_lost_connection_is_made_again_from_the_state_of_the_copy(scripted):
    async with scripted(run_all) as (kernel, client):
        await client.run({"a": "1"})
        held = client.seq
        kernel.close()
        await client.wait_connected(False)
        # Signal 1: the request is made without a connection and answered when there is one again.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run, {"a": "2"})
            await wait_all_tasks_blocked()
            kernel.open()
        hellos = await kernel.received(m.Hello, 2)
        assert (hellos[1].epoch, hellos[1].seq) == (kernel.epoch, held)
        assert client.notebook.cells["a"].console.text() == "2"


async def test_a_request_without_a_reply_is_sent_again_with_the_same_id(scripted):
    def answer_the_second_time(kernel: ScriptedKernel, request: Any) -> None:
        if isinstance(request, m.Interrupt):
            if sum(isinstance(one, m.Interrupt) for one in kernel.requests) == 1:
                kernel.close()
                kernel.open()
            else:
                kernel.send(m.Done(request.id))

    async with scripted(answer_the_second_time) as (kernel, client):
        await client.interrupt()
        first, second = await kernel.received(m.Interrupt, 2)
        assert first.id == second.id


async def test_a_gap_makes_the_client_greet_again_and_nothing_is_lost(scripted):
    def lose_one(kernel: ScriptedKernel, request: Any) -> None:
        if isinstance(request, m.RunCells):
            kernel.batch(e.RunAccepted(1))
            kernel.send(m.RunQueued(request.id, 1, kernel.seq))
            kernel.seq += 1
            kernel.batch(e.RunFinished(1))
            kernel.seq = 1
            kernel.greets = False
        elif isinstance(request, m.Hello):
            kernel.send(m.Welcome(request.id, kernel.epoch, 1))
            kernel.batch(e.ModeChanged("lazy"), e.RunFinished(1))

    async with scripted(lose_one) as (kernel, client):
        await client.run({"a": ""})
        hellos = await kernel.received(m.Hello, 2)
        assert hellos[1].seq == 1
        assert client.notebook.mode == "lazy"


@pytest.mark.parametrize("code", ["not_greeted", "busy"])
async def test_a_client_that_the_kernel_dropped_comes_back(scripted, code):
    def forget(kernel: ScriptedKernel, request: Any) -> None:
        if isinstance(request, m.Variables):
            if len([one for one in kernel.requests if isinstance(one, m.Hello)]) == 1:
                kernel.send(m.Error("", code, "this frontend was dropped"))
            else:
                kernel.send(m.VariableList(request.id, [m.Variable("x")]))

    async with scripted(forget) as (_, client):
        assert await client.variables() == [m.Variable("x")]


async def test_the_outcome_of_a_run_whose_end_a_snapshot_skipped_is_read_from_the_cells(scripted):
    def fall_behind(kernel: ScriptedKernel, request: Any) -> None:
        if isinstance(request, m.RunCells):
            kernel.send(m.RunQueued(request.id, 3, 1))
            kernel.seq = 500
            failed = msgspec.structs.replace(_cell("a"), run=3, status="error")
            kernel.snapshot(e.NotebookRestored(), e.CellRestored(failed))

    async with scripted(fall_behind) as (_, client):
        assert await client.run({"a": "1/0"}) == e.RunFinished(3, "error", ["a"])


async def test_received_bytes_are_acknowledged_as_they_are_applied(scripted):
    async with scripted() as (kernel, _):
        for _ in range(8):
            kernel.batch(e.ConsoleWritten("", 0, "stdout", "x" * 20_000))
        acknowledged = await kernel.received(m.Acknowledge, 2)
        assert 64 * 1024 <= acknowledged[0].received < acknowledged[1].received < 8 * 20_100


async def test_a_small_window_is_acknowledged_before_it_is_full(scripted):
    def narrow(kernel: ScriptedKernel) -> None:
        kernel.limits = Limits(window_bytes=4000)

    async with scripted(prepare=narrow) as (kernel, _):
        kernel.batch(e.ConsoleWritten("", 0, "stdout", "x" * 1000))
        await kernel.received(m.Acknowledge)


async def test_everything_is_acknowledged_at_once_when_the_kernel_closes(scripted):
    async with scripted() as (kernel, _):
        kernel.batch(e.KernelClosing("enough"))
        acknowledged = await kernel.received(m.Acknowledge)
        assert acknowledged[-1].received > 0


async def test_an_event_in_a_frame_of_its_own_is_applied_in_order(scripted):
    async with scripted() as (kernel, client):
        events = client.events()
        large = e.ConsoleWritten("", 0, "stdout", "y" * 300_000)
        kernel.send(m.Batch(1, [e.ModeChanged("lazy")]), large)
        assert [await anext(events), await anext(events)] == [e.ModeChanged("lazy"), large]
        assert client.seq == 2


async def test_events_begin_with_the_next_one_and_reach_every_stream(scripted):
    async with scripted(run_all) as (_, client):
        await client.run({"a": "1"})
        first, second = client.events(), client.events()
        await client.run({"a": "2"})
        for stream in (first, second):
            kinds = [type(event).__name__ for event in await stream.receive()]
            assert kinds[0] == "RunAccepted"
            assert kinds[-1] == "RunFinished"


async def test_a_slow_reader_of_events_gets_the_buffered_ones_and_then_an_error(scripted):
    async with scripted() as (kernel, client):
        events = client.events(buffer=2)
        kernel.batch(*(e.RunAccepted(run) for run in (1, 2, 3)))
        await client.ping()
        assert [await anext(events), await anext(events)] == [e.RunAccepted(1), e.RunAccepted(2)]
        with pytest.raises(EventsLost, match="buffer"):
            await anext(events)
        assert events.statistics().dropped == 1
        assert client.seq == 3


async def test_waiting_for_idle_includes_runs_that_the_copy_does_not_have_yet(scripted):
    async with scripted() as (kernel, client):
        idle = anyio.Event()

        async def wait() -> None:
            await client.wait_idle()
            idle.set()

        kernel.batch(e.RunAccepted(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await kernel.received(m.Ping)
            await client.ping()
            assert not idle.is_set()
            kernel.batch(e.RunFinished(1))


async def begin_and_cancel(call: Callable[[], Any]) -> None:
    """Cancel a call when it waits for the kernel."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_a_cancelled_call_leaves_nothing_behind(scripted):
    async with scripted() as (kernel, client):
        for call in (client.interrupt, lambda: client.run({"a": ""}), client.wait_idle, client.shutdown):
            await begin_and_cancel(call)
        kernel.batch(e.RunAccepted(1))
        await begin_and_cancel(client.wait_idle)
        session = client._session
        assert not session._pending
        assert not session._runs
        assert not session._conditions


async def test_every_waiter_is_notified_when_the_kernel_can_no_longer_be_reached(scripted):
    async with scripted() as (kernel, client):
        notified: list[str] = []

        async def call(function: Callable[[], Any]) -> None:
            with pytest.raises(KernelDied, match="lost"):
                await function()
            notified.append(function.__name__)

        events = client.events()
        async with anyio.create_task_group() as tasks:
            for function in (client.interrupt, client.variables, events.__anext__):
                tasks.start_soon(call, function)
            await kernel.received(m.Variables)
            kernel.close()
        assert len(notified) == 3
        with pytest.raises(KernelDied):
            await client.ping()


async def test_a_kernel_that_shut_down_ends_events_without_an_error(scripted):
    def shut(kernel: ScriptedKernel, request: Any) -> None:
        if isinstance(request, m.Shutdown):
            kernel.send(m.Done(request.id))
            kernel.batch(e.KernelClosing("asked to"))
        elif isinstance(request, m.Acknowledge):
            kernel.close()

    async with scripted(shut) as (_, client):
        events = client.events()
        await client.shutdown()
        assert [event async for event in events] == [e.KernelClosing("asked to")]
        with pytest.raises(KernelDied, match="shut down: asked to"):
            await client.ping()


async def test_the_error_for_an_unknown_event_has_the_version_that_is_needed(scripted):
    async with scripted() as (kernel, client):
        unknown = {"type": "Batch", "first_seq": 1, "events": [{"type": "CellTeleported", "cell": "a"}]}
        kernel.send(msgspec.msgpack.encode(unknown))
        with pytest.raises(ProtocolError, match=r"CellTeleported.*9\.9"):
            await client.interrupt()
        with pytest.raises(ProtocolError):
            await client.ping()


async def test_a_kernel_of_another_protocol_is_refused(scripted):
    with pytest.raises(ProtocolError, match="newer cellwire here"):
        async with scripted(prepare=lambda kernel: setattr(kernel, "protocol", m.PROTOCOL + 1)):
            pytest.fail("the context was entered")


async def test_another_kernel_at_the_same_address_is_not_mistaken_for_the_first(scripted):
    async with scripted() as (kernel, client):
        kernel.close()
        kernel.epoch = "epoch-2"
        kernel.open()
        with pytest.raises(KernelDied, match="another one answers"):
            await client.interrupt()


async def test_after_the_context_calls_raise_that_the_client_is_closed(scripted):
    async with scripted() as (_, client):
        events = client.events()
    with pytest.raises(KernelDied, match="closed"):
        await client.ping()
    with pytest.raises(KernelDied, match="closed"):
        await anext(events)


async def test_an_exception_of_the_body_is_not_wrapped(scripted):
    with pytest.raises(LookupError, match="mine"):
        async with scripted():
            raise LookupError("mine")


async def test_a_missing_kernel_is_a_clear_error(tmp_path):
    file = tmp_path / "connection.json"
    file.write_bytes(msgspec.json.encode(Connection(f"ipc://{tmp_path}/none", "e", 1, "9.9", str(file))))
    with anyio.fail_after(PATIENCE), pytest.raises(KernelDied, match="no kernel answers"):
        async with connect(file):
            pytest.fail("the context was entered")


async def test_a_wrong_server_key_is_an_authentication_error_at_once(tmp_path):
    def pair() -> KeyPair:
        public, secret = zmq.curve_keypair()
        return KeyPair(public.decode(), secret.decode())

    kernel = ScriptedKernel("tcp://127.0.0.1:*", lambda kernel, request: None, keys=pair())
    file = tmp_path / "connection.json"
    stranger = Connection(kernel.endpoint, "epoch-1", 1, "9.9", str(file), pair().public, pair())
    file.write_bytes(msgspec.json.encode(stranger))
    try:
        with anyio.fail_after(PATIENCE), pytest.raises(AuthenticationError, match="key"):
            async with connect(file):
                pytest.fail("the context was entered")
    finally:
        kernel.destroy()
