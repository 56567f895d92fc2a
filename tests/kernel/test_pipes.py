"""Console pipes: real pipes, and a loop that the test drives."""

import os
from collections.abc import Iterator

import pytest
from cellwire.kernel.console_router import ConsoleRouter
from cellwire.kernel.loop import Loop
from cellwire.kernel.pipes import Pipes
from cellwire.kernel.run_queue import RunQueue
from cellwire.kernel.store import Store
from cellwire.protocol import events as e
from cellwire.protocol.limits import Limits
from cellwire.protocol.link import PipeOpened
from cellwire.protocol.markers import Marker, encode_marker
from cellwire.protocol.messages import RunStale

NONCE = b"\0" + bytes(range(200, 215))


class Console:
    """The two pipes of a runner, with cells `a` and `b` running in run 1."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.store = Store("epoch", 1 << 20)
        queue = RunQueue(10, 10)
        queue.accept(RunStale("1"), 1)
        queue.begin()
        self.store.add(e.GraphChanged([e.CellDeclared("a"), e.CellDeclared("b")]))
        for cell in "ab":
            self.store.add(e.CellStarted(cell, 1))
        ends = [os.pipe() for _ in range(2)]
        for reading, _ in ends:
            os.set_blocking(reading, False)
        (out, self.out), (err, self.err) = ends
        self.reading = (out, err)
        #: Bytes of the link that the kernel has passed on.
        self.delivered = 0
        self.closed: list[int] = []
        router = ConsoleRouter(self.store, queue, Limits())
        self.pipes = Pipes(
            self.loop,
            router,
            NONCE,
            out,
            err,
            lambda: self.delivered,
            most=16,
            closed=self.closed.append,
        )
        self.children: list[int] = []

    def write(self, *parts: bytes | Marker, fd: int | None = None) -> None:
        data = b"".join(part if isinstance(part, bytes) else encode_marker(NONCE, part) for part in parts)
        os.write(self.out if fd is None else fd, data)

    def child(self, number: int, cell: str = "a") -> int:
        """Return the writing end of a child's pipe whose reading end the kernel has."""
        reading, writing = os.pipe()
        self.children.append(writing)
        self.pipes.open(PipeOpened(cell, 1, "stdout", number), reading)
        return writing

    def read(self, cell: str = "a") -> str:
        self.pipes.drain()
        return self.store.notebook.cells[cell].console.text()

    def turn(self) -> None:
        """Run rounds of the loop until no pipe rests."""

        def stop() -> float:
            if any(pipe.resting for pipe in self.pipes._marked):
                return float("inf")
            self.loop.stop()
            return 0.0

        self.loop._running = True
        self.loop.run(stop)

    def close(self) -> None:
        for fd in (*self.reading, *self.children, self.out, self.err):
            try:
                os.close(fd)
            except OSError:
                pass
        self.loop.close()


@pytest.fixture
def console() -> Iterator[Console]:
    made = Console()
    yield made
    made.close()


def test_text_before_any_marker_belongs_to_no_cell(console: Console):
    console.write(b"starting")
    console.pipes.drain()
    assert console.store.notebook.console.text() == "starting"


def test_a_marker_names_the_cell_of_the_text_after_it(console: Console):
    console.write(Marker("cell", "a", 1), b"one", Marker("cell", "b", 1), b"two", Marker("cell"), b"none")
    assert console.read("a") == "one"
    assert console.read("b") == "two"
    assert console.store.notebook.console.text() == "none"


def test_a_pipe_that_a_drain_has_emptied_rests_before_it_wakes_the_kernel_again(console: Console):
    console.write(Marker("cell", "a", 1), b"one")
    assert console.read() == "one"
    out, err = console.pipes._marked
    assert out.resting
    assert out.fd not in console.loop._watched
    assert err.fd in console.loop._watched, "there was nothing to read in it"
    console.write(b"two")
    console.loop.run(lambda: console.loop.stop() or float("inf") if not out.resting else float("inf"))
    assert console.store.notebook.cells["a"].console.text() == "one", "not read before the rest is over"
    console.turn()
    assert console.store.notebook.cells["a"].console.text() == "onetwo"


def test_each_stream_has_an_owner_of_its_own(console: Console):
    console.write(Marker("cell", "a", 1), b"out")
    console.write(Marker("cell", "b", 1), b"err", fd=console.err)
    console.write(b"more")
    assert console.read("a") == "outmore"
    assert console.read("b") == "err"


def test_pieces_of_one_run_in_one_read_become_one_event(console: Console):
    seq = console.store.log.last
    console.write(*[Marker("cell", "a", 1), b"line\n"] * 100)
    assert console.read("a") == "line\n" * 100
    assert console.store.log.last == seq + 1


def test_a_character_split_by_a_read_waits_for_its_rest(console: Console):
    euro = "€".encode()
    console.write(Marker("cell", "a", 1), b"1" + euro[:1])
    assert console.read("a") == "1"
    console.write(Marker("cell", "b", 1), b"other", Marker("cell", "a", 1), euro[1:])
    assert console.read("a") == "1€"
    assert console.read("b") == "other"


