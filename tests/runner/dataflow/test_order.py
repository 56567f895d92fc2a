"""Where cells stand in the notebook."""

import pytest
from cellwire.runner.dataflow.order import NotebookOrder
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("order", "listed", "merged"),
    [
        ("abc", "abc", "abc"),
        ("abc", "b", "abc"),
        ("abc", "ac", "abc"),
        ("", "ab", "ab"),
        ("abc", "xy", "abcxy"),
        ("abc", "ax", "axbc"),
        ("abc", "axyc", "axybc"),
        ("abc", "xb", "axbc"),
        ("abc", "xya", "xyabc"),
        ("abc", "axby", "axbyc"),
        ("abc", "cba", "cba"),
        ("abcd", "dabc", "dabc"),
        ("abcd", "bcda", "bcda"),
        ("abcde", "adcbe", "adcbe"),
        ("aubvc", "cab", "caubv"),
        ("aub", "ba", "bau"),
        ("abc", "aba", "abc"),
        ("abc", "", "abc"),
    ],
)
def test_a_list_of_cells_moves_as_few_as_possible(order: str, listed: str, merged: str) -> None:
    places = NotebookOrder(order)
    places.merge(listed)
    assert "".join(places) == merged


def test_merging_says_whether_anything_changed() -> None:
    order = NotebookOrder("abc")
    assert not order.merge("ac")
    assert order.merge("ca")
    assert order.merge("x")
    assert not order.merge("x")


def test_removing_keeps_the_others_in_place() -> None:
    order = NotebookOrder("abcd")
    order.remove("b")
    assert (list(order), len(order), "b" in order, order.index("c")) == (["a", "c", "d"], 3, False, 1)
    with pytest.raises(KeyError):
        order.remove("b")
    with pytest.raises(KeyError):
        order.place("b")


def test_there_is_always_room_between_two_cells() -> None:
    order = NotebookOrder("az")
    expected = ["a", "z"]
    for number in range(3_000):
        order.insert(1, str(number))
        expected.insert(1, str(number))
    assert list(order) == expected
    assert sorted(expected, key=order.place) == expected


def test_there_is_always_room_at_both_ends() -> None:
    order = NotebookOrder()
    for number in range(3_000):
        order.insert(0, str(number))
        order.append(str(-1 - number))
    assert sorted(order, key=order.place) == list(order)
    assert order.index("2999") == 0


@settings(max_examples=300)
@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.lists(st.sampled_from("efghijkl"), unique=True))
def test_a_merged_order_has_every_cell_once_and_both_orders(order: list[str], listed: list[str]) -> None:
    merged = NotebookOrder(order)
    merged.merge(listed)
    result = list(merged)
    assert sorted(result) == sorted({*order, *listed})
    # The list is obeyed, and those that it does not name stand as before.
    assert [cell for cell in result if cell in listed] == listed
    unlisted = [cell for cell in order if cell not in listed]
    assert [cell for cell in result if cell in unlisted] == unlisted
    # What the list does not contradict stays.
    known = [cell for cell in listed if cell in order]
    if known == sorted(known, key=order.index):
        assert [cell for cell in result if cell in order] == order
    assert sorted(result, key=merged.place) == result
    assert [merged.index(cell) for cell in result] == list(range(len(result)))
