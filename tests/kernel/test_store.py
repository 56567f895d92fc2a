"""The record: log and notebook as one."""

import msgspec
from cellwire.kernel.store import Store, encode
from cellwire.protocol import events as e


def test_the_notebook_is_never_behind_the_log_for_who_looks_at_it():
    record = Store("epoch", 1 << 20)
    record.add(e.GraphChanged([e.CellDeclared("a", "x")]))
    assert record.notebook.cells["a"].source == "x"
    for run in range(1, 100):
        record.add(e.CellStarted("a", run))
        started = e.CellFinished("a", run)
        record.add_encoded(started, encode(started))
    assert (record.notebook.cells["a"].run, record.notebook.cells["a"].status) == (99, "ok")


def test_what_is_logged_is_not_kept_a_second_time_once_it_is_carried_out():
    record = Store("epoch", 1 << 20)
    for run in range(1, 100):
        record.add(e.RunAccepted(run))
    record.apply_pending()
    assert not record._pending
    assert [run.run for run in record.notebook.runs] == list(range(1, 100))


def test_events_that_nobody_waits_for_are_not_urgent():
    record = Store("epoch", 1 << 20)
    record.add(e.RunAccepted(1))
    assert not record.urgent
    record.add(e.RunFinished(1))
    assert record.urgent
    assert [msgspec.msgpack.decode(event)["type"] for event in record.log.read(1, 1000)] == [
        "RunAccepted",
        "RunFinished",
    ]
