"""The store: log and notebook as one."""

import msgspec
from cellwire.kernel.store import Store, encode
from cellwire.protocol import events as e


def test_a_reader_never_sees_the_notebook_behind_the_log():
    store = Store("epoch", 1 << 20)
    store.add(e.GraphChanged([e.CellDeclared("a", "x")]))
    assert store.notebook.cells["a"].source == "x"
    for run in range(1, 100):
        store.add(e.CellStarted("a", run))
        started = e.CellFinished("a", run)
        store.add_encoded(started, encode(started))
    assert (store.notebook.cells["a"].run, store.notebook.cells["a"].status) == (99, "ok")


def test_events_are_not_kept_a_second_time_once_they_are_applied():
    store = Store("epoch", 1 << 20)
    for run in range(1, 100):
        store.add(e.RunAccepted(run))
    store.apply_pending()
    assert not store._pending
    assert [run.run for run in store.notebook.runs] == list(range(1, 100))


def test_events_that_no_frontend_waits_for_are_not_urgent():
    store = Store("epoch", 1 << 20)
    store.add(e.RunAccepted(1))
    assert not store.urgent
    store.add(e.RunFinished(1))
    assert store.urgent
    assert [msgspec.msgpack.decode(event)["type"] for event in store.log.read(1, 1000)] == [
        "RunAccepted",
        "RunFinished",
    ]
