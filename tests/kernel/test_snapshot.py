"""A notebook as the events that build it."""

import tracemalloc
from typing import Any

import msgspec
from cellwire.kernel.snapshot import SnapshotReader
from cellwire.kernel.store import OpaqueItem, RunnerEvent, Store, encode
from cellwire.protocol import events as e
from cellwire.protocol.notebook import CellError, Item, Notebook
from cellwire.protocol.reducer import apply

decode_event = msgspec.msgpack.Decoder(e.Event).decode


def store(*events: Any) -> Store:
    made = Store("epoch", 1 << 20)
    add(made, *events)
    return made


def add(made: Store, *events: Any) -> None:
    """Add events as they come from a runner or, if they are the kernel's own, as the kernel does."""
    for event in events:
        encoded = encode(event)
        try:
            made.add_encoded(msgspec.msgpack.decode(encoded, type=RunnerEvent), encoded)
        except msgspec.ValidationError:
            made.add(event)


def read(snapshot: SnapshotReader, limit: int = 1 << 16) -> list[bytes]:
    encoded: list[bytes] = []
    while not snapshot.exhausted:
        part = snapshot.read(limit)
        assert len(part) == 1 or sum(map(len, part)) <= limit
        encoded += part
    return encoded


def replica(encoded: list[bytes]) -> Notebook:
    notebook = Notebook()
    for event in encoded:
        apply(notebook, decode_event(event))
    return notebook


def same(left: Notebook, right: Notebook) -> bool:
    encoder = msgspec.msgpack.Encoder(order="deterministic")
    return encoder.encode(left) == encoder.encode(right)


HISTORY = [
    e.RunnerStarted(1, 42),
    e.RunAccepted(1),
    e.GraphChanged([e.CellDeclared("b", "y = x", 1, ["y"], ["x"]), e.CellDeclared("a", "x = 1", 1, ["x"])]),
    e.GraphChanged(order=["a", "b"]),
    e.RunPlanned(1, ["a", "b"]),
    e.CellStarted("a", 1, 10.5),
    e.OutputAppended("a", 1, Item(1, {"text/plain": "1", "image/png": b"\x00\xff"}, {"width": 3})),
    e.OutputAppended("a", 1, Item(2, {"text/plain": "2"})),
    e.OutputReplaced("a", 1, Item(1, {"text/plain": "one"})),
    e.ConsoleWritten("a", 1, "stdout", "hello\n"),
    e.ConsoleWritten("a", 1, "stderr", "oh\n", 2),
    e.ConsoleWritten("a", 1, "stdout", "world\n", 3),
    e.ConsoleWritten("a", 1, "stdout", "!\n", 9),
    e.ConsoleTrimmed("a", 1, 2),
    e.CellFinished("a", 1, "error", 1.5, CellError("ValueError", "no")),
    e.CellsMarked(["b"]),
    e.CellsConfigured(["b"], True),
    e.ConsoleWritten("", 0, "stderr", "no cell's\n"),
    e.ModeChanged("lazy"),
    e.InputRequested("q", "a", "name? ", True),
    e.RunAccepted(2),
]


def test_a_snapshot_builds_the_same_notebook_as_the_events():
    made = store(*HISTORY)
    direct = Notebook()
    for event in HISTORY:
        apply(direct, decode_event(encode(event)))
    encoded = read(SnapshotReader(made.notebook, made.log.last))
    assert same(replica(encoded), direct)


def test_a_snapshot_has_text_and_items_in_the_order_in_which_they_were_written():
    made = store(*HISTORY)
    events = [decode_event(event) for event in read(SnapshotReader(made.notebook, made.log.last))]
    kept = [event for event in events if getattr(event, "cell", None) == "a" and hasattr(event, "run")]
    parts = [event.text if isinstance(event, e.ConsoleWritten) else event.item.id for event in kept]
    assert parts == ["llo\n", 1, "oh\n", 2, "world\n", "!\n"]


def test_a_snapshot_read_in_small_parts_is_the_same():
    made = store(*HISTORY)
    assert read(SnapshotReader(made.notebook, 1), 1) == read(SnapshotReader(made.notebook, 1))


def test_a_snapshot_keeps_the_state_at_its_event_while_the_notebook_changes():
    made = store(*HISTORY)
    before = read(SnapshotReader(made.notebook, made.log.last))
    snapshot = SnapshotReader(made.notebook, made.log.last)
    add(
        made,
        e.OutputAppended("a", 1, Item(3, {"text/plain": "3"})),
        e.OutputRemoved("a", 1, 2),
        e.ConsoleWritten("a", 1, "stdout", "more"),
        e.ConsoleWritten("", 0, "stderr", "more"),
        e.CellStarted("b", 2, 11.0),
        e.RunFinished(1),
        e.CellsDeleted(["a"]),
        e.RunnerDied("gone"),
    )
    assert read(snapshot) == before


def test_nothing_is_encoded_before_it_is_read():
    made = store(*HISTORY[:6])
    add(
        made, *(e.OutputAppended("a", 1, Item(number, {"text/plain": "x" * 10_000})) for number in range(100))
    )
    tracemalloc.start()
    try:
        snapshot = SnapshotReader(made.notebook, 1)
        assert snapshot.fresh
        snapshot.read(20_000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert not snapshot.fresh
    assert not snapshot.exhausted


def test_an_item_in_the_state_shares_the_memory_of_its_event():
    encoded = encode(e.OutputAppended("a", 1, Item(9, {"text/plain": "x" * 100_000})))
    tracemalloc.start()
    try:
        event: Any = msgspec.msgpack.decode(encoded, type=RunnerEvent)
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    assert isinstance(event.item, OpaqueItem)
    assert len(event.item.data) > 100_000