def test_bytes_that_are_not_text_are_replaced(console: Console):
    console.write(Marker("cell", "a", 1), b"\xff\xfe ok")
    assert console.read("a") == "�� ok"


def test_text_that_is_left_at_the_end_is_passed_on(console: Console):
    console.write(Marker("cell", "a", 1), b"last words " + "€".encode()[:2])
    os.close(console.out)
    console.pipes.finish()
    assert console.store.notebook.cells["a"].console.text() == "last words �"


def test_a_clear_marker_empties_the_stream(console: Console):
    console.write(Marker("cell", "a", 1), b"gone", Marker("clear", "a", 1), b"kept")
    assert console.read("a") == "kept"


def test_more_than_a_pipe_holds_is_read_in_several_turns(console: Console):
    console.write(Marker("cell", "a", 1))
    for _ in range(8):
        console.write(b"x" * 60_000)
        console.turn()
    assert len(console.read("a")) == 480_000


def test_a_pipe_that_rests_is_read_when_a_cell_ends(console: Console):
    console.write(Marker("cell", "a", 1), b"one ")
    console.loop._running = True
    console.loop.run(lambda: console.loop.stop() or 0.0)
    assert [pipe.resting is not None for pipe in console.pipes._marked] == [True, False]
    console.write(b"two")
    assert console.read("a") == "one two"


def test_a_childs_text_comes_after_what_was_written_before_its_start(console: Console):
    child = console.child(1)
    os.write(child, b"child ")
    console.turn()
    assert console.read("a") == "", "the marker has not been seen"
    console.write(Marker("cell", "a", 1), b"before ", Marker("pipe_opened", pipe=1))
    assert console.read("a") == "before "
    console.turn()
    assert console.read("a") == "before child "


def test_a_childs_text_comes_before_what_was_written_after_its_end(console: Console):
    child = console.child(1)
    console.write(Marker("cell", "a", 1), b"before ", Marker("pipe_opened", pipe=1))
    os.write(child, b"child ")
    console.write(Marker("pipe_drained", pipe=1), b"after")
    assert console.read("a") == "before child after"


def test_a_child_stays_with_its_cell_although_another_one_runs(console: Console):
    child = console.child(1, "a")
    console.write(Marker("pipe_opened", pipe=1), Marker("cell", "b", 1), b"b's ")
    os.write(child, b"a's")
    console.turn()
    console.turn()
    assert console.read("a") == "a's"
    assert console.read("b") == "b's "


def test_a_marker_waits_for_the_pipe_that_comes_over_the_link(console: Console):
    console.write(Marker("cell", "a", 1), b"before ", Marker("pipe_opened", pipe=1))
    console.write(Marker("pipe_drained", pipe=1), b"after")
    assert console.read("a") == "before "
    assert console.pipes.waiting
    reading, writing = os.pipe()
    console.children.append(writing)
    os.write(writing, b"child ")
    console.pipes.open(PipeOpened("a", 1, "stdout", 1), reading)
    assert not console.pipes.waiting
    assert console.read("a") == "before child after"


def test_a_pipe_that_never_comes_does_not_hold_text_up(console: Console):
    console.write(Marker("cell", "a", 1), b"before ", Marker("pipe_opened", pipe=1), b"after")
    assert console.read("a") == "before "
    console.pipes.link_is_empty()
    assert console.read("a") == "before after"
    console.write(b" more")
    console.turn()
    assert console.read("a") == "before after more"


def test_a_pipe_that_comes_late_is_still_read(console: Console):
    console.write(Marker("pipe_opened", pipe=1))
    console.pipes.drain()
    console.pipes.link_is_empty()
    os.write(console.child(1), b"child")
    console.turn()
    assert console.read("a") == "child"


def test_a_childs_pipe_that_has_ended_is_closed(console: Console):
    child = console.child(1)
    reading = console.pipes._children[1].fd
    console.write(Marker("pipe_opened", pipe=1))
    console.pipes.drain()
    os.write(child, b"bye")
    os.close(child)
    console.children.clear()
    console.turn()
    console.turn()
    assert console.read("a") == "bye"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


def test_childrens_pipes_are_emptied_and_closed_at_the_end(console: Console):
    child = console.child(1)
    os.write(child, b"never marked")
    console.pipes.finish()
    assert console.store.notebook.cells["a"].console.text() == "never marked"
    assert not console.pipes._children


def test_a_marker_that_does_not_decode_costs_nothing_but_itself(console: Console, capfd):
    console.write(Marker("cell", "a", 1), b"before", NONCE + b"\0\x01\xc1")
    assert console.read("a") == "before"
    console.write(b" after")
    assert console.read("a") == "before after"
    assert "does not decode" in capfd.readouterr().err


# The order of the two pipes and the link


