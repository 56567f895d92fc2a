"""The list of a run's items: the same here, on the wire and in every replica."""

import contextlib
import gc
import random
import threading
from typing import Any

import pytest
from cellwire.protocol.events import CellDeclared, CellStarted, GraphChanged
from cellwire.protocol.limits import Limits
from cellwire.protocol.notebook import Item, Notebook
from cellwire.protocol.reducer import apply
from cellwire.runner.output.emitter import CallbackSink, Emitter
from cellwire.runner.output.output_list import OutputList


class Listed:
    """A list and a replica of it."""

    def __init__(self, limits: Limits) -> None:
        self.notebook = Notebook()
        self.events: list[Any] = []
        self.receive(GraphChanged([CellDeclared("a")]))
        self.receive(CellStarted("a", 1))
        self.events.clear()
        self.list = OutputList(Emitter(CallbackSink(self.receive)), "a", 1, limits)

    def receive(self, event: Any) -> None:
        self.events.append(event)
        apply(self.notebook, event)

    @property
    def items(self) -> list[Item]:
        return self.notebook.cells["a"].outputs

    @property
    def texts(self) -> list[str]:
        return [item.data["text/plain"] for item in self.items]


def text(value: object) -> dict[str, Any]:
    return {"text/plain": str(value)}


@pytest.fixture
def it() -> Listed:
    return Listed(Limits())


def test_items_are_appended_replaced_and_removed(it: Listed) -> None:
    a, b, c = (it.list.append(text(name)) for name in "abc")
    b.replace(text("B"), {"some": "detail"})
    assert it.texts == ["a", "B", "c"]
    assert it.items[1].metadata == {"some": "detail"}
    a.remove()
    assert it.texts == ["B", "c"]
    assert len(it.list) == 2
    c.remove()
    c.remove()
    a.replace(text("a again"))
    assert it.texts == ["B"]


def test_only_the_changed_item_is_sent(it: Listed) -> None:
    handle = it.list.append(text("x"))
    for number in range(100):
        it.list.append(text(number))
    it.events.clear()
    handle.replace(text("y"))
    (event,) = it.events
    assert event.item == Item(0, text("y"))


def test_an_item_can_be_replaced_at_its_index(it: Listed) -> None:
    for name in "abc":
        it.list.append(text(name))
    it.list.replace_at_index(1, text("B"))
    it.list.replace_at_index(0, text("A"))
    it.list.replace_at_index(-1, text("C"))
    handle = it.list.replace_at_index(3, text("d"))
    assert it.texts == ["A", "B", "C", "d"]
    handle.replace(text("D"))
    it.list.replace_at_index(2, text("c")).replace(text("see"))
    assert it.texts == ["A", "B", "see", "D"]
    for index in (5, -5):
        with pytest.raises(IndexError, match="the list has 4"):
            it.list.replace_at_index(index, text("no"))
    wrong: Any
    for wrong in (1.5, "0", None, [0]):
        with pytest.raises(TypeError):
            it.list.replace_at_index(wrong, text("no"))
    it.list.replace_at_index(True, text("B"))
    assert len(it.list) == len(it.items) == 4


def test_replace_leaves_one_item_and_clear_leaves_none(it: Listed) -> None:
    it.list.append(text("a"))
    handle = it.list.replace(text("b"))
    assert it.texts == ["b"]
    handle.replace(text("c"))
    assert it.texts == ["c"]
    it.list.clear()
    assert (it.texts, len(it.list)) == ([], 0)
    handle.replace(text("d"))
    assert it.texts == []
    it.list.replace_at_index(0, text("e"))
    assert it.texts == ["e"]


def test_a_retired_list_ignores_every_change(it: Listed) -> None:
    handle = it.list.append(text("a"))
    it.list.retire()
    it.list.append(text("b")).replace(text("c"))
    it.list.replace(text("d"))
    it.list.replace_at_index(0, text("e"))
    it.list.replace_at_index(100, text("f"))
    it.list.clear()
    handle.replace(text("g"))
    handle.remove()
    assert it.texts == ["a"]
    assert len(it.events) == 1


def test_one_item_says_that_the_list_is_full() -> None:
    it = Listed(Limits(items=3))
    handles = [it.list.append(text(number)) for number in range(10)]
    assert it.texts == ["0", "1", "2", "[further outputs left out: limits.items is 3]"]
    handles[7].replace(text("never there"))
    handles[0].remove()
    it.list.append(text("in place of the removed one"))
    assert len(it.items) == 4
    it.list.clear()
    it.list.append(text("room again"))
    assert it.texts == ["room again"]


def test_an_item_that_is_too_large_says_so_and_the_others_stay() -> None:
    it = Listed(Limits(item_bytes=1000))
    handle = it.list.append({"text/plain": "x", "image/png": bytes(2000)})
    it.list.append(text("small"))
    assert it.texts == ["[output of 2,028 bytes left out: limits.item_bytes is 1,000]", "small"]
    handle.replace(text("smaller"))
    handle.replace(text("small"), {"detail": "x" * 1000})
    assert it.texts[0].startswith("[output of 1,0")


def test_an_appended_bundle_may_change_afterwards(it: Listed) -> None:
    data = {"text/plain": "x", "application/json": {"list": [1, 2]}}
    it.list.append(data)
    data["application/json"]["list"].append(3)  # pyright: ignore
    assert it.items[0].data == {"text/plain": "x", "application/json": {"list": [1, 2]}}


def test_values_without_a_form_in_msgpack_become_text(it: Listed) -> None:
    it.list.append({"text/plain": "x", "application/json": {"a": [object, 1 << 100]}})
    assert it.items[0].data["application/json"] == {"a": ["<class 'object'>", str(1 << 100)]}


def test_an_object_that_dies_in_the_middle_of_an_append_can_use_the_list(it: Listed) -> None:
    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            it.list.append(text("dying"))
            with contextlib.suppress(IndexError):
                it.list.replace_at_index(10_000, text("there is no such index"))

    threshold = gc.get_threshold()
    gc.set_threshold(10)
    try:
        for number in range(1000):
            Dying()
            it.list.append(text(number))
        gc.collect()
    finally:
        gc.set_threshold(*threshold)
    assert it.texts.count("dying") == 1000
    assert [t for t in it.texts if t != "dying"] == [str(number) for number in range(1000)]


def test_16_threads_and_a_replica_agree_on_every_item() -> None:
    it = Listed(Limits(items=200))
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        handles = [it.list.append(text(seed))]
        try:
            for number in range(600):
                value = text(f"{seed} {number}")
                match rng.randrange(100):
                    case 0:
                        it.list.clear()
                    case 1:
                        handles.append(it.list.replace(value))
                    case n if n < 20:
                        rng.choice(handles).remove()
                    case n if n < 40:
                        rng.choice(handles).replace(value)
                    case n if n < 50:
                        try:
                            handles.append(it.list.replace_at_index(rng.randrange(5), value))
                        except IndexError:
                            pass
                    case _:
                        handles.append(it.list.append(value))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert [item.id for item in it.items] == list(it.list._order)
    assert len(it.events) > 5000


def test_an_append_costs_the_same_however_many_items_there_are() -> None:
    it = Listed(Limits())
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    import sys

    costs: list[int] = []
    for _ in range(3):
        for number in range(2000):
            it.list.append(text(number))
        calls = 0
        sys.setprofile(count)
        it.list.append(text("measured"))
        sys.setprofile(None)
        costs.append(calls)
    assert len(set(costs)) == 1
