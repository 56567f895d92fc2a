"""Which cells define a name, in the order in which they began to."""

import pytest
from cellwire.runner.dataflow.definers import Definers


@pytest.fixture
def definers() -> Definers:
    definers = Definers()
    definers.replace("a", (), {"x", "y"})
    definers.changes += 1
    definers.replace("b", (), {"x"})
    definers.replace("c", (), {"x"})
    return definers


def test_the_oldest_definer_comes_first_and_an_edit_does_not_make_it_younger(definers: Definers) -> None:
    definers.changes += 1
    definers.replace("a", {"x", "y"}, {"x"})
    assert definers.all("x") == ["a", "b", "c"]
    assert definers.all("y") == []


def test_cells_that_defined_a_name_earlier_or_at_the_same_time_are_rivals(definers: Definers) -> None:
    assert definers.rivals("a", "x") == []
    assert definers.rivals("b", "x") == ["a", "c"]


def test_the_last_definer_is_known_until_another_cell_defines_the_name(definers: Definers) -> None:
    assert (definers.last("x"), definers.last("never")) == (None, None)
    definers.replace("a", {"y"}, ())
    assert definers.last("y") == "a"
    definers.replace("b", (), {"y"})
    assert definers.last("y") is None