def text_of(console: Console) -> list[tuple[str, str]]:
    """Return the chunks of cell `a`, so far as they were passed on."""
    return [(chunk.stream, chunk.text) for chunk in console.store.notebook.cells["a"].console.chunks]


def test_text_waits_until_the_link_has_delivered_what_was_written_before_it(console: Console):
    console.write(Marker("cell", "a", 1), b"one ", Marker("after", link=10), b"two ")
    console.write(Marker("after", link=20), b"three")
    assert console.read() == "one "
    assert console.pipes.waiting
    console.delivered = 10
    console.pipes.advance()
    assert console.store.notebook.cells["a"].console.text() == "one two "
    console.delivered = 20
    assert console.read() == "one two ", "a drain alone does not pass on what waits"
    console.pipes.advance()
    assert console.store.notebook.cells["a"].console.text() == "one two three"
    assert not console.pipes.waiting


def test_text_that_waits_for_the_link_comes_when_the_link_is_empty(console: Console):
    console.write(Marker("cell", "a", 1), Marker("after", link=10), b"text")
    console.pipes.drain()
    console.pipes.link_is_empty()
    assert console.read() == "text"


def test_a_pipe_that_waits_says_that_it_was_not_read_to_its_end(console: Console):
    markers = [Marker("cell", "a", 1), Marker("after", link=10)]
    room = 64 * 1024 - sum(len(encode_marker(NONCE, marker)) for marker in markers)
    console.write(*markers, b"x" * room)
    console.pipes.drain()
    assert console.pipes.behind
    console.delivered = 10
    console.pipes.advance()
    console.write(b"end")
    assert console.read() == "x" * room + "end"
    assert not console.pipes.behind


@pytest.mark.parametrize("order", ["out, err", "err, out"])
def test_text_of_both_streams_comes_in_the_order_of_their_turns(console: Console, order: str):
    out, err = console.pipes._marked
    console.write(Marker("cell", "a", 1), fd=console.err)
    console.write(Marker("cell", "a", 1), Marker("after", turn=1), b"1", Marker("after", turn=3), b"3")
    console.write(Marker("after", turn=2), b"2", Marker("after", turn=4), b"4", fd=console.err)
    for pipe in (out, err) if order == "out, err" else (err, out):
        console.pipes._ready(pipe)
    expected = [("stdout", "1"), ("stderr", "2"), ("stdout", "3"), ("stderr", "4")]
    assert text_of(console) == expected


def test_a_stream_waits_for_the_other_one_that_waits_for_the_link(console: Console):
    console.write(Marker("cell", "a", 1), fd=console.err)
    console.write(Marker("cell", "a", 1), Marker("after", link=10, turn=1), b"first")
    console.write(Marker("after", link=10, turn=2), b"second", fd=console.err)
    console.pipes.drain()
    assert text_of(console) == []
    console.delivered = 10
    console.pipes.advance()
    assert text_of(console) == [("stdout", "first"), ("stderr", "second")]


def test_a_turn_of_the_other_stream_that_was_written_later_does_not_hold_up_an_earlier_one(console: Console):
    console.write(Marker("cell", "a", 1), fd=console.err)
    console.write(Marker("cell", "a", 1), Marker("after", link=10, turn=2), b"later")
    console.write(Marker("after", link=5, turn=1), b"earlier", fd=console.err)
    console.delivered = 5
    console.pipes.drain()
    assert text_of(console) == [("stderr", "earlier")]
    console.pipes.finish()
    assert text_of(console) == [("stderr", "earlier"), ("stdout", "later")]


def test_text_after_markers_that_are_reached_becomes_one_event(console: Console):
    console.delivered = 100
    seq = console.store.log.last
    console.write(Marker("cell", "a", 1), *[Marker("after", link=50), b"line\n"] * 100)
    assert console.read() == "line\n" * 100
    assert console.store.log.last == seq + 1


def test_pipes_that_were_closed_are_reported_when_they_are_an_eighth_of_the_room(console: Console):
    ends = [console.child(number) for number in (1, 2, 3)]
    for end, reported in zip(ends, ([], [2], [2]), strict=True):
        os.close(end)
        console.children.remove(end)
        console.write(Marker("pipe_drained", pipe=ends.index(end) + 1))
        console.read()
        assert console.closed == reported


def test_a_pipe_that_is_lost_on_its_way_counts_as_closed(console: Console):
    for number in (1, 2):
        console.pipes.open(PipeOpened("a", 1, "stdout", number), None)
    assert console.closed == [2]


def test_when_room_is_short_the_pipe_of_the_oldest_finished_child_is_read_and_closed(console: Console):
    ends = [console.child(number) for number in range(13)]
    for number in (5, 7):
        os.write(ends[number], b"left behind ")
        console.write(Marker("pipe_drained", pipe=number))
    os.write(ends[0], b"still running ")
    console.read()
    os.write(ends[5], b"last words")
    console.child(13)
    assert console.read() == "left behind left behind last words"
    assert 5 not in console.pipes._children
    assert {0, 7, 13} <= set(console.pipes._children)
