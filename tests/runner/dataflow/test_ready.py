from cellwire.runner.dataflow.ready import ReadyCells
from hypothesis import given
from hypothesis import strategies as st


def schedule(**before):
    return ReadyCells(list(before), lambda cell: before[cell])


def test_what_waits_for_nothing_comes_in_order():
    plan = schedule(a="", b="", c="")
    assert [plan.next() for _ in range(4)] == ["a", "b", "c", None]


def test_a_cell_waits_for_those_before_it():
    plan = schedule(a="", b="a", c="")
    assert [plan.next(), plan.next(), plan.next()] == ["a", "c", None]
    assert len(plan) == 1
    plan.finished("a")
    assert plan.next() == "b"


def test_cells_outside_the_plan_are_not_waited_for():
    assert schedule(a="xyz").next() == "a"


def test_dropping_returns_what_has_not_had_its_turn_in_order():
    plan = schedule(a="", b="a", c="b", d="")
    plan.next()
    assert plan.drop() == ["b", "c", "d"]
    plan.finished("a")
    assert (plan.next(), len(plan)) == (None, 0)


@given(st.data())
def test_everything_has_its_turn_once_and_after_all_that_it_waits_for(data):
    size = data.draw(st.integers(1, 8))
    cells = [str(n) for n in range(size)]
    before = {cell: data.draw(st.sets(st.sampled_from(cells))) for cell in cells}
    plan = ReadyCells(cells, before.__getitem__)
    running, done = [], []
    while len(plan) or running:
        cell = plan.next()
        if cell is not None:
            assert {other for other in before[cell] if int(other) < int(cell)} <= set(done)
            running.append(cell)
        if running and (cell is None or data.draw(st.booleans())):
            done.append(running.pop(data.draw(st.integers(0, len(running) - 1))))
            plan.finished(done[-1])
    assert sorted(done, key=int) == cells
