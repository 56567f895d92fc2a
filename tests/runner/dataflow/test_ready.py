from cellwire.runner.dataflow.ready import ReadyCells
from hypothesis import given
from hypothesis import strategies as st


def schedule(**before):
    return ReadyCells(list(before), lambda cell: before[cell])


def test_what_waits_for_nothing_comes_in_order():
    ready = schedule(a="", b="", c="")
    assert [ready.pop() for _ in range(4)] == ["a", "b", "c", None]


def test_a_cell_waits_for_those_before_it():
    ready = schedule(a="", b="a", c="")
    assert [ready.pop(), ready.pop(), ready.pop()] == ["a", "c", None]
    assert len(ready) == 1
    ready.done("a")
    assert ready.pop() == "b"


def test_a_cell_waits_for_one_that_is_listed_after_it():
    ready = schedule(a="b", b="", c="")
    assert ready.pop() == "b"
    ready.done("b")
    assert [ready.pop(), ready.pop()] == ["a", "c"]


def test_of_those_that_may_have_their_turn_the_first_listed_does_whenever_it_became_free():
    ready = schedule(a="c", b="", c="", d="")
    assert [ready.pop(), ready.pop()] == ["b", "c"]
    ready.done("c")
    assert [ready.pop(), ready.pop()] == ["a", "d"]


def test_a_cell_waits_neither_for_itself_nor_for_cells_outside_the_list():
    assert schedule(a="axyz").pop() == "a"


def test_cells_that_wait_for_each_other_have_no_turn():
    ready = schedule(a="b", b="a", c="b", d="")
    assert ready.pop() == "d"
    ready.done("d")
    assert ready.pop() is None
    assert ready.drop() == ["a", "b", "c"]


def test_dropping_returns_what_has_not_had_its_turn_in_order():
    ready = schedule(a="", b="a", c="b", d="")
    ready.pop()
    assert ready.drop() == ["b", "c", "d"]
    ready.done("a")
    assert (ready.pop(), len(ready)) == (None, 0)


@given(st.data())
def test_everything_that_can_has_its_turn_once_and_after_all_that_it_waits_for(data):
    cells = [str(number) for number in range(data.draw(st.integers(1, 8)))]
    before = {cell: data.draw(st.sets(st.sampled_from(cells))) - {cell} for cell in cells}
    ready = ReadyCells(cells, before.__getitem__)
    running, done = [], []
    while True:
        assert len(ready) == len(cells) - len(running) - len(done)
        cell = ready.pop()
        free = [c for c in cells if c not in running and c not in done and before[c] <= set(done)]
        assert cell == (free[0] if free else None)
        if cell is not None:
            running.append(cell)
        elif not running:
            break
        if running and (cell is None or data.draw(st.booleans())):
            done.append(running.pop(data.draw(st.integers(0, len(running) - 1))))
            ready.done(done[-1])
    left = ready.drop()
    assert sorted(left + done) == cells
    assert left == sorted(left)
    for cell in left:
        assert before[cell] & set(left)
